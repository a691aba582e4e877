#include "tests/transport/stream.h"
#include "tests/transport/suites.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

/* By then every event that can come has come. */
#define PATIENCE_NS 300000000000u

static bool is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

static int open_file(struct world *world, const char *name, int flags) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", world->directory, name);
    int fd = open(path, flags | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static off_t size_of(int fd) {
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return st.st_size;
}

static void make_pipe(int fds[2]) {
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
}

/* Descriptors from a shell: their flags are unchanged while we use them, and after. */
static void borrowed_pipes_are_left_as_they_were(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    int there[2], back[2];
    make_pipe(there);
    make_pipe(back);
    int flags_in = fcntl(there[0], F_GETFL), flags_out = fcntl(back[1], F_GETFL);
    struct end *ours = carrier_attach(world, world->near, there[0], back[1], true);
    struct end *theirs = carrier_attach(world, world->far, back[0], there[1], false);
    assert_string_equal(ours->conn->peer->text, "attached");
    end_receive(ours, true);
    end_receive(theirs, true);
    end_send(ours, 1000000, 50000, 20000);
    end_send(theirs, 1000000, 50000, 20000);
    WAIT(world, ours->in_bytes == 1000000 && theirs->in_bytes == 1000000);
    assert_received_all(ours, theirs);
    assert_received_all(theirs, ours);
    assert_int_equal(fcntl(there[0], F_GETFL), flags_in);
    assert_int_equal(fcntl(back[1], F_GETFL), flags_out);
    end_close(ours);
    end_close(theirs);
    WAIT(world, ours->closed && theirs->closed);
    assert_int_equal(fcntl(there[0], F_GETFL), flags_in);
    assert_int_equal(fcntl(back[1], F_GETFL), flags_out);
    assert_false(is_open(back[0]) || is_open(there[1])); /* these were not borrowed */
    close(there[0]);
    close(back[1]);
    world_close(world);
}

/* A borrowed descriptor can be attached again after CLOSED. */
static void borrowed_socket_can_be_used_again(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    int flags = fcntl(fds[0], F_GETFL);
    struct end *theirs = carrier_attach(world, world->far, fds[1], fds[1], false);
    end_receive(theirs, true);
    for (unsigned i = 1; i <= 3; i++) {
        struct end *ours = carrier_attach(world, world->near, fds[0], fds[0], true);
        end_send(ours, 1000, 1000, 1000);
        WAIT(world, theirs->in_bytes == i * 1000);
        WAIT(world, !ours->sending);
        end_close(ours);
        WAIT(world, ours->closed);
        assert_int_equal(fcntl(fds[0], F_GETFL), flags);
    }
    close(fds[0]);
    WAIT(world, theirs->ended);
    world_close(world);
}

/* A pipe that is not read does not stop other connections, and does not delay closing. */
static void full_pipe_blocks_nothing_else(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    int full[2];
    make_pipe(full);
    struct end *stuck = carrier_attach(world, world->near, -1, full[1], true);
    end_send(stuck, 1000000, SEND_MOST_BYTES, SEND_MOST_BYTES);
    world_run(world, 50);
    assert_true(stuck->sending && stuck->out_sent < 1000000);
    int other[2];
    make_pipe(other);
    struct end *from = carrier_attach(world, world->near, -1, other[1], false);
    struct end *to = carrier_attach(world, world->far, other[0], -1, false);
    end_receive(to, true);
    end_send(from, 300000, 30000, 30000);
    WAIT(world, to->in_bytes == 300000);
    char part[4096];
    assert_int_equal(read(full[0], part, sizeof part), sizeof part); /* a slow reader */
    world_run(world, 20);
    end_close(stuck);
    WAIT(world, stuck->closed);
    uint64_t out = stuck->out_sent + stuck->closed_sent_bytes;
    close(full[1]);
    uint64_t in = sizeof part;
    for (ssize_t len; (len = read(full[0], part, sizeof part)) > 0;)
        in += (uint64_t)len;
    assert_int_equal(in, out);
    close(full[0]);
    world_close(world);
}

/* A terminal whose other side does not read may poll as writable and still block. */
static void slow_side_blocks_nothing_else(void **state, bool is_master) {
    struct world *world = world_open(state, (struct world_options){0});
    int master, slave;
    assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
    struct termios raw;
    assert_int_equal(tcgetattr(slave, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(slave, TCSANOW, &raw), 0);
    int ours = is_master ? master : slave, other = is_master ? slave : master;
    int flags = fcntl(ours, F_GETFL);
    assert_int_equal(fcntl(other, F_SETFL, O_NONBLOCK), 0);
    struct end *end = carrier_attach(world, world->near, ours, ours, true);
    end_send(end, 200000, 50000, 50000);
    char part[300];
    uint64_t digested = DIGEST_START, in = 0;
    uint64_t started_ns = world->near->ops->now_ns(world->near->transport);
    while (in < 200000) {
        world_step(world); /* hangs if the engine blocks */
        assert_true(world->near->ops->now_ns(world->near->transport) - started_ns < PATIENCE_NS);
        ssize_t len = read(other, part, sizeof part);
        if (len > 0) {
            digested = digest(digested, (uint8_t *)part, (size_t)len);
            in += (uint64_t)len;
        }
    }
    WAIT(world, end->out_sent == 200000);
    struct end all = {.in_bytes = in, .in_digest = digested};
    assert_received_all(&all, end);
    end_receive(end, true);
    assert_int_equal(write(other, "typed", 5), 5);
    WAIT(world, end->in_bytes == 5);
    assert_int_equal(fcntl(ours, F_GETFL), flags);
    end_close(end);
    WAIT(world, end->closed);
    assert_true(is_open(ours));
    close(slave);
    close(master);
    world_close(world);
}

static void slow_terminal_blocks_nothing_else(void **state) {
    slow_side_blocks_nothing_else(state, false);
}

/* Input and output of a program on the terminal go through this pair, not through a new one. */
static void master_of_a_terminal_is_used_itself(void **state) {
    slow_side_blocks_nothing_else(state, true);
}

/* The program on a terminal writes and ends: all of it is received, then the end. */
static void master_of_a_terminal_ends(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    int master, slave;
    assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
    struct termios raw;
    assert_int_equal(tcgetattr(slave, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(slave, TCSANOW, &raw), 0);
    struct end *end = carrier_attach(world, world->near, master, -1, false);
    struct end *typing = carrier_attach(world, world->near, -1, dup(master), false);
    assert_int_equal(write(slave, "printed", 7), 7);
    end_send(typing, 5, 5, 5);
    WAIT(world, typing->out_sent == 5);
    char typed[6];
    for (ssize_t got = 0, len; got < 5; got += len) {
        len = read(slave, typed, sizeof typed);
        assert_true(len > 0);
    }
    close(slave);
    end_receive(end, true);
    WAIT(world, end->ended);
    assert_int_equal(end->in_bytes, 7);
    assert_false(end->lost);
    end_close(end);
    end_close(typing);
    WAIT(world, end->closed && typing->closed);
    assert_false(is_open(master));
    world_close(world);
}

static void terminal_is_closed_unless_borrowed(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    int master, slave;
    assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
    struct end *end = carrier_attach(world, world->near, slave, slave, false);
    end_close(end);
    WAIT(world, end->closed);
    assert_false(is_open(slave));
    char byte;
    assert_int_equal(read(master, &byte, 1), -1); /* no process has it open */
    assert_int_equal(errno, EIO);
    close(master);
    world_close(world);
}

/* A socket that another program accepted, of an IPv4 peer, on an IPv6 listener. */
static void attached_socket_has_its_peer(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    struct sockaddr_in peer = {.sin_family = AF_INET};
    socklen_t len = sizeof any;
    int listening = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listening < 0 || bind(listening, (struct sockaddr *)&any, sizeof any) != 0) {
        print_message("there is no IPv6 here\n");
        world_close(world);
        skip();
    }
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&any, &len), 0);
    peer.sin_port = any.sin6_port;
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&peer, sizeof peer), 0);
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    struct end *end = carrier_attach(world, world->near, fd, fd, false);
    const struct transport_peer *described = end->conn->peer;
    assert_string_equal(described->text, "attached");
    assert_string_equal(described->host, "127.0.0.1");
    assert_int_equal(described->address.ss_family, AF_INET);
    close(client);
    close(listening);
    world_close(world);
}

static void file_is_written(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    int fd = open_file(world, "out", O_RDWR | O_APPEND);
    struct end *out = carrier_attach(world, world->near, -1, fd, true);
    end_send(out, 500000, 60000, 20000);
    WAIT(world, out->out_sent == 500000);
    end_close(out);
    WAIT(world, out->closed);
    assert_int_equal(size_of(fd), 500000);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    struct end *in = carrier_attach(world, world->far, fd, -1, false);
    end_receive(in, true);
    WAIT(world, in->ended);
    assert_received_all(in, out);
    world_close(world);
}

/* Reading begins at the descriptor's offset, as for every program that a shell starts. */
static void file_is_read_from_its_offset(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    int fd = open_file(world, "in", O_RDWR);
    assert_int_equal(write(fd, "skip this", 9), 9);
    assert_int_equal(lseek(fd, 5, SEEK_SET), 5);
    struct end *end = carrier_attach(world, world->near, fd, -1, false);
    end_receive(end, true);
    WAIT(world, end->ended);
    assert_int_equal(end->in_bytes, 4);
    assert_true(end->in_digest == digest(DIGEST_START, (const uint8_t *)"this", 4));
    world_close(world);
}

static void idle_file_costs_nothing(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    int fd = open_file(world, "idle", O_RDWR | O_APPEND);
    assert_int_equal(write(fd, "x", 1), 1);
    struct end *end = carrier_attach(world, world->near, fd, fd, false);
    struct transport_event event;
    struct rusage before, after;
    uint64_t now_ns = world->near->ops->now_ns(world->near->transport);
    getrusage(RUSAGE_SELF, &before);
    assert_int_equal(world->near->ops->poll(world->near->transport, now_ns + 300000000, &event, 1),
                     0);
    getrusage(RUSAGE_SELF, &after);
    long used_us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 +
                   (after.ru_utime.tv_usec - before.ru_utime.tv_usec);
    assert_true(used_us < 100000);
    assert_int_equal(end->in_events, 0);
    world_close(world);
}

/* A full device is reported as such, and not waited for. */
static void full_device_is_lost(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    int fd = open("/dev/full", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    struct end *end = carrier_attach(world, world->near, -1, fd, false);
    end_send_spans(end, 3, 1000);
    WAIT(world, end->lost);
    assert_int_equal(end->error, ENOSPC);
    assert_string_equal(end->operation, "send");
    end_close(end);
    WAIT(world, end->closed);
    assert_int_equal(end->closed_sent_bytes, 0);
    world_close(world);
}

static void null_device_takes_all_and_has_nothing(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct end *end = carrier_attach(world, world->near, fd, fd, false);
    end_receive(end, true);
    end_send(end, 100000, 50000, 10000);
    WAIT(world, end->ended && end->out_sent == 100000);
    world_close(world);
}

/* The file's limit lies in the middle of a send: the part that was written is removed. */
static void failed_send_leaves_nothing(void **state, int flags) {
    struct world *world = world_open(state, (struct world_options){0});
    struct rlimit saved, limit;
    int fd = open_file(world, "limited", flags);
    struct end *end = carrier_attach(world, world->near, -1, fd, true);
    end_send_spans(end, 10, 5000);
    WAIT(world, !end->sending);
    assert_int_equal(size_of(fd), 50000);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &saved), 0);
    limit = saved;
    limit.rlim_cur = 62345;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    end_send_spans(end, 10, 5000);
    WAIT(world, end->lost);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &saved), 0);
    assert_int_equal(end->error, EFBIG);
    assert_int_equal(size_of(fd), 50000);
    end_close(end);
    WAIT(world, end->closed);
    assert_int_equal(end->closed_sent_bytes, 0);
    assert_int_equal(size_of(fd), 50000);
    struct end *again = carrier_attach(world, world->near, -1, fd, false);
    again->out_seed = end->out_seed;
    end_send_spans(again, 2, 500); /* continues where the last whole send ended */
    WAIT(world, !again->sending);
    assert_int_equal(size_of(fd), 51000);
    world_close(world);
}

static void failed_append_leaves_nothing(void **state) {
    failed_send_leaves_nothing(state, O_WRONLY | O_APPEND);
}

static void failed_write_leaves_nothing(void **state) {
    failed_send_leaves_nothing(state, O_WRONLY);
}

/* After the end of stdin, stdout still works. */
static void end_of_one_leaves_the_other(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    int in[2], out[2];
    make_pipe(in);
    make_pipe(out);
    struct end *ours = carrier_attach(world, world->near, in[0], out[1], false);
    struct end *theirs = carrier_attach(world, world->far, out[0], -1, false);
    close(in[1]);
    end_receive(ours, true);
    end_receive(theirs, true);
    WAIT(world, ours->ended);
    end_send(ours, 200000, 50000, 50000);
    WAIT(world, theirs->in_bytes == 200000);
    assert_received_all(theirs, ours);
    world_close(world);
}

static void closed_reader_is_epipe(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    int in[2], out[2];
    make_pipe(in);
    make_pipe(out);
    struct end *end = carrier_attach(world, world->near, in[0], out[1], false);
    end_receive(end, true);
    close(out[0]);
    end_send(end, 1000, 1000, 1000);
    WAIT(world, end->lost);
    assert_int_equal(end->error, EPIPE);
    assert_string_equal(end->operation, "send");
    close(in[1]);
    world_close(world);
}

static void bad_descriptor_is_reported(void **state) {
    struct world *world = world_open(state, (struct world_options){0});
    struct transport_failure failure = {0};
    int fds[2];
    make_pipe(fds);
    close(fds[1]);
    assert_null(world->near->ops->attach(world->near->transport, fds[0], fds[1], false,
                                         TRANSPORT_POOL_SHARED, "bad", NULL, &failure));
    assert_int_equal(failure.error, EBADF);
    assert_non_null(failure.operation);
    assert_true(is_open(fds[0])); /* the caller still owns it */
    close(fds[0]);
    world_close(world);
}

int run_attach_tests(struct setup *setup) {
    const struct CMUnitTest tests[] = {
        TEST(borrowed_pipes_are_left_as_they_were, setup),
        TEST(borrowed_socket_can_be_used_again, setup),
        TEST(full_pipe_blocks_nothing_else, setup),
        TEST(slow_terminal_blocks_nothing_else, setup),
        TEST(master_of_a_terminal_is_used_itself, setup),
        TEST(master_of_a_terminal_ends, setup),
        TEST(terminal_is_closed_unless_borrowed, setup),
        TEST(attached_socket_has_its_peer, setup),
        TEST(file_is_written, setup),
        TEST(file_is_read_from_its_offset, setup),
        TEST(idle_file_costs_nothing, setup),
        TEST(full_device_is_lost, setup),
        TEST(null_device_takes_all_and_has_nothing, setup),
        TEST(failed_append_leaves_nothing, setup),
        TEST(failed_write_leaves_nothing, setup),
        TEST(end_of_one_leaves_the_other, setup),
        TEST(closed_reader_is_epipe, setup),
        TEST(bad_descriptor_is_reported, setup),
    };
    return RUN_TESTS(tests, setup);
}
