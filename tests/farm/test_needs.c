/* .mux.ini: which tests need what, and what is said of a file that is wrong. */
#include "tests/unit/check.h"
#include "tools/farm/needs.h"

#include <stdio.h>
#include <unistd.h>

static char why[NEEDS_WHY_BYTES];

static struct needs *read_text(const char *text) {
    uint8_t *copy = exact_copy(text, strlen(text));
    struct needs *needs = needs_read(mux_span(copy, strlen(text)), "FILE", why);
    free(copy);
    return needs;
}

static struct need need_of(struct needs *needs, const char *id) {
    struct need need = {0};
    assert_true(needs_of_id(needs, mux_span_text(id), &need));
    return need;
}

static void ids_and_tags(void **state) {
    (void)state;
    struct needs *needs = read_text("[needs]\ndb = ^a\\.\n  tag:base\nport =\n  b$\nexclusive = z\n"
                                    "[tokens]\nport = 3\nDB=1\n");
    unsigned kinds, unused = 0;
    const uint32_t *counts = needs_tokens(needs, &kinds);
    assert_int_equal(kinds, 2);
    assert_int_equal(counts[0], 3);
    assert_int_equal(counts[1], 1);
    assert_string_equal(needs_unused(needs, &unused), "port");
    assert_int_equal(need_of(needs, "a.c").tokens, 2);
    assert_int_equal(need_of(needs, "a.b").tokens, 3);
    assert_int_equal(need_of(needs, "ba").tokens, 0);
    assert_false(need_of(needs, "a.b").exclusive);
    unused = 0;
    assert_string_equal(needs_unused(needs, &unused), "exclusive");
    assert_true(need_of(needs, "xzx").exclusive);
    unused = 0;
    assert_null(needs_unused(needs, &unused));
    struct need need = {0};
    struct mux_packet packet = {.has_tags = true, .tag_count = 2};
    uint8_t tags[32];
    size_t len = 0;
    assert_int_equal(mux_tag_append(tags, sizeof tags, &len, mux_span_text("bas")), MUX_OK);
    assert_int_equal(mux_tag_append(tags, sizeof tags, &len, mux_span_text("base")), MUX_OK);
    packet.tags = mux_span(tags, len);
    needs_of_tags(needs, &packet, &need);
    assert_int_equal(need.tokens, 2);
    needs_free(needs);
}

static struct need need_of_tag(struct needs *needs, const char *tag) {
    struct need need = {0};
    uint8_t tags[64];
    size_t len = 0;
    assert_int_equal(mux_tag_append(tags, sizeof tags, &len, mux_span_text(tag)), MUX_OK);
    const struct mux_packet packet = {
        .has_tags = true, .tag_count = 1, .tags = mux_span(tags, len)};
    needs_of_tags(needs, &packet, &need);
    return need;
}

/* What a runner knows itself needs no rule; what is one too many runs alone. */
static void tags_of_runners(void **state) {
    (void)state;
    char tag[32];
    unsigned kinds;
    struct needs *needs = read_text("[tokens]\nport = 2\n");
    assert_true(need_of_tag(needs, "mux.exclusive").exclusive);
    assert_false(need_of_tag(needs, "mux.exclusively").exclusive);
    assert_int_equal(need_of_tag(needs, "mux.lock:").tokens, 0);
    assert_int_equal(need_of_tag(needs, "mux.lock:db").tokens, 2);
    assert_int_equal(need_of_tag(needs, "mux.lock:port").tokens, 4);
    assert_int_equal(need_of_tag(needs, "mux.lock:db").tokens, 2);
    for (unsigned i = 3; i < 32; i++) {
        sprintf(tag, "mux.lock:%u", i);
        assert_int_equal(need_of_tag(needs, tag).tokens, UINT32_C(1) << i);
    }
    assert_true(need_of_tag(needs, "mux.lock:more").exclusive);
    const uint32_t *counts = needs_tokens(needs, &kinds);
    assert_int_equal(kinds, 32);
    assert_int_equal(counts[0], 2);
    assert_int_equal(counts[31], 1);
    needs_free(needs);
}

static void wrong_files(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
    } wrong[] = {
        {"[tokens]\ndb = 0\n", "line 2: db = 0: tests that need one could never run"},
        {"[tokens]\ndb = -1\n", "expected how many there are"},
        {"[tokens]\ndb = 1x\n", "expected how many there are"},
        {"[tokens]\ndb =\n", "expected how many there are"},
        {"[tokens]\ndb = 99999999999999999999\n", "expected how many there are"},
        {"[tokens]\nexclusive = 1\n", "is no token"},
        {"[needs]\n\ndb = x\n", "line 3: [needs]: there is no token db in [tokens]"},
        {"[tokens]\ndb = 1\n[needs]\ndb = (\n", "line 4: db = (: at character 2: "},
        {"[token]\ndb = 1\n", "line 1: there is a section [token], expected [tokens] and [needs]"},
        {"[DEFAULT]\ndb = 1\n", "a section [DEFAULT]"},
        {"db = 1\n", "line 1"},
        {"[tokens]\ndb = 1\ndb = 1\n", "line 3"},
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_null(read_text(wrong[i].text));
        if (!strstr(why, wrong[i].words))
            fail_msg("%s: %s", wrong[i].text, why);
    }
}

static void too_many(void **state) {
    (void)state;
    char text[1024] = "[tokens]\n";
    for (int i = 0; i < 32; i++)
        sprintf(text + strlen(text), "t%d = 1\n", i);
    struct needs *needs = read_text(text);
    assert_non_null(needs);
    needs_free(needs);
    strcat(text, "t32 = 1\n");
    assert_null(read_text(text));
    assert_non_null(strstr(why, "32 tokens already"));
}

/* Without a file, or with an empty one, no test needs anything. One that is no file is an error. */
static void no_file(void **state) {
    (void)state;
    struct needs *none[] = {needs_open("/nowhere/.mux.ini", why), read_text("")};
    for (size_t i = 0; i < COUNT(none); i++) {
        unsigned kinds, unused = 0;
        assert_non_null(none[i]);
        needs_tokens(none[i], &kinds);
        assert_int_equal(kinds, 0);
        assert_int_equal(need_of(none[i], "a").tokens, 0);
        assert_null(needs_unused(none[i], &unused));
        needs_free(none[i]);
    }
    assert_null(needs_open("/", why));
    assert_non_null(strstr(why, "cannot be read"));
}

/* What the others say holds all the same. */
static void an_expression_that_gives_up(void **state) {
    (void)state;
    struct needs *needs = read_text("[tokens]\na = 1\nb = 1\n[needs]\na = ^(x+x+)+[yz]\nb = x\n");
    struct need need = {0};
    char id[2001];
    memset(id, 'x', sizeof id - 1);
    id[sizeof id - 1] = '\0';
    assert_false(needs_of_id(needs, mux_span_text(id), &need));
    assert_int_equal(need.tokens, 2);
    needs_free(needs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_and_tags), cmocka_unit_test(tags_of_runners),
        cmocka_unit_test(wrong_files),  cmocka_unit_test(too_many),
        cmocka_unit_test(no_file),      cmocka_unit_test(an_expression_that_gives_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
