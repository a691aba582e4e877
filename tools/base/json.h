/*
 * Writes JSON into room that the caller has: no memory is taken. Commas are put where they belong.
 * (json_... alone are the names of jansson, which reads and writes whole trees.)
 * What does not fit is left out, and `full` says so.
 */
#ifndef TOOLS_BASE_JSON_H
#define TOOLS_BASE_JSON_H

#include "mux/buffer.h"
#include <stdbool.h>

struct json {
    char *begin, *at, *end;
    bool needs_comma;
    bool full;
};

/* A document, or a part of one: `needs_comma` of the part before goes on in the next. */
void json_put_start(struct json *json, char *room, size_t room_bytes);

/* '{' or '[', and '}' or ']'. */
void json_put_open(struct json *json, char bracket);
void json_put_close(struct json *json, char bracket);

/* The name of the value that comes next. */
void json_put_key(struct json *json, const char *key);

/*
 * A string. What is not UTF-8 becomes U+FFFD, control characters are escaped: at most
 * JSON_GROWTH bytes for one of the text's.
 */
#define JSON_GROWTH 6
void json_put_text(struct json *json, struct mux_span text);

void json_put_number(struct json *json, uint64_t number);
/* With three digits behind the point. */
void json_put_seconds(struct json *json, uint64_t ns);
/* With nine digits, and a minus if it is negative. */
void json_put_signed_seconds(struct json *json, int64_t ns);
void json_put_bool(struct json *json, bool value);
void json_put_null(struct json *json);

/* A member of an object: its name and its value. */
void json_put_member_text(struct json *json, const char *key, const char *text);
void json_put_member_number(struct json *json, const char *key, uint64_t number);
void json_put_member_bool(struct json *json, const char *key, bool value);

/* The end of a line, between documents. */
void json_put_line_end(struct json *json);

static inline size_t json_len(const struct json *json) {
    return (size_t)(json->at - json->begin);
}

static inline size_t json_room(const struct json *json) {
    return (size_t)(json->end - json->at);
}

#endif
