#include "tools/farm/plan/md5.h"

#include <string.h>

enum { BLOCK_BYTES = 64, LENGTH_AT = BLOCK_BYTES - 8 };

/* floor(2^32 * |sin(i + 1)|) */
static const uint32_t sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};
static const uint8_t turns[4][4] = {
    {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static uint32_t word_at(const uint8_t *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint32_t turned(uint32_t value, unsigned bits) {
    return value << bits | value >> (32 - bits);
}

/* The round's function of three words. */
static uint32_t mixed(unsigned round, uint32_t b, uint32_t c, uint32_t d) {
    switch (round) {
    case 0:
        return (b & c) | (~b & d);
    case 1:
        return (d & b) | (~d & c);
    case 2:
        return b ^ c ^ d;
    default:
        return c ^ (b | ~d);
    }
}

static void take_block(uint32_t words[MD5_WORDS], const uint8_t *block) {
    static const uint8_t step[4] = {1, 5, 3, 7}, from[4] = {0, 1, 5, 0};
    uint32_t a = words[0], b = words[1], c = words[2], d = words[3];
    for (unsigned i = 0; i < 64; i++) {
        unsigned round = i / 16, at = (step[round] * i + from[round]) % 16;
        uint32_t sum = a + mixed(round, b, c, d) + sines[i] + word_at(block + 4 * at);
        a = d;
        d = c;
        c = b;
        b += turned(sum, turns[round][i % 4]);
    }
    words[0] += a;
    words[1] += b;
    words[2] += c;
    words[3] += d;
}

void md5_digest(const void *text, size_t len, uint32_t words[MD5_WORDS]) {
    const uint8_t *bytes = text;
    uint8_t last[2 * BLOCK_BYTES] = {0};
    size_t rest = len % BLOCK_BYTES, whole = len - rest;
    size_t end = rest < LENGTH_AT ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    static const uint32_t start[MD5_WORDS] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    memcpy(words, start, sizeof start);
    for (size_t at = 0; at < whole; at += BLOCK_BYTES)
        take_block(words, bytes + at);
    if (rest != 0)
        memcpy(last, bytes + whole, rest);
    last[rest] = 0x80;
    for (unsigned i = 0; i < 8; i++)
        last[end - 8 + i] = (uint8_t)((uint64_t)len * 8 >> 8 * i);
    for (size_t at = 0; at < end; at += BLOCK_BYTES)
        take_block(words, last + at);
}
