/* Who takes bundles, by the hellos of the nodes above and below: rules 2 to 4. */
#include "tests/core/rig.h"

#include <stdio.h>

static void upstream_comes(const char *identity, const char *bundles) {
    struct mux_hello hello;
    rig_meet_upstream(identity, bundles, &hello);
    assert_true(hello.takes_bundles);
}

static void upstream_goes(void) {
    mux_upstream_lost(mux, 0, now_ns);
    rig_run(now_ns);
}

/* A node comes below; is it told that bundles are taken? */
static bool is_answered_with_bundles(struct mux_link *link, const char *identity, bool takes) {
    return rig_say_hello(link, identity, takes).takes_bundles;
}

static void rule_2_a_node_without_a_window_says_none(void **state) {
    (void)state;
    struct mux_hello hello;
    rig_meet_upstream("f00d", "bundles=1\n", &hello);
    assert_false(hello.takes_bundles);
    assert_false(is_answered_with_bundles(rig_connect(), "a1", true));
}

static void rule_3_below_one_that_takes_bundles(void **state) {
    (void)state;
    upstream_comes("f00d", "bundles=1\n");
    assert_true(is_answered_with_bundles(rig_connect(), "a1", true));
    assert_true(is_answered_with_bundles(rig_connect(), "a2", false));
}

static void rule_2_later_versions_are_spoken_to_as_1(void **state) {
    (void)state;
    upstream_comes("f00d", "bundles=7\n");
    assert_true(is_answered_with_bundles(rig_connect(), "a1", true));
}

static void rule_3_below_an_old_node(void **state) {
    (void)state;
    struct mux_link *early = rig_connect();
    assert_true(is_answered_with_bundles(early, "a1", true)); /* nobody above is known */
    upstream_comes("f00d", "");
    assert_non_null(mux_link_close_reason(early));
    assert_false(is_answered_with_bundles(rig_connect(), "a2", true));
    upstream_goes();
    upstream_comes("f00d", "bundles=0\n");
    assert_false(is_answered_with_bundles(rig_connect(), "a3", true));
}

/* Only links with bundles are broken off when these are of no use; their segments stay. */
static void rule_3_the_role_is_taken_anew(void **state) {
    (void)state;
    char segment[32];
    upstream_comes("f00d", "bundles=1\n");
    struct mux_link *with = rig_connect(), *without = rig_connect();
    assert_true(is_answered_with_bundles(with, "a1", true));
    assert_true(is_answered_with_bundles(without, "a2", false));
    snprintf(segment, sizeof segment, "%s", mux_link_segment(with));
    upstream_goes();
    upstream_comes("beef", "");
    rig_run(now_ns);
    assert_non_null(strstr(mux_link_close_reason(with), "takes no bundles"));
    assert_null(mux_link_close_reason(without));
    rig_lose(with);
    struct mux_link *again = rig_connect();
    assert_false(is_answered_with_bundles(again, "a1", true));
    assert_string_equal(mux_link_segment(again), segment);
}

/* An end has heard of tests by bundles: they are told only to who has not. */
static void rule_3_tests_are_told_when_the_role_changes(void **state) {
    (void)state;
    upstream_comes("f00d", "");
    struct mux_link *worker = rig_connect();
    rig_give_status(worker, "t", NULL, MUX_STATUS_INPROGRESS);
    upstream_goes();
    upstream_comes("f00d", "bundles=1\n");
    rig_run(now_ns);
    assert_int_equal(rig_counter(MUX_COUNT_tests_retold), 1);
    upstream_goes();
    upstream_comes("beef", "bundles=1\n");
    rig_run(now_ns);
    assert_int_equal(rig_counter(MUX_COUNT_tests_retold), 1);
    upstream_goes();
    upstream_comes("beef", "");
    rig_run(now_ns);
    assert_int_equal(rig_counter(MUX_COUNT_tests_retold), 2);
}

#define BUNDLED(name) cmocka_unit_test_setup_teardown(name, rig_open_with_bundles, rig_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rule_2_a_node_without_a_window_says_none,
                                        rig_open_below_node, rig_close),
        BUNDLED(rule_3_below_one_that_takes_bundles),
        BUNDLED(rule_2_later_versions_are_spoken_to_as_1),
        BUNDLED(rule_3_below_an_old_node),
        BUNDLED(rule_3_the_role_is_taken_anew),
        BUNDLED(rule_3_tests_are_told_when_the_role_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
