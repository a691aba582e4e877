#include "tests/transport/suites.h"
#include <string.h>

#define MANY_BYTES (3 * 1024 * 1024)

static void receive_both(struct end *ends[2]) {
    end_receive(ends[0], true);
    end_receive(ends[1], true);
}

static void exchange(void **state, struct world_options options, uint64_t bytes, size_t send_most,
                     size_t span_most, unsigned events_most) {
    struct world *world = world_open(state, options);
    struct end *ends[2];
    world->events_most = events_most;
    carrier_pair(world, ends);
    receive_both(ends);
    end_send(ends[0], bytes, send_most, span_most);
    end_send(ends[1], bytes, send_most, span_most);
    WAIT(world, ends[0]->in_bytes == bytes && ends[1]->in_bytes == bytes);
    WAIT(world, ends[0]->out_sent == bytes && ends[1]->out_sent == bytes);
    assert_received_all(ends[0], ends[1]);
    assert_received_all(ends[1], ends[0]);
    world_close(world);
}

static void both_ways_at_once(void **state) {
    exchange(state, (struct world_options){0}, MANY_BYTES, SEND_MOST_BYTES, 40000, 64);
}

static void within_one_engine(void **state) {
    exchange(state, (struct world_options){.one_engine = true}, MANY_BYTES, SEND_MOST_BYTES, 9000,
             64);
}

static void one_event_a_poll(void **state) {
    exchange(state, (struct world_options){.one_engine = true}, 500000, 30000, 5000, 1);
}

static void tiny_pieces(void **state) {
    exchange(state, (struct world_options){0}, 5000, 7, 2, 64);
}

static void small_buffers(void **state) {
    exchange(state, (struct world_options){.buffer_bytes = 512, .buffers = 6, .reserve_buffers = 3},
             300000, 20000, 3000, 64);
}

static void longest_gather_list(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    receive_both(ends);
    size_t most = world->near->ops->caps(world->near->transport)->gather_max;
    assert_true(most >= 3 && most <= SPANS_MOST);
    for (size_t span_bytes = 1; span_bytes < 90; span_bytes += 40) {
        end_send_spans(ends[0], most, span_bytes);
        WAIT(world, ends[0]->out_sent == ends[0]->out_total);
    }
    WAIT(world, ends[1]->in_bytes == ends[0]->out_total);
    assert_received_all(ends[1], ends[0]);
    world_close(world);
}

static void empty_gather_list_is_sent(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    end_receive(ends[1], true);
    end_send_spans(ends[0], 0, 0);
    WAIT(world, !ends[0]->sending);
    end_send_spans(ends[0], 3, 0);
    WAIT(world, !ends[0]->sending);
    end_send_spans(ends[0], 3, 5);
    WAIT(world, ends[1]->in_bytes == 15);
    assert_received_all(ends[1], ends[0]);
    world_close(world);
}

static void nothing_comes_unless_wanted(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    end_send(ends[0], 1000, 100, 100);
    WAIT(world, ends[0]->out_sent == 1000);
    world_run(world, 50);
    assert_int_equal(ends[1]->in_events, 0);
    end_receive(ends[1], true);
    WAIT(world, ends[1]->in_bytes == 1000);
    assert_received_all(ends[1], ends[0]);
    world_close(world);
}

/* Offers one room after the other, of any length, until all bytes came; repeats lapsed offers. */
static void receive_into_rooms(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    const uint64_t total = 1000000;
    carrier_pair(world, ends);
    end_receive(ends[1], true);
    end_send(ends[0], total, 60000, 30000);
    unsigned rooms = 0, filled = 0;
    while (ends[1]->in_bytes < total) {
        uint64_t left = total - ends[1]->in_bytes;
        size_t len = 1 + world_random(world, 100000);
        end_receive(ends[1], true);
        end_offer(ends[1], len < left ? len : (size_t)left);
        rooms++;
        WAIT(world, !ends[1]->room || ends[1]->room_filled > 0);
        filled += ends[1]->room != NULL;
    }
    assert_received_all(ends[1], ends[0]);
    assert_true(filled > 0);
    assert_int_equal(filled + ends[1]->lapsed, rooms);
    world_close(world);
}

/* A filled room turns receiving off; turned on again it continues into buffers. */
static void buffers_after_a_room(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    end_receive(ends[1], true);
    end_offer(ends[1], 5000);
    world_run(world, 20);
    end_send(ends[0], 200000, 50000, 10000);
    WAIT(world, ends[1]->in_bytes > 0);
    if (ends[1]->lapsed == 0) {
        world_run(world, 50);
        assert_int_equal(ends[1]->in_events, 1);
        assert_true(ends[1]->in_bytes <= 5000);
        end_receive(ends[1], true);
    }
    WAIT(world, ends[1]->in_bytes == 200000);
    assert_received_all(ends[1], ends[0]);
    world_close(world);
}

/* A room does not wait for a buffer: it is filled while the user has every buffer. */
static void room_needs_no_buffer(void **state) {
    struct world *world = world_open(
        state, (struct world_options){.buffers = 4, .reserve_buffers = 2, .buffer_bytes = 4096});
    struct end *ends[2];
    carrier_pair(world, ends);
    ends[1]->hold = true;
    end_receive(ends[1], true);
    end_send(ends[0], 100000, 50000, 10000);
    WAIT(world, ends[1]->held_count == 2);
    world_run(world, 20);
    assert_int_equal(ends[1]->held_count, 2);
    while (ends[1]->in_bytes < 100000) {
        end_receive(ends[1], true);
        end_offer(ends[1], 100000 - (size_t)ends[1]->in_bytes);
        WAIT(world, ends[1]->room_filled > 0);
    }
    assert_int_equal(ends[1]->held_count, 2);
    assert_received_all(ends[1], ends[0]);
    world_close(world);
}

/* Does the near end of a pair receive into large buffers? Not what is attached, nor other stacks.
 */
static bool has_large(const struct world *world) {
    const struct carrier *carrier = world->carrier;
    return carrier->listens && !carrier->is_wire && !carrier->is_rdma;
}

/* As long as much comes at a time, and no longer. */
static void much_comes_into_large_buffers(void **state) {
    struct world *world = world_open(
        state,
        (struct world_options){.buffer_bytes = 4096, .large_buffers = 2, .large_bytes = 65536});
    struct end *ends[2];
    carrier_pair(world, ends);
    if (!has_large(world)) {
        world_close(world);
        skip();
    }
    end_send(ends[1], 2000000, 60000, 30000);
    world_run(world, 10);
    end_receive(ends[0], true);
    WAIT(world, ends[0]->in_bytes == 2000000 && !ends[1]->sending);
    assert_true(ends[0]->in_most_bytes > 4096);
    for (unsigned i = 1; i <= 20; i++) {
        end_send(ends[1], 100, 100, 100);
        WAIT(world, ends[0]->in_bytes == 2000000 + 100 * i && !ends[1]->sending);
    }
    assert_int_equal(ends[0]->in_buffer_bytes, 4096);
    assert_received_all(ends[0], ends[1]);
    world_close(world);
}

/* Another connection holds all large buffers: one that waits for them is told so. */
static void large_buffers_are_waited_for(void **state) {
    struct world *world = world_open(
        state,
        (struct world_options){.buffer_bytes = 4096, .large_buffers = 2, .large_bytes = 65536});
    struct end *holder[2], *other[2];
    carrier_pair(world, holder);
    carrier_pair(world, other);
    if (!has_large(world)) {
        world_close(world);
        skip();
    }
    holder[0]->hold = true;
    end_send(holder[1], 500000, 50000, 20000);
    end_send(other[1], 100000, 50000, 20000);
    world_run(world, 10);
    end_receive(holder[0], true);
    WAIT(world, holder[0]->in_buffer_bytes == 65536 && holder[0]->starved_count > 0);
    end_receive(other[0], true);
    WAIT(world, other[0]->starved_count > 0);
    uint64_t before = other[0]->in_bytes;
    end_offer(other[0], 3000);
    WAIT(world, other[0]->in_bytes > before);
    end_receive(other[0], true);
    holder[0]->hold = false;
    end_release_all(holder[0]);
    WAIT(world, other[0]->in_bytes == 100000 && holder[0]->in_bytes == 500000);
    assert_received_all(other[0], other[1]);
    assert_received_all(holder[0], holder[1]);
    world_close(world);
}

/*
 * Peers whose sockets are always full, as little is received in a step, have turns with the large
 * buffers. Each turn ends.
 */
static void turns_with_large_buffers_end(void **state) {
    struct world *world = world_open(
        state,
        (struct world_options){.buffer_bytes = 4096, .large_buffers = 2, .large_bytes = 8192});
    struct end *streams[3][2], *other[2];
    for (unsigned i = 0; i < 3; i++)
        carrier_pair(world, streams[i]);
    carrier_pair(world, other);
    if (!has_large(world)) {
        world_close(world);
        skip();
    }
    for (unsigned i = 0; i < 3; i++) {
        end_send(streams[i][1], UINT64_MAX, SEND_MOST_BYTES, SEND_MOST_BYTES);
        end_receive(streams[i][0], true);
    }
    WAIT(world, streams[0][0]->in_buffer_bytes == 8192);
    end_send(other[1], 1000000, SEND_MOST_BYTES, SEND_MOST_BYTES);
    end_receive(other[0], true);
    WAIT(world, other[0]->in_bytes == 1000000);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t before = streams[i][0]->in_bytes;
        WAIT(world, streams[i][0]->in_bytes > before + 100000);
        assert_received_prefix(streams[i][0], streams[i][1]);
    }
    assert_received_all(other[0], other[1]);
    world_close(world);
}

int run_stream_tests(struct setup *setup) {
    const struct CMUnitTest tests[] = {
        TEST(both_ways_at_once, setup),
        TEST(within_one_engine, setup),
        TEST(one_event_a_poll, setup),
        TEST(tiny_pieces, setup),
        TEST(small_buffers, setup),
        TEST(longest_gather_list, setup),
        TEST(empty_gather_list_is_sent, setup),
        TEST(nothing_comes_unless_wanted, setup),
        TEST(receive_into_rooms, setup),
        TEST(buffers_after_a_room, setup),
        TEST(room_needs_no_buffer, setup),
        TEST(much_comes_into_large_buffers, setup),
        TEST(large_buffers_are_waited_for, setup),
        TEST(turns_with_large_buffers_end, setup),
    };
    return RUN_TESTS(tests, setup);
}
