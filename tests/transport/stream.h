/*
 * A stream of bytes made from a seed, any part of it in any order, and a digest (FNV-1a).
 */
#ifndef TESTS_TRANSPORT_STREAM_H
#define TESTS_TRANSPORT_STREAM_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_START 0xcbf29ce484222325u

static inline uint64_t stream_word(uint64_t seed, uint64_t index) {
    uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The bytes of the stream from `offset` on. */
static inline void stream_fill(uint64_t seed, uint64_t offset, uint8_t *out, size_t len) {
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++, offset++) {
        if (i == 0 || offset % 8 == 0)
            word = stream_word(seed, offset / 8);
        out[i] = (uint8_t)(word >> (offset % 8 * 8));
    }
}

static inline uint64_t digest(uint64_t state, const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len; i++)
        state = (state ^ data[i]) * 0x100000001b3u;
    return state;
}

#endif
