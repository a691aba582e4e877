/* Rule 8 on live links: when the framer searches an unfinished packet for another stream. */
#include "tests/core/rig.h"

#define TWO_SECONDS_NS (2 * SECOND_NS)

static size_t small_bytes;

/* A link that has sent the first `begun_bytes` of a packet with `content_bytes` of content. */
static struct mux_link *begun_with(size_t content_bytes, size_t begun_bytes) {
    struct mux_link *link = rig_connect();
    rig_packet(content_bytes, NULL);
    rig_give(link, packet_bytes, begun_bytes);
    return link;
}

static void give_small(struct mux_link *link, unsigned count) {
    small_bytes = rig_packet(20, NULL);
    while (count-- > 0)
        rig_give(link, packet_bytes, small_bytes);
}

static void after_two_seconds(void **state) {
    (void)state;
    struct mux_link *link = begun_with(1000000, 20);
    rig_run(now_ns + SECOND_NS);
    give_small(link, 10);
    assert_true(mux_deadline_ns(mux) == 1 + TWO_SECONDS_NS);
    rig_run(TWO_SECONDS_NS);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 0);
    rig_run(1 + TWO_SECONDS_NS);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 10);
    assert_int_equal(rig_counter(MUX_COUNT_damage_bytes), 20);
    assert_int_equal(rig_counter(MUX_COUNT_abandoned_packets), 1);
    give_small(link, 10);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 20);
    assert_true(mux_deadline_ns(mux) == UINT64_MAX);
}

/* A packet that is whole in time, or has no other stream in it, is left as it is. */
static void whole_in_time(void **state) {
    (void)state;
    struct mux_link *slow = begun_with(20000, 9000);
    rig_run(now_ns + TWO_SECONDS_NS);
    assert_true(mux_deadline_ns(mux) == UINT64_MAX);
    size_t len = rig_packet(20000, NULL);
    rig_give(slow, packet_bytes + 9000, len - 9000);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 1);
    assert_int_equal(rig_counter(MUX_COUNT_damages), 0);
}

/* The first search finds nothing: it is repeated when twice as much is stored. */
static void again_when_the_bytes_have_doubled(void **state) {
    (void)state;
    struct mux_link *link = begun_with(1000000, 3000);
    rig_run(now_ns + TWO_SECONDS_NS);
    unsigned count = 0;
    while (rig_counter(MUX_COUNT_received_packets) == 0 && count < 1000) {
        give_small(link, 1);
        count++;
    }
    assert_int_equal(count, (3000 + small_bytes - 1) / small_bytes);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), count);
    assert_int_equal(rig_counter(MUX_COUNT_damage_bytes), 3000);
}

/* The packet is in a slot, which is then given back. */
static void in_a_slot(void **state) {
    (void)state;
    struct mux_link *link = begun_with(1000000, 9000);
    give_small(link, 10);
    rig_run(now_ns + TWO_SECONDS_NS);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 10);
    rig_send_up();
    struct mux_link *other = rig_connect();
    size_t len = rig_packet(1000000, NULL);
    rig_give(other, packet_bytes, len);
    assert_int_equal(rig_counter(MUX_COUNT_slot_waits), 0);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 11);
}

/* Not searched when its link ends: it may be an attachment that contains a stream. */
static void not_when_the_link_has_ended(void **state) {
    (void)state;
    struct mux_link *link = begun_with(1000000, 20);
    give_small(link, 10);
    mux_link_ended(link, "it ended");
    rig_run(now_ns + TWO_SECONDS_NS);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 0);
    assert_int_equal(rig_counter(MUX_COUNT_damage_bytes), 20 + 10 * small_bytes);
}

/*
 * Half a packet for a middle slot. It contains a whole packet, larger than any buffer, and the head
 * of one for a large slot. The transport has the room for the rest of the half packet.
 */
#define OUTER_BYTES 100000
#define WHOLE_BYTES 70000
#define NEXT_BYTES 1000000
#define BEGUN_BYTES 500
static size_t next_bytes;

static struct mux_link *begun_around_others(struct mux_room *offered) {
    struct mux_link *link = begun_with(OUTER_BYTES, BEGUN_BYTES);
    rig_give(link, packet_bytes, rig_packet(WHOLE_BYTES, NULL));
    next_bytes = rig_packet(NEXT_BYTES, NULL);
    rig_give(link, packet_bytes, 100);
    rig_starve(link);
    *offered = mux_link_offer(link);
    assert_non_null(offered->data);
    return link;
}

static void look_at_others(void) {
    rig_run(now_ns + TWO_SECONDS_NS);
    assert_int_equal(rig_counter(MUX_COUNT_abandoned_packets), 1);
    assert_int_equal(rig_counter(MUX_COUNT_damage_bytes), BEGUN_BYTES);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 1);
}

/* The store must not move while the transport may write to it. */
static void while_room_is_received_into(void **state) {
    (void)state;
    struct mux_room room;
    struct mux_link *link = begun_around_others(&room);
    look_at_others();
    rig_send_up();
    assert_null(mux_link_offer(link).data);
    memcpy(room.data, packet_bytes + 100, 10);
    mux_link_filled(link, 10, now_ns);
    mux_run(mux, now_ns);
    rig_give(link, packet_bytes + 110, next_bytes - 110);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 2);
    assert_int_equal(rig_counter(MUX_COUNT_damage_bytes), BEGUN_BYTES);
}

/* Its bytes come in a buffer that was in flight. */
static void while_room_lapses(void **state) {
    (void)state;
    struct mux_room room;
    struct mux_link *link = begun_around_others(&room);
    look_at_others();
    rig_push(link, packet_bytes + 100, 900);
    mux_run(mux, now_ns);
    rig_send_up();
    rig_give(link, packet_bytes + 1000, next_bytes - 1000);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 2);
}

static void while_room_is_given_up(void **state) {
    (void)state;
    struct mux_room room;
    struct mux_link *link = begun_around_others(&room);
    look_at_others();
    mux_link_ended(link, "it ended");
    rig_run(now_ns);
    assert_true(mux_link_finished(link));
    assert_int_equal(rig_counter(MUX_COUNT_damage_bytes), BEGUN_BYTES + 100);
}

/* The link is to be closed, but the transport may still write to the room that was offered. */
static void while_it_is_evicted(void **state) {
    (void)state;
    struct mux_room room, others;
    struct mux_link *link = begun_around_others(&room);
    for (unsigned i = 0; i < 2; i++) { /* one takes the other middle slot, and has sent more */
        struct mux_link *other = begun_with(OUTER_BYTES, 9000);
        for (size_t at = 9000; at < 90000 && mux_link_wants_receive(other); at += 9000)
            rig_give(other, packet_bytes + at, 9000);
        rig_run(now_ns);
    }
    for (unsigned i = 0; i < 4 && !mux_link_close_reason(link); i++)
        rig_run(mux_deadline_ns(mux));
    assert_non_null(mux_link_close_reason(link));
    rig_run(now_ns + TWO_SECONDS_NS);
    others = mux_link_offer(link);
    assert_null(others.data);
    next_bytes = rig_packet(NEXT_BYTES, NULL);
    memcpy(room.data, packet_bytes + 100, 10);
    mux_link_filled(link, 10, now_ns);
    mux_link_ended(link, "it ended");
    rig_run(now_ns);
    assert_true(mux_link_finished(link));
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 1);
    assert_int_equal(rig_counter(MUX_COUNT_damage_bytes), BEGUN_BYTES + 110);
    rig_send_up();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_TEST(after_two_seconds),
        RIG_TEST(whole_in_time),
        RIG_TEST(again_when_the_bytes_have_doubled),
        RIG_TEST(in_a_slot),
        RIG_TEST(not_when_the_link_has_ended),
        RIG_TEST(while_room_is_received_into),
        RIG_TEST(while_room_lapses),
        RIG_TEST(while_room_is_given_up),
        RIG_TEST(while_it_is_evicted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
