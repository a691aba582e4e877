#include "tools/base/json.h"

#include "mux/packet/packet.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_MS 1000000u
#define NS_PER_S 1000000000u

static void put(struct json *json, const char *text, size_t len) {
    if (len > json_room(json)) {
        json->full = true;
        return;
    }
    memcpy(json->at, text, len);
    json->at += len;
}

static void put_text(struct json *json, const char *text) {
    put(json, text, strlen(text));
}

static void begin_value(struct json *json) {
    if (json->needs_comma)
        put(json, ",", 1);
    json->needs_comma = true;
}

void json_put_start(struct json *json, char *room, size_t room_bytes) {
    *json = (struct json){.begin = room, .at = room, .end = room + room_bytes};
}

void json_put_open(struct json *json, char bracket) {
    begin_value(json);
    put(json, &bracket, 1);
    json->needs_comma = false;
}

void json_put_close(struct json *json, char bracket) {
    put(json, &bracket, 1);
    json->needs_comma = true;
}

static void put_character(struct json *json, struct mux_span character) {
    static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */
    uint8_t byte = character.data[0];
    char escape[8];
    if (byte == '"' || byte == '\\')
        put(json, byte == '"' ? "\\\"" : "\\\\", 2);
    else if (byte < 0x20 || byte == 0x7F)
        put(json, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", byte));
    else if (byte < 0x80 || character.len > 1)
        put(json, (const char *)character.data, character.len);
    else
        put(json, replacement, sizeof replacement - 1);
}

static void put_string(struct json *json, struct mux_span text) {
    put(json, "\"", 1);
    for (size_t i = 0, width; i < text.len; i += width) {
        struct mux_span rest = mux_span(text.data + i, text.len - i);
        width = mux_utf8_character(rest);
        if (width == 0)
            width = 1;
        put_character(json, mux_span(rest.data, width));
    }
    put(json, "\"", 1);
}

void json_put_text(struct json *json, struct mux_span text) {
    begin_value(json);
    put_string(json, text);
}

void json_put_key(struct json *json, const char *key) {
    json_put_text(json, mux_span_text(key));
    put(json, ":", 1);
    json->needs_comma = false;
}

void json_put_number(struct json *json, uint64_t number) {
    char text[24];
    begin_value(json);
    put(json, text, (size_t)snprintf(text, sizeof text, "%" PRIu64, number));
}

void json_put_seconds(struct json *json, uint64_t ns) {
    char text[32];
    uint64_t ms = ns / NS_PER_MS;
    begin_value(json);
    put(json, text,
        (size_t)snprintf(text, sizeof text, "%" PRIu64 ".%03u", ms / 1000, (unsigned)(ms % 1000)));
}

void json_put_signed_seconds(struct json *json, int64_t ns) {
    char text[40];
    uint64_t size_ns = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
    begin_value(json);
    put(json, text,
        (size_t)snprintf(text, sizeof text, "%s%" PRIu64 ".%09u", ns < 0 ? "-" : "",
                         size_ns / NS_PER_S, (unsigned)(size_ns % NS_PER_S)));
}

void json_put_bool(struct json *json, bool value) {
    begin_value(json);
    put_text(json, value ? "true" : "false");
}

void json_put_null(struct json *json) {
    begin_value(json);
    put_text(json, "null");
}

void json_put_line_end(struct json *json) {
    put(json, "\n", 1);
    json->needs_comma = false;
}

void json_put_member_text(struct json *json, const char *key, const char *text) {
    json_put_key(json, key);
    json_put_text(json, mux_span_text(text));
}

void json_put_member_number(struct json *json, const char *key, uint64_t number) {
    json_put_key(json, key);
    json_put_number(json, number);
}

void json_put_member_bool(struct json *json, const char *key, bool value) {
    json_put_key(json, key);
    json_put_bool(json, value);
}
