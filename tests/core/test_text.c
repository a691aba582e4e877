/* Texts for a terminal: nothing comes out that could control it, whatever goes in. */
#include "tests/unit/check.h"
#include "tests/unit/random.h"

#include "mux/packet/packet.h"
#include "tools/base/text.h"

static void same(const char *in, size_t len, const char *expected) {
    char out[256];
    uint8_t *exact = exact_copy(in, len);
    assert_int_equal(text_clean(mux_span(exact, len), true, out, sizeof out), strlen(expected));
    assert_string_equal(out, expected);
    free(exact);
}
#define SAME(in, expected) same(in, sizeof(in) - 1, expected)

static void test_sequences(void **state) {
    (void)state;
    SAME("plain \xC2\xB3 \xE3\xB3\x8A \xF0\x9F\x98\x80\n",
         "plain \xC2\xB3 \xE3\xB3\x8A \xF0\x9F\x98\x80\n");
    SAME("a\x1b[1;31mred\x1b[0m", "ared");
    SAME("a\x1b]0;title\x07z", "az");
    SAME("a\x1b]0;title\x1b\\z", "az");
    SAME("a\x1bPdcs\x1b\\z", "az");
    SAME("a\x1b(Bz", "az");
    SAME("a\x1b"
         "cz",
         "az");
    SAME("a\x1b", "a");
    SAME("a\x1b[", "a");
    SAME("a\x1b[12", "a");
    SAME("a\x1b]never ended\nb", "a\nb");
    SAME("a\rb\tc\x07\x7f", "ab c\\x07\\x7f");
    SAME("\xED\xA0\x80\xC0\x80\xF4\x90\x80\x80", "\\xed\\xa0\\x80\\xc0\\x80\\xf4\\x90\\x80\\x80");
    SAME("cut \xE3\xB3", "cut \\xe3\\xb3");
    SAME("", "");
}

/* Invisible and reordering characters are shown by code; tests/mux/test_unicode.py has all. */
static void test_hidden(void **state) {
    (void)state;
    static const struct {
        const char *in, *expected;
    } hidden[] = {
        {"\xC2\x9B"
         "2J",
         "\\u009b2J"}, /* C1 CSI */
        {"\u202Ex\u2066", "\\u202ex\\u2066"},
        {"a\u00ADb", "a\\u00adb"},
        {"\u061C\u180E\uFFF9\uFFFA\uFFFB", "\\u061c\\u180e\\ufff9\\ufffa\\ufffb"},
        {"\u115F\u1160\u3164\uFFA0", "\\u115f\\u1160\\u3164\\uffa0"},
        {"\u200B\u200F\u2060\u206F\uFEFF", "\\u200b\\u200f\\u2060\\u206f\\ufeff"},
        {"\uFE0F\u2028", "\\ufe0f\\u2028"},
        {"\U000E0041\U0001D173", "\\U000e0041\\U0001d173"},
    };
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        same(hidden[i].in, strlen(hidden[i].in), hidden[i].expected);
}

static void test_marks(void **state) {
    (void)state;
    char in[4096] = "a", out[4096], expected[4096] = "a";
    for (unsigned i = 0; i < 300; i++) {
        strcat(in, "\u0301");
        strcat(expected, i < 8 ? "\u0301" : "\\u0301");
    }
    text_clean(mux_span_text(in), true, out, sizeof out);
    assert_string_equal(out, expected);
    SAME("b\u0301\u0302c\u0303", "b\u0301\u0302c\u0303");
    SAME("\u0301b\n\u0301", "\\u0301b\n\\u0301"); /* without a base character of their own */
    SAME("b\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u200D\u0301\u0301",
         "b\u0301\u0301\u0301\u0301\u0301\u0301\u0301\\u200d\u0301\\u0301");
}

/* A name shows every byte: two names that differ must not look the same. */
static void test_names(void **state) {
    (void)state;
    char out[64];
    text_clean(mux_span_text("a\x1b[31m\r\n\tb"), false, out, sizeof out);
    assert_string_equal(out, "a\\x1b[31m\\x0d\\x0a\\x09b");
}

static void test_lines(void **state) {
    (void)state;
    struct mux_span tail = text_tail(mux_span_text("1\n2\n3\n\n"), 2, 100);
    assert_int_equal(tail.len, 3);
    assert_memory_equal(tail.data, "2\n3", 3);
    assert_int_equal(text_tail(mux_span_text("12345"), 2, 3).len, 3);
    assert_int_equal(text_tail(mux_span_text("\n\n"), 2, 3).len, 0);
}

/* A character that does not fit is left out whole; there is always room for the NUL. */
static void test_capacity(void **state) {
    (void)state;
    char out[8];
    for (size_t capacity = 1; capacity <= sizeof out; capacity++) {
        memset(out, 'x', sizeof out);
        size_t len = text_clean(mux_span_text("a\xE3\xB3\x8A"
                                              "bcd"),
                                true, out, capacity);
        assert_true(len < capacity);
        assert_int_equal(out[len], '\0');
        assert_int_equal(mux_string_check(mux_span_text(out)), MUX_OK);
    }
}

static void test_random_bytes(void **state) {
    (void)state;
    static const char pieces[] = "\x1b[]P^_()0;ABm\\\x07\n\xC2\x9B\xE2\x80\xAE\xF0\x9F\xFF\r\t a";
    struct random random = {1};
    for (int run = 0; run < 200000; run++) {
        uint8_t in[24];
        char out[sizeof in * TEXT_GROWTH + 1];
        size_t len = random_below(&random, sizeof in);
        for (size_t i = 0; i < len; i++)
            in[i] = run & 1 ? (uint8_t)pieces[random_below(&random, sizeof pieces - 1)]
                            : (uint8_t)random_next(&random);
        bool lines = random_below(&random, 2);
        size_t written = text_clean(mux_span(in, len), lines, out, sizeof out);
        assert_int_equal(strlen(out), written);
        assert_int_equal(mux_string_check(mux_span(out, written)), MUX_OK);
        for (size_t i = 0; i < written; i++)
            assert_true((lines && out[i] == '\n') ||
                        ((unsigned char)out[i] >= 0x20 && out[i] != 0x7F));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequences),    cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_marks),        cmocka_unit_test(test_names),
        cmocka_unit_test(test_lines),        cmocka_unit_test(test_capacity),
        cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
