#include "mux/node/lines.h"

/* Takes "KEY=VALUE\n" off the front. */
static struct mux_span next_line(struct mux_span *rest, struct mux_span *key) {
    const uint8_t *end = memchr(rest->data, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    const uint8_t *equals = memchr(rest->data, '=', len);
    size_t key_len = equals ? (size_t)(equals - rest->data) : len;
    struct mux_span value =
        equals ? mux_span(equals + 1, len - key_len - 1) : mux_span(rest->data + len, 0);
    size_t used = end ? len + 1 : len;
    *key = mux_span(rest->data, key_len);
    *rest = mux_span(rest->data + used, rest->len - used);
    return value;
}

bool mux_lines_read(struct mux_span content, struct mux_line *lines, unsigned count) {
    struct mux_span rest = content, key;
    while (rest.len > 0) {
        struct mux_span value = next_line(&rest, &key);
        for (unsigned i = 0; i < count; i++) {
            if (!mux_span_equal(key, lines[i].key))
                continue;
            if (lines[i].value.data)
                return false;
            lines[i].value = value;
        }
    }
    return true;
}

bool mux_lines_number(struct mux_span text, uint64_t most, uint64_t *number) {
    uint64_t value = 0;
    *number = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = text.data[i] - (unsigned)'0';
        if (digit > 9 || value > (most - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = value;
    return text.len > 0;
}
