/* The few bytes that most parts of a packet have: copied and read without a call. */
#ifndef MUX_BYTES_H
#define MUX_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* For steps that every packet takes and compilers would call: see bench/core. */
#define MUX_INLINE __attribute__((always_inline)) static inline

/* As memcpy(); made for lengths up to 32. Both ends are copied in one go: they may overlap. */
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

static inline uint32_t mux_read_be32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

#endif
