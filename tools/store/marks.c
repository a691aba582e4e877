#include "tools/store/marks.h"
#include "tools/base/json.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define FILE_NAME "muxd.run"
#define VERSION 1

/* Of a process. */
#define EXIT_STATUS_MOST 255

/* "run-" and the UUID, in wire form: a byte says how long it is. */
#define TAG_WIRE_BYTES (1 + sizeof STORE_MARK_TAG - 1 + STORE_UUID_BYTES - 1)

_Static_assert(JSON_GROWTH *STORE_MARK_SOURCE_BYTES + 512 < STORE_MARK_BYTES,
               "the longest source has room in a mark");

static const char *const words[STORE_VERDICTS] = {
    [STORE_VERDICT_PASSED] = "passed",
    [STORE_VERDICT_FAILED] = "failed",
    [STORE_VERDICT_INCOMPLETE] = "incomplete",
    [STORE_VERDICT_NOTHING] = "nothing",
    [STORE_VERDICT_INFRASTRUCTURE] = "infrastructure",
    [STORE_VERDICT_INTERRUPTED] = "interrupted",
};

const char *store_verdict_word(enum store_verdict verdict) {
    return words[verdict];
}

void store_mark_set_source(struct store_mark *mark, const char *source) {
    struct mux_span rest = mux_span_text(source);
    size_t len = 0, width;
    while ((width = mux_utf8_character(rest)) != 0 && len + width < sizeof mark->source) {
        memcpy(mark->source + len, rest.data, width);
        len += width;
        rest = mux_span(rest.data + width, rest.len - width);
    }
    mark->source[len] = '\0';
}

static size_t put_content(const struct store_mark *mark, char *out, size_t out_bytes) {
    struct json json;
    json_put_start(&json, out, out_bytes);
    json_put_open(&json, '{');
    json_put_member_number(&json, "v", VERSION);
    if (*mark->source)
        json_put_member_text(&json, "source", mark->source);
    if (words[mark->verdict])
        json_put_member_text(&json, "verdict", words[mark->verdict]);
    if (mark->exit_status != STORE_NO_EXIT)
        json_put_member_number(&json, "exit", (uint64_t)mark->exit_status);
    json_put_close(&json, '}');
    return json_len(&json);
}

size_t store_mark_encode(const struct store_mark *mark, uint8_t out[STORE_MARK_BYTES]) {
    char content[STORE_MARK_BYTES - 256], tag[TAG_WIRE_BYTES];
    uint8_t tags[TAG_WIRE_BYTES];
    size_t content_len = put_content(mark, content, sizeof content), tags_len = 0, len = 0;
    snprintf(tag, sizeof tag, STORE_MARK_TAG "%s", mark->uuid);
    enum mux_error error = mux_tag_append(tags, sizeof tags, &tags_len, mux_span_text(tag));
    struct mux_packet packet = {
        .eof = true,
        .has_tags = true,
        .tag_count = 1,
        .tags = mux_span(tags, tags_len),
        .mime = mux_span_text("application/json"),
        .file_name = mux_span_text(FILE_NAME),
        .file_content = mux_span((const uint8_t *)content, content_len),
    };
    if (mark->at_us > 0)
        mux_packet_set_time_ns(&packet, mark->at_us * 1000);
    if (!error)
        error = mux_packet_encode(&packet, out, STORE_MARK_BYTES, &len);
    assert(!error);
    return len;
}

/* As RFC 9562 writes it: it becomes part of a file's name. */
static bool is_uuid(struct mux_span text) {
    if (text.len != STORE_UUID_BYTES - 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? text.data[i] != '-'
                    : !text.data[i] || !strchr("0123456789abcdef", text.data[i]))
            return false;
    }
    return true;
}

bool store_mark_uuid(const struct mux_packet *packet, char uuid[STORE_UUID_BYTES]) {
    const size_t prefix = sizeof STORE_MARK_TAG - 1;
    struct mux_span tags = packet->tags, tag;
    while (packet->has_tags && mux_tag_next(&tags, &tag)) {
        if (tag.len < prefix || memcmp(tag.data, STORE_MARK_TAG, prefix) != 0)
            continue;
        struct mux_span text = mux_span(tag.data + prefix, tag.len - prefix);
        if (!is_uuid(text))
            continue;
        memcpy(uuid, text.data, text.len);
        uuid[text.len] = '\0';
        return true;
    }
    return false;
}

static int exit_status_of(const json_t *number) {
    json_int_t status = json_is_integer(number) ? json_integer_value(number) : STORE_NO_EXIT;
    return status >= 0 && status <= EXIT_STATUS_MOST ? (int)status : STORE_NO_EXIT;
}

static enum store_verdict verdict_of(const char *word) {
    for (int verdict = 0; word && verdict < STORE_VERDICTS; verdict++)
        if (words[verdict] && strcmp(words[verdict], word) == 0)
            return (enum store_verdict)verdict;
    return STORE_VERDICT_UNSAID;
}

bool store_mark_read(const struct mux_packet *packet, struct store_mark *mark) {
    const struct mux_span content = packet->file_content;
    *mark = (struct store_mark){.verdict = STORE_VERDICT_UNSAID, .exit_status = STORE_NO_EXIT};
    if (packet->test_id.data || packet->status != MUX_STATUS_NONE ||
        !mux_span_equal(packet->file_name, mux_span_text(FILE_NAME)) ||
        !store_mark_uuid(packet, mark->uuid))
        return false;
    if (packet->has_timestamp)
        mark->at_us = mux_packet_time_ns(packet) / 1000;
    json_t *object = json_loadb((const char *)content.data, content.len, 0, NULL);
    const char *source = json_string_value(json_object_get(object, "source"));
    if (source)
        store_mark_set_source(mark, source);
    mark->verdict = verdict_of(json_string_value(json_object_get(object, "verdict")));
    mark->exit_status = exit_status_of(json_object_get(object, "exit"));
    bool is_mark = json_is_object(object);
    json_decref(object);
    return is_mark;
}

void store_mark_set_try(struct mux_packet *packet, unsigned try_number,
                        uint8_t tags[STORE_TRY_TAGS_BYTES]) {
    char tag[32];
    size_t len = packet->has_tags ? packet->tags.len : 0;
    snprintf(tag, sizeof tag, STORE_TRY_TAG "%u", try_number);
    if (len > STORE_TRY_TAGS_BYTES)
        return;
    if (len)
        memcpy(tags, packet->tags.data, len);
    if (mux_tag_append(tags, STORE_TRY_TAGS_BYTES, &len, mux_span_text(tag)))
        return;
    packet->tags = mux_span(tags, len);
    packet->tag_count = packet->has_tags ? packet->tag_count + 1 : 1;
    packet->has_tags = true;
}

bool store_mark_is_try(const struct mux_packet *packet) {
    const size_t prefix = sizeof STORE_TRY_TAG - 1;
    struct mux_span tags = packet->tags, tag;
    while (packet->has_tags && mux_tag_next(&tags, &tag))
        if (tag.len > prefix && memcmp(tag.data, STORE_TRY_TAG, prefix) == 0)
            return true;
    return false;
}
