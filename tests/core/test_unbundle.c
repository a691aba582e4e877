/* A node that is the end of bundles, with what it writes and answers (unbundle.c). */
#include "tests/core/leaf.h"

#include <stdio.h>

static size_t up_at;

static int open_end(void **state) {
    up_at = 0;
    return leaf_open_end(state);
}

static bool next_up(struct mux_packet *packet) {
    rig_send_up();
    return rig_next_up(&up_at, packet);
}

static void assert_up(const char *id, const char *route) {
    struct mux_packet packet;
    assert_true(next_up(&packet));
    assert_true(mux_span_equal(packet.test_id, mux_span_text(id)));
    assert_true(mux_span_equal(packet.route, mux_span_text(route)));
}

static void assert_nothing_up(void) {
    struct mux_packet packet;
    assert_false(next_up(&packet));
}

static void packets_go_up_under_their_pin(void **state) {
    (void)state;
    leaf_open_stream();
    leaf_add(0, NULL, 1, MUX_STATUS_SUCCESS);
    leaf_add(0, "5", 2, MUX_STATUS_SUCCESS);
    leaf_add(3000, "5", 3, MUX_STATUS_SUCCESS);
    leaf_bundle(&leaf, true);
    assert_up("t1", "0/3");
    assert_up("t2", "0/3/5");
    assert_up("t3", "0/3/5");
    assert_nothing_up();
    assert_int_equal(rig_counter(MUX_COUNT_results), 3);
}

static void rule_26_what_is_sent_is_acknowledged_late(void **state) {
    (void)state;
    leaf_open_stream();
    leaf_add(0, NULL, 1, MUX_STATUS_SUCCESS);
    leaf_bundle(&leaf, true);
    leaf_wait();
    assert_int_equal(rig_read_down(leaf_relay), 0); /* it is not sent */
    rig_send_up();
    rig_run(now_ns);
    assert_int_equal(rig_read_down(leaf_relay), 0);
    leaf_wait();
    struct mux_ack ack = leaf_read_ack();
    assert_true(ack.at == leaf.offset && ack.safe == leaf.offset && ack.crc == leaf.crc);
}

static void rule_21_gaps_and_duplicates(void **state) {
    (void)state;
    struct mux_packet packet;
    leaf_open_stream();
    leaf_add(0, NULL, 1, MUX_STATUS_SUCCESS);
    leaf_bundle(&leaf, true);
    struct leaf first = {.id = 7, .path = "3", .epoch = 1};
    leaf_add(0, NULL, 1, MUX_STATUS_SUCCESS);
    leaf_bundle(&first, true);
    packet = leaf_read_down(MUX_MESSAGE_ASK);
    assert_true(mux_span_equal(packet.route, mux_span_text("3")));
    leaf.offset += 10;
    leaf_add(0, NULL, 9, MUX_STATUS_SUCCESS);
    leaf_bundle(&leaf, false);
    assert_int_equal(rig_read_down(leaf_relay), 0); /* once an epoch */
    assert_up("t1", "0/3");
    assert_nothing_up();
    assert_int_equal(rig_counter(MUX_COUNT_bundles_dropped), 2);
}

static void rule_20_an_unknown_stream_is_asked(void **state) {
    (void)state;
    leaf_add(0, NULL, 1, MUX_STATUS_SUCCESS);
    leaf_bundle(&leaf, false);
    leaf_read_down(MUX_MESSAGE_ASK);
    assert_nothing_up();
}

/* Only what the neighbour itself sends ends its link. */
static void malformed_messages(void **state) {
    (void)state;
    struct mux_packet packet = {.runnable = true,
                                .eof = true,
                                .file_name = mux_span_text("muxd.where"),
                                .file_content = mux_span_text("who knows"),
                                .route = mux_span_text("3")};
    rig_give_packet(leaf_relay, &packet);
    packet.file_name = mux_span_text("muxd.bundle");
    rig_give_packet(leaf_relay, &packet);
    assert_int_equal(rig_counter(MUX_COUNT_messages_dropped), 2);
    assert_null(mux_link_close_reason(leaf_relay));
    packet.route = mux_span(NULL, 0);
    rig_give_packet(leaf_relay, &packet);
    assert_non_null(mux_link_close_reason(leaf_relay));
}

static void rule_21_damage_in_a_bundle_is_reported(void **state) {
    (void)state;
    leaf_open_stream();
    leaf_add(0, NULL, 1, MUX_STATUS_SUCCESS);
    size_t at = leaf_content_bytes;
    leaf_add(0, NULL, 2, MUX_STATUS_SUCCESS);
    leaf_content[at + 8] ^= 4;
    leaf_add(0, NULL, 3, MUX_STATUS_SUCCESS);
    memcpy(leaf_content + leaf_content_bytes, "junk", 4);
    leaf_content_bytes += 4;
    leaf_bundle(&leaf, true);
    assert_up("t1", "0/3");
    assert_up("subunit.parser", "0/3");
    assert_up("subunit.parser", "0/3");
    assert_up("t3", "0/3");
    assert_up("subunit.parser", "0/3");
    assert_up("subunit.parser", "0/3");
    assert_nothing_up();
    leaf_add(0, NULL, 4, MUX_STATUS_SUCCESS);
    leaf_bundle(&leaf, true);
    assert_up("t4", "0/3");
}

/* A route that makes small packets forty times as long: many batches, and nothing between them. */
static void a_bundle_larger_than_a_batch(void **state) {
    (void)state;
    static char path[3500];
    const unsigned count = 3000;
    char id[16];
    memset(path, 'x', sizeof path - 1);
    leaf.path = path;
    leaf_open_stream();
    for (unsigned i = 0; i < count; i++)
        leaf_add(i % 500 == 7 ? 20000 : 0, NULL, i, MUX_STATUS_SUCCESS);
    struct mux_link *worker = rig_connect();
    leaf_bundle(&leaf, true);
    rig_give_status(worker, "w", NULL, MUX_STATUS_SUCCESS);
    mux_link_close(leaf_relay); /* what was taken goes up all the same */
    static char route[3600];
    snprintf(route, sizeof route, "0/%s", path);
    for (unsigned i = 0; i < count; i++) {
        snprintf(id, sizeof id, "t%u", i);
        assert_up(id, route);
    }
    assert_up("w", "1");
    struct mux_link *again = rig_connect();
    rig_say_hello(again, "a1", true);
    leaf_relay = again;
    leaf.epoch++;
    leaf_where(&leaf, 0);
    assert_int_equal(leaf_read_ack().safe, leaf.offset);
}

static void rule_22_a_hole_is_said(void **state) {
    (void)state;
    struct mux_packet packet;
    leaf_open_stream();
    leaf_add(0, NULL, 1, MUX_STATUS_INPROGRESS);
    leaf_bundle(&leaf, true);
    assert_up("t1", "0/3");
    leaf.offset += 100;
    leaf.crc = 77;
    leaf.epoch++;
    leaf_where(&leaf, 0);
    assert_int_equal(leaf_read_ack().at, leaf.offset);
    assert_true(next_up(&packet));
    assert_true(mux_span_equal(packet.file_name, mux_span_text("muxd")));
    leaf_wait();
    assert_int_equal(leaf_read_ack().safe, leaf.offset);
    assert_int_equal(rig_counter(MUX_COUNT_stream_hole_bytes), 100);
}

static void begin_test(void) {
    leaf_open_stream();
    leaf_add(0, "5", 1, MUX_STATUS_INPROGRESS);
    leaf_bundle(&leaf, true);
    assert_up("t1", "0/3/5");
}

static void assert_failed(const char *why) {
    struct mux_packet packet;
    assert_true(next_up(&packet));
    assert_true(mux_span_equal(packet.test_id, mux_span_text("t1")));
    assert_true(mux_span_equal(packet.route, mux_span_text("0/3/5")));
    assert_int_equal(packet.status, MUX_STATUS_FAIL);
    assert_non_null(memmem(packet.file_content.data, packet.file_content.len, why, strlen(why)));
}

static void rule_35_tests_of_a_lost_stream_fail_after_the_grace(void **state) {
    (void)state;
    begin_test();
    leaf_lost("3");
    for (unsigned i = 0; i < 29; i++)
        leaf_wait();
    assert_nothing_up();
    leaf_wait();
    leaf_wait();
    assert_failed("unreachable for 30 s");
    assert_nothing_up();
}

static void rule_32_a_lost_link_loses_all_below(void **state) {
    (void)state;
    struct mux_packet packet;
    begin_test();
    rig_lose(leaf_relay);
    assert_true(next_up(&packet)); /* it is unreachable */
    assert_false(packet.test_id.data);
    for (unsigned i = 0; i < 31; i++)
        leaf_wait();
    assert_failed("unreachable for 30 s");
}

static void rule_36_a_stream_that_has_ended_fails_its_tests_at_once(void **state) {
    (void)state;
    begin_test();
    leaf.epoch++;
    uint64_t len = leaf.offset;
    struct leaf whole = leaf;
    whole.offset = 0, whole.crc = 0;
    leaf_where(&whole, len);
    rig_run(now_ns);
    assert_failed("its node has ended while this test");
}

static void give_input(const char *route) {
    size_t len;
    struct mux_packet packet = {.file_name = mux_span_text("stdin"),
                                .file_content = mux_span_text("x"),
                                .route = mux_span_text(route)};
    assert_int_equal(mux_packet_encode(&packet, packet_bytes, sizeof packet_bytes, &len), MUX_OK);
    rig_give_down(len);
}

static void rule_40_input_goes_where_the_worker_is(void **state) {
    (void)state;
    begin_test();
    give_input("0/3/5");
    struct mux_packet packet = leaf_read_down(MUX_MESSAGE_NONE);
    assert_true(mux_span_equal(packet.route, mux_span_text("3/5")));
    leaf.path = "8/2"; /* it comes by another leaf_relay, its pin stays */
    leaf.epoch++;
    leaf_open_stream();
    give_input("0/3/5");
    packet = leaf_read_down(MUX_MESSAGE_NONE);
    assert_true(mux_span_equal(packet.route, mux_span_text("8/2/5")));
    leaf_add(0, "5", 1, MUX_STATUS_SUCCESS);
    leaf_bundle(&leaf, true);
    assert_up("t1", "0/3/5");
}

static void rule_41_nothing_goes_to_a_lost_stream(void **state) {
    (void)state;
    begin_test();
    leaf_lost("3");
    give_input("0/3/5");
    assert_int_equal(rig_read_down(leaf_relay), 0);
    assert_int_equal(rig_counter(MUX_COUNT_down_refused_packets), 1);
}

/* Who ends says before what it has. */
static void an_end_that_leaves_acknowledges_first(void **state) {
    (void)state;
    leaf_open_stream();
    leaf_add(0, NULL, 1, MUX_STATUS_SUCCESS);
    leaf_bundle(&leaf, true);
    mux_send_off(mux);
    rig_read_down(leaf_relay);
    mux_link_ended(leaf_relay, "it has left");
    rig_run(now_ns);
    assert_false(mux_link_finished(leaf_relay));
    rig_send_up();
    leaf_wait();
    assert_false(mux_link_finished(leaf_relay));
    assert_int_equal(leaf_read_ack().safe, leaf.offset);
    rig_run(now_ns);
    assert_true(mux_link_finished(leaf_relay));
    mux_link_close(leaf_relay);
}

#define END(name) cmocka_unit_test_setup_teardown(name, open_end, rig_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        END(packets_go_up_under_their_pin),
        END(rule_26_what_is_sent_is_acknowledged_late),
        END(rule_21_gaps_and_duplicates),
        END(rule_20_an_unknown_stream_is_asked),
        END(malformed_messages),
        END(rule_21_damage_in_a_bundle_is_reported),
        END(a_bundle_larger_than_a_batch),
        END(rule_22_a_hole_is_said),
        END(rule_35_tests_of_a_lost_stream_fail_after_the_grace),
        END(rule_32_a_lost_link_loses_all_below),
        END(rule_36_a_stream_that_has_ended_fails_its_tests_at_once),
        END(rule_40_input_goes_where_the_worker_is),
        END(rule_41_nothing_goes_to_a_lost_stream),
        END(an_end_that_leaves_acknowledges_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
