/*
 * Masks against the C library's regular expressions: every byte of every substring that matches is
 * masked, and no other, however the bytes come in pieces.
 */
#include "tests/unit/check.h"
#include "tests/unit/random.h"

#include "tools/agent/mask.h"

#include <regex.h>
#include <stdio.h>

#define TEXT_BYTES 64

static struct random chance;

static struct mask *compile(const char *expression) {
    struct mask *mask = calloc(1, sizeof *mask);
    char why[MASK_WHY_BYTES];
    if (!mask_add(mask, expression, why))
        fail_msg("%s: %s", expression, why);
    return mask;
}

static void assert_masked(const char *expression, const char *text, const char *expected) {
    struct mask *mask = compile(expression);
    char copy[256];
    snprintf(copy, sizeof copy, "%s", text);
    mask_text(mask, (uint8_t *)copy, strlen(copy));
    assert_string_equal(copy, expected);
    free(mask);
}

static void expressions(void **state) {
    (void)state;
    assert_masked("secret", "a secret, secrets", "a ******, ******s");
    assert_masked("to[ck]en=[^ ]*", "x token=abc y token= z", "x ********* y ****** z");
    assert_masked("gh[pousr]_[A-Za-z0-9]{4,}", "ghp_12 ghp_1234 ghx_1234",
                  "ghp_12 ******** ghx_1234");
    assert_masked("(ab|cd)+e", "ababcde abe cde e", "******* *** *** e");
    assert_masked("^key: .*$", "key: 1\nmy key: 2\nkey: 3", "******\nmy key: 2\n******");
    assert_masked("[[:digit:]]{2}", "1 12 123", "1 ** ***");
    assert_masked("a.b", "a\nb axb", "a\nb ***");
    assert_masked("[]x-z]", "]xyz-w", "****-w");
    assert_masked("\\.\\*\\$", ".*$ ab$", "*** ab$");
    assert_masked("é+", "caféé", "caf****");
    assert_masked("x$", "x x\nx", "x *\n*");
    assert_masked("\xc3", "caf\xc3\xa9", "caf**"); /* UTF-8 stays UTF-8 */
    assert_masked("a{0}b|c{2,3}", "ab c ccc", "a* c ***");
}

static void wrong_expressions(void **state) {
    static const char *const wrong[] = {"",
                                        "(",
                                        "(a",
                                        "a)",
                                        "[a",
                                        "*",
                                        "a**",
                                        "a{2}{3}",
                                        "a{",
                                        "a{3,2}",
                                        "a{1000}",
                                        "[[:no:]]",
                                        "\\",
                                        "\\1",
                                        "[b-a]",
                                        "[[.a.]]",
                                        "()",
                                        "|",
                                        "(a{255}){255}",
                                        "a{6",
                                        "a{6,",
                                        "a{6,7"};
    char beyond[64], why[MASK_WHY_BYTES];
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct mask *mask = calloc(1, sizeof *mask);
        *why = '\0';
        snprintf(beyond, sizeof beyond, "%s%cBEYOND", wrong[i], '\0');
        if (mask_add(mask, beyond, why))
            fail_msg("%s is taken", wrong[i]);
        assert_true(*why);
        assert_null(strstr(why, "BEYOND"));
        free(mask);
    }
    char deep[200] = "";
    memset(deep, '(', 99);
    memset(deep + 99, ')', 99);
    struct mask *mask = calloc(1, sizeof *mask);
    assert_false(mask_add(mask, deep, why));
    free(mask);
}

/*
 * ---- by chance ----
 */

static size_t put_expression(char *out, unsigned depth) {
    static const char *const atoms[] = {"a", "b", "c", ".", "[ab]", "[^a]"};
    static const char *const counts[] = {"",  "",    "",      "*",    "+",
                                         "?", "{2}", "{1,2}", "{2,}", "{0,1}"};
    size_t len = 0;
    unsigned parts = 1 + random_below(&chance, 3);
    for (unsigned i = 0; i < parts; i++) {
        bool is_group = depth && random_below(&chance, 3) == 0;
        if (i && random_below(&chance, 4) == 0)
            out[len++] = '|';
        if (is_group) {
            out[len++] = '(';
            len += put_expression(out + len, depth - 1);
            out[len++] = ')';
        } else {
            len += (size_t)sprintf(out + len, "%s", atoms[random_below(&chance, COUNT(atoms))]);
        }
        len += (size_t)sprintf(out + len, "%s", counts[random_below(&chance, COUNT(counts))]);
    }
    out[len] = '\0';
    return len;
}

static void mask_by_library(const char *expression, char *text) {
    char whole[1024], copy[TEXT_BYTES + 1], part[TEXT_BYTES + 1];
    regex_t regex;
    size_t len = strlen(text);
    snprintf(whole, sizeof whole, "^(%s)$", expression);
    assert_int_equal(regcomp(&regex, whole, REG_EXTENDED | REG_NOSUB), 0);
    memcpy(copy, text, len + 1);
    for (size_t from = 0; from < len; from++)
        for (size_t to = from + 1; to <= len; to++) {
            snprintf(part, sizeof part, "%.*s", (int)(to - from), copy + from);
            if (regexec(&regex, part, 0, NULL, 0) == 0)
                memset(text + from, '*', to - from);
        }
    regfree(&regex);
}

/* In pieces; what was held comes first each time. */
static void mask_in_pieces(const struct mask *mask, char *text, size_t len) {
    static struct mask_stream stream;
    uint8_t front[MASK_HELD_BYTES], bytes[TEXT_BYTES];
    size_t in = 0, out = 0, held;
    while (in < len) {
        size_t some = 1 + random_below(&chance, (uint32_t)(len - in));
        memcpy(bytes, text + in, some);
        size_t done = mask_run(mask, &stream, bytes, some, front, &held);
        memcpy(text + out, front, held);
        memcpy(text + out + held, bytes, done);
        out += held + done;
        in += some;
    }
    held = mask_end(mask, &stream, front);
    memcpy(text + out, front, held);
    assert_int_equal(out + held, len);
}

static void by_chance(void **state) {
    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        char expression[512], text[TEXT_BYTES + 1], whole[TEXT_BYTES + 1], pieces[TEXT_BYTES + 1];
        size_t len = 1 + random_below(&chance, 20);
        put_expression(expression, 2);
        for (size_t i = 0; i < len; i++)
            text[i] = "abcd"[random_below(&chance, 4)];
        text[len] = '\0';
        memcpy(whole, text, sizeof text);
        memcpy(pieces, text, sizeof text);
        struct mask *mask = compile(expression);
        mask_by_library(expression, text);
        mask_text(mask, (uint8_t *)whole, len);
        mask_in_pieces(mask, pieces, len);
        if (strcmp(text, whole) != 0 || strcmp(text, pieces) != 0)
            fail_msg("%s: %s, not %s or %s", expression, text, whole, pieces);
        free(mask);
    }
}

/* A beginning that goes on for longer than what is held is masked, and nothing before it. */
static void too_long_to_hold(void **state) {
    struct mask *mask = compile("BEGIN.*END");
    static struct mask_stream stream;
    static uint8_t line[100], all[100000];
    uint8_t front[MASK_HELD_BYTES];
    size_t out = 0, held;
    (void)state;
    for (unsigned i = 0; i < 900; i++) {
        memset(line, 'x', sizeof line);
        if (i == 1)
            memcpy(line + 40, "BEGIN", 5);
        size_t done = mask_run(mask, &stream, line, sizeof line, front, &held);
        memcpy(all + out, front, held);
        memcpy(all + out + held, line, done);
        out += held + done;
    }
    held = mask_end(mask, &stream, front);
    assert_int_equal(out + held, 900 * sizeof line);
    assert_int_equal(held, MASK_HELD_BYTES);
    for (size_t i = 0; i < out; i++)
        assert_int_equal(all[i], i < 140 ? 'x' : '*');
    free(mask);
}

/* Linear, whatever comes: this would take days with a matcher that goes back. */
static void hostile(void **state) {
    struct mask *mask = compile("(a*)*b|(a|aa)+c|a.{100}d");
    static struct mask_stream stream;
    static uint8_t bytes[65536];
    uint8_t front[MASK_HELD_BYTES];
    size_t held;
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        memset(bytes, 'a', sizeof bytes);
        mask_run(mask, &stream, bytes, sizeof bytes, front, &held);
    }
    mask_end(mask, &stream, front);
    free(mask);
}

static void several(void **state) {
    struct mask *mask = compile("one");
    char why[MASK_WHY_BYTES], text[] = "one two three";
    (void)state;
    assert_true(mask_add(mask, "three", why));
    mask_text(mask, (uint8_t *)text, strlen(text));
    assert_string_equal(text, "*** two *****");
    free(mask);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions), cmocka_unit_test(wrong_expressions),
        cmocka_unit_test(by_chance),   cmocka_unit_test(too_long_to_hold),
        cmocka_unit_test(hostile),     cmocka_unit_test(several),
    };
    chance.state = 5;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
