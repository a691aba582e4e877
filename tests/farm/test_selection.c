/* Ids by number, and which of them run here. */
#include "tests/unit/check.h"
#include "tools/farm/selection.h"

#include <stdio.h>

static void ids_are_told_apart(void **state) {
    (void)state;
    enum { COUNT_OF_IDS = 20000 };
    struct ids ids;
    char text[64];
    ids_open(&ids, 7);
    assert_int_equal(ids_find(&ids, mux_span_text("x")), IDS_NONE);
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < COUNT_OF_IDS; i++) {
            snprintf(text, sizeof text, "pkg.C.test_%u", i);
            assert_int_equal(ids_add(&ids, mux_span_text(text)), i);
        }
    assert_int_equal(ids.count, COUNT_OF_IDS);
    assert_int_equal(ids_find(&ids, mux_span_text("pkg.C.test_19999")), 19999);
    assert_int_equal(ids_find(&ids, mux_span_text("pkg.C.test_20000")), IDS_NONE);
    assert_string_equal((const char *)ids_text(&ids, 3).data, "pkg.C.test_3");
    assert_int_equal(ids_add(&ids, mux_span(NULL, 0)), COUNT_OF_IDS);
    assert_int_equal(ids_find(&ids, mux_span_text("")), COUNT_OF_IDS);
    ids_close(&ids);
}

/* Is it found? */
static bool finds(const char *regex, const char *text) {
    char cause[PATTERN_WHY_BYTES];
    struct pattern *pattern = pattern_compile(regex, cause);
    assert_non_null(pattern);
    enum pattern_result result = pattern_search(pattern, mux_span_text(text));
    pattern_free(pattern);
    return result == PATTERN_YES;
}

static void expressions_are_those_of_python(void **state) {
    (void)state;
    assert_true(finds("^\\w+$", "t\xc3\xa9st"));
    assert_true(finds("^\\d$", "\xd9\xa3"));
    assert_false(finds("t\\b", "t\xc3\xa9"));
    assert_true(finds("a$", "a\n"));
    assert_true(finds("a\\Z", "a"));
    assert_false(finds("a\\Z", "a\n"));
    assert_true(finds("^\\\\Z$", "\\Z"));
    assert_true(finds("(?P<x>a)(?P=x)", "aa"));
    assert_false(finds("a.b", "a\nb"));
}

static char why[SELECTION_WHY_BYTES];

static bool takes(struct selection *selection, const char *id) {
    uint8_t *copy = exact_copy(id, strlen(id));
    enum selection_result result = selection_takes(selection, mux_span(copy, strlen(id)));
    free(copy);
    assert_int_not_equal(result, SELECTION_FAILED);
    return result == SELECTION_YES;
}

static void by_expressions(void **state) {
    (void)state;
    struct selection *selection = selection_open();
    assert_true(takes(selection, "anything"));
    assert_true(selection_include(selection, "net|db", why));
    assert_true(selection_include(selection, "^ui\\.", why));
    assert_true(selection_exclude(selection, "slow$", why));
    assert_true(takes(selection, "pkg.net.T.test_a"));
    assert_true(takes(selection, "ui.T.test_a"));
    assert_false(takes(selection, "x.ui.T.test_a"));
    assert_false(takes(selection, "pkg.net.T.test_slow"));
    assert_false(selection_include(selection, "a(b", why));
    assert_string_equal(why, "'a(b': at character 4: missing closing parenthesis");
    selection_close(selection);
}

static void an_expression_that_never_ends(void **state) {
    (void)state;
    struct selection *selection = selection_open();
    char id[64] = "";
    memset(id, 'a', sizeof id - 2);
    id[sizeof id - 2] = '!';
    assert_true(selection_include(selection, "^(a|aa)+$", why));
    assert_int_equal(selection_takes(selection, mux_span_text(id)), SELECTION_FAILED);
    selection_close(selection);
}

static void by_a_list(void **state) {
    (void)state;
    struct selection *selection = selection_open();
    struct ids ids;
    ids_open(&ids, 1);
    ids_add(&ids, mux_span_text("a"));
    assert_true(selection_among(selection, &ids));
    assert_true(takes(selection, "a"));
    assert_false(takes(selection, "b"));
    selection_close(selection);
    ids_close(&ids);
}

static void of_class(const char *id, const char *expected) {
    struct mux_span found = selection_class(mux_span_text(id));
    if (!expected)
        assert_null(found.data);
    else
        assert_true(mux_span_equal(found, mux_span_text(expected)));
}

static void classes(void **state) {
    (void)state;
    of_class("pkg.mod.Case.test_x", "pkg.mod.Case");
    of_class("pkg.mod._Case.test_x", "pkg.mod._Case");
    of_class("pkg.mod.test_x", NULL);
    of_class("test_x", NULL);
    of_class("a/b.py::Case::test_x[1.2::3]", "a/b.py::Case");
    of_class("a/b.py::test_x[A.b::c]", NULL);
    of_class("", NULL);
    of_class(".", NULL);
    of_class("::", NULL);
}

/* distributed-nose's own vectors: every test falls to exactly one node, a class to one. */
static void divided(void **state) {
    (void)state;
    for (unsigned number = 1; number <= 4; number++) {
        struct selection *selection = selection_open();
        assert_true(selection_divide(selection, 4, number, false, why));
        assert_int_equal(takes(selection, "tests.dummy_tests.test_func1"), number == 3);
        assert_int_equal(takes(selection, "tests.dummy_tests.TC1.test_TC1_1"), number == 3);
        assert_int_equal(takes(selection, "tests.dummy_tests.TC1.test_TC1_2"), number == 4);
        selection_close(selection);
        selection = selection_open();
        assert_true(selection_divide(selection, 4, number, true, why));
        bool first = takes(selection, "tests.dummy_tests.TC1.test_TC1_1");
        assert_int_equal(takes(selection, "tests.dummy_tests.TC1.test_TC1_2"), first);
        assert_int_equal(takes(selection, "tests.dummy_tests.test_func1"), number == 3);
        selection_close(selection);
    }
    struct selection *selection = selection_open();
    assert_false(selection_divide(selection, 10001, 1, false, why));
    selection_close(selection);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_told_apart),
        cmocka_unit_test(expressions_are_those_of_python),
        cmocka_unit_test(by_expressions),
        cmocka_unit_test(an_expression_that_never_ends),
        cmocka_unit_test(by_a_list),
        cmocka_unit_test(classes),
        cmocka_unit_test(divided),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
