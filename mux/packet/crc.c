#include "crc.h"

#include <isa-l/crc.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define POLYNOMIAL 0xEDB88320u /* reflected */
#define ONE 0x80000000u        /* x^0, reflected: the highest bit */

/*
 * low[n % 2048] * high[n / 2048] is x^(8n), for n below 4 Mi, the largest packet; and the same for
 * x^(-8n). 32 KiB in all.
 */
#define POWER_LOW_COUNT 2048u
#define POWER_HIGH_COUNT 2048u

/*
 * A call of ISA-L costs some 20 ns: below this length a table is cheaper (heads and tails of 4 to
 * 20 bytes).
 */
#define SHORT_BYTES 24

/* From this length on ISA-L may use vectors of more than 16 bytes. */
#define WIDE_BYTES 256

struct powers {
    uint32_t low[POWER_LOW_COUNT];
    uint32_t high[POWER_HIGH_COUNT];
};

/* forward and inverse, of crc_tables.py; and tables[n]: the CRC of a byte followed by n zero bytes.
   Computed by the build: programs start often, and most need few of them. */
#include "crc_tables.h"

static bool pclmul, avx;

static uint32_t times_x(uint32_t a) {
    return a & 1 ? a >> 1 ^ POLYNOMIAL : a >> 1;
}

static uint32_t multiply_portable(uint32_t a, uint32_t b) {
    uint32_t product = 0;
    for (uint32_t bit = ONE; bit; bit >>= 1) {
        if (a & bit)
            product ^= b;
        b = times_x(b);
    }
    return product;
}

#if defined(__x86_64__)
#define PCLMUL __attribute__((target("pclmul,sse4.1")))

/* The carry-less product of two reflected residues, one bit too low. */
PCLMUL static inline uint64_t product_pclmul(uint32_t a, uint32_t b) {
    return (uint64_t)_mm_cvtsi128_si64(
        _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)a), _mm_cvtsi32_si128((int)b), 0));
}

/* Barrett reduction modulo the reflected polynomial. */
PCLMUL static inline uint32_t reduce_pclmul(uint64_t product) {
    const __m128i constants = _mm_set_epi64x(0x1F7011641, 0x1DB710641);
    uint64_t wide = product << 1;
    __m128i t = _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)(uint32_t)wide), constants, 0x10);
    t = _mm_clmulepi64_si128(_mm_cvtsi32_si128(_mm_cvtsi128_si32(t)), constants, 0x00);
    return (uint32_t)((wide ^ (uint64_t)_mm_cvtsi128_si64(t)) >> 32);
}

PCLMUL static uint32_t multiply_pclmul(uint32_t a, uint32_t b) {
    return reduce_pclmul(product_pclmul(a, b));
}

PCLMUL static uint32_t multiply_both_pclmul(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    return reduce_pclmul(product_pclmul(a, b) ^ product_pclmul(c, d));
}

static bool cpu_has_pclmul(void) {
    return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}

static bool cpu_has_avx(void) {
    return __builtin_cpu_supports("avx");
}

/*
 * ISA-L (2.30) leaves the upper halves of vector registers in use: all SSE code that follows would
 * be slow, some of it by half.
 */
static void clear_upper_halves(void) {
    __asm__ volatile("vzeroupper");
}
#else
static uint32_t multiply_pclmul(uint32_t a, uint32_t b) {
    return multiply_portable(a, b);
}

static uint32_t multiply_both_pclmul(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    return multiply_portable(a, b) ^ multiply_portable(c, d);
}

static bool cpu_has_pclmul(void) {
    return false;
}

static bool cpu_has_avx(void) {
    return false;
}

static void clear_upper_halves(void) {
}
#endif

/* Runs before main(). */
__attribute__((constructor)) static void ask_cpu(void) {
    pclmul = cpu_has_pclmul();
    avx = cpu_has_avx();
}

bool mux_crc_use_pclmul(bool wanted) {
    pclmul = wanted && cpu_has_pclmul();
    return pclmul;
}

uint32_t mux_crc_multiply(uint32_t a, uint32_t b) {
    return pclmul ? multiply_pclmul(a, b) : multiply_portable(a, b);
}

static inline uint32_t power_from(const struct powers *powers, uint32_t bytes) {
    if (bytes < POWER_LOW_COUNT)
        return powers->low[bytes];
    uint32_t low = bytes % POWER_LOW_COUNT, high = bytes / POWER_LOW_COUNT;
    assert(high < POWER_HIGH_COUNT);
    return mux_crc_multiply(powers->low[low], powers->high[high]);
}

uint32_t mux_crc_power(uint32_t bytes) {
    return power_from(&forward, bytes);
}

uint32_t mux_crc_power_inverse(uint32_t bytes) {
    return power_from(&inverse, bytes);
}

static inline uint32_t power(int32_t bytes) {
    return bytes < 0 ? power_from(&inverse, (uint32_t)-bytes)
                     : power_from(&forward, (uint32_t)bytes);
}

uint32_t mux_crc_place(uint32_t a, int32_t a_bytes, uint32_t b, int32_t b_bytes) {
    uint32_t a_power = power(a_bytes), b_power = power(b_bytes);
    return pclmul ? multiply_both_pclmul(a, a_power, b, b_power)
                  : multiply_portable(a, a_power) ^ multiply_portable(b, b_power);
}

/* Four bytes at a time, whose table look-ups do not depend on each other. */
static uint32_t crc_by_tables(uint32_t crc, struct mux_span bytes) {
    size_t i = 0;
    crc = ~crc;
    for (; i + 4 <= bytes.len; i += 4) {
        const uint8_t *at = bytes.data + i;
        crc = tables[3][(crc ^ at[0]) & 0xFF] ^ tables[2][(crc >> 8 ^ at[1]) & 0xFF] ^
              tables[1][(crc >> 16 ^ at[2]) & 0xFF] ^ tables[0][crc >> 24 ^ at[3]];
    }
    for (; i < bytes.len; i++)
        crc = crc >> 8 ^ tables[0][(crc ^ bytes.data[i]) & 0xFF];
    return ~crc;
}

uint32_t mux_crc(uint32_t crc, struct mux_span bytes) {
    if (bytes.len < SHORT_BYTES)
        return crc_by_tables(crc, bytes);
    crc = crc32_gzip_refl(crc, bytes.data, bytes.len);
    if (avx && bytes.len >= WIDE_BYTES)
        clear_upper_halves();
    return crc;
}

uint32_t mux_crc_concat(uint32_t crc_a, uint32_t crc_b, uint32_t b_bytes) {
    return mux_crc_multiply(crc_a, mux_crc_power(b_bytes)) ^ crc_b;
}
