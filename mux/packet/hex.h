/* Hexadecimal digits of a fixed count, lower case: ids, offsets and CRCs in texts between nodes. */
#ifndef MUX_HEX_H
#define MUX_HEX_H

#include "mux/buffer.h"

/* -1: not one of the digits that mux_hex_write() writes. */
static inline int mux_hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `count` digits, at most 16. Reads no byte behind the first that is none; then returns false. */
static inline bool mux_hex_read(const void *text, unsigned count, uint64_t *value) {
    const uint8_t *at = text;
    *value = 0;
    for (unsigned i = 0; i < count; i++) {
        int digit = mux_hex_digit(at[i]);
        if (digit < 0)
            return false;
        *value = *value << 4 | (unsigned)digit;
    }
    return true;
}

/* Two digits a byte, as mux_hex_read(). */
static inline bool mux_hex_read_bytes(const void *text, uint8_t *out, size_t len) {
    uint64_t byte;
    for (size_t i = 0; i < len; i++) {
        if (!mux_hex_read((const uint8_t *)text + 2 * i, 2, &byte))
            return false;
        out[i] = (uint8_t)byte;
    }
    return true;
}

/* Writes `count` digits, without a NUL; returns what is behind them. */
static inline char *mux_hex_write(char *out, unsigned count, uint64_t value) {
    for (unsigned i = count; i > 0; i--, value >>= 4)
        out[i - 1] = "0123456789abcdef"[value & 15];
    return out + count;
}

static inline char *mux_hex_write_bytes(char *out, const uint8_t *bytes, size_t len) {
    for (size_t i = 0; i < len; i++)
        out = mux_hex_write(out, 2, bytes[i]);
    return out;
}

#endif
