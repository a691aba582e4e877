#include "tests/transport/suites.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool exists(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

/* The world's address, and an attempt to listen there. */
static struct transport_listener *try_listen(struct world *world, struct transport_address *address,
                                             struct transport_failure *failure) {
    struct transport_address bound;
    world->carrier->address(world, address);
    return world->near->ops->listen(world->near->transport, address, world, &bound, failure);
}

static int socket_at(const struct transport_address *address) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &address->any, address->len), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void path_goes_with_the_listener(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    carrier_listen(world);
    assert_true(exists(world->address.un.sun_path));
    transport_unlisten(world->listener);
    world->listener = NULL;
    assert_false(exists(world->address.un.sun_path));
    world_close(world);
}

static void stale_socket_is_replaced(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct transport_address address;
    struct end *ends[2];
    world->carrier->address(world, &address);
    close(socket_at(&address));
    assert_true(exists(address.un.sun_path));
    carrier_pair(world, ends);
    world_close(world);
}

static void stale_socket_refuses_connects(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    world->carrier->address(world, &world->reach);
    close(socket_at(&world->reach));
    struct end *end = carrier_connect(world);
    WAIT(world, end->lost);
    assert_int_equal(end->error, ECONNREFUSED);
    assert_string_equal(end->operation, "connect");
    world_close(world);
}

static void live_socket_is_left_alone(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct transport_address address;
    struct transport_failure failure = {0};
    world->carrier->address(world, &address);
    int live = socket_at(&address);
    for (unsigned i = 0; i < 5; i++) { /* although its backlog fills up */
        assert_null(try_listen(world, &address, &failure));
        assert_int_equal(failure.error, EADDRINUSE);
        assert_string_equal(failure.operation, "bind");
    }
    assert_true(exists(address.un.sun_path));
    close(live);
    world_close(world);
}

static void other_files_are_left_alone(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct transport_address address;
    struct transport_failure failure = {0};
    world->carrier->address(world, &address);
    int fd = open(address.un.sun_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "precious", 8), 8);
    close(fd);
    assert_null(try_listen(world, &address, &failure));
    assert_int_equal(failure.error, EADDRINUSE);
    struct stat st;
    assert_int_equal(lstat(address.un.sun_path, &st), 0);
    assert_true(S_ISREG(st.st_mode) && st.st_size == 8);
    world_close(world);
}

/* Another program has put a socket at our path: we must not remove it. */
static void path_of_another_is_left_alone(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    carrier_listen(world);
    assert_int_equal(unlink(world->address.un.sun_path), 0);
    int other = socket_at(&world->address);
    transport_unlisten(world->listener);
    world->listener = NULL;
    assert_true(exists(world->address.un.sun_path));
    close(other);
    world_close(world);
}

static void missing_directory_is_reported(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct transport_address address, bound;
    struct transport_failure failure = {0};
    world->carrier->address(world, &address);
    strcat(address.un.sun_path, "/deeper");
    assert_null(
        world->near->ops->listen(world->near->transport, &address, world, &bound, &failure));
    assert_int_equal(failure.error, ENOENT);
    assert_string_equal(failure.operation, "bind");
    world_close(world);
}

int run_unix_tests(struct setup *setup) {
    const struct CMUnitTest tests[] = {
        TEST(path_goes_with_the_listener, setup),   TEST(stale_socket_is_replaced, setup),
        TEST(stale_socket_refuses_connects, setup), TEST(live_socket_is_left_alone, setup),
        TEST(other_files_are_left_alone, setup),    TEST(path_of_another_is_left_alone, setup),
        TEST(missing_directory_is_reported, setup),
    };
    return RUN_TESTS(tests, setup);
}
