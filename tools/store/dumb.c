#include "tools/store/dumb.h"

#include <ctype.h>
#include <stdlib.h>

static bool take(struct mux_span *rest, const char *text) {
    size_t len = strlen(text);
    if (rest->len < len || memcmp(rest->data, text, len) != 0)
        return false;
    *rest = mux_span(rest->data + len, rest->len - len);
    return true;
}

static int take_byte(struct mux_span *rest) {
    if (rest->len == 0)
        return -1;
    int byte = *rest->data;
    *rest = mux_span(rest->data + 1, rest->len - 1);
    return byte;
}

static int digit_of(int byte) {
    if (byte < 0 || !isxdigit(byte))
        return -1;
    return isdigit(byte) ? byte - '0' : tolower(byte) - 'a' + 10;
}

/* What stands behind a backslash, as python's repr() writes it. -1: something else. */
static int take_escape(struct mux_span *rest) {
    int byte = take_byte(rest);
    switch (byte) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'x': {
        int high = digit_of(take_byte(rest)), low = digit_of(take_byte(rest));
        return high < 0 || low < 0 ? -1 : 16 * high + low;
    }
    default:
        return byte == '\\' || byte == '\'' || byte == '"' ? byte : -1;
    }
}

/* A string in quotes of either kind, written to `out`, which has room for all of the rest. */
static bool take_key(struct mux_span *rest, uint8_t *out, size_t *len) {
    int quote = take_byte(rest), byte;
    *len = 0;
    if (quote != '\'' && quote != '"')
        return false;
    while ((byte = take_byte(rest)) != quote) {
        if (byte == '\\')
            byte = take_escape(rest);
        if (byte < 0)
            return false;
        out[(*len)++] = (uint8_t)byte;
    }
    return true;
}

static bool take_number(struct mux_span *rest, size_t *number) {
    *number = 0;
    size_t before = rest->len;
    while (rest->len && isdigit(*rest->data)) {
        if (*number > SIZE_MAX / 16)
            return false;
        *number = 10 * *number + (size_t)(take_byte(rest) - '0');
    }
    return rest->len < before;
}

/* 'key', (position, length) */
static bool take_line(struct mux_span *rest, struct mux_span data, uint8_t *room, size_t *len,
                      struct mux_span *value) {
    size_t at, value_len;
    if (!take_key(rest, room, len) || !take(rest, ", (") || !take_number(rest, &at) ||
        !take(rest, ", ") || !take_number(rest, &value_len) || !take(rest, ")"))
        return false;
    if (rest->len && !take(rest, "\n") && !take(rest, "\r\n"))
        return false;
    if (at > data.len || value_len > data.len - at)
        return false;
    *value = mux_span(data.data + at, value_len);
    return true;
}

bool dumb_read(struct mux_span directory, struct mux_span data, dumb_entry *entry, void *user) {
    uint8_t *room = malloc(directory.len + 1);
    struct mux_span value;
    size_t len;
    bool is_fine = room != NULL;
    while (is_fine && directory.len)
        is_fine = take_line(&directory, data, room, &len, &value) &&
                  entry(user, mux_span(room, len), value);
    free(room);
    return is_fine;
}
