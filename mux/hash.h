/* FNV-1a, for tables whose worst case is bounded: a peer can find names that collide. */
#ifndef MUX_HASH_H
#define MUX_HASH_H

#include "mux/buffer.h"

static inline uint32_t mux_hash(struct mux_span bytes) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ bytes.data[i]) * 16777619u;
    return hash;
}

#endif
