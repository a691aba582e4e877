/*
 * A hash eight bytes at a time, for tables whose worst case is bounded: a peer can find names that
 * collide.
 */
#ifndef MUX_HASH_H
#define MUX_HASH_H

#include "mux/buffer.h"

static inline uint64_t mux_hash_mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 32;
}

static inline uint32_t mux_hash(struct mux_span bytes) {
    uint64_t hash = bytes.len, word;
    size_t i = 0;
    for (; i + 8 <= bytes.len; i += 8) {
        memcpy(&word, bytes.data + i, 8);
        hash = mux_hash_mix(hash, word);
    }
    if (i < bytes.len) {
        word = 0;
        memcpy(&word, bytes.data + i, bytes.len - i);
        hash = mux_hash_mix(hash, word);
    }
    return (uint32_t)hash;
}

#endif
