/* The hash ring against distributed-nose's partition; MD5 against RFC 1321. */
#include "tools/farm/plan/md5.h"
#include "tools/farm/plan/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const unsigned sizes[] = {2, 3, 4, 8, 16, 100};
static const struct vector {
    const char *key;
    uint32_t hash;
    unsigned node[6];
} vectors[] = {
    {"tests.dummy_tests.test_func1", 0xb014d2f2, {1, 3, 3, 3, 3, 95}},
    {"tests.dummy_tests.test_func2", 0x7a323746, {1, 1, 1, 8, 8, 51}},
    {"tests.dummy_tests.TC1.test_TC1_1", 0x79c2f479, {1, 3, 3, 7, 7, 68}},
    {"tests.dummy_tests.TC1.test_TC1_2", 0xc1c09264, {1, 1, 4, 4, 9, 72}},
    {"tests.dummy_tests.TC1.test_TC1_3", 0xcb6ef28a, {1, 1, 4, 7, 7, 93}},
    {"tests.dummy_tests.TC1.test_TC1_4", 0x7b111adf, {1, 1, 1, 1, 1, 33}},
    {"tests.dummy_tests.TC2.test_TC2_1", 0xf3838427, {1, 3, 3, 3, 3, 3}},
    {"tests.dummy_tests.TC2.test_TC2_2", 0xee91dc5c, {2, 2, 2, 2, 12, 35}},
    {"tests.dummy_tests.TC3.test_TC3_3", 0xc629a0da, {2, 2, 4, 8, 12, 91}},
    {"<class 'tests.dummy_tests.TC1'>", 0xa2ae8252, {2, 2, 4, 6, 14, 48}},
    {"<class 'tests.dummy_tests.TC2'>", 0x5d2e4ea0, {1, 3, 3, 3, 3, 89}},
    {"<class 'tests.dummy_tests.TC3'>", 0xe71fa996, {1, 1, 1, 1, 13, 32}},
    {"foo.bar.Baz.test_qux", 0x5152bfa0, {1, 1, 4, 4, 4, 49}},
    {"a", 0xb975c10c, {1, 1, 1, 6, 13, 69}},
    {"", 0xd98c1dd4, {2, 2, 2, 2, 14, 81}},
    {"pkg.mod.TestÜ.test_ä", 0xfb20469e, {2, 2, 2, 2, 10, 35}},
    {"unknown.[]", 0xbc3e7bc7, {1, 3, 3, 3, 14, 65}},
};

static void test_keys(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint32_t words[MD5_WORDS];
        md5_digest(vectors[i].key, strlen(vectors[i].key), words);
        assert_int_equal(words[0], vectors[i].hash);
    }
}

static void test_nodes(void **state) {
    (void)state;
    for (size_t n = 0; n < sizeof sizes / sizeof sizes[0]; n++) {
        struct ring *ring = ring_new(sizes[n]);
        assert_non_null(ring);
        for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
            assert_int_equal(ring_node(ring, vectors[i].key, strlen(vectors[i].key)),
                             vectors[i].node[n]);
        ring_free(ring);
    }
}

static void test_alone(void **state) {
    (void)state;
    struct ring *ring = ring_new(1);
    assert_non_null(ring);
    assert_int_equal(ring_node(ring, "a", 1), 1);
    ring_free(ring);
}

/* Lengths around the block's end, where the padding needs one block more. */
static void test_lengths(void **state) {
    (void)state;
    static const struct {
        size_t len;
        uint32_t first;
    } expected[] = {
        {55, 0x20443604},  {56, 0xd5728a66},  {63, 0x20cac27d},  {64, 0x814fbbc1},
        {119, 0x5f7a34ab}, {120, 0x7f6698fb}, {200, 0x2136a830},
    };
    char text[200];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        uint32_t words[MD5_WORDS];
        md5_digest(text, expected[i].len, words);
        assert_int_equal(words[0], expected[i].first);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
