#include "tools/store/subunit1.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A file's content is told in pieces, as a node passes them on. */
#define PIECE_BYTES 65536

#define TAGS_BYTES 1024
#define TAGS_MOST 32
#define TAG_MOST_BYTES 63 /* a longer one is left out: its length must fit a byte on the wire */
#define WORKER "worker-"

struct reading {
    struct mux_span rest;
    bool (*packet)(void *user, const struct mux_packet *packet);
    void *user;
    struct mux_span test;  /* data NULL: none is open */
    struct mux_span route; /* of the open test */
    enum mux_status status;
    int64_t time_ns; /* -1: none was said */
    struct tags {
        unsigned count;
        struct mux_span of[TAGS_MOST];
    } tags, outer; /* those of the open test are forgotten at its end */
    bool is_stopped;
};

static struct mux_span cut(struct mux_span *rest, size_t len) {
    struct mux_span head = mux_span(rest->data, len);
    *rest = mux_span(rest->data + len, rest->len - len);
    return head;
}

/* Without its newline; the last one may have none. */
static struct mux_span take_line(struct mux_span *rest) {
    const uint8_t *end = rest->len ? memchr(rest->data, '\n', rest->len) : NULL;
    struct mux_span line = cut(rest, end ? (size_t)(end - rest->data) : rest->len);
    if (end)
        cut(rest, 1);
    return line;
}

static bool is_text(struct mux_span span, const char *text) {
    return mux_span_equal(span, mux_span_text(text));
}

static bool ends_with(struct mux_span span, const char *text) {
    size_t len = strlen(text);
    return span.len >= len && memcmp(span.data + span.len - len, text, len) == 0;
}

/* ---- packets ---- */

/* The tags in wire form, which python gives with the end of a test. */
static void put_tags(const struct reading *reading, struct mux_packet *packet,
                     uint8_t room[TAGS_BYTES]) {
    size_t len = 0;
    for (unsigned i = 0; i < reading->tags.count; i++) {
        struct mux_span tag = reading->tags.of[i];
        if (mux_tag_append(room, TAGS_BYTES, &len, tag) == MUX_OK)
            packet->tag_count++;
    }
    packet->has_tags = packet->tag_count > 0;
    packet->tags = mux_span(room, len);
}

/* A test's route is that of its begin: it is a part of its name in a run. */
static struct mux_span worker_of(const struct reading *reading) {
    const size_t prefix = sizeof WORKER - 1;
    for (unsigned i = 0; i < reading->tags.count; i++) {
        struct mux_span tag = reading->tags.of[i];
        if (tag.len > prefix && memcmp(tag.data, WORKER, prefix) == 0)
            return mux_span(tag.data + prefix, tag.len - prefix);
    }
    return mux_span(NULL, 0);
}

static void give(struct reading *reading, struct mux_packet *packet) {
    uint8_t tags[TAGS_BYTES];
    if (packet->status != MUX_STATUS_NONE && packet->status != MUX_STATUS_INPROGRESS)
        put_tags(reading, packet, tags);
    packet->route = reading->test.data ? reading->route : worker_of(reading);
    if (reading->time_ns >= 0 && packet->status != MUX_STATUS_NONE)
        mux_packet_set_time_ns(packet, reading->time_ns);
    if (packet->test_id.data)
        packet->runnable = true;
    if (!reading->is_stopped)
        reading->is_stopped = !reading->packet(reading->user, packet);
}

static void give_status(struct reading *reading, enum mux_status status) {
    give(reading, &(struct mux_packet){.status = status, .test_id = reading->test});
}

static void give_file(struct reading *reading, struct mux_span name, struct mux_span mime,
                      struct mux_span content) {
    do {
        size_t len = content.len < PIECE_BYTES ? content.len : PIECE_BYTES;
        struct mux_packet packet = {.test_id = reading->test,
                                    .file_name = name,
                                    .mime = mime,
                                    .file_content = cut(&content, len),
                                    .eof = content.len == 0};
        give(reading, &packet);
    } while (content.len && !reading->is_stopped);
}

static void give_chatter(struct reading *reading, struct mux_span line, bool has_newline) {
    line.len += has_newline;
    if (line.len)
        give(reading,
             &(struct mux_packet){.file_name = mux_span_text("stdout"), .file_content = line});
}

/* ---- details of an outcome ---- */

/* "] ..." at the beginning of a line stands there with a blank in front. In place: it becomes
 * shorter. */
static struct mux_span unquoted(struct mux_span lines, uint8_t *out) {
    size_t len = 0;
    while (lines.len) {
        bool is_quoted = lines.len > 1 && lines.data[0] == ' ' && lines.data[1] == ']';
        if (is_quoted)
            cut(&lines, 1);
        const uint8_t *end = memchr(lines.data, '\n', lines.len);
        struct mux_span line = cut(&lines, end ? (size_t)(end - lines.data) + 1 : lines.len);
        memcpy(out + len, line.data, line.len);
        len += line.len;
    }
    return mux_span(out, len);
}

/* Lines up to one that is "]". */
static void take_simple(struct reading *reading) {
    const uint8_t *begin = reading->rest.data;
    struct mux_span line, lines;
    do {
        lines = mux_span(begin, (size_t)(reading->rest.data - begin));
        line = take_line(&reading->rest);
    } while (!is_text(line, "]") && reading->rest.len);
    if (!is_text(line, "]"))
        lines = mux_span(begin, (size_t)(reading->rest.data - begin));
    const char *name = reading->status == MUX_STATUS_SKIP      ? "reason"
                       : reading->status == MUX_STATUS_SUCCESS ? "message"
                                                               : "traceback";
    const char *mime = *name == 't' ? "text/x-traceback;charset=utf8" : "text/plain";
    uint8_t *room = malloc(lines.len + 1);
    if (room && lines.len)
        give_file(reading, mux_span_text(name), mux_span_text(mime), unquoted(lines, room));
    free(room);
}

/* A chunk's head: hexadecimal digits, then CR LF. False: it is none. */
static bool take_length(struct mux_span *rest, size_t *len) {
    struct mux_span line = take_line(rest);
    *len = 0;
    if (line.len && line.data[line.len - 1] == '\r')
        line.len--;
    for (size_t i = 0; i < line.len; i++) {
        int digit = tolower(line.data[i]);
        if (!isxdigit(digit) || *len > SIZE_MAX / 32)
            return false;
        *len = 16 * *len + (size_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    return line.len > 0;
}

/* Chunks up to an empty one, put together in `out`, which has room for all of the rest. */
static bool take_chunks(struct mux_span *rest, uint8_t *out, size_t *out_len) {
    size_t len;
    *out_len = 0;
    while (take_length(rest, &len)) {
        if (len == 0)
            return true;
        if (len > rest->len)
            return false;
        memcpy(out + *out_len, rest->data, len);
        *out_len += len;
        cut(rest, len);
    }
    return false;
}

/* "text/plain;charset=utf8,language=python" becomes what version 2 writes. */
static struct mux_span mime_of(struct mux_span line, char *room, size_t room_bytes) {
    const char head[] = "Content-Type: ";
    if (line.len < sizeof head || memcmp(line.data, head, sizeof head - 1) != 0)
        return mux_span(NULL, 0);
    cut(&line, sizeof head - 1);
    size_t len = line.len < room_bytes ? line.len : room_bytes;
    for (size_t i = 0; i < len; i++)
        room[i] = (char)(line.data[i] == ',' ? ';' : line.data[i]);
    return mux_span(room, len);
}

/* As much of the rest as a chunked file at its head takes; it is looked at, not taken. */
static size_t bytes_of_chunks(struct mux_span rest) {
    size_t len, before = rest.len;
    while (take_length(&rest, &len) && len && len <= rest.len)
        cut(&rest, len);
    return before - rest.len;
}

/* Files up to a line that is "]". What is broken ends them. */
static void take_multipart(struct reading *reading) {
    char mime_room[256];
    bool is_fine = true;
    while (is_fine && reading->rest.len) {
        struct mux_span line = take_line(&reading->rest);
        if (is_text(line, "]"))
            return;
        struct mux_span mime = mime_of(line, mime_room, sizeof mime_room);
        struct mux_span name = take_line(&reading->rest);
        uint8_t *room = malloc(bytes_of_chunks(reading->rest) + 1);
        size_t len = 0;
        is_fine = mime.data && room && take_chunks(&reading->rest, room, &len);
        if (is_fine && len)
            give_file(reading, name, mime, mux_span(room, len));
        free(room);
    }
}

/* ---- lines ---- */

/* "2026-11-27 17:19:28.923687Z" */
static void take_time(struct reading *reading, struct mux_span words) {
    char text[64];
    struct tm tm = {0};
    int used = 0;
    if (words.len >= sizeof text)
        return;
    memcpy(text, words.data, words.len);
    text[words.len] = '\0';
    if (sscanf(text, "%4d-%2d-%2d%*1[ T]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6 ||
        used == 0)
        return;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int64_t ns = 0, unit = 100000000;
    if (text[used] == '.')
        for (used++; isdigit((unsigned char)text[used]); used++, unit /= 10)
            ns += (text[used] - '0') * unit;
    int64_t seconds = timegm(&tm);
    if (text[used] == 'Z' && seconds >= 0 && seconds <= UINT32_MAX)
        reading->time_ns = seconds * 1000000000 + ns;
}

static void remove_tag(struct reading *reading, struct mux_span tag) {
    for (unsigned i = 0; i < reading->tags.count; i++)
        if (mux_span_equal(reading->tags.of[i], tag)) {
            reading->tags.of[i] = reading->tags.of[--reading->tags.count];
            return;
        }
}

/* A tag with a minus in front holds no more. */
static void take_tags(struct reading *reading, struct mux_span words) {
    while (words.len) {
        size_t len = 0;
        while (len < words.len && !isspace(words.data[len]))
            len++;
        struct mux_span tag = cut(&words, len);
        if (words.len)
            cut(&words, 1);
        bool is_gone = tag.len > 1 && tag.data[0] == '-';
        if (is_gone)
            cut(&tag, 1);
        remove_tag(reading, tag);
        if (!is_gone && tag.len && tag.len <= TAG_MOST_BYTES && reading->tags.count < TAGS_MOST)
            reading->tags.of[reading->tags.count++] = tag;
    }
}

static enum mux_status status_of(struct mux_span word) {
    static const struct {
        const char *word;
        enum mux_status status;
    } outcomes[] = {
        {"success", MUX_STATUS_SUCCESS},     {"successful", MUX_STATUS_SUCCESS},
        {"failure", MUX_STATUS_FAIL},        {"error", MUX_STATUS_FAIL},
        {"skip", MUX_STATUS_SKIP},           {"xfail", MUX_STATUS_XFAIL},
        {"uxsuccess", MUX_STATUS_UXSUCCESS},
    };
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        if (is_text(word, outcomes[i].word))
            return outcomes[i].status;
    return MUX_STATUS_NONE;
}

/* The open test's id, and behind it perhaps the beginning of details. False: it is no outcome of
 * it.
 */
static bool take_outcome(struct reading *reading, struct mux_span rest) {
    struct mux_span test = reading->test;
    if (!test.data || rest.len < test.len || memcmp(rest.data, test.data, test.len) != 0)
        return false;
    cut(&rest, test.len);
    if (rest.len && !is_text(rest, " [") && !is_text(rest, " [ multipart"))
        return false;
    if (is_text(rest, " ["))
        take_simple(reading);
    else if (rest.len)
        take_multipart(reading);
    give_status(reading, reading->status);
    reading->test = mux_span(NULL, 0);
    reading->tags = reading->outer;
    return true;
}

/* A line is a word, maybe a colon, a blank, and the rest. False: it is chatter. */
static bool take_command(struct reading *reading, struct mux_span line) {
    size_t len = 0;
    while (len < line.len && !isspace(line.data[len]))
        len++;
    if (len == 0 || len + 1 >= line.len)
        return false;
    struct mux_span word = cut(&line, len);
    cut(&line, 1);
    if (ends_with(word, ":"))
        word.len--;
    reading->status = status_of(word);
    if (reading->status != MUX_STATUS_NONE)
        return take_outcome(reading, line);
    if (is_text(word, "tags"))
        take_tags(reading, line);
    else if (is_text(word, "time"))
        take_time(reading, line);
    else if ((is_text(word, "test") || is_text(word, "testing")) && !reading->test.data) {
        reading->test = line;
        reading->outer = reading->tags;
        reading->route = worker_of(reading);
        give_status(reading, MUX_STATUS_INPROGRESS);
    } else {
        return is_text(word, "progress");
    }
    return true;
}

bool subunit1_read(struct mux_span text,
                   bool (*packet)(void *user, const struct mux_packet *packet), void *user) {
    struct reading reading = {.rest = text, .packet = packet, .user = user, .time_ns = -1};
    while (reading.rest.len && !reading.is_stopped) {
        struct mux_span line = take_line(&reading.rest);
        if (!take_command(&reading, line))
            give_chatter(&reading, line, line.data + line.len < text.data + text.len);
    }
    return !reading.is_stopped;
}
