#include "mux/packet.h"

/* Eight bytes at a time while they are ASCII without NUL, as nearly all test ids are. */
static size_t plain_ascii(struct mux_span string) {
    size_t i = 0;
    for (; i + 8 <= string.len; i += 8) {
        uint64_t word;
        memcpy(&word, string.data + i, 8);
        uint64_t high = word & 0x8080808080808080u;
        uint64_t zero = (word - 0x0101010101010101u) & ~word & 0x8080808080808080u;
        if (high | zero)
            break;
    }
    return i;
}

size_t mux_utf8_character(struct mux_span bytes) {
    const uint8_t *at = bytes.data;
    size_t width = mux_utf8_width(at[0]);
    if (width <= 1 || width > bytes.len)
        return width <= bytes.len ? width : 0;
    uint8_t least = 0x80, most = 0xBF;
    if (at[0] == 0xE0)
        least = 0xA0;
    if (at[0] == 0xED)
        most = 0x9F;
    if (at[0] == 0xF0)
        least = 0x90;
    if (at[0] == 0xF4)
        most = 0x8F;
    if (at[1] < least || at[1] > most)
        return 0;
    for (size_t i = 2; i < width; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    return width;
}

enum mux_error mux_string_check(struct mux_span string) {
    enum mux_error error = MUX_OK;
    size_t i = plain_ascii(string);
    while (i < string.len) {
        if (string.data[i] == 0)
            return MUX_ERROR_NUL;
        size_t width = mux_utf8_character(mux_span(string.data + i, string.len - i));
        if (width == 0) {
            error = MUX_ERROR_UTF8;
            break;
        }
        i += width;
    }
    /* NUL is reported first wherever it stands, as python-subunit does. */
    if (error && memchr(string.data + i, 0, string.len - i))
        return MUX_ERROR_NUL;
    return error;
}
