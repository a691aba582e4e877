/* A node's own stream, below a scripted end: rules 4 to 19, 31 and 38 of the reliable protocol. */
#include "tests/core/rig.h"
#include "tests/core/scripted_end.h"

#include "mux/node/message.h"

#include <stdio.h>
#include <stdlib.h>

static struct scripted_end end;
static struct mux_link *worker;
static size_t up_at, down_len;
static uint8_t down_bytes[1 << 16];
static char
    got[1 << 16]; /* what the end has taken: ROUTE:TEST_ID or ROUTE!FILE, each with a blank */

static void goes_down(void *user, struct mux_span bytes) {
    (void)user;
    assert_true(bytes.len <= sizeof down_bytes - down_len);
    memcpy(down_bytes + down_len, bytes.data, bytes.len);
    down_len += bytes.len;
}

static void note(struct mux_packet packet) {
    size_t len = strlen(got);
    struct mux_span name = packet.test_id.data ? packet.test_id : packet.file_name;
    snprintf(got + len, sizeof got - len, "%.*s%s%.*s ", (int)packet.route.len,
             (const char *)packet.route.data, packet.test_id.data ? ":" : "!", (int)name.len,
             (const char *)name.data);
}

static void takes(void *user, const struct scripted_stream *stream,
                  const struct mux_packet *packet) {
    (void)user, (void)stream;
    note(*packet);
}

static int open_leaf(void **state) {
    end = (struct scripted_end){.down = goes_down, .packet = takes};
    up_at = down_len = 0;
    *got = '\0';
    if (rig_open_with_bundles(state))
        return 1;
    worker = rig_connect();
    return 0;
}

static int close_leaf(void **state) {
    scripted_end_fini(&end);
    return rig_close(state);
}

/* What has gone up reaches the end, or notes plain packets; returns how many messages. */
static unsigned reach_end(void) {
    unsigned messages = 0;
    struct mux_packet packet;
    for (size_t from = up_at; rig_next_up(&up_at, &packet); from = up_at)
        if (scripted_end_take(&end, mux_span(rig_up + from, up_at - from)))
            messages++;
        else if (mux_message_kind(&packet) != MUX_MESSAGE_BEAT)
            note(packet);
    return messages;
}

static void give_down(void) {
    memcpy(packet_bytes, down_bytes, down_len);
    size_t len = down_len;
    down_len = 0;
    rig_give_down(len);
}

/* Everything passes, both ways, and is safe at once. */
static void settle(void) {
    do {
        rig_send_up();
        reach_end();
        for (unsigned i = 0; i < end.count; i++)
            if (end.streams[i].known.safe < end.streams[i].known.at)
                scripted_end_ack(&end, &end.streams[i], end.streams[i].known.at);
        give_down();
        rig_send_up();
    } while (reach_end() > 0 || down_len > 0);
}

static void upstream_comes(const char *bundles) {
    rig_meet_upstream("f00d", bundles, NULL);
}

static void upstream_goes(void) {
    mux_upstream_lost(mux, 0, now_ns);
    up_at = rig_up_bytes;
    rig_run(now_ns);
}

static void test(const char *id) {
    rig_give_status(worker, id, NULL, MUX_STATUS_SUCCESS);
}

static void rule_4_what_comes_before_the_upstream_waits(void **state) {
    (void)state;
    test("a");
    assert_null(mux_upstream_take(mux));
    upstream_comes("bundles=1\n");
    settle();
    assert_string_equal(got, "0:a ");
    assert_int_equal(end.count, 1);
    assert_int_equal(mux_upstream_pending_bytes(mux), 0);
}

static void rule_13_an_idle_way_up_costs_no_time(void **state) {
    (void)state;
    upstream_comes("bundles=1\n");
    test("a");
    settle();
    unsigned wheres = end.streams[0].wheres;
    test("b");
    rig_send_up();
    reach_end();
    assert_string_equal(got, "0:a 0:b ");
    assert_int_equal(end.streams[0].wheres, wheres); /* none after the first */
    assert_int_equal(wheres, 1);
}

/* What comes while the way up is busy goes in one bundle. */
static void rule_8_under_load_packets_go_together(void **state) {
    (void)state;
    upstream_comes("bundles=1\n");
    test("a");
    settle();
    uint64_t bundles = rig_counter(MUX_COUNT_bundles);
    test("b");
    const struct mux_gather *gather = mux_upstream_take(mux);
    assert_non_null(gather);
    test("c");
    test("d");
    test("e");
    mux_upstream_sent(mux);
    rig_run(now_ns);
    rig_send_up();
    assert_int_equal(rig_counter(MUX_COUNT_bundles), bundles + 2);
}

static void rule_10_the_window_is_back_pressure(void **state) {
    (void)state;
    char expected[32];
    unsigned tests = 0;
    upstream_comes("bundles=1\n");
    while (!mux_busy(mux) && tests < 100000) {
        size_t len = rig_packet(1000, NULL);
        rig_push(worker, packet_bytes, len);
        rig_run(now_ns);
        tests++;
    }
    assert_true(mux_upstream_pending_bytes(mux) < 3 * RIG_WINDOW_BYTES);
    assert_true(tests > 30 && tests < 100);
    settle();
    assert_false(mux_busy(mux));
    snprintf(expected, sizeof expected, "0:t ");
    assert_int_equal(strlen(got), tests * strlen(expected));
}

static uint8_t large[MUX_PACKET_MAX_BYTES];

/* Encodes a packet into `large`; returns its length. */
static size_t make_large(size_t content_bytes) {
    static uint8_t content[MUX_PACKET_MAX_BYTES];
    size_t len;
    struct mux_packet packet = {.test_id = mux_span_text("t"),
                                .file_name = mux_span_text("f"),
                                .file_content = mux_span(content, content_bytes),
                                .eof = true};
    assert_int_equal(mux_packet_encode(&packet, large, sizeof large, &len), MUX_OK);
    return len;
}

/* As much as the worker may send now; returns how much that is. */
static size_t push(const uint8_t *bytes, size_t len) {
    size_t at = 0;
    while (at < len && mux_link_wants_receive(worker)) {
        size_t some = len - at < RIG_INPUT_BYTES ? len - at : RIG_INPUT_BYTES;
        rig_push(worker, bytes + at, some);
        at += some;
        rig_run(now_ns);
    }
    return at;
}

static size_t copy_gather(const struct mux_gather *gather, uint8_t *out) {
    size_t at = 0;
    for (size_t i = 0; i < gather->count; at += gather->spans[i++].len)
        memcpy(out + at, gather->spans[i].data, gather->spans[i].len);
    return at;
}

/* Bytes that somebody still sends from are not written over, though they are safe. */
static void memory_that_is_being_sent_stays(void **state) {
    (void)state;
    static uint8_t before[MUX_PACKET_MAX_BYTES], after[MUX_PACKET_MAX_BYTES];
    upstream_comes("bundles=1\n");
    test("a");
    settle();
    size_t len = make_large(4100000), pushed = push(large, len);
    assert_int_equal(pushed, len);
    const struct mux_gather *gather = mux_upstream_take(mux);
    size_t sent = copy_gather(gather, before);
    scripted_end_take(&end, mux_span(before, sent)); /* it has come on another way */
    scripted_end_ack(&end, &end.streams[0], end.streams[0].known.at);
    give_down();
    len = make_large(4000000);
    pushed = push(large, len);
    assert_int_equal(copy_gather(gather, after), sent);
    assert_memory_equal(before, after, sent);
    mux_upstream_sent(mux);
    rig_run(now_ns);
    settle();
    push(large + pushed, len - pushed);
    settle();
    assert_string_equal(got, "0:a 0:t 0:t ");
    assert_int_equal(mux_upstream_pending_bytes(mux), 0);
}

static void rule_31_a_lost_queue_comes_again(void **state) {
    (void)state;
    upstream_comes("bundles=1\n");
    test("a");
    settle();
    uint32_t epoch = end.streams[0].known.epoch;
    test("b");
    assert_non_null(mux_upstream_take(mux));
    test("c");
    upstream_goes();
    test("d");
    assert_string_equal(got, "0:a ");
    upstream_comes("bundles=1\n");
    settle();
    assert_string_equal(got, "0:a 0:b 0:c 0:d ");
    assert_true(end.streams[0].known.epoch > epoch);
    assert_int_equal(end.count, 1);
}

/* What was not safe goes again, and is a duplicate. */
static void rule_21_what_was_applied_is_not_applied_again(void **state) {
    (void)state;
    upstream_comes("bundles=1\n");
    test("a");
    settle();
    test("b");
    rig_send_up();
    reach_end();
    give_down();
    upstream_goes();
    test("c");
    upstream_comes("bundles=1\n");
    settle();
    assert_string_equal(got, "0:a 0:b 0:c ");
}

static void rule_17_a_lost_bundle_is_found(void **state) {
    (void)state;
    upstream_comes("bundles=1\n");
    test("a");
    settle();
    test("b");
    rig_send_up();
    up_at = rig_up_bytes; /* it never arrives */
    test("c");
    rig_run(now_ns + 3 * SECOND_NS);
    settle();
    rig_run(now_ns + 3 * SECOND_NS);
    settle();
    assert_string_equal(got, "0:a 0:b 0:c ");
}

static void rule_18_asked_for_all_it_says_where(void **state) {
    (void)state;
    uint8_t out[MUX_MESSAGE_PACKET_BYTES];
    upstream_comes("bundles=1\n");
    test("a");
    settle();
    size_t len = mux_ask_write(&(struct mux_ask){0}, mux_span(NULL, 0), out);
    goes_down(NULL, mux_span(out, len));
    give_down();
    settle();
    assert_int_equal(end.streams[0].wheres, 2);
}

/* A hello above that knows no bundles: all that was kept goes as it came. */
static void rule_3_an_old_node_gets_plain_packets(void **state) {
    (void)state;
    for (unsigned i = 0; i < 10; i++)
        test("a");
    size_t len = rig_packet(20000, NULL);
    rig_give(worker, packet_bytes, len);
    upstream_comes("");
    test("b");
    settle();
    assert_string_equal(got, "0:a 0:a 0:a 0:a 0:a 0:a 0:a 0:a 0:a 0:a 0:t 0:b ");
    assert_int_equal(end.count, 0);
    assert_int_equal(mux_upstream_pending_bytes(mux), 0);
}

/* And one that knows them comes: a stream begins. */
static void rule_3_and_bundles_when_one_comes_that_knows_them(void **state) {
    (void)state;
    test("a");
    upstream_comes("");
    test("b");
    settle();
    upstream_goes();
    upstream_comes("bundles=1\n");
    test("c");
    settle();
    assert_string_equal(got, "0:a 0:b 0:c ");
    assert_int_equal(end.count, 1);
    assert_true(end.streams[0].known.at > 0);
}

static void rule_38_a_fork_goes_on_under_another_id(void **state) {
    (void)state;
    upstream_comes("bundles=1\n");
    test("a");
    settle();
    end.streams[0].known.crc ^= 1; /* another node has its identity, and is as far */
    test("b");
    settle();
    assert_int_equal(rig_counter(MUX_COUNT_streams_forked), 1);
    assert_int_equal(end.count, 2);
    assert_string_equal(got, "0:a ~2/0:b ");
}

/* TERM: the end hears the length, and all is acknowledged before the goodbye. */
static void rule_13_final(void **state) {
    (void)state;
    upstream_comes("bundles=1\n");
    test("a");
    settle();
    rig_lose(worker);
    settle();
    assert_true(mux_upstream_leave(mux));
    assert_false(end.streams[0].known.is_final);
    rig_run(now_ns);
    settle();
    assert_true(mux_known_is_done(&end.streams[0].known));
    assert_true(mux_upstream_leave(mux)); /* now the goodbye */
    rig_send_up();
    assert_false(mux_upstream_leave(mux));
    reach_end();
    assert_non_null(strstr(got, "!muxd.goodbye"));
}

/* Rule 7: it does not fit a bundle. As damage it is reported in pieces that do. */
static void rule_7_the_largest_packet_is_split(void **state) {
    (void)state;
    size_t len = make_large(MUX_PACKET_MAX_BYTES - 30);
    assert_true(len > MUX_BUNDLE_CONTENT_MAX_BYTES);
    upstream_comes("bundles=1\n");
    push(large, len);
    settle();
    assert_string_equal(got, "0:t 0:t ");
    assert_int_equal(rig_counter(MUX_COUNT_split_packets), 1);
    large[20] ^= 1;
    for (size_t at = 0; at < len; settle())
        at += push(large + at, len - at);
    rig_lose(worker);
    settle();
    assert_true(rig_counter(MUX_COUNT_damages) > 0);
    assert_int_equal(mux_upstream_pending_bytes(mux), 0);
}

#define LEAF(name) cmocka_unit_test_setup_teardown(name, open_leaf, close_leaf)

int main(void) {
    const struct CMUnitTest tests[] = {
        LEAF(rule_4_what_comes_before_the_upstream_waits),
        LEAF(rule_13_an_idle_way_up_costs_no_time),
        LEAF(rule_8_under_load_packets_go_together),
        LEAF(rule_10_the_window_is_back_pressure),
        LEAF(memory_that_is_being_sent_stays),
        LEAF(rule_31_a_lost_queue_comes_again),
        LEAF(rule_21_what_was_applied_is_not_applied_again),
        LEAF(rule_17_a_lost_bundle_is_found),
        LEAF(rule_18_asked_for_all_it_says_where),
        LEAF(rule_3_an_old_node_gets_plain_packets),
        LEAF(rule_3_and_bundles_when_one_comes_that_knows_them),
        LEAF(rule_38_a_fork_goes_on_under_another_id),
        LEAF(rule_13_final),
        LEAF(rule_7_the_largest_packet_is_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
