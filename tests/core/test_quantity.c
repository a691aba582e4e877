/* Sizes and times as users write them. */
#include "tests/unit/check.h"

#include "tools/base/quantity.h"

static void test_sizes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"16777216", 16777216},
        {"128M", 128 << 20},
        {"128m", 128 << 20},
        {"128MB", 128 << 20},
        {"128mb", 128 << 20},
        {"128MiB", 128 << 20},
        {"128mib", 128 << 20},
        {"64 k", 64 << 10},
        {"64KiB", 64 << 10},
        {"100b", 100},
        {"1.5G", (uint64_t)3 << 29},
        {"2GiB", (uint64_t)2 << 30},
        {"1T", (uint64_t)1 << 40},
        {"1tib", (uint64_t)1 << 40},
        {"8388607T", (uint64_t)8388607 << 40},
    };
    static const char *const bad[] = {
        "",    "M",     "-5",       "+5",   " 5",    "5X",   "5MM",
        "5Mi", "5 M B", "1e9",      "0x10", "inf",   "nan",  "1.",
        ".5",  "1..5M", "8388608T", "5P",   "5M\n5", "5,5M", "9999999999999999999"};
    uint64_t bytes;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!quantity_bytes(good[i].text, &bytes))
            fail_msg("'%s' was refused", good[i].text);
        assert_true(bytes == good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (quantity_bytes(bad[i], &bytes))
            fail_msg("'%s' was taken", bad[i]);
}

static void test_times(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {
        {"0", 0},
        {"5", 5000000000},
        {"0.5", 500000000},
        {"5s", 5000000000},
        {"5S", 5000000000},
        {"500ms", 500000000},
        {"500 MS", 500000000},
        {"2m", 120000000000},
        {"2min", 120000000000},
        {"1.5h", 5400000000000},
    };
    static const char *const bad[] = {"", "s", "-1", "soon", "5d", "5ss", "1e3", "inf", "5 5"};
    uint64_t ns;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!quantity_ns(good[i].text, &ns))
            fail_msg("'%s' was refused", good[i].text);
        assert_true(ns == good[i].ns);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (quantity_ns(bad[i], &ns))
            fail_msg("'%s' was taken", bad[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
