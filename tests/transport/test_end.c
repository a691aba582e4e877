#include "tests/transport/suites.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MORE_THAN_FITS (64 * 1024 * 1024)

static bool is_reset(const struct end *end) {
    return end->error == ECONNRESET || end->error == EPIPE;
}

static void finish_ends_one_direction(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    end_receive(ends[0], true);
    end_receive(ends[1], true);
    ends[0]->finish_at_end = true;
    end_send(ends[0], 300000, 50000, 20000);
    WAIT(world, ends[1]->ended);
    assert_received_all(ends[1], ends[0]);
    assert_false(ends[0]->ended);
    ends[1]->finish_at_end = true;
    end_send(ends[1], 300000, 50000, 20000); /* the other direction still works */
    WAIT(world, ends[0]->ended);
    assert_received_all(ends[0], ends[1]);
    assert_false(ends[0]->lost || ends[1]->lost);
    world_close(world);
}

/* finish() with a send in flight: the end comes after it. */
static void finish_waits_for_the_send(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    end_send_spans(ends[0], 1, SEND_MOST_BYTES);
    end_finish(ends[0]);
    end_receive(ends[1], true);
    WAIT(world, ends[1]->ended);
    assert_received_all(ends[1], ends[0]);
    assert_false(ends[0]->sending);
    world_close(world);
}

static void finish_without_a_byte(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    end_receive(ends[1], true);
    end_finish(ends[0]);
    WAIT(world, ends[1]->ended);
    assert_int_equal(ends[1]->in_bytes, 0);
    world_close(world);
}

/* Closed after everything was sent: the other side gets all of it, then the end. */
static void sent_bytes_outlive_close(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    end_send(ends[0], 40000, 5000, 3000);
    WAIT(world, ends[0]->out_sent == 40000);
    end_close(ends[0]);
    WAIT(world, ends[0]->closed);
    assert_int_equal(ends[0]->closed_sent_bytes, 0); /* no send was in flight */
    end_receive(ends[1], true);
    WAIT(world, ends[1]->ended);
    assert_received_all(ends[1], ends[0]);
    world_close(world);
}

/* A send that can never complete is cut off: CLOSED reports exactly how much was sent. */
static void close_with_a_send_in_flight(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    end_send(ends[0], MORE_THAN_FITS, SEND_MOST_BYTES, SEND_MOST_BYTES);
    uint64_t before;
    do {
        before = ends[0]->out_sent;
        world_run(world, 150);
    } while (ends[0]->out_sent != before);
    assert_true(ends[0]->sending);
    uint64_t unacknowledged = transport_unacknowledged(ends[0]->conn);
    end_close(ends[0]);
    WAIT(world, ends[0]->closed); /* the send's memory is overwritten from now on */
    uint64_t out = ends[0]->out_sent + ends[0]->closed_sent_bytes;
    assert_true(ends[0]->in_doubt_bytes <= out);
    assert_true(world->carrier->is_tcp ? ends[0]->in_doubt_bytes > 0 : !ends[0]->in_doubt_bytes);
    assert_true(!world->carrier->is_tcp || unacknowledged > 0);
    end_receive(ends[1], true);
    WAIT(world, ends[1]->ended || ends[1]->lost);
    assert_received_prefix(ends[1], ends[0]);
    assert_true(ends[1]->in_bytes <= out);
    if (ends[1]->ended)
        assert_int_equal(ends[1]->in_bytes, out);
    world_close(world);
}

/* No acknowledged byte is in doubt. */
static void nothing_in_doubt_when_all_arrived(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    end_receive(ends[1], true);
    end_send(ends[0], 100000, 5000, 3000);
    WAIT(world, ends[1]->in_bytes == 100000);
    WAIT(world, transport_unacknowledged(ends[0]->conn) == 0);
    WAIT(world, !ends[0]->sending);
    end_finish(ends[0]);
    WAIT(world, ends[1]->ended);
    end_close(ends[0]);
    WAIT(world, ends[0]->closed);
    assert_int_equal(ends[0]->in_doubt_bytes, 0);
    world_close(world);
}

/* The peer closes in the middle of our send. */
static void peer_goes_during_a_send(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    end_send(ends[0], MORE_THAN_FITS, SEND_MOST_BYTES, SEND_MOST_BYTES);
    world_run(world, 50);
    end_close(ends[1]);
    WAIT(world, ends[0]->lost);
    assert_true(is_reset(ends[0]));
    assert_true(strcmp(ends[0]->operation, "send") == 0 ||
                strcmp(ends[0]->operation, "receive") == 0);
    assert_true(ends[0]->sending); /* its memory is the transport's until CLOSED */
    end_close(ends[0]);
    WAIT(world, ends[0]->closed);
    world_close(world);
}

/* The peer closes with bytes of ours unread: where that resets, it is a loss and no plain end. */
static void peer_closes_with_data_unread(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    end_send(ends[0], 5000, 5000, 5000);
    WAIT(world, ends[0]->out_sent == 5000);
    world_run(world, 20); /* it has arrived */
    end_close(ends[1]);
    WAIT(world, ends[1]->closed);
    end_receive(ends[0], true);
    WAIT(world, ends[0]->lost || ends[0]->ended);
    if (world->carrier->one_channel) {
        assert_true(ends[0]->lost);
        assert_int_equal(ends[0]->error, ECONNRESET);
        assert_string_equal(ends[0]->operation, "receive");
    }
    world_close(world);
}

/*
 * The peer wrote its last bytes and closed, with bytes of ours unread. Our next send fails, but its
 * bytes come first, even though receiving was paused.
 */
static void last_bytes_come_before_the_loss(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    end_send(ends[0], 100, 100, 100);
    end_send(ends[1], 9000, 9000, 9000);
    WAIT(world, ends[1]->out_sent == 9000 && ends[0]->out_sent == 100);
    world_run(world, 20);
    end_close(ends[1]);
    WAIT(world, ends[1]->closed);
    world_run(world, 20);
    end_send(ends[0], 50000, 50000, 50000);
    world_run(world, 50);
    assert_false(ends[0]->lost);
    end_receive(ends[0], true);
    WAIT(world, ends[0]->lost);
    assert_received_all(ends[0], ends[1]);
    world_close(world);
}

/* A failed send is reported, also while receiving is paused, when no bytes must be read first. */
static void failed_send_is_reported_while_paused(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    end_close(ends[1]);
    WAIT(world, ends[1]->closed);
    end_send(ends[0], MORE_THAN_FITS, 5000, 5000);
    WAIT(world, ends[0]->lost);
    assert_true(is_reset(ends[0]));
    assert_string_equal(ends[0]->operation, "send");
    world_close(world);
}

static void close_while_waiting_for_a_buffer(void **state) {
    struct world *world = world_open(
        state, (struct world_options){.buffers = 4, .reserve_buffers = 2, .buffer_bytes = 1024});
    struct end *holder[2], *waiter[2];
    carrier_pair(world, holder);
    carrier_pair(world, waiter);
    holder[0]->hold = true;
    end_receive(holder[0], true);
    end_send(holder[1], 20000, 20000, 20000);
    WAIT(world, holder[0]->held_count == 2);
    end_receive(waiter[0], true);
    end_send(waiter[1], 20000, 20000, 20000);
    world_run(world, 20);
    assert_int_equal(waiter[0]->in_events, 0);
    end_close(waiter[0]);
    holder[0]->hold = false;
    end_release_all(holder[0]);
    WAIT(world, waiter[0]->closed);
    WAIT(world, holder[0]->in_bytes == 20000);
    world_close(world);
}

static void close_with_a_room_offered(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    end_receive(ends[0], true);
    end_offer(ends[0], 10000);
    world_run(world, 10);
    end_close(ends[0]);
    WAIT(world, ends[0]->closed);
    world_close(world);
}

/* The peer ends when a room is half full: the bytes are reported, then the end. */
static void end_with_a_room_half_full(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    end_receive(ends[0], true);
    end_offer(ends[0], 10000);
    end_receive(ends[0], true);
    ends[1]->finish_at_end = true;
    end_send(ends[1], 3000, 1000, 1000);
    WAIT(world, ends[0]->in_bytes > 0);
    end_receive(ends[0], true);
    WAIT(world, ends[0]->ended);
    assert_received_all(ends[0], ends[1]);
    world_close(world);
}

/* close() ends connections in any state, once each: world_close() checks that. */
static void close_at_any_moment(void **state) {
    struct world *world = world_open(state, (struct world_options){.conns_max = 300});
    for (unsigned i = 0; i < 60; i++) {
        struct end *ends[2];
        carrier_pair(world, ends);
        end_receive(ends[0], world_random(world, 2));
        end_receive(ends[1], world_random(world, 2));
        end_send(ends[world_random(world, 2)], 100000, 50000, 50000);
        for (uint64_t steps = world_random(world, 6); steps > 0; steps--)
            world_step(world);
        end_close(ends[world_random(world, 2)]);
    }
    world_close(world);
}

int run_end_tests(struct setup *setup) {
    const struct CMUnitTest tests[] = {
        TEST(finish_ends_one_direction, setup),
        TEST(finish_waits_for_the_send, setup),
        TEST(finish_without_a_byte, setup),
        TEST(sent_bytes_outlive_close, setup),
        TEST(close_with_a_send_in_flight, setup),
        TEST(nothing_in_doubt_when_all_arrived, setup),
        TEST(peer_goes_during_a_send, setup),
        TEST(peer_closes_with_data_unread, setup),
        TEST(failed_send_is_reported_while_paused, setup),
        TEST(close_while_waiting_for_a_buffer, setup),
        TEST(close_with_a_room_offered, setup),
        TEST(end_with_a_room_half_full, setup),
        TEST(close_at_any_moment, setup),
    };
    const struct CMUnitTest channel_tests[] = {TEST(last_bytes_come_before_the_loss, setup)};
    int failed = RUN_TESTS(tests, setup);
    return setup->carrier->one_channel ? failed + RUN_TESTS(channel_tests, setup) : failed;
}
