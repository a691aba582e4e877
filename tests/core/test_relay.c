/* A node between a leaf and its end: rules 18 and 31 to 35 of the reliable protocol. */
#include "tests/core/rig.h"

#include "mux/node/message.h"

static const uint8_t stream[MUX_STREAM_ID_BYTES] = {0xab, 1};
static size_t up_at;
static struct mux_link *leaf, *worker;

static int open_relay(void **state) {
    up_at = 0;
    if (rig_open_with_bundles(state))
        return 1;
    rig_meet_upstream("f00d", "bundles=1\n", NULL);
    leaf = rig_connect();
    assert_true(rig_say_hello(leaf, "a1", true).takes_bundles);
    worker = rig_connect();
    rig_give_status(worker, "t", NULL, MUX_STATUS_SUCCESS);
    rig_send_up();
    up_at = rig_up_bytes;
    return 0;
}

static uint8_t where_bytes[MUX_MESSAGE_PACKET_BYTES];

static size_t write_where(const char *route) {
    struct mux_where where = {.epoch = 3, .base = 12, .crc = 7};
    memcpy(where.stream, stream, sizeof stream);
    struct mux_span span = route ? mux_span_text(route) : mux_span(NULL, 0);
    return mux_where_write(&where, span, where_bytes);
}

static void give_where(struct mux_link *link, const char *route) {
    rig_give(link, where_bytes, write_where(route));
}

/* A bundle of one packet; its content is in packet_bytes. Returns the content's length. */
static size_t give_bundle(struct mux_link *link) {
    struct mux_bundle bundle = {.epoch = 3, .offset = 12, .crc = 7};
    struct mux_bundle_run run = {0};
    struct mux_bundle_wrap wrap;
    size_t len = rig_packet(3000, "inner");
    memcpy(bundle.stream, stream, sizeof stream);
    mux_bundle_run_add(&run, mux_span(packet_bytes, len));
    mux_bundle_wrap(&bundle, &run, &wrap);
    rig_give(link, wrap.front, wrap.front_len_bytes);
    rig_give(link, packet_bytes, len);
    rig_give(link, wrap.crc, sizeof wrap.crc);
    return len;
}

static void give_file(struct mux_link *link, const char *file, const char *route,
                      struct mux_span content) {
    struct mux_packet packet = {.runnable = true,
                                .eof = true,
                                .file_name = mux_span_text(file),
                                .file_content = content,
                                .route = route ? mux_span_text(route) : mux_span(NULL, 0)};
    rig_give_packet(link, &packet);
}

/* Skips what this node says itself, which has no route. False: nothing more has gone up. */
static bool next_message(struct mux_packet *packet) {
    rig_send_up();
    while (rig_next_up(&up_at, packet))
        if (mux_message_kind(packet) != MUX_MESSAGE_NONE && packet->route.data)
            return true;
    return false;
}

static void assert_route(const struct mux_packet *packet, const char *route) {
    assert_true(mux_span_equal(packet->route, mux_span_text(route)));
}

static void the_segment_goes_in_front_of_the_message(void **state) {
    (void)state;
    struct mux_packet packet;
    struct mux_where where;
    struct mux_bundle bundle;
    give_where(leaf, NULL);
    assert_true(next_message(&packet));
    assert_route(&packet, mux_link_segment(leaf));
    assert_null(mux_where_read(&packet, &where));
    assert_int_equal(where.base, 12);
    give_where(leaf, "7/8");
    assert_true(next_message(&packet));
    assert_route(&packet, "0/7/8");
    size_t len = give_bundle(leaf);
    assert_true(next_message(&packet));
    assert_route(&packet, "0");
    assert_null(mux_bundle_read(&packet, &bundle));
    assert_same_field(packet.file_content, mux_span(packet_bytes, len));
    assert_false(next_message(&packet));
}

/* Of who did not say bundles=1 it is an ordinary packet, whatever its name is. */
static void a_worker_has_no_messages(void **state) {
    (void)state;
    struct mux_packet packet;
    uint64_t held = mux_upstream_pending_bytes(mux);
    give_where(worker, NULL);
    assert_true(mux_upstream_pending_bytes(mux) > held); /* in this node's own stream */
    assert_null(mux_link_close_reason(worker));
    rig_lose(worker);
    assert_false(next_message(&packet)); /* and so none is lost */
}

/* From further below: dropped. Of the neighbour's own: its link ends. */
static void what_goes_the_wrong_way_or_is_malformed(void **state) {
    (void)state;
    static uint8_t long_content[MUX_MESSAGE_CONTENT_BYTES + 1];
    struct mux_packet packet;
    give_file(leaf, "muxd.ack", "7", mux_span_text("x"));
    give_file(leaf, "muxd.where", "7", mux_span(long_content, sizeof long_content));
    rig_run(now_ns);
    assert_false(next_message(&packet));
    assert_int_equal(rig_counter(MUX_COUNT_messages_dropped), 2);
    assert_null(mux_link_close_reason(leaf));
    give_file(leaf, "muxd.where", "7", mux_span_text("who knows"));
    assert_true(next_message(&packet)); /* the end will say so */
    give_file(leaf, "muxd.where", NULL, mux_span_text("who knows"));
    assert_non_null(mux_link_close_reason(leaf));
    assert_false(next_message(&packet));
}

static void rule_32_a_lost_link_is_said_once(void **state) {
    (void)state;
    struct mux_packet packet;
    struct mux_link *quiet = rig_connect();
    assert_true(rig_say_hello(quiet, "a2", true).takes_bundles);
    give_where(leaf, "7");
    assert_true(next_message(&packet));
    rig_lose(leaf);
    assert_true(next_message(&packet));
    assert_int_equal(mux_message_kind(&packet), MUX_MESSAGE_LOST);
    assert_route(&packet, "0");
    rig_lose(quiet); /* of whom nothing was taken */
    assert_false(next_message(&packet));
}

/* It comes before what its node sends on the next connection, which has the same segment. */
static void rule_32_and_before_the_next_connection(void **state) {
    (void)state;
    struct mux_packet packet;
    give_where(leaf, NULL);
    struct mux_link *again = rig_connect();
    rig_say_hello(again, "a1", true);
    rig_push(again, where_bytes, write_where(NULL)); /* it was in flight */
    rig_lose(leaf);
    assert_true(next_message(&packet));
    assert_int_equal(mux_message_kind(&packet), MUX_MESSAGE_WHERE);
    assert_true(next_message(&packet));
    assert_int_equal(mux_message_kind(&packet), MUX_MESSAGE_LOST);
    assert_true(next_message(&packet));
    assert_int_equal(mux_message_kind(&packet), MUX_MESSAGE_WHERE);
    assert_route(&packet, "0");
}

static void rule_33_damage_ends_the_link_and_its_segment_stays(void **state) {
    (void)state;
    struct mux_packet packet;
    uint8_t bytes[MUX_MESSAGE_PACKET_BYTES];
    struct mux_where where = {.epoch = 3};
    give_where(leaf, NULL);
    assert_true(next_message(&packet));
    size_t len = mux_where_write(&where, mux_span(NULL, 0), bytes);
    bytes[len / 2] ^= 4;
    rig_give(leaf, bytes, len);
    assert_non_null(strstr(mux_link_close_reason(leaf), "damaged"));
    rig_lose(leaf);
    assert_true(next_message(&packet));
    assert_int_equal(mux_message_kind(&packet), MUX_MESSAGE_LOST);
    struct mux_link *again = rig_connect();
    rig_say_hello(again, "a1", true);
    assert_string_equal(mux_link_segment(again), "0");
}

static void rule_33_damage_from_above_ends_the_connection(void **state) {
    (void)state;
    size_t len = rig_packet(20, "0");
    packet_bytes[len / 2] ^= 4;
    rig_give_down(len);
    assert_non_null(strstr(mux_upstream_close_reason(mux), "damaged"));
}

/* ---- down ---- */

static void give_ack(const char *route) {
    uint8_t bytes[MUX_MESSAGE_PACKET_BYTES];
    struct mux_ack ack = {.epoch = 3, .at = 12, .safe = 12};
    size_t len = mux_ack_write(&ack, mux_span_text(route), bytes);
    memcpy(packet_bytes, bytes, len);
    rig_give_down(len);
}

static void give_ask(const char *route) {
    uint8_t bytes[MUX_MESSAGE_PACKET_BYTES];
    struct mux_ask ask = {.has_stream = route != NULL};
    size_t len = mux_ask_write(&ask, route ? mux_span_text(route) : mux_span(NULL, 0), bytes);
    memcpy(packet_bytes, bytes, len);
    rig_give_down(len);
}

static void assert_down(struct mux_link *link, enum mux_message_kind kind, const char *route) {
    struct mux_packet packet;
    size_t len = rig_read_down(link);
    assert_int_equal(mux_packet_parse(mux_span(rig_down, len), &packet, NULL), MUX_OK);
    assert_true(mux_packet_verify(mux_span(rig_down, len)));
    assert_int_equal(mux_message_kind(&packet), kind);
    assert_true(mux_span_equal(packet.route, route ? mux_span_text(route) : mux_span(NULL, 0)));
}

static void acknowledgements_go_down_by_their_route(void **state) {
    (void)state;
    give_ack("0");
    assert_down(leaf, MUX_MESSAGE_ACK, NULL);
    give_ack("0/7");
    assert_down(leaf, MUX_MESSAGE_ACK, "7");
    give_ask("0/7");
    assert_down(leaf, MUX_MESSAGE_ASK, "7");
}

static void rule_34_nobody_is_answered_and_no_worker_gets_any(void **state) {
    (void)state;
    struct mux_packet packet;
    uint64_t messages = rig_counter(MUX_COUNT_messages);
    give_ack("1"); /* the worker */
    give_ack("9");
    give_ask("9");
    give_ack("1/2");
    assert_int_equal(rig_read_down(worker), 0);
    assert_int_equal(rig_read_down(leaf), 0);
    assert_false(next_message(&packet));
    assert_int_equal(rig_counter(MUX_COUNT_messages), messages);
    assert_int_equal(rig_counter(MUX_COUNT_messages_dropped), 4);
}

static void rule_18_asks_all_that_have_bundles(void **state) {
    (void)state;
    struct mux_link *old = rig_connect();
    rig_say_hello(old, "a2", false);
    give_ask(NULL);
    assert_down(leaf, MUX_MESSAGE_ASK, NULL);
    assert_int_equal(rig_read_down(old), 0);
    assert_int_equal(rig_read_down(worker), 0);
    mux_upstream_lost(mux, 0, now_ns);
    rig_meet_upstream("f00d", "bundles=1\n", NULL);
    assert_down(leaf, MUX_MESSAGE_ASK, NULL);
    assert_int_equal(rig_read_down(old), 0);
}

/* It stays with the leaf, which has it still when another upstream comes. */
static void nothing_is_taken_without_an_upstream(void **state) {
    (void)state;
    struct mux_packet packet;
    mux_upstream_lost(mux, 0, now_ns);
    give_where(leaf, NULL);
    assert_true(mux_busy(mux));
    assert_int_equal(rig_counter(MUX_COUNT_messages_relayed), 0);
    rig_meet_upstream("f00d", "bundles=1\n", NULL);
    assert_int_equal(rig_counter(MUX_COUNT_messages_relayed), 1);
    assert_true(next_message(&packet));
}

/* Whoever is lost below: no test is said to have failed here. */
static void rule_35_a_relay_judges_nobody(void **state) {
    (void)state;
    struct mux_packet packet;
    give_bundle(leaf);
    rig_lose(leaf);
    rig_run(now_ns + 60 * SECOND_NS);
    rig_send_up();
    while (rig_next_up(&up_at, &packet))
        assert_int_not_equal(packet.status, MUX_STATUS_FAIL);
    assert_int_equal(rig_counter(MUX_COUNT_nodes_given_up), 1);
    assert_int_equal(rig_counter(MUX_COUNT_tests_failed), 0);
}

#define RELAY(name) cmocka_unit_test_setup_teardown(name, open_relay, rig_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        RELAY(the_segment_goes_in_front_of_the_message),
        RELAY(a_worker_has_no_messages),
        RELAY(what_goes_the_wrong_way_or_is_malformed),
        RELAY(rule_32_a_lost_link_is_said_once),
        RELAY(rule_32_and_before_the_next_connection),
        RELAY(rule_33_damage_ends_the_link_and_its_segment_stays),
        RELAY(rule_33_damage_from_above_ends_the_connection),
        RELAY(acknowledgements_go_down_by_their_route),
        RELAY(rule_34_nobody_is_answered_and_no_worker_gets_any),
        RELAY(rule_18_asks_all_that_have_bundles),
        RELAY(nothing_is_taken_without_an_upstream),
        RELAY(rule_35_a_relay_judges_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
