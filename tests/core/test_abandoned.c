/* Rule 8 on live links: when packets underway are looked into, and when not. */
#include "tests/core/rig.h"

#define TWO_SECONDS_NS (2 * SECOND_NS)

static size_t small_bytes;

/* A link that has sent the beginning of a packet with so much content. */
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

/* When it is whole in time, or there is nothing else in it, it is left alone. */
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

/* In vain at first: again when what has come has doubled. */
static void when_it_has_doubled(void **state) {
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

/* Found in a slot, which is then given back. */
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

/* An attachment that holds a stream is one while it comes. */
static void not_what_has_ended(void **state) {
    (void)state;
    struct mux_link *link = begun_with(1000000, 20);
    give_small(link, 10);
    mux_link_ended(link, "it ended");
    rig_run(now_ns + TWO_SECONDS_NS);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 0);
    assert_int_equal(rig_counter(MUX_COUNT_damage_bytes), 20 + 10 * small_bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_TEST(after_two_seconds), RIG_TEST(whole_in_time),      RIG_TEST(when_it_has_doubled),
        RIG_TEST(in_a_slot),         RIG_TEST(not_what_has_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
