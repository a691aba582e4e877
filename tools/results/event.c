#include "tools/results/event.h"
#include "tools/results/base64.h"

#include <stdio.h>
#include <stdlib.h>

static json_t *string_or_null(struct mux_span span) {
    return span.data ? json_stringn((const char *)span.data, span.len) : json_null();
}

static json_t *tags_or_null(const struct mux_packet *packet) {
    if (!packet->has_tags)
        return json_null();
    json_t *array = json_array();
    struct mux_span rest = packet->tags, tag;
    while (mux_tag_next(&rest, &tag))
        json_array_append_new(array, string_or_null(tag));
    return array;
}

static json_t *base64_or_null(struct mux_span content) {
    if (!content.data)
        return json_null();
    size_t len = base64_encoded_bytes(content.len);
    char *text = malloc(len + 1);
    if (!text)
        return NULL;
    base64_encode(content, text);
    json_t *string = json_stringn_nocheck(text, len);
    free(text);
    return string;
}

json_t *event_to_json(const struct mux_packet *packet) {
    const char *status = mux_status_text(packet->status);
    struct mux_time when = mux_packet_time(packet);
    json_t *timestamp = packet->has_timestamp ? json_pack("[I, I]", (json_int_t)when.seconds,
                                                          (json_int_t)when.nanoseconds)
                                              : json_null();
    return json_pack("{s:o, s:s?, s:o, s:b, s:o, s:o, s:b, s:o, s:o, s:o}", "test_id",
                     string_or_null(packet->test_id), "test_status", status, "test_tags",
                     tags_or_null(packet), "runnable", packet->runnable, "file_name",
                     string_or_null(packet->file_name), "file_b64",
                     base64_or_null(packet->file_content), "eof", packet->eof, "mime_type",
                     string_or_null(packet->mime), "route_code", string_or_null(packet->route),
                     "timestamp", timestamp);
}

#define LENGTH_MOST_BYTES 4 /* of a varint */
#define SECOND_NS 1000000000
#define SECONDS_MOST ((json_int_t)UINT32_MAX)

/* What an object is turned into a packet with. */
struct reading {
    const json_t *event;
    char *why;
    size_t why_bytes;
    uint8_t *tags;    /* malloc'ed */
    uint8_t *content; /* malloc'ed */
    struct mux_packet packet;
};

static bool wrong(struct reading *reading, const char *key, const char *expected) {
    snprintf(reading->why, reading->why_bytes, "\"%s\": expected %s", key, expected);
    return false;
}

/* The key's value, or NULL when it is missing or null. */
static const json_t *get(const struct reading *reading, const char *key) {
    const json_t *value = json_object_get(reading->event, key);
    return json_is_null(value) ? NULL : value;
}

static struct mux_span span_of(const json_t *string) {
    return mux_span(json_string_value(string), json_string_length(string));
}

/* Jansson has made sure that it is UTF-8. */
static bool has_nul(const json_t *string) {
    return strlen(json_string_value(string)) != json_string_length(string);
}

static bool read_string(struct reading *reading, const char *key, struct mux_span *out) {
    const json_t *value = get(reading, key);
    if (!value)
        return true;
    if (!json_is_string(value))
        return wrong(reading, key, "a string or null");
    if (has_nul(value))
        return wrong(reading, key, "a string without NUL");
    *out = span_of(value);
    return true;
}

static bool read_bool(struct reading *reading, const char *key, bool *out) {
    const json_t *value = get(reading, key);
    if (value && !json_is_boolean(value))
        return wrong(reading, key, "true or false");
    if (value)
        *out = json_is_true(value);
    return true;
}

static bool read_status(struct reading *reading) {
    const json_t *value = get(reading, "test_status");
    if (!value)
        return true;
    for (unsigned i = MUX_STATUS_EXISTS; i <= MUX_STATUS_XFAIL; i++) {
        enum mux_status status = (enum mux_status)i;
        if (json_is_string(value) &&
            mux_span_equal(span_of(value), mux_span_text(mux_status_text(status)))) {
            reading->packet.status = status;
            return true;
        }
    }
    return wrong(reading, "test_status",
                 "exists, inprogress, success, uxsuccess, skip, fail, xfail or null");
}

static bool read_timestamp(struct reading *reading) {
    static const char expected[] = "[seconds since 1970 (0 to 4294967295), nanoseconds (0 to "
                                   "1073741823)]";
    const json_t *value = get(reading, "timestamp");
    if (!value)
        return true;
    if (!json_is_array(value) || json_array_size(value) != 2 ||
        !json_is_integer(json_array_get(value, 0)) || !json_is_integer(json_array_get(value, 1)))
        return wrong(reading, "timestamp", expected);
    json_int_t seconds = json_integer_value(json_array_get(value, 0));
    json_int_t nanoseconds = json_integer_value(json_array_get(value, 1));
    if (nanoseconds < 0 || nanoseconds > MUX_VARINT_MAX)
        return wrong(reading, "timestamp", expected);
    if (seconds == SECONDS_MOST + 1 && nanoseconds <= MUX_VARINT_MAX - SECOND_NS) {
        seconds--; /* the wire's last second can hold a part of the next one */
        nanoseconds += SECOND_NS;
    }
    if (seconds < 0 || seconds > SECONDS_MOST)
        return wrong(reading, "timestamp", expected);
    reading->packet.has_timestamp = true;
    reading->packet.seconds = (uint32_t)seconds;
    reading->packet.nanoseconds = (uint32_t)nanoseconds;
    return true;
}

/* What these tags need on the wire, if that fits in a packet: memory for the largest costs much
 * more. */
static size_t tags_room(const json_t *tags) {
    size_t room = 1; /* malloc(0) may return NULL */
    for (size_t i = 0; i < json_array_size(tags) && room < MUX_PACKET_MAX_BYTES; i++)
        room += LENGTH_MOST_BYTES + json_string_length(json_array_get(tags, i));
    return room < MUX_PACKET_MAX_BYTES ? room : MUX_PACKET_MAX_BYTES;
}

static bool read_tags(struct reading *reading) {
    const json_t *value = get(reading, "test_tags");
    if (!value)
        return true;
    if (!json_is_array(value))
        return wrong(reading, "test_tags", "a list of strings or null");
    size_t len = 0;
    const size_t room = tags_room(value);
    reading->tags = malloc(room);
    for (size_t i = 0; reading->tags && i < json_array_size(value); i++) {
        const json_t *tag = json_array_get(value, i);
        if (!json_is_string(tag))
            return wrong(reading, "test_tags", "a list of strings or null");
        if (has_nul(tag))
            return wrong(reading, "test_tags", "strings without NUL");
        if (mux_tag_append(reading->tags, room, &len, span_of(tag)))
            return wrong(reading, "test_tags",
                         "tags that fit in a packet of at most 4194303 bytes");
    }
    reading->packet.has_tags = true;
    reading->packet.tag_count = (uint32_t)json_array_size(value);
    reading->packet.tags = mux_span(reading->tags, len);
    return reading->tags != NULL;
}

static bool read_content(struct reading *reading) {
    static const char expected[] = "base64 (with padding)";
    const json_t *value = get(reading, "file_b64");
    if (!value)
        return true;
    if (!json_is_string(value) || json_string_length(value) % 4 != 0)
        return wrong(reading, "file_b64", expected);
    if (json_string_length(value) > 2 * (size_t)MUX_PACKET_MAX_BYTES)
        return wrong(reading, "file_b64", "content that fits in a packet of at most 4194303 bytes");
    const struct mux_span text = mux_span(json_string_value(value), json_string_length(value));
    size_t len;
    reading->content = malloc(text.len + 1);
    if (!reading->content || !base64_decode(text, reading->content, &len))
        return wrong(reading, "file_b64", expected);
    reading->packet.file_content = mux_span(reading->content, len);
    return true;
}

/* A key with a typing error would be a field that is silently lost. */
static bool check_keys(struct reading *reading) {
    static const char *const keys[] = {"test_id",    "test_status", "test_tags", "runnable",
                                       "file_name",  "file_b64",    "eof",       "mime_type",
                                       "route_code", "timestamp"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)reading->event, key, value) {
        size_t i = 0;
        while (i < sizeof keys / sizeof *keys && strcmp(key, keys[i]) != 0)
            i++;
        if (i == sizeof keys / sizeof *keys)
            return wrong(reading, key, "one of the keys that mux encode --help shows");
    }
    return true;
}

static bool read_event(struct reading *reading) {
    struct mux_packet *packet = &reading->packet;
    return check_keys(reading) && read_string(reading, "test_id", &packet->test_id) &&
           read_string(reading, "file_name", &packet->file_name) &&
           read_string(reading, "mime_type", &packet->mime) &&
           read_string(reading, "route_code", &packet->route) &&
           read_bool(reading, "runnable", &packet->runnable) &&
           read_bool(reading, "eof", &packet->eof) && read_status(reading) &&
           read_timestamp(reading) && read_tags(reading) && read_content(reading);
}

bool event_encode(const json_t *event, uint8_t *out, size_t capacity, size_t *written, char *why,
                  size_t why_bytes) {
    struct reading reading = {.event = event, .why = why, .why_bytes = why_bytes};
    snprintf(why, why_bytes, "out of memory");
    bool fine = json_is_object(event) ? read_event(&reading)
                                      : wrong(&reading, "event", "a JSON object on the line");
    if (fine && !reading.packet.file_name.data != !reading.packet.file_content.data)
        fine = wrong(&reading, "file_b64", "file_name and file_b64 together");
    enum mux_error error =
        fine ? mux_packet_encode(&reading.packet, out, capacity, written) : MUX_OK;
    if (error)
        snprintf(why, why_bytes, "%s", mux_error_text(error));
    free(reading.tags);
    free(reading.content);
    return fine && !error;
}
