/*
 * A keyed hash for tables of names that peers choose: SipHash-1-3 (Aumasson, Bernstein: SipHash, a
 * fast short-input PRF). Without the key nobody can find names that collide.
 */
#ifndef MUX_HASH_H
#define MUX_HASH_H

#include "mux/buffer.h"

struct mux_hash_state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t mux_hash_rotate(uint64_t word, unsigned bits) {
    return word << bits | word >> (64 - bits);
}

static inline void mux_hash_round(struct mux_hash_state *s) {
    s->v0 += s->v1;
    s->v1 = mux_hash_rotate(s->v1, 13) ^ s->v0;
    s->v0 = mux_hash_rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = mux_hash_rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = mux_hash_rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = mux_hash_rotate(s->v1, 17) ^ s->v2;
    s->v2 = mux_hash_rotate(s->v2, 32);
}

static inline void mux_hash_absorb(struct mux_hash_state *s, uint64_t word) {
    s->v3 ^= word;
    mux_hash_round(s);
    s->v0 ^= word;
}

static inline uint64_t mux_hash(uint64_t key, struct mux_span bytes) {
    /* the constants are the paper's; both halves of its key are made from ours */
    struct mux_hash_state s = {key ^ 0x736f6d6570736575u, key ^ 0x646f72616e646f6du,
                               key ^ 0x6c7967656e657261u, key ^ 0x7465646279746573u};
    uint64_t word;
    size_t at = 0;
    for (; at + sizeof word <= bytes.len; at += sizeof word) {
        memcpy(&word, bytes.data + at, sizeof word);
        mux_hash_absorb(&s, word);
    }
    word = 0;
    if (at < bytes.len)
        memcpy(&word, bytes.data + at, bytes.len - at);
    mux_hash_absorb(&s, word | (uint64_t)bytes.len << 56);
    s.v2 ^= 0xff;
    mux_hash_round(&s);
    mux_hash_round(&s);
    mux_hash_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

#endif
