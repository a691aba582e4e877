/* The end of bundles at a node whose packets a program takes (unbundle_sink.c). */
#include "tests/core/leaf.h"

#include <stdio.h>

/* What the sink has taken; it takes so many more, and then says "not now". */
static char taken[4096], gone[256];
static unsigned room, offers_unasked;
static bool is_blocked;

static bool sink(void *user, struct mux_link *link, const struct mux_packet *packet) {
    (void)user;
    offers_unasked += is_blocked;
    is_blocked = room == 0;
    if (is_blocked)
        return false;
    room--;
    size_t len = strlen(taken);
    snprintf(taken + len, sizeof taken - len, "%s%.*s@%.*s%s ", link ? "link:" : "",
             (int)packet->test_id.len, (const char *)packet->test_id.data, (int)packet->route.len,
             (const char *)packet->route.data, packet->status == MUX_STATUS_FAIL ? "!" : "");
    return true;
}

static void hear_gone(void *user, struct mux_link *link, struct mux_span route) {
    (void)user;
    size_t len = strlen(gone);
    assert_null(link);
    snprintf(gone + len, sizeof gone - len, "%.*s ", (int)route.len, (const char *)route.data);
}

static int open_end(void **state) {
    *taken = *gone = '\0';
    room = 100;
    offers_unasked = 0;
    is_blocked = false;
    rig_sink = sink;
    rig_gone = hear_gone;
    return leaf_open_end(state);
}

static int close_end(void **state) {
    rig_sink = NULL;
    rig_gone = NULL;
    assert_int_equal(offers_unasked, 0);
    return rig_close(state);
}

static void give_room(unsigned more) {
    room = more;
    is_blocked = false;
    mux_sink_ready(mux);
    rig_run(now_ns + 1);
}

/* For what is acknowledged late, and too short for a beat. */
static void wait_late(void) {
    rig_run(now_ns + SECOND_NS / 4);
    rig_run(now_ns + SECOND_NS / 100);
}

static void assert_safe(uint64_t safe) {
    wait_late();
    assert_int_equal(leaf_read_ack().safe, safe);
}

static void packets_have_whole_routes(void **state) {
    (void)state;
    leaf_open_stream();
    leaf_add(0, NULL, 1, MUX_STATUS_SUCCESS);
    leaf_add(3000, "5", 2, MUX_STATUS_SUCCESS);
    leaf_bundle(&leaf, true);
    rig_give_status(rig_connect(), "w", "x", MUX_STATUS_SUCCESS);
    assert_string_equal(taken, "t1@0/3 t2@0/3/5 link:w@x ");
    assert_int_equal(rig_counter(MUX_COUNT_results), 3);
}

static void rule_26_what_is_taken_is_not_yet_safe(void **state) {
    (void)state;
    leaf_open_stream();
    leaf_add(0, NULL, 1, MUX_STATUS_SUCCESS);
    leaf_bundle(&leaf, true);
    wait_late();
    assert_int_equal(rig_read_down(leaf_relay), 0);
    uint64_t first = leaf.offset;
    mux_sink_safe(mux);
    leaf_add(0, NULL, 2, MUX_STATUS_SUCCESS);
    leaf_bundle(&leaf, true);
    wait_late();
    struct mux_ack ack = leaf_read_ack();
    assert_true(ack.safe == first && ack.at == leaf.offset);
    mux_sink_safe(mux);
    assert_safe(leaf.offset);
}

/* Each packet once, wherever the sink stops, and nothing of others between. */
static void a_sink_that_says_not_now(void **state) {
    (void)state;
    char expected[4096] = "";
    leaf_open_stream();
    room = 0;
    for (unsigned i = 0; i < 20; i++) {
        leaf_add(i % 5 == 4 ? 70000 : 0, NULL, i, MUX_STATUS_SUCCESS);
        sprintf(expected + strlen(expected), "t%u@0/3 ", i);
    }
    leaf_bundle(&leaf, true);
    struct mux_link *worker = rig_connect();
    rig_give_status(worker, "w", NULL, MUX_STATUS_SUCCESS);
    strcat(expected, "link:w@ ");
    for (unsigned i = 0; i < 20; i++) {
        mux_sink_safe(mux); /* half a bundle is not */
        give_room(1);
        rig_run(now_ns + SECOND_NS / 100);
    }
    assert_int_equal(rig_read_down(leaf_relay), 0);
    give_room(10);
    assert_string_equal(taken, expected);
    mux_sink_safe(mux);
    assert_safe(leaf.offset);
}

static void damage_is_given_once(void **state) {
    (void)state;
    leaf_open_stream();
    leaf_add(0, NULL, 1, MUX_STATUS_SUCCESS);
    memcpy(leaf_content + leaf_content_bytes, "junk", 4);
    leaf_content_bytes += 4;
    room = 0;
    leaf_bundle(&leaf, true);
    for (unsigned i = 0; i < 3; i++)
        give_room(1);
    assert_string_equal(taken, "t1@0/3 subunit.parser@0/3 subunit.parser@0/3! ");
    assert_int_equal(rig_counter(MUX_COUNT_damages), 1);
}

static void rule_35_verdicts_wait_for_the_sink(void **state) {
    (void)state;
    leaf_open_stream();
    leaf_add(0, "5", 1, MUX_STATUS_INPROGRESS);
    leaf_add(0, "5", 2, MUX_STATUS_INPROGRESS);
    leaf_bundle(&leaf, true);
    mux_sink_safe(mux);
    leaf_lost("3");
    *taken = '\0';
    for (unsigned i = 0; i < 29; i++)
        leaf_wait();
    assert_string_equal(taken, "");
    room = 0;
    leaf_wait();
    leaf_wait();
    give_room(1);
    assert_string_equal(taken, "t1@0/3/5! ");
    assert_string_equal(gone, "");
    give_room(1);
    give_room(1);
    assert_string_equal(taken, "t1@0/3/5! t2@0/3/5! ");
    assert_string_equal(gone, "0/3 ");
    assert_int_equal(rig_counter(MUX_COUNT_tests_failed), 2);
}

static void rule_36_who_has_ended_is_gone(void **state) {
    (void)state;
    leaf_open_stream();
    leaf_add(0, NULL, 1, MUX_STATUS_SUCCESS);
    leaf_bundle(&leaf, true);
    struct leaf whole = leaf;
    whole.offset = 0, whole.crc = 0, whole.epoch++;
    leaf_where(&whole, leaf.offset);
    rig_run(now_ns + 1);
    assert_string_equal(gone, "0/3 ");
}

/* While one that is lost has its grace, and the sink takes nothing, the node has nothing to do. */
static void nobody_is_called_again_and_again(void **state) {
    (void)state;
    leaf_open_stream();
    room = 0;
    leaf_add(0, NULL, 1, MUX_STATUS_INPROGRESS);
    leaf_bundle(&leaf, true);
    leaf_lost("3");
    leaf_wait();
    assert_true(mux_deadline_ns(mux) > now_ns);
    give_room(9);
}

static void obstacles_are_those_of_the_stream(void **state) {
    (void)state;
    assert_non_null(mux_down_obstacle(mux, mux_span_text("7/3/5")));
    leaf_open_stream();
    assert_null(mux_down_obstacle(mux, mux_span_text("0/3/5")));
    leaf_lost("3");
    assert_non_null(mux_down_obstacle(mux, mux_span_text("0/3/5")));
    leaf.path = "8/2"; /* by another way */
    leaf.epoch++;
    leaf_open_stream();
    assert_null(mux_down_obstacle(mux, mux_span_text("0/3/5")));
}

#define END(name) cmocka_unit_test_setup_teardown(name, open_end, close_end)

int main(void) {
    const struct CMUnitTest tests[] = {
        END(packets_have_whole_routes),          END(rule_26_what_is_taken_is_not_yet_safe),
        END(a_sink_that_says_not_now),           END(damage_is_given_once),
        END(rule_35_verdicts_wait_for_the_sink), END(rule_36_who_has_ended_is_gone),
        END(nobody_is_called_again_and_again),   END(obstacles_are_those_of_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
