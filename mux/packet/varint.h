/*
 * Varints, the wire's integers: the two top bits of the first byte give the number of bytes that
 * follow.
 */
#ifndef MUX_VARINT_H
#define MUX_VARINT_H

#include "mux/buffer.h"

#define MUX_VARINT_MAX 1073741823 /* 30 bits, in 4 bytes */

/*
 * Reads a varint, over-long forms included. Returns the bytes used (1..4), or 0 when `bytes` ends
 * first.
 */
static inline unsigned mux_varint_read(struct mux_span bytes, uint32_t *value) {
    if (bytes.len == 0)
        return 0;
    if (bytes.data[0] < 1u << 6) {
        *value = bytes.data[0];
        return 1;
    }
    unsigned width = (bytes.data[0] >> 6) + 1u;
    if (bytes.len < width)
        return 0;
    uint32_t number = bytes.data[0] & 0x3Fu;
    for (unsigned i = 1; i < width; i++)
        number = number << 8 | bytes.data[i];
    *value = number;
    return width;
}

/* The length of the shortest form: 1..4. */
static inline unsigned mux_varint_bytes(size_t value) {
    return value < 1u << 6 ? 1 : value < 1u << 14 ? 2 : value < 1u << 22 ? 3 : 4;
}

/* Writes the shortest form to at least 4 bytes of room; returns its length (1..4). */
static inline unsigned mux_varint_write(uint8_t *out, uint32_t value) {
    assert(value <= MUX_VARINT_MAX);
    if (value < 1u << 6) {
        out[0] = (uint8_t)value;
        return 1;
    }
    if (value < 1u << 14) {
        out[0] = (uint8_t)(0x40 | value >> 8);
        out[1] = (uint8_t)value;
        return 2;
    }
    if (value < 1u << 22) {
        out[0] = (uint8_t)(0x80 | value >> 16);
        out[1] = (uint8_t)(value >> 8);
        out[2] = (uint8_t)value;
        return 3;
    }
    out[0] = (uint8_t)(0xC0 | value >> 24);
    out[1] = (uint8_t)(value >> 16);
    out[2] = (uint8_t)(value >> 8);
    out[3] = (uint8_t)value;
    return 4;
}

#endif
