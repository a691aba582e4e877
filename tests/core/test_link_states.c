/* Rare combinations of link states: rejected with a newer connection, or with room on offer. */
#include "mux/node/mux_internal.h"

#include "tests/core/rig.h"

#include <stdio.h>

/* Deeper than any tree of nodes: a packet with such a route has gone round a loop. */
#define LOOP_SEGMENTS (MUX_NODES_DEEP_MAX + 1)

static struct mux_link *connect_node(const char *identity) {
    struct mux_hello hello;
    uint8_t bytes[MUX_HELLO_PACKET_BYTES];
    mux_hello_init(&hello, identity, "leaf");
    struct mux_link *link = rig_connect();
    rig_give(link, bytes, mux_hello_write(&hello, bytes));
    return link;
}

static void lose(struct mux_link *link) {
    mux_link_ended(link, "its connection was lost");
    rig_run(now_ns);
    assert_true(mux_link_finished(link));
    mux_link_close(link);
    rig_run(now_ns);
}

/* Into packet_bytes; returns its length. */
static size_t loop_packet(void) {
    char route[2 * LOOP_SEGMENTS];
    for (unsigned i = 0; i < LOOP_SEGMENTS; i++)
        memcpy(route + 2 * i, "a/", 2);
    route[sizeof route - 1] = '\0';
    return rig_packet(10, route);
}

/* The newer connection continues when the older one was refused. */
static void refused_with_a_newer_connection(void **state) {
    (void)state;
    struct mux_link *old = connect_node("a1");
    struct mux_link *link = connect_node("a1");
    assert_false(mux_link_wants_receive(link)); /* until the old one has ended */
    rig_give(old, packet_bytes, loop_packet());
    assert_int_equal(rig_counter(MUX_COUNT_loops), 1);
    rig_read_down(old);
    assert_non_null(mux_link_close_reason(old));
    lose(old);
    assert_true(mux_link_wants_receive(link));
    assert_string_equal(mux_link_segment(link), "0");
    rig_give(link, packet_bytes, rig_packet(10, NULL));
    rig_send_up();
    assert_true(rig_up_bytes > 0);
    lose(link);
    link = connect_node("a1"); /* the node is still known */
    assert_string_equal(mux_link_segment(link), "0");
}

/*
 * A link's large packet stalls, and inside it is a packet that shows a loop. Its owner still
 * receives into the slot, which is not free before that is over.
 */
static void rejected_with_room_on_offer(void **state) {
    (void)state;
    const unsigned slots = mux->middle_slots.count;
    struct mux_link *link = rig_connect();
    size_t large = rig_packet(100000, NULL);
    rig_give(link, packet_bytes, large); /* the next packet is expected to be as large */
    rig_send_up();
    rig_give(link, packet_bytes, 100);
    rig_give(link, packet_bytes, loop_packet());
    rig_starve(link);
    struct mux_room room = mux_link_offer(link);
    assert_true(room.len > 0);
    assert_int_equal(mux->middle_slots.free_count, slots - 1);
    rig_run(now_ns + 2 * SECOND_NS);
    assert_int_equal(rig_counter(MUX_COUNT_loops), 1);
    rig_send_up();
    rig_run(now_ns);
    assert_int_equal(mux->middle_slots.free_count, slots - 1);
    *room.data = 0;
    mux_link_filled(link, 1, now_ns);
    rig_run(now_ns);
    assert_int_equal(mux->middle_slots.free_count, slots);
    lose(link);
}

/* A node that came back while all places were taken is not closed as a silent connection. */
static void a_guest_stays(void **state) {
    (void)state;
    struct mux_link_config config = {"peer", "", true, NULL};
    lose(connect_node("a1"));
    for (unsigned i = 0; i < RIG_LINKS; i++)
        rig_give(rig_connect(), (const uint8_t *)"x\n", 2);
    struct mux_link *guest = connect_node("a1");
    assert_string_equal(mux_link_segment(guest), "0");
    while (mux_link_open(mux, &config))
        ;
    rig_run(now_ns);
    assert_null(mux_link_close_reason(guest));
    rig_give(guest, packet_bytes, rig_packet(10, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_TEST(refused_with_a_newer_connection),
        RIG_TEST(rejected_with_room_on_offer),
        RIG_TEST(a_guest_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
