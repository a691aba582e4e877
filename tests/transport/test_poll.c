#include "tests/transport/host.h"
#include "tests/transport/suites.h"
#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#define NS_PER_MS UINT64_C(1000000)

/* How late a poll() may return on a busy machine. */
#define LATE_NS (2000 * NS_PER_MS)

static uint64_t now_ns(const struct world *world) {
    return world->near->ops->now_ns(world->near->transport);
}

static unsigned poll_until(struct world *world, uint64_t deadline_ns) {
    struct transport_event events[4];
    return world->near->ops->poll(world->near->transport, deadline_ns, events, 4);
}

static void deadline_is_kept(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    const uint64_t waits_ns[] = {1, 300000, 1500000, 50 * NS_PER_MS};
    for (size_t i = 0; i < sizeof waits_ns / sizeof *waits_ns; i++) {
        uint64_t deadline_ns = now_ns(world) + waits_ns[i];
        assert_int_equal(poll_until(world, deadline_ns), 0);
        assert_true(now_ns(world) >= deadline_ns);
        assert_true(now_ns(world) < deadline_ns + LATE_NS);
    }
    world_close(world);
}

/* Bytes arrive for a connection whose receiving is off: no event, and poll() does not return. */
static void deadline_is_kept_without_events(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    int fds[2];
    world->host->make_pipe(world, fds);
    struct end *end = carrier_attach(world, world->near, fds[0], -1, false);
    end_receive(end, true);
    world_run(world, 10);
    end_receive(end, false);
    world_run(world, 10);
    world->host->write(world, fds[1], "12345");
    uint64_t deadline_ns = now_ns(world) + 50 * NS_PER_MS;
    assert_int_equal(poll_until(world, deadline_ns), 0);
    assert_true(now_ns(world) >= deadline_ns);
    world->host->close(world, fds[1]);
    world_close(world);
}

static void deadline_in_the_past_does_not_wait(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    uint64_t started_ns = now_ns(world);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(poll_until(world, 0), 0);
        assert_int_equal(poll_until(world, started_ns), 0);
    }
    assert_true(now_ns(world) < started_ns + LATE_NS);
    world_close(world);
}

/* Events are ready: poll() returns them although the deadline has passed. */
static void deadline_in_the_past_brings_events(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    int fds[2];
    world->host->make_pipe(world, fds);
    struct end *end = carrier_attach(world, world->near, fds[0], -1, false);
    world->host->write(world, fds[1], "12345");
    end_receive(end, true);
    for (unsigned i = 0; i < 100 && end->in_bytes < 5; i++)
        world_step(world);
    assert_int_equal(end->in_bytes, 5);
    world->host->close(world, fds[1]);
    world_close(world);
}

static void on_alarm(int number) {
    (void)number;
}

static void signal_ends_the_wait(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct sigaction action = {.sa_handler = on_alarm}, before;
    const struct itimerval timer = {.it_value = {.tv_usec = 50000}, .it_interval = {.tv_sec = 1}};
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    uint64_t started_ns = now_ns(world);
    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
    assert_int_equal(poll_until(world, UINT64_MAX), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL), 0);
    assert_true(now_ns(world) >= started_ns + 40 * NS_PER_MS);
    assert_true(now_ns(world) < started_ns + LATE_NS);
    sigaction(SIGALRM, &before, NULL);
    world_close(world);
}

/* SIGPIPE and SIGXFSZ make a write fail; they do not end the process. */
static void deadly_signals_are_ignored(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct sigaction action;
    assert_int_equal(sigaction(SIGPIPE, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_IGN);
    assert_int_equal(sigaction(SIGXFSZ, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_IGN);
    world_close(world);
}

static void bad_configuration_is_reported(void **state) {
    const struct setup *setup = *state;
    static _Alignas(4096) uint8_t memory[4096];
    struct transport_failure failure = {0};
    struct sim *sim = setup->host->is_kernel ? NULL : sim_create(setup->seed, &sim_faultless);
    const struct transport_config config = {{memory, sizeof memory},
                                            .buffer_bytes = 4096,
                                            .reserve_buffers = 1,
                                            .conns_max = 1,
                                            .engine_config = sim};
    /* no buffer is left for the shared pool */
    assert_null(engine_kind_first(setup->kind)->init(&config, &failure));
    assert_int_equal(failure.error, EINVAL);
    assert_non_null(failure.operation);
    if (sim)
        sim_destroy(sim);
}

int run_poll_tests(struct setup *setup) {
    const struct CMUnitTest tests[] = {
        TEST(deadline_is_kept, setup),
        TEST(deadline_is_kept_without_events, setup),
        TEST(deadline_in_the_past_does_not_wait, setup),
        TEST(deadline_in_the_past_brings_events, setup),
        TEST(bad_configuration_is_reported, setup),
    };
    const struct CMUnitTest signal_tests[] = {
        TEST(signal_ends_the_wait, setup),
        TEST(deadly_signals_are_ignored, setup),
    };
    int failed = RUN_TESTS(tests, setup);
    return setup->host->is_kernel ? failed + RUN_TESTS(signal_tests, setup) : failed;
}
