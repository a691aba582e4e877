/* All receive buffers are held, or no packet can go up: which links still make progress. */
#include "tests/core/rig.h"

#define LARGE_BYTES 1000000
#define MORE_THAN_A_TAIL_BYTES 5000
#define TAIL_BYTES 4096

/* `links` links wait for the only large slot, with four buffers each. */
static void hold_buffers(unsigned links) {
    size_t len = rig_packet(LARGE_BYTES, NULL);
    rig_give(rig_connect(), packet_bytes, MORE_THAN_A_TAIL_BYTES);
    for (unsigned i = 0; i < links; i++) {
        struct mux_link *link = rig_connect();
        for (unsigned at = 0; at < 4; at++)
            rig_push(link, packet_bytes + at * RIG_INPUT_BYTES, RIG_INPUT_BYTES);
        mux_run(mux, now_ns);
    }
    assert_true(len > 4 * RIG_INPUT_BYTES);
}

/* The transport has no buffer for this link: its bytes come into the room that it offers. */
static void give_starved(struct mux_link *link, const uint8_t *bytes, size_t len) {
    while (len > 0) {
        assert_true(mux_link_wants_receive(link));
        mux_link_starved(link);
        do
            mux_run(mux, now_ns);
        while (mux_deadline_ns(mux) <= now_ns);
        struct mux_room room = mux_link_offer(link);
        assert_true(room.len > 0);
        size_t some = len < room.len ? len : room.len;
        memcpy(room.data, bytes, some);
        mux_link_filled(link, some, now_ns);
        mux_run(mux, now_ns);
        bytes += some;
        len -= some;
    }
}

static void small_packets_need_no_buffer(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    hold_buffers(10);
    size_t len = rig_packet(100, NULL);
    for (unsigned i = 0; i < 1000; i++)
        give_starved(link, packet_bytes, len);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 1000);
    assert_int_equal(rig_counter(MUX_COUNT_damages), 0);
}

/* Packets in any pieces, with chatter between them. */
static void streams_of_small_packets_need_no_buffer(void **state) {
    (void)state;
    static uint8_t stream[100000];
    struct mux_link *link = rig_connect();
    hold_buffers(10);
    size_t len = 0;
    unsigned packets = 0;
    for (size_t content = 1; len < sizeof stream - TAIL_BYTES; content = content * 2 % 3989) {
        size_t some = rig_packet(content, NULL);
        memcpy(stream + len, packet_bytes, some);
        memcpy(stream + len + some, "chatter\n", 8);
        len += some + 8;
        packets++;
    }
    for (size_t at = 0; at < len;) {
        size_t some = 1 + at * 7 % 5003;
        some = some < len - at ? some : len - at;
        give_starved(link, stream + at, some);
        at += some;
    }
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), packets);
    assert_int_equal(rig_counter(MUX_COUNT_chatter_bytes), 8 * packets);
    assert_int_equal(rig_counter(MUX_COUNT_damages), 0);
}

/* A larger packet gets a slot as soon as its length is known, and then needs no buffer. */
static void a_larger_packet_goes_into_a_slot(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    hold_buffers(10);
    size_t len = rig_packet(100000, NULL);
    give_starved(link, packet_bytes, len);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 1);
}

/* Other owners hold the buffers and give them back: no room is offered in their place. */
static void not_when_others_hold_them(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    mux_link_starved(link);
    mux_run(mux, now_ns);
    assert_null(mux_link_offer(link).data);
    hold_buffers(2); /* from now on the mux holds them */
    assert_non_null(mux_link_offer(link).data);
}

/* A buffer becomes free. */
static void until_a_buffer_comes(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    hold_buffers(10);
    size_t len = rig_packet(100, NULL);
    mux_link_starved(link);
    mux_run(mux, now_ns);
    assert_non_null(mux_link_offer(link).data);
    rig_push(link, packet_bytes, len);
    mux_run(mux, now_ns);
    assert_null(mux_link_offer(link).data);
    mux_link_starved(link);
    mux_link_ended(link, "it ended");
    mux_run(mux, now_ns);
    assert_null(mux_link_offer(link).data);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 1);
}

/*
 * ---- the batch is full ----
 */

static void fill_batch(void) {
    struct mux_link *link = rig_connect();
    size_t len = rig_packet(300, NULL);
    uint64_t before;
    do {
        before = rig_counter(MUX_COUNT_received_packets);
        rig_push(link, packet_bytes, len);
        mux_run(mux, now_ns);
    } while (rig_counter(MUX_COUNT_received_packets) > before);
}

static size_t make_hello(const char *identity) {
    struct mux_hello hello;
    mux_hello_init(&hello, identity, "below");
    return mux_hello_write(&hello, packet_bytes);
}

static void a_hello_is_answered(void **state) {
    (void)state;
    fill_batch();
    struct mux_link *link = rig_connect();
    size_t len = make_hello("beef");
    rig_push(link, packet_bytes, len);
    mux_run(mux, now_ns);
    assert_true(rig_read_down(link) > 0);
    assert_int_equal(rig_counter(MUX_COUNT_nodes_connected), 1);
}

/* The hello comes in the most pieces that a link takes before it is used, or in its own store. */
static void a_hello_in_pieces_is_answered(void **state) {
    (void)state;
    fill_batch();
    struct mux_link *link = rig_connect(), *starved = rig_connect();
    size_t len = make_hello("beef");
    for (size_t at = 0; at < len;) {
        size_t some = at < 90 ? 30 : len - at;
        assert_true(mux_link_wants_receive(link));
        rig_push(link, packet_bytes + at, some);
        mux_run(mux, now_ns);
        at += some;
    }
    assert_true(rig_read_down(link) > 0);
    hold_buffers(4);
    give_starved(starved, packet_bytes, make_hello("cafe"));
    assert_true(rig_read_down(starved) > 0);
    assert_int_equal(rig_counter(MUX_COUNT_nodes_connected), 2);
}

/* A link that is no node waits, and loses nothing. */
static void a_worker_waits(void **state) {
    (void)state;
    fill_batch();
    struct mux_link *link = rig_connect(), *broken = rig_connect();
    size_t len = make_hello("beef");
    packet_bytes[len - 1] ^= 1;
    rig_push(broken, packet_bytes, len);
    len = rig_packet(300, NULL);
    uint64_t before = rig_counter(MUX_COUNT_received_packets);
    rig_push(link, packet_bytes, len);
    mux_run(mux, now_ns);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), before);
    assert_int_equal(rig_counter(MUX_COUNT_damages), 0);
    rig_send_up();
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), before + 2);
    assert_int_equal(rig_counter(MUX_COUNT_damages), 1);
    assert_int_equal(rig_counter(MUX_COUNT_nodes_connected), 0);
}

static enum mux_link_wait wait_of(const struct mux_link *link) {
    struct mux_link_stats stats;
    mux_link_stats(link, &stats);
    return stats.wait;
}

/* All that a link has sent is in the batch, which holds the buffers: it waits for the upstream. */
static void a_link_waits_for_a_buffer_of_the_batch(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    size_t len = rig_packet(60000, NULL);
    rig_push(link, packet_bytes, len);
    mux_run(mux, now_ns);
    assert_int_equal(wait_of(link), MUX_WAIT_NOTHING);
    mux_link_starved(link);
    assert_int_equal(wait_of(link), MUX_WAIT_UPSTREAM);
    rig_send_up();
    assert_int_equal(wait_of(link), MUX_WAIT_NOTHING);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_TEST(small_packets_need_no_buffer),
        RIG_TEST(streams_of_small_packets_need_no_buffer),
        RIG_TEST(a_larger_packet_goes_into_a_slot),
        RIG_TEST(not_when_others_hold_them),
        RIG_TEST(until_a_buffer_comes),
        RIG_TEST(a_hello_is_answered),
        RIG_TEST(a_hello_in_pieces_is_answered),
        RIG_TEST(a_worker_waits),
        RIG_TEST(a_link_waits_for_a_buffer_of_the_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
