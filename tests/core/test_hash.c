/* mux_hash(): depends on every byte of its input and of its key, and spreads evenly. */
#include "mux/hash.h"
#include "tests/unit/check.h"

#include <stdio.h>

#define NAMES 65536
#define BUCKETS 4096

static void every_byte_counts(void **state) {
    (void)state;
    uint8_t bytes[40] = {0};
    for (size_t len = 0; len <= sizeof bytes; len++) {
        uint64_t hash = mux_hash(1, mux_span(bytes, len));
        assert_int_equal(hash, mux_hash(1, mux_span(bytes, len)));
        assert_int_not_equal(hash, mux_hash(2, mux_span(bytes, len)));
        if (len < sizeof bytes)
            assert_int_not_equal(hash, mux_hash(1, mux_span(bytes, len + 1)));
        for (size_t i = 0; i < len; i++) {
            bytes[i] ^= 0x80;
            assert_int_not_equal(hash, mux_hash(1, mux_span(bytes, len)));
            bytes[i] ^= 0x80;
        }
    }
}

/* With typical test names no bucket is much fuller than the others. */
static void it_spreads(void **state) {
    (void)state;
    static unsigned counts[BUCKETS];
    char name[64];
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "package.module.TestCase.test_%u", i);
        counts[mux_hash(7, mux_span_text(name)) % BUCKETS]++;
    }
    for (unsigned i = 0; i < BUCKETS; i++)
        assert_in_range(counts[i], 1, 4 * NAMES / BUCKETS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(it_spreads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
