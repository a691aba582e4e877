/* A node that is the end of bundles, with what it writes and answers (unbundle.c). */
#include "tests/core/rig.h"

#include "mux/node/message.h"
#include "mux/packet/crc.h"

#include <stdio.h>

static struct mux_link *relay;
static size_t up_at;

/* A leaf by hand, somewhere below `relay`. */
static struct leaf {
    uint8_t id;
    const char *path; /* below the relay; NULL: it is the relay's own stream */
    uint32_t epoch;
    uint64_t offset;
    uint32_t crc;
} leaf;

static uint8_t content[1 << 20];
static size_t content_bytes;

static struct mux_span route_of(const char *path) {
    return path ? mux_span_text(path) : mux_span(NULL, 0);
}

static void give_where(const struct leaf *from, uint64_t final_bytes) {
    uint8_t bytes[MUX_MESSAGE_PACKET_BYTES];
    struct mux_where where = {.stream = {from->id},
                              .epoch = from->epoch,
                              .base = from->offset,
                              .crc = from->crc,
                              .is_final = final_bytes > 0,
                              .len_bytes = final_bytes};
    rig_give(relay, bytes, mux_where_write(&where, route_of(from->path), bytes));
}

static void give_lost(const char *path) {
    uint8_t bytes[MUX_MESSAGE_PACKET_BYTES];
    rig_give(relay, bytes, mux_lost_write(mux_span_text(path), bytes));
}

/* More for the next bundle. */
static void add_packet(size_t file_bytes, const char *route, unsigned number,
                       enum mux_status status) {
    static uint8_t zeros[1 << 20];
    char id[16];
    size_t len;
    snprintf(id, sizeof id, "t%u", number);
    struct mux_packet packet = {
        .test_id = mux_span_text(id), .status = status, .route = route_of(route)};
    if (file_bytes > 0) {
        packet.file_name = mux_span_text("f");
        packet.file_content = mux_span(zeros, file_bytes);
    }
    assert_int_equal(
        mux_packet_encode(&packet, content + content_bytes, sizeof content - content_bytes, &len),
        MUX_OK);
    content_bytes += len;
}

/* As a leaf sends it; `goes_on`: the next one follows it. */
static void give_bundle(struct leaf *from, bool goes_on) {
    static uint8_t bytes[RIG_PACKET_BYTES];
    char mime[128];
    size_t len;
    snprintf(mime, sizeof mime, "application/x-muxd-bundle;s=%02x%030d;e=%08x;o=%016llx;c=%08x",
             from->id, 0, from->epoch, (unsigned long long)from->offset, from->crc);
    struct mux_packet packet = {.runnable = true,
                                .eof = true,
                                .mime = mux_span_text(mime),
                                .file_name = mux_span_text("muxd.bundle"),
                                .file_content = mux_span(content, content_bytes),
                                .route = route_of(from->path)};
    assert_int_equal(mux_packet_encode(&packet, bytes, sizeof bytes, &len), MUX_OK);
    rig_give(relay, bytes, len);
    if (goes_on) {
        from->crc = mux_crc_concat(from->crc, mux_crc(0, packet.file_content), content_bytes);
        from->offset += content_bytes;
    }
    content_bytes = 0;
}

static int open_end(void **state) {
    up_at = content_bytes = 0;
    leaf = (struct leaf){.id = 7, .path = "3", .epoch = 1};
    if (rig_open_as_end(state))
        return 1;
    relay = rig_connect();
    return !rig_say_hello(relay, "a1", true).takes_bundles;
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

/* What goes down to the relay next, of which nothing else may come. */
static struct mux_packet read_down(enum mux_message_kind kind) {
    struct mux_packet packet;
    size_t len = rig_read_down(relay);
    assert_true(len > 0);
    assert_int_equal(mux_packet_parse(mux_span(rig_down, len), &packet, NULL), MUX_OK);
    assert_int_equal(mux_message_kind(&packet), kind);
    return packet;
}

static struct mux_ack read_ack(void) {
    struct mux_packet packet = read_down(MUX_MESSAGE_ACK);
    struct mux_ack ack;
    assert_null(mux_ack_read(&packet, &ack));
    assert_true(mux_span_equal(packet.route, route_of(leaf.path)));
    return ack;
}

static void wait_a_second(void) {
    for (unsigned i = 0; i < 10; i++)
        rig_run(now_ns + SECOND_NS / 10);
}

static void open_stream(void) {
    give_where(&leaf, 0);
    assert_int_equal(read_ack().at, leaf.offset);
}

static void packets_go_up_under_their_pin(void **state) {
    (void)state;
    open_stream();
    add_packet(0, NULL, 1, MUX_STATUS_SUCCESS);
    add_packet(0, "5", 2, MUX_STATUS_SUCCESS);
    add_packet(3000, "5", 3, MUX_STATUS_SUCCESS);
    give_bundle(&leaf, true);
    assert_up("t1", "0/3");
    assert_up("t2", "0/3/5");
    assert_up("t3", "0/3/5");
    assert_nothing_up();
    assert_int_equal(rig_counter(MUX_COUNT_results), 3);
}

static void rule_26_what_is_sent_is_acknowledged_late(void **state) {
    (void)state;
    open_stream();
    add_packet(0, NULL, 1, MUX_STATUS_SUCCESS);
    give_bundle(&leaf, true);
    wait_a_second();
    assert_int_equal(rig_read_down(relay), 0); /* it is not sent */
    rig_send_up();
    rig_run(now_ns);
    assert_int_equal(rig_read_down(relay), 0);
    wait_a_second();
    struct mux_ack ack = read_ack();
    assert_true(ack.at == leaf.offset && ack.safe == leaf.offset && ack.crc == leaf.crc);
}

static void rule_21_gaps_and_duplicates(void **state) {
    (void)state;
    struct mux_packet packet;
    open_stream();
    add_packet(0, NULL, 1, MUX_STATUS_SUCCESS);
    give_bundle(&leaf, true);
    struct leaf first = {.id = 7, .path = "3", .epoch = 1};
    add_packet(0, NULL, 1, MUX_STATUS_SUCCESS);
    give_bundle(&first, true);
    packet = read_down(MUX_MESSAGE_ASK);
    assert_true(mux_span_equal(packet.route, mux_span_text("3")));
    leaf.offset += 10;
    add_packet(0, NULL, 9, MUX_STATUS_SUCCESS);
    give_bundle(&leaf, false);
    assert_int_equal(rig_read_down(relay), 0); /* once an epoch */
    assert_up("t1", "0/3");
    assert_nothing_up();
    assert_int_equal(rig_counter(MUX_COUNT_bundles_dropped), 2);
}

static void rule_20_an_unknown_stream_is_asked(void **state) {
    (void)state;
    add_packet(0, NULL, 1, MUX_STATUS_SUCCESS);
    give_bundle(&leaf, false);
    read_down(MUX_MESSAGE_ASK);
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
    rig_give_packet(relay, &packet);
    packet.file_name = mux_span_text("muxd.bundle");
    rig_give_packet(relay, &packet);
    assert_int_equal(rig_counter(MUX_COUNT_messages_dropped), 2);
    assert_null(mux_link_close_reason(relay));
    packet.route = mux_span(NULL, 0);
    rig_give_packet(relay, &packet);
    assert_non_null(mux_link_close_reason(relay));
}

static void rule_21_damage_in_a_bundle_is_reported(void **state) {
    (void)state;
    open_stream();
    add_packet(0, NULL, 1, MUX_STATUS_SUCCESS);
    size_t at = content_bytes;
    add_packet(0, NULL, 2, MUX_STATUS_SUCCESS);
    content[at + 8] ^= 4;
    add_packet(0, NULL, 3, MUX_STATUS_SUCCESS);
    memcpy(content + content_bytes, "junk", 4);
    content_bytes += 4;
    give_bundle(&leaf, true);
    assert_up("t1", "0/3");
    assert_up("subunit.parser", "0/3");
    assert_up("subunit.parser", "0/3");
    assert_up("t3", "0/3");
    assert_up("subunit.parser", "0/3");
    assert_up("subunit.parser", "0/3");
    assert_nothing_up();
    add_packet(0, NULL, 4, MUX_STATUS_SUCCESS);
    give_bundle(&leaf, true);
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
    open_stream();
    for (unsigned i = 0; i < count; i++)
        add_packet(i % 500 == 7 ? 20000 : 0, NULL, i, MUX_STATUS_SUCCESS);
    struct mux_link *worker = rig_connect();
    give_bundle(&leaf, true);
    rig_give_status(worker, "w", NULL, MUX_STATUS_SUCCESS);
    mux_link_close(relay); /* what was taken goes up all the same */
    static char route[3600];
    snprintf(route, sizeof route, "0/%s", path);
    for (unsigned i = 0; i < count; i++) {
        snprintf(id, sizeof id, "t%u", i);
        assert_up(id, route);
    }
    assert_up("w", "1");
    struct mux_link *again = rig_connect();
    rig_say_hello(again, "a1", true);
    relay = again;
    leaf.epoch++;
    give_where(&leaf, 0);
    assert_int_equal(read_ack().safe, leaf.offset);
}

static void rule_22_a_hole_is_said(void **state) {
    (void)state;
    struct mux_packet packet;
    open_stream();
    add_packet(0, NULL, 1, MUX_STATUS_INPROGRESS);
    give_bundle(&leaf, true);
    assert_up("t1", "0/3");
    leaf.offset += 100;
    leaf.crc = 77;
    leaf.epoch++;
    give_where(&leaf, 0);
    assert_int_equal(read_ack().at, leaf.offset);
    assert_true(next_up(&packet));
    assert_true(mux_span_equal(packet.file_name, mux_span_text("muxd")));
    wait_a_second();
    assert_int_equal(read_ack().safe, leaf.offset);
    assert_int_equal(rig_counter(MUX_COUNT_stream_hole_bytes), 100);
}

static void begin_test(void) {
    open_stream();
    add_packet(0, "5", 1, MUX_STATUS_INPROGRESS);
    give_bundle(&leaf, true);
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
    give_lost("3");
    for (unsigned i = 0; i < 29; i++)
        wait_a_second();
    assert_nothing_up();
    wait_a_second();
    wait_a_second();
    assert_failed("unreachable for 30 s");
    assert_nothing_up();
}

static void rule_32_a_lost_link_loses_all_below(void **state) {
    (void)state;
    struct mux_packet packet;
    begin_test();
    rig_lose(relay);
    assert_true(next_up(&packet)); /* it is unreachable */
    assert_false(packet.test_id.data);
    for (unsigned i = 0; i < 31; i++)
        wait_a_second();
    assert_failed("unreachable for 30 s");
}

static void rule_36_a_stream_that_has_ended_fails_its_tests_at_once(void **state) {
    (void)state;
    begin_test();
    leaf.epoch++;
    uint64_t len = leaf.offset;
    struct leaf whole = leaf;
    whole.offset = 0, whole.crc = 0;
    give_where(&whole, len);
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
    struct mux_packet packet = read_down(MUX_MESSAGE_NONE);
    assert_true(mux_span_equal(packet.route, mux_span_text("3/5")));
    leaf.path = "8/2"; /* it comes by another relay, its pin stays */
    leaf.epoch++;
    open_stream();
    give_input("0/3/5");
    packet = read_down(MUX_MESSAGE_NONE);
    assert_true(mux_span_equal(packet.route, mux_span_text("8/2/5")));
    add_packet(0, "5", 1, MUX_STATUS_SUCCESS);
    give_bundle(&leaf, true);
    assert_up("t1", "0/3/5");
}

static void rule_41_nothing_goes_to_a_lost_stream(void **state) {
    (void)state;
    begin_test();
    give_lost("3");
    give_input("0/3/5");
    assert_int_equal(rig_read_down(relay), 0);
    assert_int_equal(rig_counter(MUX_COUNT_down_refused_packets), 1);
}

/* Who ends says before what it has. */
static void an_end_that_leaves_acknowledges_first(void **state) {
    (void)state;
    open_stream();
    add_packet(0, NULL, 1, MUX_STATUS_SUCCESS);
    give_bundle(&leaf, true);
    mux_send_off(mux);
    rig_read_down(relay);
    mux_link_ended(relay, "it has left");
    rig_run(now_ns);
    assert_false(mux_link_finished(relay));
    rig_send_up();
    wait_a_second();
    assert_false(mux_link_finished(relay));
    assert_int_equal(read_ack().safe, leaf.offset);
    rig_run(now_ns);
    assert_true(mux_link_finished(relay));
    mux_link_close(relay);
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
