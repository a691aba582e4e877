#include "packet_internal.h"

/*
 * As a signed value a byte of plain ASCII without NUL is above 0: a whole vector is compared at
 * once.
 */
typedef int8_t vector __attribute__((vector_size(16)));

static inline vector plain_vector(const uint8_t *at) {
    vector bytes;
    memcpy(&bytes, at, sizeof bytes);
    return bytes > 0;
}

static inline bool is_all(vector are_plain) {
    uint64_t halves[2];
    memcpy(halves, &are_plain, sizeof halves);
    return (halves[0] & halves[1]) == UINT64_MAX;
}

/* Adding this sets the top bit of each byte that is not 0, without carries. */
static bool plain_word(uint64_t word) {
    const uint64_t top = 0x8080808080808080u;
    return ((word | ~(word + (top ^ UINT64_MAX))) & top) == 0;
}

/* Up to 15 bytes, by two words that may overlap. */
static bool plain_short(struct mux_span string) {
    uint64_t first = 0x0101010101010101u, last = first; /* plain */
    if (string.len >= 8) {
        memcpy(&first, string.data, 8);
        memcpy(&last, string.data + string.len - 8, 8);
    } else if (string.len >= 4) {
        memcpy(&first, string.data, 4);
        memcpy(&last, string.data + string.len - 4, 4);
    } else if (string.len > 0) {
        memcpy(&first, string.data, 1);
        memcpy((uint8_t *)&first + 1, string.data + string.len / 2, 1);
        memcpy(&last, string.data + string.len - 1, 1);
    }
    return plain_word(first) && plain_word(last);
}

/* The number of plain bytes at the front: all of them, or nearly up to the first that is not. */
static inline size_t plain_bytes(struct mux_span string) {
    const size_t step = sizeof(vector);
    if (string.len < step)
        return plain_short(string) ? string.len : 0;
    const uint8_t *at = string.data, *end = at + string.len;
    while ((size_t)(end - at) >= 4 * step &&
           is_all(plain_vector(at) & plain_vector(at + step) & plain_vector(at + 2 * step) &
                  plain_vector(at + 3 * step)))
        at += 4 * step;
    while ((size_t)(end - at) >= step && is_all(plain_vector(at)))
        at += step;
    if ((size_t)(end - at) < step && is_all(plain_vector(end - step)))
        at = end;
    return (size_t)(at - string.data);
}

bool mux_string_is_plain(struct mux_span string) {
    const size_t step = sizeof(vector);
    if (string.len < step)
        return plain_short(string);
    const uint8_t *last = string.data + string.len - step; /* overlaps the previous vector */
    vector plain = plain_vector(last);
    for (const uint8_t *at = string.data; at < last; at += step)
        plain &= plain_vector(at);
    return is_all(plain);
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
    size_t i = plain_bytes(string);
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
    /* NUL is reported first, wherever it is, as python-subunit does. */
    if (error && memchr(string.data + i, 0, string.len - i))
        return MUX_ERROR_NUL;
    return error;
}
