#include "tests/transport/host.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void kernel_pipe(struct world *world, int fds[2]) {
    (void)world;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
}

static void kernel_socketpair(struct world *world, int fds[2]) {
    (void)world;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static void kernel_write(struct world *world, int fd, const char *text) {
    (void)world;
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static ssize_t kernel_read(struct world *world, int fd, uint8_t *data, size_t len) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    (void)world;
    if (poll(&entry, 1, 0) == 0)
        return -EAGAIN;
    ssize_t got = read(fd, data, len);
    return got < 0 ? -errno : got;
}

static void kernel_close(struct world *world, int fd) {
    (void)world;
    close(fd);
}

int highest_descriptor(void) {
    int highest = 0;
    for (int fd = 0; fd < 4096; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            highest = fd;
    return highest;
}

static struct rlimit saved;

static void kernel_limit(struct world *world, unsigned more) {
    (void)world;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &saved), 0);
    struct rlimit limit = saved;
    limit.rlim_cur = (rlim_t)highest_descriptor() + 1 + more;
    for (int fd = 0; fd < highest_descriptor(); fd++) /* unused lower numbers would be used first */
        if (fcntl(fd, F_GETFD) < 0)
            assert_int_equal(fcntl(0, F_DUPFD, fd), fd);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void kernel_unlimit(struct world *world) {
    (void)world;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &saved), 0);
}

const struct host host_kernel = {.is_kernel = true,
                                 .make_pipe = kernel_pipe,
                                 .make_socketpair = kernel_socketpair,
                                 .write = kernel_write,
                                 .read = kernel_read,
                                 .close = kernel_close,
                                 .limit_descriptors = kernel_limit,
                                 .unlimit_descriptors = kernel_unlimit};

static void make_pair(struct world *world, bool pipe, int fds[2]) {
    struct sim_end *ends[2];
    sim_pair(world->sim, pipe, ends);
    for (int i = 0; i < 2; i++)
        fds[i] = sim_descriptor(ends[i]);
}

static void simulated_pipe(struct world *world, int fds[2]) {
    make_pair(world, true, fds);
}

static void simulated_socketpair(struct world *world, int fds[2]) {
    make_pair(world, false, fds);
}

static void simulated_write(struct world *world, int fd, const char *text) {
    struct sim_end *end = sim_by_descriptor(world->sim, fd);
    for (size_t len = strlen(text); len > 0;) {
        ssize_t written = sim_write(end, (const uint8_t *)text, len);
        assert_true(written > 0);
        text += written;
        len -= (size_t)written;
    }
}

static ssize_t simulated_read(struct world *world, int fd, uint8_t *data, size_t len) {
    return sim_read(sim_by_descriptor(world->sim, fd), data, len);
}

static void simulated_close(struct world *world, int fd) {
    sim_close(sim_by_descriptor(world->sim, fd));
}

static void simulated_limit(struct world *world, unsigned more) {
    sim_limit_ends(world->sim, sim_ends_open(world->sim) + more);
}

static void simulated_unlimit(struct world *world) {
    sim_limit_ends(world->sim, UINT32_MAX);
}

const struct host host_sim = {.make_pipe = simulated_pipe,
                              .make_socketpair = simulated_socketpair,
                              .write = simulated_write,
                              .read = simulated_read,
                              .close = simulated_close,
                              .limit_descriptors = simulated_limit,
                              .unlimit_descriptors = simulated_unlimit};
