/* mux_string_check() against a decoder that computes code points, without tables. */
#include <stdio.h>

#include "mux/packet/packet.h"
#include "tests/unit/check.h"
#include "tests/unit/random.h"

#define CODE_POINTS 0x110000u
#define WORD_BYTES 8 /* string.c checks this many at once */

/* The number of bytes of the code point in UTF-8; 0: it has none. */
static unsigned encoded_bytes(uint32_t code) {
    if (code >= 0xD800 && code <= 0xDFFF)
        return 0;
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : code < CODE_POINTS ? 4 : 0;
}

/* The code in `width` bytes, also when that is not its right width. */
static void encode(uint8_t *out, uint32_t code, unsigned width) {
    static const uint8_t lead[] = {0, 0x00, 0xC0, 0xE0, 0xF0};
    for (unsigned i = width; i-- > 1; code >>= 6)
        out[i] = (uint8_t)(0x80 | (code & 0x3F));
    out[0] = (uint8_t)(lead[width] | code);
}

/* The length of the first character, 0 when it is invalid: decodes it, then checks the code. */
static unsigned decode(const uint8_t *at, size_t len) {
    unsigned width = at[0] < 0x80           ? 1
                     : (at[0] >> 5) == 0x06 ? 2
                     : (at[0] >> 4) == 0x0E ? 3
                     : (at[0] >> 3) == 0x1E ? 4
                                            : 0;
    if (width == 0 || width > len)
        return 0;
    uint32_t code = width == 1 ? at[0] : at[0] & (0x7Fu >> width);
    for (unsigned i = 1; i < width; i++) {
        if (at[i] >> 6 != 2)
            return 0;
        code = code << 6 | (at[i] & 0x3F);
    }
    return encoded_bytes(code) == width ? width : 0;
}

static enum mux_error reference(const uint8_t *data, size_t len) {
    if (len && memchr(data, 0, len))
        return MUX_ERROR_NUL;
    for (size_t i = 0; i < len;) {
        unsigned width = decode(data + i, len - i);
        if (width == 0)
            return MUX_ERROR_UTF8;
        i += width;
    }
    return MUX_OK;
}

static void check(const uint8_t *data, size_t len) {
    enum mux_error got = mux_string_check(mux_span(data, len));
    enum mux_error expected = reference(data, len);
    if (got == expected)
        return;
    char hex[64 * 3 + 1] = "";
    for (size_t i = 0; i < len && i < 64; i++)
        snprintf(hex + 3 * i, 4, "%02x ", data[i]);
    fail_msg("%zu bytes %s: %d, expected %d", len, hex, (int)got, (int)expected);
}

static void all_short_strings(void **state) {
    (void)state;
    check(NULL, 0);
    for (uint32_t n = 0; n < 1u << 24; n++) {
        uint8_t bytes[3] = {(uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
        check(bytes, 3);
        if (n < 1u << 16)
            check(bytes + 1, 2);
        if (n < 1u << 8)
            check(bytes + 2, 1);
    }
}

/* Every first byte with every second byte, and the edge values of the bytes after them. */
static void four_bytes(void **state) {
    (void)state;
    static const uint8_t edges[] = {0x00, 0x01, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0,
                                    0xB3, 0xBF, 0xC0, 0xC2, 0xE0, 0xED, 0xF0, 0xF4, 0xFF};
    for (unsigned pair = 0; pair < 1u << 16; pair++)
        for (size_t c = 0; c < COUNT(edges); c++)
            for (size_t d = 0; d < COUNT(edges); d++) {
                uint8_t bytes[] = {(uint8_t)(pair >> 8), (uint8_t)pair, edges[c], edges[d]};
                check(bytes, sizeof bytes);
            }
}

/* Every code, also surrogates and codes past the last, in every width, between ASCII. */
static void all_code_points(void **state) {
    (void)state;
    for (uint32_t code = 1; code < 0x200000; code++) {
        for (unsigned width = 1; width <= 4; width++) {
            if (width == 1 ? code >= 0x80 : code >> (5 * width + 1))
                continue;
            uint8_t string[2 * WORD_BYTES + 8];
            size_t before = code % (WORD_BYTES + 1), after = code / 16 % (WORD_BYTES + 1);
            memset(string, 'a', sizeof string);
            encode(string + before, code, width);
            enum mux_error expected = encoded_bytes(code) == width ? MUX_OK : MUX_ERROR_UTF8;
            if (mux_string_check(mux_span(string, before + width + after)) != expected)
                fail_msg("U+%X in %u bytes at %zu", code, width, before);
        }
    }
}

/* One odd sequence at every place of strings of every length around the width of a word. */
static void every_offset(void **state) {
    (void)state;
    static const char *const odd[] = {"\xC2\xB3", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\x80",
                                      "\xB3",     "\xE2\x82",     "\xF0\x9F\x98",     "\xFF",
                                      "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\x7F"};
    for (size_t len = 0; len <= 5 * WORD_BYTES; len++)
        for (size_t at = 0; at < len; at++)
            for (size_t i = 0; i <= COUNT(odd); i++) {
                uint8_t *string = exact_copy("", 0);
                string = realloc(string, len);
                assert_non_null(string);
                memset(string, 'z', len);
                size_t odd_len = i < COUNT(odd) ? strlen(odd[i]) : 1; /* the last one is NUL */
                memcpy(string + at, i < COUNT(odd) ? odd[i] : "",
                       odd_len < len - at ? odd_len : len - at);
                check(string, len);
                free(string);
            }
}

static void random_strings(void **state) {
    (void)state;
    static const uint8_t likely[] = {'a',  'b',  'c',  0x00, 0x7F, 0x80, 0x9F, 0xA0,
                                     0xBF, 0xC2, 0xDF, 0xE0, 0xE2, 0xED, 0xF0, 0xF4};
    struct random random = {1};
    for (int round = 0; round < 300000; round++) {
        uint8_t bytes[48];
        size_t len = random_below(&random, sizeof bytes + 1), kinds = 1 + random_below(&random, 16);
        for (size_t i = 0; i < len; i++)
            bytes[i] = likely[random_below(&random, kinds)];
        uint8_t *string = exact_copy(bytes, len);
        check(string, len);
        free(string);
    }
}

/* A row of characters, cut anywhere. */
static void random_text(void **state) {
    (void)state;
    struct random random = {2};
    for (int round = 0; round < 100000; round++) {
        uint8_t bytes[64];
        size_t len = 0;
        while (len < 60 && random_below(&random, 12)) {
            uint32_t code = 1 + (uint32_t)(random_next(&random) %
                                           (CODE_POINTS >> 4 * random_below(&random, 5)));
            unsigned width = encoded_bytes(code);
            if (width)
                encode(bytes + len, code, width);
            len += width;
        }
        uint8_t *string = exact_copy(bytes, len);
        assert_int_equal(mux_string_check(mux_span(string, len)), MUX_OK);
        check(string, len ? random_below(&random, len) : 0);
        free(string);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_short_strings), cmocka_unit_test(four_bytes),
        cmocka_unit_test(all_code_points),   cmocka_unit_test(every_offset),
        cmocka_unit_test(random_strings),    cmocka_unit_test(random_text),
    };
    return cmocka_run_group_tests_name("string", tests, NULL, NULL);
}
