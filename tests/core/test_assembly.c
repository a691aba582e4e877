/* Assembly slots, one large and two middle: which link gets one, waits, or is evicted. */
#include "tests/core/rig.h"

/* Content for a large slot (more than a batch, less) and for a middle slot; and more than a link's
 * own store holds. */
#define VERY_LARGE_BYTES 1900000
#define LARGE_BYTES 1000000
#define MIDDLE_BYTES 100000
#define MORE_THAN_A_TAIL_BYTES 5000

/* One link holds the only large slot; another has a whole packet to send and waits for it. */
static void hold_and_wait(struct mux_link **holder, struct mux_link **waiter, size_t *len) {
    *holder = rig_connect();
    *waiter = rig_connect();
    *len = rig_packet(LARGE_BYTES, NULL);
    rig_give(*holder, packet_bytes, MORE_THAN_A_TAIL_BYTES);
    rig_give(*waiter, packet_bytes, MORE_THAN_A_TAIL_BYTES);
    assert_false(mux_link_wants_receive(*waiter));
    assert_int_equal(rig_counter(MUX_COUNT_slot_waits), 1);
}

static bool has_slot(const struct mux_link *link) {
    struct mux_link_stats stats;
    mux_link_stats(link, &stats);
    return stats.has_slot;
}

static void a_header_takes_no_slot(void **state) {
    (void)state;
    size_t len = rig_packet(LARGE_BYTES, NULL);
    for (unsigned i = 0; i < RIG_LINKS - 1; i++)
        rig_give(rig_connect(), packet_bytes, 4000);
    rig_give(rig_connect(), packet_bytes, len);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 1);
    assert_int_equal(rig_counter(MUX_COUNT_slot_waits), 0);
}

static void an_idle_holder_is_evicted(void **state) {
    (void)state;
    struct mux_link *holder, *waiter;
    size_t len;
    hold_and_wait(&holder, &waiter, &len);
    uint64_t deadline_ns = mux_deadline_ns(mux);
    assert_true(deadline_ns > now_ns && deadline_ns <= now_ns + 2 * SECOND_NS);
    rig_run(deadline_ns - 1);
    assert_null(mux_link_close_reason(holder));
    rig_run(deadline_ns);
    assert_non_null(mux_link_close_reason(holder));
    assert_false(mux_link_wants_receive(holder));
    assert_null(mux_link_close_reason(waiter));
    mux_link_ended(holder, "it ended");
    rig_run(now_ns);
    assert_true(mux_link_finished(holder));
    assert_int_equal(rig_counter(MUX_COUNT_damage_bytes), MORE_THAN_A_TAIL_BYTES);
    rig_send_up(); /* the batch refers to the slot */
    rig_give(waiter, packet_bytes + MORE_THAN_A_TAIL_BYTES, len - MORE_THAN_A_TAIL_BYTES);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 1);
    assert_int_equal(rig_counter(MUX_COUNT_links_evicted), 1);
    rig_run(now_ns + SECOND_NS);
    assert_true(mux_deadline_ns(mux) == UINT64_MAX);
}

/* A drip of bytes is not progress, however many links wait and whatever they hold. */
static void a_dripping_holder_is_evicted(void **state) {
    (void)state;
    for (unsigned waiting = 1; waiting < RIG_LINKS - 1; waiting += 6) {
        struct mux_link *holder = rig_connect(), *waiters[RIG_LINKS];
        rig_packet(LARGE_BYTES, NULL);
        rig_give(holder, packet_bytes, MORE_THAN_A_TAIL_BYTES);
        for (unsigned i = 0; i < waiting; i++) {
            waiters[i] = rig_connect();
            for (unsigned at = 0; at < 3; at++)
                rig_push(waiters[i], packet_bytes + at * 10000, 10000);
            mux_run(mux, now_ns);
        }
        uint64_t since_ns = now_ns;
        for (unsigned i = 0; i < 100 && !mux_link_close_reason(holder); i++) {
            rig_give(holder, packet_bytes + MORE_THAN_A_TAIL_BYTES + i, 1);
            rig_run(now_ns + SECOND_NS / 50);
        }
        assert_non_null(mux_link_close_reason(holder));
        /* sooner when more links wait: the slots and all waiting links share 2 s */
        uint64_t patience_ns = 2 * SECOND_NS / (1 + waiting);
        patience_ns = patience_ns < SECOND_NS / 4 ? SECOND_NS / 4 : patience_ns;
        assert_in_range(now_ns - since_ns, patience_ns, patience_ns + SECOND_NS / 10);
        mux_link_ended(holder, "it ended");
        for (unsigned i = 0; i < waiting; i++)
            mux_link_ended(waiters[i], "it ended");
        for (unsigned i = 0; i < 2 * RIG_LINKS; i++) {
            rig_run(now_ns);
            rig_send_up();
        }
        mux_link_close(holder);
        for (unsigned i = 0; i < waiting; i++) {
            assert_true(mux_link_finished(waiters[i]));
            mux_link_close(waiters[i]);
        }
    }
}

/* A holder may fall behind by a second: the slot and one waiting link share two seconds. */
static void a_bursting_holder_stays(void **state) {
    (void)state;
    struct mux_link *holder, *waiter;
    size_t len, at = MORE_THAN_A_TAIL_BYTES;
    hold_and_wait(&holder, &waiter, &len);
    for (unsigned i = 0; i < 6; i++) {
        rig_give(holder, packet_bytes + at, 131072);
        at += 131072;
        for (unsigned step = 0; step < 9; step++)
            rig_run(now_ns + SECOND_NS / 10);
        assert_null(mux_link_close_reason(holder));
    }
    for (unsigned step = 0; step < 20; step++) /* six times a tenth of a second was paid for */
        rig_run(now_ns + SECOND_NS / 10);
    assert_non_null(mux_link_close_reason(holder));
}

/* A crowd of strangers waits; a link that has sent packets before comes second. */
static void a_known_link_does_not_wait_for_a_crowd(void **state) {
    (void)state;
    struct mux_link *known[2], *strangers[10], *holder = rig_connect();
    size_t small = rig_packet(10, NULL);
    for (unsigned i = 0; i < 2; i++)
        rig_give(known[i] = rig_connect(), packet_bytes, small);
    size_t len = rig_packet(LARGE_BYTES, NULL);
    rig_give(holder, packet_bytes, MORE_THAN_A_TAIL_BYTES);
    for (unsigned i = 0; i < 10; i++)
        rig_give(strangers[i] = rig_connect(), packet_bytes, MORE_THAN_A_TAIL_BYTES);
    for (unsigned i = 0; i < 2; i++)
        rig_give(known[i], packet_bytes, MORE_THAN_A_TAIL_BYTES);
    unsigned grants = 0, got[2] = {0};
    for (struct mux_link *at = holder; grants < 5; grants++) {
        rig_give(at, packet_bytes + MORE_THAN_A_TAIL_BYTES, len - MORE_THAN_A_TAIL_BYTES);
        rig_send_up();
        at = NULL;
        for (unsigned i = 0; i < 2; i++)
            if (mux_link_wants_receive(known[i]) && !got[i]) {
                at = known[i];
                got[i] = grants + 1;
            }
        for (unsigned i = 0; i < 10 && !at; i++)
            if (has_slot(strangers[i]))
                at = strangers[i];
        assert_non_null(at);
    }
    assert_in_range(got[0], 1, 2);
    assert_in_range(got[1], 3, 4);
}

/* A burst pays for the pause behind it, whether somebody waited then or not; but not for ever. */
static void a_burst_pays_for_a_pause(void **state) {
    (void)state;
    struct mux_link *holder, *waiter;
    size_t len, at = MORE_THAN_A_TAIL_BYTES;
    hold_and_wait(&holder, &waiter, &len);
    for (unsigned i = 0; i < 2; i++) {
        rig_give(holder, packet_bytes + at, 340000);
        at += 340000;
        for (unsigned step = 0; step < 25; step++)
            rig_run(now_ns + SECOND_NS / 10);
        assert_null(mux_link_close_reason(holder));
    }
    rig_give(holder, packet_bytes + at, len - at - 1);
    uint64_t since_ns = now_ns;
    while (!mux_link_close_reason(holder) && now_ns < since_ns + 20 * SECOND_NS)
        rig_run(now_ns + SECOND_NS / 20);
    assert_in_range(now_ns - since_ns, 3 * SECOND_NS, 7 * SECOND_NS);
}

/* 1 Mbit/s is enough; and no holder is evicted when no link waits. */
static void a_slow_but_steady_holder_stays(void **state) {
    (void)state;
    struct mux_link *holder, *waiter;
    size_t len, at = MORE_THAN_A_TAIL_BYTES;
    hold_and_wait(&holder, &waiter, &len);
    while (at < len) {
        size_t some = len - at < 14000 ? len - at : 14000;
        rig_give(holder, packet_bytes + at, some);
        at += some;
        rig_run(now_ns + SECOND_NS / 10);
        assert_null(mux_link_close_reason(holder));
    }
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 1);
    rig_send_up();
    assert_true(mux_link_wants_receive(waiter));
    rig_run(now_ns + 100 * SECOND_NS);
    assert_null(mux_link_close_reason(waiter));
}

/* When muxd itself was stopped for a while, the holder gets another window. */
static void our_own_delay_is_no_reason(void **state) {
    (void)state;
    struct mux_link *holder, *waiter;
    size_t len;
    hold_and_wait(&holder, &waiter, &len);
    rig_run(now_ns + 10 * SECOND_NS);
    assert_null(mux_link_close_reason(holder));
    rig_run(mux_deadline_ns(mux));
    assert_non_null(mux_link_close_reason(holder));
}

/* At most as many holders are evicted as links wait; middle and large slots are judged apart. */
static void at_most_one_eviction_for_each_that_waits(void **state) {
    (void)state;
    struct mux_link *holders[3], *waiter;
    rig_packet(MIDDLE_BYTES, NULL);
    for (unsigned i = 0; i < 2; i++)
        rig_give(holders[i] = rig_connect(), packet_bytes, MORE_THAN_A_TAIL_BYTES);
    rig_packet(LARGE_BYTES, NULL);
    rig_give(holders[2] = rig_connect(), packet_bytes, MORE_THAN_A_TAIL_BYTES);
    rig_packet(MIDDLE_BYTES, NULL);
    rig_give(waiter = rig_connect(), packet_bytes, MORE_THAN_A_TAIL_BYTES);
    rig_run(mux_deadline_ns(mux));
    assert_non_null(mux_link_close_reason(holders[0]));
    assert_null(mux_link_close_reason(holders[1]));
    assert_null(mux_link_close_reason(holders[2]));
}

/* When more links wait than there are slots, holders have less time. */
static void crowded(void **state) {
    (void)state;
    rig_packet(LARGE_BYTES, NULL);
    struct mux_link *holder = rig_connect();
    rig_give(holder, packet_bytes, MORE_THAN_A_TAIL_BYTES);
    for (unsigned i = 0; i < 3; i++)
        rig_give(rig_connect(), packet_bytes, MORE_THAN_A_TAIL_BYTES);
    rig_run(mux_deadline_ns(mux)); /* the end of the window that was open */
    assert_non_null(mux_link_close_reason(holder));
    mux_link_ended(holder, "it ended");
    rig_run(now_ns);
    rig_send_up();
    assert_true(mux_deadline_ns(mux) <= now_ns + SECOND_NS);
}

/* A link that must wait for a batch to be sent does not hold up the others. */
static void a_pinned_store_stops_only_its_own_link(void **state) {
    (void)state;
    struct mux_link *link = rig_connect(), *other = rig_connect();
    size_t len = rig_packet(LARGE_BYTES, NULL);
    /* packets follow each other in the same slot while nothing is sent */
    for (size_t at = 0; mux_link_wants_receive(link) && at < 12 * len;) {
        size_t in_packet = at % len, some = len - in_packet;
        some = some < 40000 ? some : 40000;
        rig_push(link, packet_bytes + in_packet, some);
        at += some;
        mux_run(mux, now_ns);
    }
    uint64_t before = rig_counter(MUX_COUNT_received_packets);
    size_t small = rig_packet(10, NULL);
    rig_give(other, packet_bytes, small);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), before + 1);
    rig_send_up();
    assert_true(mux_link_wants_receive(link));
}

/* More than a packet's head and its tail with a segment and a CRC. */
#define AROUND_BYTES 300

/* A packet that straddles buffers is copied into a slot, and leaves from there. */
static void a_straddling_packet_is_copied_once(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    size_t large = rig_packet(MIDDLE_BYTES, NULL);
    assert_true(large > RIG_INPUT_BYTES);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t before = rig_counter(MUX_COUNT_body_bytes_copied);
        rig_give(link, packet_bytes, large);
        rig_send_up();
        uint64_t copied = rig_counter(MUX_COUNT_body_bytes_copied) - before;
        assert_in_range(copied, large, large + AROUND_BYTES);
    }
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 4);
    assert_false(has_slot(link));
}

/* A packet that lies in one buffer leaves from there, though its neighbour straddles two. */
static void a_packet_in_one_buffer_is_not_copied(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    const size_t len = rig_packet(RIG_INPUT_BYTES / 4, NULL);
    const unsigned count = 40;
    for (unsigned i = 1; i < count; i++)
        memcpy(packet_bytes + i * len, packet_bytes, len);
    for (size_t at = 0; at < count * len; at += RIG_INPUT_BYTES) {
        size_t some = count * len - at < RIG_INPUT_BYTES ? count * len - at : RIG_INPUT_BYTES;
        rig_give(link, packet_bytes + at, some);
        rig_send_up(); /* slots come back */
    }
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), count);
    /* of four, one straddles */
    assert_in_range(rig_counter(MUX_COUNT_body_bytes_referenced), count * len * 9 / 10,
                    count * len);
    assert_in_range(rig_counter(MUX_COUNT_body_bytes_copied), count * len / 4,
                    count * len / 3 + count * AROUND_BYTES);
}

/* Under back-pressure nothing is received before its place is known. */
static void the_next_large_packet_waits(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    size_t large = rig_packet(MIDDLE_BYTES, NULL);
    for (size_t at = 0; mux_link_wants_receive(link); at++) {
        assert_true(at < 12 * large);
        rig_give(link, packet_bytes + at % large, 1);
    }
    rig_send_up();
    assert_true(mux_link_wants_receive(link));
}

/* While a batch is in flight small packets go in front of one that is a batch by itself. */
static void small_packets_pass_a_very_large_one(void **state) {
    (void)state;
    struct mux_link *large = rig_connect(), *small = rig_connect();
    size_t len = rig_packet(10, NULL);
    rig_give(small, packet_bytes, len);
    assert_non_null(mux_upstream_take(mux));
    len = rig_packet(VERY_LARGE_BYTES, NULL);
    rig_give(large, packet_bytes, len);
    len = rig_packet(10, NULL);
    rig_give(small, packet_bytes, len);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 2);
    assert_true(mux_busy(mux));
    mux_upstream_sent(mux);
    mux_run(mux, now_ns);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 3);
    size_t at = 0;
    struct mux_packet packet;
    rig_send_up();
    assert_true(rig_next_up(&at, &packet));
    assert_int_equal(packet.file_content.len, 10);
    assert_true(rig_next_up(&at, &packet));
    assert_int_equal(packet.file_content.len, VERY_LARGE_BYTES);
    assert_false(mux_busy(mux));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_header_takes_no_slot),
        RIG_TEST(an_idle_holder_is_evicted),
        RIG_TEST(a_dripping_holder_is_evicted),
        RIG_TEST(a_bursting_holder_stays),
        RIG_TEST(a_burst_pays_for_a_pause),
        RIG_TEST(a_known_link_does_not_wait_for_a_crowd),
        RIG_TEST(a_slow_but_steady_holder_stays),
        RIG_TEST(our_own_delay_is_no_reason),
        RIG_TEST(at_most_one_eviction_for_each_that_waits),
        RIG_TEST(crowded),
        RIG_TEST(a_pinned_store_stops_only_its_own_link),
        RIG_TEST(a_straddling_packet_is_copied_once),
        RIG_TEST(a_packet_in_one_buffer_is_not_copied),
        RIG_TEST(the_next_large_packet_waits),
        RIG_TEST(small_packets_pass_a_very_large_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
