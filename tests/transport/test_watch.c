#include "tests/transport/host.h"
#include "tests/transport/suites.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NS_PER_MS UINT64_C(1000000)

/* Longer than any event can still take. */
#define SETTLE_MS 20

static void read_some(struct watched *watched, size_t most) {
    uint8_t data[64];
    ssize_t got = watched->world->host->read(watched->world, watched->fd, data,
                                             most < sizeof data ? most : sizeof data);
    if (got == 0)
        watched->ended = true;
    else if (got > 0)
        watched->read_bytes += (uint64_t)got;
}

static void read_one(struct watched *watched) {
    read_some(watched, 1);
}

static void read_all(struct watched *watched) {
    uint64_t before;
    do {
        before = watched->read_bytes;
        read_some(watched, 64);
    } while (watched->read_bytes > before);
}

static uint64_t now_ns(const struct world *world) {
    return world->near->ops->now_ns(world->near->transport);
}

/* A watch alone is no reason for poll() to return. */
static void nothing_to_read_is_no_event(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct watched watched;
    struct transport_event event;
    int fds[2];
    world->host->make_pipe(world, fds);
    watch_start(&watched, world, fds[0], NULL);
    uint64_t deadline_ns = now_ns(world) + SETTLE_MS * NS_PER_MS;
    assert_int_equal(world->near->ops->poll(world->near->transport, deadline_ns, &event, 1), 0);
    assert_true(now_ns(world) >= deadline_ns);
    watch_stop(&watched);
    world->host->close(world, fds[0]);
    world->host->close(world, fds[1]);
    world_close(world);
}

static void every_write_is_an_event_for_a_full_reader(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct watched watched;
    int fds[2];
    world->host->make_pipe(world, fds);
    watch_start(&watched, world, fds[0], read_all);
    for (unsigned round = 1; round <= 20; round++) {
        world->host->write(world, fds[1], "12345");
        WAIT(world, watched.read_bytes == 5 * round);
    }
    world_run(world, SETTLE_MS);
    unsigned events = watched.events;
    world_run(world, SETTLE_MS); /* no event: everything is read */
    assert_int_equal(watched.events, events);
    watch_stop(&watched);
    world->host->close(world, fds[0]);
    world->host->close(world, fds[1]);
    world_close(world);
}

static void a_slow_reader_gets_everything(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct watched watched;
    int fds[2];
    world->host->make_pipe(world, fds);
    world->host->write(world, fds[1], "what was there before it was watched");
    watch_start(&watched, world, fds[0], read_one);
    WAIT(world, watched.read_bytes == 36);
    assert_true(watched.events >= 36);
    watch_stop(&watched);
    world->host->close(world, fds[0]);
    world->host->close(world, fds[1]);
    world_close(world);
}

/* The end is an event until the watch ends. */
static void end_is_seen(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct watched watched;
    int fds[2];
    world->host->make_pipe(world, fds);
    watch_start(&watched, world, fds[0], read_all);
    world->host->write(world, fds[1], "last");
    world->host->close(world, fds[1]);
    WAIT(world, watched.ended);
    assert_int_equal(watched.read_bytes, 4);
    unsigned events = watched.events;
    WAIT(world, watched.events > events);
    watch_stop(&watched);
    world->host->close(world, fds[0]);
    world_close(world);
}

static void stop_other(struct watched *watched) {
    if (watched->other->watch)
        watch_stop(watched->other);
}

static void stop_both(struct watched *watched) {
    stop_other(watched);
    watch_stop(watched);
}

/* Both are readable in the same poll(); the first handler ends the other's watch, or both. */
static void stopped_while_events_are_handled(void **state) {
    void (*const ways[])(struct watched * watched) = {stop_other, stop_both};
    for (unsigned way = 0; way < 2; way++) {
        struct world *world = world_open(state, (struct world_options){0});
        struct watched watched[2];
        int fds[2][2];
        for (unsigned i = 0; i < 2; i++) {
            world->host->make_pipe(world, fds[i]);
            world->host->write(world, fds[i][1], "x");
        }
        world_run(world, SETTLE_MS);
        for (unsigned i = 0; i < 2; i++) {
            watch_start(&watched[i], world, fds[i][0], ways[way]);
            watched[i].other = &watched[!i];
        }
        watched[0].other = &watched[1];
        WAIT(world, watched[0].events + watched[1].events > 0);
        world_run(world, SETTLE_MS);
        unsigned stopped = watched[0].watch ? 1 : 0;
        assert_null(watched[stopped].watch);
        assert_true(way == 0 || watched[0].events + watched[1].events == 1);
        assert_true(way == 1 || (watched[stopped].events == 0 && watched[!stopped].events > 1));
        for (unsigned i = 0; i < 2; i++) {
            if (watched[i].watch)
                watch_stop(&watched[i]);
            world->host->close(world, fds[i][0]);
            world->host->close(world, fds[i][1]);
        }
        world_close(world);
    }
}

/* The owner may use the descriptor, or watch it again, as soon as unwatch() has returned. */
static void stopped_and_started_again(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct watched watched[2];
    int fds[2];
    world->host->make_pipe(world, fds);
    for (unsigned round = 1; round <= 10; round++) {
        watch_start(&watched[round % 2], world, fds[0], read_all);
        if (round % 3 == 0) { /* stopped before a poll() */
            watch_stop(&watched[round % 2]);
            watch_start(&watched[round % 2], world, fds[0], read_all);
        }
        world->host->write(world, fds[1], "again");
        WAIT(world, watched[round % 2].read_bytes == 5);
        watch_stop(&watched[round % 2]);
    }
    world->host->write(world, fds[1], "for nobody");
    unsigned events = watched[0].events + watched[1].events;
    world_run(world, SETTLE_MS);
    assert_int_equal(watched[0].events + watched[1].events, events);
    world->host->close(world, fds[0]);
    world->host->close(world, fds[1]);
    world_close(world);
}

/* With one event at a time, and a connection that always has more, each has its turn. */
static void busy_connections_do_not_hide_it(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct watched watched;
    int fds[2], pair[2];
    world->events_most = 1;
    world->host->make_pipe(world, fds);
    world->host->make_socketpair(world, pair);
    struct end *near = carrier_attach(world, world->near, pair[0], pair[0], false);
    struct end *far = carrier_attach(world, world->far, pair[1], pair[1], false);
    watch_start(&watched, world, fds[0], read_one);
    end_receive(near, true);
    end_send(far, UINT64_C(1) << 40, 4096, 4096);
    WAIT(world, near->in_bytes > 0);
    world->host->write(world, fds[1], "123");
    WAIT(world, watched.read_bytes == 3);
    uint64_t received = near->in_bytes;
    world->host->write(world, fds[1], "never read");
    watched.readable = NULL;
    WAIT(world, near->in_bytes > received + 100000);
    watch_stop(&watched);
    world->host->close(world, fds[0]);
    world->host->close(world, fds[1]);
    world_close(world);
}

static void allow_descriptors(unsigned more) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < more)
        limit.rlim_cur = limit.rlim_max < more ? limit.rlim_max : more;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(limit.rlim_cur >= more);
}

static struct transport_watch *try_watch(struct world *world, int fd, int *error) {
    struct transport_failure failure = {0};
    struct transport_watch *watch =
        world->near->ops->watch(world->near->transport, fd, world, &failure);
    assert_true(watch || failure.operation);
    *error = failure.error;
    return watch;
}

/* Two descriptors each, and some. */
#define MANY_DESCRIPTORS (2 * TRANSPORT_WATCHES_MAX + 256)

/* Watches that an engine may use itself. */
#define OWN_WATCHES_MAX 8

static void limit_is_reported(void **state) {
    struct world *world = world_open(state, (struct world_options){.one_engine = true});
    static struct transport_watch *watches[TRANSPORT_WATCHES_MAX + 1];
    static int fds[TRANSPORT_WATCHES_MAX + 1][2];
    unsigned count = 0;
    int error = 0;
    if (world->host->is_kernel)
        allow_descriptors(MANY_DESCRIPTORS);
    for (;; count++) {
        assert_true(count <= TRANSPORT_WATCHES_MAX);
        world->host->make_pipe(world, fds[count]);
        if (!(watches[count] = try_watch(world, fds[count][0], &error)))
            break;
    }
    assert_int_equal(error, EMFILE);
    assert_true(count >= TRANSPORT_WATCHES_MAX - OWN_WATCHES_MAX);
    world->near->ops->unwatch(world->near->transport, watches[0]);
    world_run(world, 1);
    watches[0] = try_watch(world, fds[count][0], &error);
    assert_non_null(watches[0]);
    for (unsigned i = 0; i <= count; i++) {
        if (i < count)
            world->near->ops->unwatch(world->near->transport, watches[i]);
        world->host->close(world, fds[i][0]);
        world->host->close(world, fds[i][1]);
    }
    world_close(world);
}

static void closed_descriptor_is_refused(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    int fds[2], error;
    world->host->make_pipe(world, fds);
    world->host->close(world, fds[0]);
    world->host->close(world, fds[1]);
    assert_null(try_watch(world, fds[0], &error));
    assert_int_equal(error, EBADF);
    world_close(world);
}

/* A file is always ready: a watch could not report new bytes. */
static void file_is_refused(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    int error, fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_null(try_watch(world, fd, &error));
    assert_int_equal(error, EPERM);
    close(fd);
    world_close(world);
}

/* As a process watches its children. */
static void end_of_a_child_is_seen(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct watched watched;
    int gate[2];
    world->host->make_pipe(world, gate);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte;
        close(gate[1]);
        _exit(read(gate[0], &byte, 1) == 0 ? 7 : 1);
    }
    int fd = (int)syscall(SYS_pidfd_open, child, 0);
    assert_true(fd >= 0);
    watch_start(&watched, world, fd, NULL);
    world_run(world, SETTLE_MS);
    assert_int_equal(watched.events, 0);
    close(gate[1]);
    WAIT(world, watched.events > 0);
    int status;
    assert_int_equal(waitpid(child, &status, WNOHANG), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    watch_stop(&watched);
    close(fd);
    close(gate[0]);
    world_close(world);
}

int run_watch_tests(struct setup *setup) {
    const struct CMUnitTest tests[] = {
        TEST(nothing_to_read_is_no_event, setup),
        TEST(every_write_is_an_event_for_a_full_reader, setup),
        TEST(a_slow_reader_gets_everything, setup),
        TEST(end_is_seen, setup),
        TEST(stopped_while_events_are_handled, setup),
        TEST(stopped_and_started_again, setup),
        TEST(busy_connections_do_not_hide_it, setup),
        TEST(limit_is_reported, setup),
        TEST(closed_descriptor_is_refused, setup),
    };
    const struct CMUnitTest kernel_tests[] = {
        TEST(file_is_refused, setup),
        TEST(end_of_a_child_is_seen, setup),
    };
    int failed = RUN_TESTS(tests, setup);
    return setup->host->is_kernel ? failed + RUN_TESTS(kernel_tests, setup) : failed;
}
