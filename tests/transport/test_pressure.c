#include "tests/transport/suites.h"
#include <string.h>

/* More than the kernel's buffers of any carrier hold, so that sending must stop. */
#define MORE_THAN_FITS (64 * 1024 * 1024)

/* Sending has stopped when nothing was sent for this time. */
#define QUIET_MS 150

static void wait_until_stuck(struct world *world, const struct end *end) {
    uint64_t before;
    do {
        before = end->out_sent;
        world_run(world, QUIET_MS);
    } while (end->out_sent != before);
}

static void paused_receiver_holds_the_sender(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    end_send(ends[0], MORE_THAN_FITS, SEND_MOST_BYTES, SEND_MOST_BYTES);
    wait_until_stuck(world, ends[0]);
    assert_true(ends[0]->sending && ends[0]->out_sent < MORE_THAN_FITS);
    ends[0]->out_total = ends[0]->out_handed; /* enough */
    end_receive(ends[1], true);
    WAIT(world, ends[1]->in_bytes == ends[0]->out_total);
    WAIT(world, !ends[0]->sending);
    assert_received_all(ends[1], ends[0]);
    world_close(world);
}

/* Bytes in flight at the pause may still come, but none that were sent after it. */
static void nothing_comes_while_paused(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    end_receive(ends[1], true);
    end_send(ends[0], 5000, 5000, 5000);
    WAIT(world, ends[1]->in_bytes == 5000);
    end_receive(ends[1], false);
    world_run(world, 20);
    WAIT(world, !ends[0]->sending);
    end_send(ends[0], 5000, 5000, 5000);
    world_run(world, 50);
    assert_int_equal(ends[1]->in_bytes, 5000);
    WAIT(world, transport_unread(ends[1]->conn));
    end_receive(ends[1], true);
    WAIT(world, ends[1]->in_bytes == 10000);
    assert_false(transport_unread(ends[1]->conn));
    assert_received_all(ends[1], ends[0]);
    world_close(world);
}

static void pause_and_resume_in_quick_succession(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct end *ends[2];
    carrier_pair(world, ends);
    end_send(ends[0], 2000000, 50000, 20000);
    for (unsigned i = 0; ends[1]->in_bytes < 2000000 && i < 20000; i++) {
        end_receive(ends[1], world_random(world, 2));
        if (world_random(world, 3) == 0)
            end_receive(ends[1], world_random(world, 2));
        if (world_random(world, 2))
            world_step(world);
    }
    end_receive(ends[1], true);
    WAIT(world, ends[1]->in_bytes == 2000000);
    assert_received_all(ends[1], ends[0]);
    world_close(world);
}

static void held_buffers_pause_receiving(void **state) {
    struct world *world = world_open(
        state, (struct world_options){.buffers = 8, .reserve_buffers = 4, .buffer_bytes = 4096});
    struct end *ends[2];
    carrier_pair(world, ends);
    ends[1]->hold = true;
    end_receive(ends[1], true);
    end_send(ends[0], 500000, 50000, 20000);
    WAIT(world, ends[1]->held_count == 4);
    world_run(world, 30);
    assert_int_equal(ends[1]->held_count, 4);
    while (ends[1]->in_bytes < 500000) {
        WAIT(world, ends[1]->held_count > 0);
        end_release(ends[1]);
        world_step(world);
    }
    assert_received_all(ends[1], ends[0]);
    world_close(world);
}

/* All buffers are held: starved connections receive into rooms, or into buffers when some come. */
static void starved_connections_receive_into_rooms(void **state) {
    struct world *world = world_open(
        state, (struct world_options){.buffers = 8, .reserve_buffers = 4, .buffer_bytes = 4096});
    struct end *holder[2], *other[2];
    carrier_pair(world, holder);
    carrier_pair(world, other);
    holder[1]->hold = true;
    end_receive(holder[1], true);
    end_send(holder[0], 500000, 50000, 20000);
    WAIT(world, holder[1]->held_count == 4);
    end_receive(other[1], true);
    end_send(other[0], 20000, 5000, 5000);
    for (uint64_t before = 0; before < 10000; before = other[1]->in_bytes) {
        WAIT(world, other[1]->starved_count > 0);
        other[1]->starved_count = 0;
        end_offer(other[1], 3000);
        WAIT(world, other[1]->in_bytes > before);
        end_receive(other[1], true);
    }
    assert_int_equal(holder[1]->held_count, 4);
    WAIT(world, other[1]->starved_count > 0);
    holder[1]->hold = false;
    end_release_all(holder[1]);
    WAIT(world, other[1]->in_bytes == 20000 && holder[1]->in_bytes == 500000);
    assert_received_all(other[1], other[0]);
    assert_received_all(holder[1], holder[0]);
    world_close(world);
}

/* Buffers come back after the connections that waited for them have closed: others get them. */
static void buffers_pass_on_from_closed_connections(void **state) {
    struct world *world = world_open(
        state, (struct world_options){.buffers = 4, .reserve_buffers = 2, .buffer_bytes = 1024});
    struct end *holder[2], *paused[2], *closed[2];
    carrier_pair(world, holder);
    carrier_pair(world, paused);
    carrier_pair(world, closed);
    holder[0]->hold = true;
    end_receive(holder[0], true);
    end_send(holder[1], 20000, 20000, 20000);
    WAIT(world, holder[0]->held_count == 2);
    end_receive(paused[0], true);
    end_receive(closed[0], true);
    end_send(paused[1], 20000, 20000, 20000);
    end_send(closed[1], 20000, 20000, 20000);
    world_run(world, 20);
    end_receive(holder[0], false);
    holder[0]->hold = false;
    end_release_all(holder[0]);
    end_receive(paused[0], false);
    end_close(closed[0]);
    end_receive(holder[0], true);
    WAIT(world, holder[0]->in_bytes == 20000);
    assert_received_all(holder[0], holder[1]);
    world_close(world);
}

#define CROWD 40
#define CROWD_BUFFERS 8

/* The whole crowd sends more than will ever be read; accepted ends keep every buffer. */
static void gather_crowd(struct world *world, struct end *crowd[CROWD]) {
    struct end *pair[2];
    for (unsigned i = 0; i < CROWD; i++) {
        carrier_pair(world, pair);
        crowd[i] = pair[0];
        crowd[i]->hold = true;
        end_send(pair[1], MORE_THAN_FITS, 8192, 8192);
    }
    world_run(world, 20); /* all of them have bytes waiting from now on */
    for (unsigned i = 0; i < CROWD; i++)
        end_receive(crowd[i], true);
}

/* One end of the crowd gives a buffer back, each in turn. */
static void release_one(struct end *crowd[CROWD], unsigned *next) {
    while (crowd[*next % CROWD]->held_count == 0)
        ++*next;
    end_release(crowd[(*next)++ % CROWD]);
}

static unsigned held_by(struct end *crowd[CROWD]) {
    unsigned held = 0;
    for (unsigned i = 0; i < CROWD; i++)
        held += crowd[i]->held_count;
    return held;
}

static unsigned served_least(struct end *crowd[CROWD]) {
    unsigned least = UINT32_MAX;
    for (unsigned i = 0; i < CROWD; i++)
        least = crowd[i]->in_events < least ? crowd[i]->in_events : least;
    return least;
}

/* With all buffers held, each that comes back goes to the connection that waits longest. */
static void waiting_ones_are_served_in_turn(void **state) {
    struct world *world = world_open(
        state,
        (struct world_options){.buffers = CROWD_BUFFERS + 4,
                               .reserve_buffers =
                                   ((struct setup *)*state)->carrier->listens ? 4 : CROWD_BUFFERS,
                               .buffer_bytes = 1024,
                               .conns_max = 2 * CROWD});
    struct end *crowd[CROWD];
    gather_crowd(world, crowd);
    WAIT(world, held_by(crowd) == CROWD_BUFFERS);
    unsigned released = 0, next = 0;
    while (served_least(crowd) < 3) {
        WAIT(world, held_by(crowd) == CROWD_BUFFERS);
        release_one(crowd, &next);
        released++;
        assert_true(released < 3 * 3 * CROWD); /* some were served repeatedly, others not */
    }
    world_close(world);
}

/*
 * The pool of accepted connections is used up; connections made by connect() still receive. In one
 * engine each pair has an end in either pool.
 */
static void reserve_pool_is_apart(void **state) {
    struct world *world = world_open(state, (struct world_options){.buffers = CROWD_BUFFERS + 4,
                                                                   .reserve_buffers = 4,
                                                                   .buffer_bytes = 1024,
                                                                   .conns_max = 2 * CROWD,
                                                                   .one_engine = true});
    struct end *holder[2], *other[2];
    carrier_pair(world, holder);
    carrier_pair(world, other);
    holder[0]->hold = true;
    end_receive(holder[0], true);
    end_send(holder[1], MORE_THAN_FITS, 8192, 8192);
    WAIT(world, holder[0]->held_count == CROWD_BUFFERS);
    end_receive(other[1], true); /* the connecting end */
    end_send(other[0], 50000, 5000, 5000);
    WAIT(world, other[1]->in_bytes == 50000);
    assert_received_all(other[1], other[0]);
    assert_int_equal(holder[0]->held_count, CROWD_BUFFERS);
    world_close(world);
}

/* One connection always has more bytes, others have few now and then: these do not wait for it. */
static void busy_connection_starves_no_other(void **state, unsigned events_most) {
    struct world *world = world_open(
        state, (struct world_options){.buffer_bytes = 1024, .one_engine = true, .conns_max = 80});
    struct end *busy[2], *quiet[16][2];
    world->events_most = events_most;
    carrier_pair(world, busy);
    end_receive(busy[0], true);
    end_send(busy[1], MORE_THAN_FITS, SEND_MOST_BYTES, SEND_MOST_BYTES);
    for (unsigned i = 0; i < 16; i++) {
        carrier_pair(world, quiet[i]);
        end_receive(quiet[i][0], true);
    }
    WAIT(world, busy[0]->in_events > 100);
    for (unsigned i = 0; i < 16; i++)
        end_send(quiet[i][1], 500, 500, 500);
    unsigned before = busy[0]->in_events;
    for (unsigned i = 0; i < 16; i++)
        WAIT(world, quiet[i][0]->in_bytes == 500);
    assert_true(busy[0]->in_events - before < 2000);
    world_close(world);
}

static void no_connection_starves(void **state) {
    busy_connection_starves_no_other(state, 64);
}

static void no_connection_starves_at_one_event_a_poll(void **state) {
    busy_connection_starves_no_other(state, 1);
}

int run_pressure_tests(struct setup *setup) {
    const struct CMUnitTest tests[] = {
        TEST(paused_receiver_holds_the_sender, setup),
        TEST(nothing_comes_while_paused, setup),
        TEST(pause_and_resume_in_quick_succession, setup),
        TEST(held_buffers_pause_receiving, setup),
        TEST(starved_connections_receive_into_rooms, setup),
        TEST(buffers_pass_on_from_closed_connections, setup),
        TEST(waiting_ones_are_served_in_turn, setup),
        TEST(no_connection_starves, setup),
        TEST(no_connection_starves_at_one_event_a_poll, setup),
    };
    const struct CMUnitTest pool_tests[] = {TEST(reserve_pool_is_apart, setup)};
    int failed = RUN_TESTS(tests, setup);
    return setup->carrier->listens ? failed + RUN_TESTS(pool_tests, setup) : failed;
}
