/* Inline copies and big-endian reads for the short fields that most packets have. */
#ifndef MUX_BYTES_H
#define MUX_BYTES_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* For steps that every packet takes and that compilers would turn into calls: see bench/core. */
#define MUX_INLINE __attribute__((always_inline)) static inline

/* Slow paths, kept out of line so that the fast path does not save registers for them. */
#define MUX_RARE __attribute__((noinline, cold)) static

/* As memcpy(); made for lengths up to 32. Both ends are copied by moves that may overlap. */
static inline void mux_copy(uint8_t *out, const uint8_t *in, size_t len) {
    uint64_t words[4];
    if (len > 32) {
        memcpy(out, in, len);
    } else if (len >= 16) {
        memcpy(&words[0], in, 16);
        memcpy(&words[2], in + len - 16, 16);
        memcpy(out, &words[0], 16);
        memcpy(out + len - 16, &words[2], 16);
    } else if (len >= 8) {
        memcpy(&words[0], in, 8);
        memcpy(&words[1], in + len - 8, 8);
        memcpy(out, &words[0], 8);
        memcpy(out + len - 8, &words[1], 8);
    } else if (len >= 4) {
        memcpy(&words[0], in, 4);
        memcpy(&words[1], in + len - 4, 4);
        memcpy(out, &words[0], 4);
        memcpy(out + len - 4, &words[1], 4);
    } else {
        for (size_t i = 0; i < len; i++)
            out[i] = in[i];
    }
}

/* Big-endian values at any address. */
static inline uint32_t mux_read_be32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return be32toh(value);
}

static inline uint64_t mux_read_be64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return be64toh(value);
}

static inline void mux_write_be32(uint8_t *at, uint32_t value) {
    value = htobe32(value);
    memcpy(at, &value, sizeof value);
}

static inline void mux_write_be64(uint8_t *at, uint64_t value) {
    value = htobe64(value);
    memcpy(at, &value, sizeof value);
}

#endif
