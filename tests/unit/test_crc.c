/* The CRC and its algebra against zlib's, with each of the two multiplications. */
#include <zlib.h>

#include "mux/packet/crc.h"
#include "mux/packet/packet.h"
#include "tests/unit/check.h"
#include "tests/unit/random.h"

#define ONE 0x80000000u        /* x^0, reflected */
#define POLYNOMIAL 0xEDB88320u /* reflected, without x^32 */
#define LARGE_BYTES MUX_PACKET_MAX_BYTES

static uint8_t *large; /* LARGE_BYTES of random bytes */

static uint32_t witness(const uint8_t *data, size_t len) {
    return (uint32_t)crc32(0, data, (uInt)len);
}

static uint32_t times_x(uint32_t a) {
    return a >> 1 ^ (a & 1 ? POLYNOMIAL : 0);
}

static uint32_t times_x8(uint32_t a) {
    for (int i = 0; i < 8; i++)
        a = times_x(a);
    return a;
}

/* The definition: the sum of a * x^i for every x^i in b. */
static uint32_t slow_multiply(uint32_t a, uint32_t b) {
    uint32_t product = 0;
    for (int i = 31; i >= 0; i--, a = times_x(a))
        if (b >> i & 1)
            product ^= a;
    return product;
}

static void lengths_and_alignments(void **state) {
    (void)state;
    for (size_t offset = 0; offset < 17; offset++)
        for (size_t len = 0; len < 600; len++)
            if (mux_crc(0, mux_span(large + offset, len)) != witness(large + offset, len))
                fail_msg("%zu bytes at offset %zu", len, offset);
    assert_int_equal(mux_crc(0, mux_span(large, LARGE_BYTES)), witness(large, LARGE_BYTES));
    assert_int_equal(mux_crc(0, mux_span(NULL, 0)), 0);
    assert_int_equal(mux_crc(0x12345678, mux_span(NULL, 0)), 0x12345678);
}

static void extended(void **state) {
    (void)state;
    for (size_t len = 0; len < 120; len++)
        for (size_t cut = 0; cut <= len; cut++) {
            uint32_t crc = mux_crc(0, mux_span(large, cut));
            crc = mux_crc(crc, mux_span(large + cut, len - cut));
            if (crc != witness(large, len))
                fail_msg("%zu bytes cut at %zu", len, cut);
        }
}

static void multiplied(void **state) {
    (void)state;
    static const uint32_t edges[] = {0, 1, 2, ONE, ONE >> 1, POLYNOMIAL, 0xFFFFFFFF, 0x7FFFFFFF};
    struct random random = {3};
    for (size_t i = 0; i < COUNT(edges); i++)
        for (size_t k = 0; k < COUNT(edges); k++)
            assert_int_equal(mux_crc_multiply(edges[i], edges[k]),
                             slow_multiply(edges[i], edges[k]));
    for (int i = 0; i < 300000; i++) {
        uint32_t a = (uint32_t)random_next(&random), b = (uint32_t)random_next(&random);
        if (mux_crc_multiply(a, b) != slow_multiply(a, b))
            fail_msg("%08x * %08x", a, b);
        assert_int_equal(mux_crc_multiply(a, ONE), a);
    }
}

/* Every power that can occur, each computed from the one before. */
static void all_powers(void **state) {
    (void)state;
    uint32_t power = ONE;
    for (uint32_t bytes = 0; bytes <= MUX_PACKET_MAX_BYTES; bytes++, power = times_x8(power)) {
        if (mux_crc_power(bytes) != power)
            fail_msg("x^(8 * %u)", bytes);
        if (mux_crc_multiply(mux_crc_power_inverse(bytes), power) != ONE)
            fail_msg("x^(-8 * %u)", bytes);
    }
}

static void check_concat(const uint8_t *data, size_t a_bytes, size_t b_bytes) {
    uint32_t a = witness(data, a_bytes), b = witness(data + a_bytes, b_bytes);
    uint32_t both = witness(data, a_bytes + b_bytes);
    if (mux_crc_concat(a, b, (uint32_t)b_bytes) != both)
        fail_msg("concat %zu and %zu bytes", a_bytes, b_bytes);
}

/* The CRCs of two parts, moved to their places forwards and backwards. */
static void placed(void **state) {
    (void)state;
    struct random random = {5};
    for (int i = 0; i < 10000; i++) {
        uint32_t a = (uint32_t)random_next(&random), b = (uint32_t)random_next(&random);
        uint32_t bytes = (uint32_t)random_below(&random, MUX_PACKET_MAX_BYTES + 1);
        uint32_t moved = mux_crc_multiply(a, mux_crc_power(bytes));
        uint32_t back = mux_crc_multiply(b, mux_crc_power_inverse(bytes));
        assert_int_equal(mux_crc_place(a, (int32_t)bytes, b, -(int32_t)bytes), moved ^ back);
        assert_int_equal(mux_crc_place(moved, -(int32_t)bytes, b, 0), a ^ b);
    }
}

static void joined_and_cut(void **state) {
    (void)state;
    for (size_t a_bytes = 0; a_bytes < 70; a_bytes++)
        for (size_t b_bytes = 0; b_bytes < 70; b_bytes++)
            check_concat(large + a_bytes, a_bytes, b_bytes);
    struct random random = {4};
    for (int i = 0; i < 60; i++) {
        size_t a_bytes = random_below(&random, LARGE_BYTES);
        check_concat(large, a_bytes, random_below(&random, LARGE_BYTES - a_bytes + 1));
    }
    check_concat(large, 0, LARGE_BYTES);
    check_concat(large, LARGE_BYTES, 0);
}

/* A CRC that is wrong by some bits stays wrong: neither operation can correct an error. */
static void errors_survive(void **state) {
    (void)state;
    struct random random = {5};
    for (int i = 0; i < 20000; i++) {
        uint32_t crc = (uint32_t)random_next(&random), b = (uint32_t)random_next(&random);
        uint32_t wrong = crc ^ (1u << random_below(&random, 32));
        uint32_t bytes = (uint32_t)random_below(&random, MUX_PACKET_MAX_BYTES + 1);
        assert_int_not_equal(mux_crc_concat(crc, b, bytes), mux_crc_concat(wrong, b, bytes));
    }
}

static int use_portable(void **state) {
    (void)state;
    assert_false(mux_crc_use_pclmul(false));
    return 0;
}

static int use_pclmul(void **state) {
    (void)state;
    if (!mux_crc_use_pclmul(true))
        print_message("this CPU has no PCLMULQDQ: the portable multiplication is tested twice\n");
    return 0;
}

static int make_large(void **state) {
    (void)state;
    struct random random = {6};
    large = malloc(LARGE_BYTES);
    assert_non_null(large);
    for (size_t i = 0; i < LARGE_BYTES; i++)
        large[i] = (uint8_t)random_next(&random);
    return 0;
}

static int free_large(void **state) {
    (void)state;
    free(large);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_and_alignments),
        cmocka_unit_test(extended),
        cmocka_unit_test_setup(multiplied, use_portable),
        cmocka_unit_test_setup(all_powers, use_portable),
        cmocka_unit_test_setup(placed, use_portable),
        cmocka_unit_test_setup(joined_and_cut, use_portable),
        cmocka_unit_test_setup(errors_survive, use_portable),
        cmocka_unit_test_setup(multiplied, use_pclmul),
        cmocka_unit_test_setup(all_powers, use_pclmul),
        cmocka_unit_test_setup(placed, use_pclmul),
        cmocka_unit_test_setup(joined_and_cut, use_pclmul),
        cmocka_unit_test_setup(errors_survive, use_pclmul),
    };
    return cmocka_run_group_tests_name("crc", tests, make_large, free_large);
}
