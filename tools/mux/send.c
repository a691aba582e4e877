/* mux send: a stream to a node, and what comes back. */
#include "tools/mux/mux.h"
#include "transport/endpoint.h"
#include "transport/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CHUNK_BYTES 65536
#define ADDRESSES_MAX 64

/* After the end: how often it is looked whether the peer's kernel has all ... */
#define LOOK_MS 20
/* ... and how often then, with nothing coming back, until a peer that does not close is left. */
#define LOOKS_MAX 100

static const char help[] =
    "usage: mux send ENDPOINT [FILE|-]\n"
    "\n"
    "Sends a stream, byte for byte, to a muxd (or to anything that listens): a file, or\n"
    "stdin as it comes. Ends when the other side has closed, or has acknowledged all and is\n"
    "silent for 2 s; that it closes before the stream's end is a loss. What comes back, packets\n"
    "for this worker, goes to stdout; on a terminal it is only counted.\n"
    "\n"
    "  python3 -m subunit.run my.tests | mux send build7\n"
    "  mux send unix:/run/muxd.sock run.subunit\n"
    "\n"
    "ENDPOINT: HOST, HOST:PORT, [v6]:PORT, tcp:... or unix:PATH; the port is 7533 unless given.\n"
    "\n"
    "Exit codes: 0 all was sent; 1 it was not, stderr says why; 2 wrong usage.\n";

static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};

/* One direction: bytes that were read and are still to be written. */
struct pump {
    uint8_t bytes[CHUNK_BYTES];
    size_t start, end;
    bool over; /* nothing more can be read */
};

struct sending {
    char place[ENDPOINT_TEXT_BYTES];
    const char *path;
    int input, socket;
    struct pump up, down;
    bool finished;    /* told the peer that nothing more comes */
    bool to_terminal; /* what comes back is counted only */
    int stdout_error; /* errno: what comes back is counted only */
    unsigned looks;   /* since the peer's kernel had all and something came back */
    uint64_t dropped_bytes;
};

static bool failed(const struct sending *sending, const char *operation, int error) {
    fprintf(stderr, "mux send: %s: %s: %s\n", sending->place, operation, strerror(error));
    return false;
}

/* A connected, blocking socket; -1 after a sentence on stderr. */
static int connect_one(const struct sending *sending, const struct transport_address *address) {
    struct transport_failure failure;
    int fd = socket_for_connect(address, &failure);
    if (fd < 0) {
        failed(sending, failure.operation, failure.error);
        return -1;
    }
    if (fcntl(fd, F_SETFL, 0) == 0 && connect(fd, &address->any, address->len) == 0)
        return fd;
    failed(sending, "connect", errno);
    close(fd);
    return -1;
}

/* Tries every address of the endpoint. */
static bool connect_endpoint(struct sending *sending, const char *text) {
    struct endpoint endpoint;
    struct transport_address addresses[ADDRESSES_MAX];
    char why[256];
    unsigned count = 0;
    if (endpoint_parse(text, &endpoint, why, sizeof why))
        count = endpoint_resolve(&endpoint, false, addresses, ADDRESSES_MAX, why, sizeof why);
    if (count == 0) {
        fprintf(stderr, "mux send: %s: %s\n", text, why);
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        address_text(&addresses[i], sending->place, sizeof sending->place);
        sending->socket = connect_one(sending, &addresses[i]);
        if (sending->socket >= 0)
            return true;
    }
    return false;
}

static bool empty(const struct pump *pump) {
    return pump->start == pump->end;
}

/* Reads once into an empty pump. False: reading failed, errno says why. */
static bool fill(struct pump *pump, int fd) {
    ssize_t len = read(fd, pump->bytes, sizeof pump->bytes);
    if (len < 0)
        return errno == EINTR || errno == EAGAIN;
    pump->start = 0;
    pump->end = (size_t)len;
    pump->over = len == 0;
    return true;
}

static bool send_up(struct sending *sending) {
    struct pump *up = &sending->up;
    ssize_t len = send(sending->socket, up->bytes + up->start, up->end - up->start,
                       MSG_DONTWAIT | MSG_NOSIGNAL);
    if (len < 0)
        return errno == EINTR || errno == EAGAIN || failed(sending, "send", errno);
    up->start += (size_t)len;
    return true;
}

static void drop_down(struct sending *sending) {
    sending->dropped_bytes += sending->down.end - sending->down.start;
    sending->down.start = sending->down.end;
}

/* To stdout; when that breaks the stream still has to go up. */
static void write_down(struct sending *sending) {
    struct pump *down = &sending->down;
    size_t most = down->end - down->start < PIPE_BUF ? down->end - down->start : PIPE_BUF;
    ssize_t len = write(STDOUT_FILENO, down->bytes + down->start, most);
    if (len >= 0) {
        down->start += (size_t)len;
    } else if (errno != EINTR && errno != EAGAIN) {
        sending->stdout_error = errno;
        drop_down(sending);
    }
}

static bool take_down(struct sending *sending) {
    if (!fill(&sending->down, sending->socket))
        return failed(sending, "receive", errno);
    if (!empty(&sending->down))
        sending->looks = 0;
    if (sending->to_terminal || sending->stdout_error)
        drop_down(sending);
    return true;
}

static bool take_input(struct sending *sending) {
    if (fill(&sending->up, sending->input))
        return true;
    fprintf(stderr, "mux send: %s: %s\n", sending->path, strerror(errno));
    return false;
}

/* The error that the socket was found with since it was last asked; 0 for none. */
static int socket_error(const struct sending *sending) {
    int error = 0;
    socklen_t len = sizeof error;
    return getsockopt(sending->socket, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

/* `events` was waited for, `revents` came. */
static bool use_socket(struct sending *sending, short events, short revents) {
    bool broken = revents & (POLLHUP | POLLERR);
    if (events & POLLIN && (broken || revents & POLLIN) && !take_down(sending))
        return false;
    return !(events & POLLOUT) || !(broken || revents & POLLOUT) || send_up(sending);
}

/* One wait for whatever can go on. */
static bool step(struct sending *sending) {
    bool read_input = !sending->up.over && empty(&sending->up);
    short events = empty(&sending->up) ? 0 : POLLOUT;
    if (empty(&sending->down) && !sending->down.over)
        events |= POLLIN;
    struct pollfd fds[] = {{read_input ? sending->input : -1, POLLIN, 0},
                           {events ? sending->socket : -1, events, 0},
                           {empty(&sending->down) ? -1 : STDOUT_FILENO, POLLOUT, 0}};
    if (poll(fds, 3, sending->finished ? LOOK_MS : -1) < 0)
        return errno == EINTR || failed(sending, "poll", errno);
    if (fds[2].revents)
        write_down(sending);
    if (fds[1].revents && !use_socket(sending, events, fds[1].revents))
        return false;
    return !fds[0].revents || take_input(sending);
}

/* Tells the peer, once, that nothing more comes. */
static bool finish(struct sending *sending) {
    if (!sending->up.over || sending->finished)
        return true;
    sending->finished = true;
    return shutdown(sending->socket, SHUT_WR) == 0 || failed(sending, "shutdown", errno);
}

/* As for muxd: who reads until the end does not close before it, and TCP cannot tell who does. */
static bool closed_early(const struct sending *sending) {
    if (sending->finished || !sending->down.over)
        return false;
    fprintf(stderr, "mux send: %s: receive: the other side closed before the stream's end\n",
            sending->place);
    return true;
}

/* Has the peer all (TCP: its kernel), and is there nothing left to wait for? */
static bool done(struct sending *sending) {
    int unsent = 0;
    if (!sending->finished || !empty(&sending->down) ||
        ioctl(sending->socket, SIOCOUTQ, &unsent) < 0 || unsent > 0)
        return false;
    return sending->down.over || ++sending->looks > LOOKS_MAX;
}

static bool send_all(struct sending *sending) {
    bool all = false;
    while (!all) {
        if (!step(sending) || !finish(sending) || closed_early(sending))
            return false;
        all = done(sending);
        int error = sending->finished ? socket_error(sending) : 0;
        if (error)
            return failed(sending, "send", error);
    }
    return true;
}

static void tell_dropped(const struct sending *sending) {
    if (sending->dropped_bytes)
        fprintf(stderr, "mux send: %llu bytes came back and were dropped: stdout: %s\n",
                (unsigned long long)sending->dropped_bytes,
                sending->to_terminal ? "a terminal takes no packets"
                                     : strerror(sending->stdout_error));
}

static int run(int argc, char **argv) {
    static struct sending sending;
    int status, id;
    while ((id = next_option(&subcommand_send, argc, argv, options, &status)) != -1)
        if (id == -2)
            return status;
    if (argc - optind < 1 || argc - optind > 2) {
        fprintf(stderr, "mux send: where to? mux send ENDPOINT [FILE|-]\n");
        return EXIT_USAGE;
    }
    sending.path = argc - optind == 2 ? argv[optind + 1] : "-";
    sending.to_terminal = isatty(STDOUT_FILENO);
    sending.input = open_input(&subcommand_send, sending.path);
    if (sending.input < 0 || !connect_endpoint(&sending, argv[optind]))
        return EXIT_FAILED;
    bool fine = send_all(&sending);
    tell_dropped(&sending);
    return fine ? EXIT_FINE : EXIT_FAILED;
}

const struct subcommand subcommand_send = {"send", "sends a stream to a node", help, run};
