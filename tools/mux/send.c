/* mux send: a stream to a node, and what comes back. */
#include "tools/common/text.h"
#include "tools/mux/mux.h"
#include "transport/endpoint.h"
#include "transport/mistake.h"
#include "transport/socket.h"
#include "transport/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* What is received into, both ways and each stack; of it a share for what comes back. */
#define RECEIVE_BYTES ((size_t)4 << 20)
#define BUFFER_BYTES ((size_t)32 << 10)
#define RESERVE_BUFFERS 32

/* The place, stdin, stdout. */
#define CONNS_MAX 8
#define EVENTS_MAX 16
#define ADDRESSES_MAX 64

/* After the end: how often it is looked whether the peer's kernel has all ... */
#define LOOK_NS 20000000u
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
    "ENDPOINT: HOST, HOST:PORT, [v6]:PORT, tcp:..., rdma:HOST:PORT or unix:PATH; the port is 7533\n"
    "unless given.\n"
    "\n"
    "Exit codes: 0 all was sent; 1 it was not, or what came back could not be written to stdout:\n"
    "stderr says why; 2 wrong usage.\n";

static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};

/* One direction: what was received and is still to be sent. */
struct pump {
    struct transport_conn *to;   /* NULL: nobody takes it, it is counted only */
    struct mux_buffer **buffers; /* one for each span */
    struct mux_span *spans;
    unsigned count;
    struct mux_buffer **buffers_sent; /* in flight */
    struct mux_span *spans_sent;
    unsigned sent_count;
    struct mux_gather gather;
};

struct sending {
    char place[ENDPOINT_TEXT_BYTES];
    const char *path;
    const struct transport_ops *ops;
    struct transport *transport;
    struct mux_room arena;
    int socket; /* of the kernel's; -1: another stack */
    struct transport_conn *input, *remote, *output;
    unsigned open; /* connections that are not CLOSED */
    struct pump up, down;
    bool connected;
    bool input_over, remote_over;
    bool finished; /* told the peer that nothing more comes */
    bool failed;
    bool to_terminal; /* what comes back is counted only */
    int stdout_error; /* errno: what comes back is counted only */
    unsigned looks;   /* since the peer's kernel had all and something came back */
    uint64_t dropped_bytes;
};

static bool failed(struct sending *sending, const char *operation, int error) {
    text_complain("mux send: %s: %s: %s", sending->place, operation, strerror(error));
    sending->failed = true;
    return false;
}

/*
 * ---- pumps ----
 */

static bool make_pump(struct pump *pump, unsigned most) {
    pump->buffers = calloc(most, sizeof(struct mux_buffer *));
    pump->buffers_sent = calloc(most, sizeof(struct mux_buffer *));
    pump->spans = calloc(most, sizeof *pump->spans);
    pump->spans_sent = calloc(most, sizeof *pump->spans);
    return pump->buffers && pump->buffers_sent && pump->spans && pump->spans_sent;
}

static bool is_empty(const struct pump *pump) {
    return pump->count == 0 && pump->sent_count == 0;
}

/* All that waits goes out as one list, when the last one has. */
static void go_on(struct sending *sending, struct pump *pump) {
    if (pump->sent_count > 0 || pump->count == 0)
        return;
    struct mux_buffer **buffers = pump->buffers_sent;
    struct mux_span *spans = pump->spans_sent;
    pump->buffers_sent = pump->buffers;
    pump->spans_sent = pump->spans;
    pump->sent_count = pump->count;
    pump->buffers = buffers;
    pump->spans = spans;
    pump->count = 0;
    pump->gather = (struct mux_gather){.spans = pump->spans_sent, .count = pump->sent_count};
    for (unsigned i = 0; i < pump->sent_count; i++)
        pump->gather.len_bytes += pump->spans_sent[i].len;
    sending->ops->send(pump->to, &pump->gather);
}

static void sent(struct pump *pump) {
    for (unsigned i = 0; i < pump->sent_count; i++)
        mux_buffer_release(pump->buffers_sent[i]);
    pump->sent_count = 0;
}

static void received(struct sending *sending, struct pump *pump,
                     const struct transport_event *event) {
    if (!pump->to) {
        sending->dropped_bytes += event->bytes.len;
        mux_buffer_release(event->buffer);
        return;
    }
    pump->buffers[pump->count] = event->buffer;
    pump->spans[pump->count++] = event->bytes;
    go_on(sending, pump);
}

/* Drops what was not sent; returns how much. */
static uint64_t stop_pump(struct pump *pump, uint64_t sent_bytes) {
    uint64_t dropped_bytes = pump->sent_count ? pump->gather.len_bytes - sent_bytes : 0;
    sent(pump);
    for (unsigned i = 0; i < pump->count; i++) {
        dropped_bytes += pump->spans[i].len;
        mux_buffer_release(pump->buffers[i]);
    }
    pump->count = 0;
    return dropped_bytes;
}

/*
 * ---- events ----
 */

/* The user's pointer of a connection. */
struct end {
    void (*handle)(struct sending *sending, const struct transport_event *event);
};

/* Its last event comes all the same. */
static void close_conn(struct sending *sending, struct transport_conn **conn) {
    if (*conn)
        sending->ops->close(*conn);
    *conn = NULL;
}

static void from_input(struct sending *sending, const struct transport_event *event) {
    if (event->kind == TRANSPORT_RECEIVED) {
        received(sending, &sending->up, event);
    } else if (event->kind == TRANSPORT_ENDED) {
        sending->input_over = true;
    } else if (event->kind == TRANSPORT_LOST) {
        text_complain("mux send: %s: %s", sending->path, strerror(event->error));
        sending->failed = true;
    }
}

static void from_remote(struct sending *sending, const struct transport_event *event) {
    switch (event->kind) {
    case TRANSPORT_CONNECTED:
        sending->connected = true;
        break;
    case TRANSPORT_RECEIVED:
        sending->looks = 0;
        received(sending, &sending->down, event);
        break;
    case TRANSPORT_ENDED:
        sending->remote_over = true;
        break;
    case TRANSPORT_SENT:
        sent(&sending->up);
        go_on(sending, &sending->up);
        break;
    case TRANSPORT_LOST:
        failed(sending, event->operation, event->error);
        break;
    default:
        break;
    }
}

/* To stdout; when that breaks the stream still has to go up. */
static void from_output(struct sending *sending, const struct transport_event *event) {
    if (event->kind == TRANSPORT_SENT) {
        sent(&sending->down);
        go_on(sending, &sending->down);
    } else if (event->kind == TRANSPORT_LOST) {
        sending->stdout_error = event->error;
        sending->down.to = NULL;
        close_conn(sending, &sending->output);
    } else if (event->kind == TRANSPORT_CLOSED) {
        sending->dropped_bytes += stop_pump(&sending->down, event->sent_bytes);
    }
}

static struct end input_end = {from_input}, remote_end = {from_remote}, output_end = {from_output};

static void handle(struct sending *sending, const struct transport_event *event) {
    const struct end *end = sending->ops->user(event->conn);
    end->handle(sending, event);
    sending->open -= event->kind == TRANSPORT_CLOSED;
}

static void step(struct sending *sending, uint64_t deadline_ns) {
    struct transport_event events[EVENTS_MAX];
    unsigned count = sending->ops->poll(sending->transport, deadline_ns, events, EVENTS_MAX);
    for (unsigned i = 0; i < count; i++)
        handle(sending, &events[i]);
}

/* Who is polled before: its memory is in flight until then. */
static void close_all(struct sending *sending) {
    close_conn(sending, &sending->input);
    close_conn(sending, &sending->remote);
    close_conn(sending, &sending->output);
    while (sending->open > 0)
        step(sending, UINT64_MAX);
}

/*
 * ---- connecting ----
 */

/* A connected, blocking socket; -1 after a sentence on stderr. */
static int connect_socket(struct sending *sending, const struct transport_address *address) {
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

static struct transport_conn *attach(struct sending *sending, int in, int out, bool borrowed,
                                     enum transport_pool pool, struct end *end,
                                     struct transport_failure *failure) {
    struct transport_conn *conn = sending->ops->attach(sending->transport, in, out, borrowed, pool,
                                                       sending->path, end, failure);
    sending->open += conn != NULL;
    return conn;
}

/* By a socket: what its peer has done with the bytes can be asked only there. */
static bool connect_kernel(struct sending *sending, const struct transport_address *address) {
    struct transport_failure failure;
    sending->socket = connect_socket(sending, address);
    if (sending->socket < 0)
        return false;
    sending->remote = attach(sending, sending->socket, sending->socket, false,
                             TRANSPORT_POOL_RESERVE, &remote_end, &failure);
    if (!sending->remote)
        return failed(sending, failure.operation, failure.error);
    return true;
}

/* By another stack. */
static bool connect_beside(struct sending *sending, const struct transport_address *address) {
    struct transport_failure failure;
    sending->socket = -1;
    sending->remote = sending->ops->connect(sending->transport, address, &remote_end, &failure);
    if (!sending->remote)
        return failed(sending, failure.operation, failure.error);
    sending->open++;
    while (!sending->connected && !sending->failed)
        step(sending, UINT64_MAX);
    if (!sending->connected)
        close_all(sending);
    return sending->connected;
}

/* The epoll engine, and beside it the stack that the place asks for. */
static bool make_transport(struct sending *sending, enum transport_via via) {
    const struct transport_ops *beside = stack_ops(via);
    void *arena =
        mmap(NULL, 2 * RECEIVE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (via != TRANSPORT_VIA_KERNEL && !beside) {
        text_complain("mux send: this mux was built without %s", stack_name(via));
        return false;
    }
    sending->arena = (struct mux_room){arena, 2 * RECEIVE_BYTES};
    if (arena == MAP_FAILED)
        return failed(sending, "mmap", errno);
    const struct transport_config config = {.memory = {arena, RECEIVE_BYTES},
                                            .buffer_bytes = BUFFER_BYTES,
                                            .reserve_buffers = RESERVE_BUFFERS,
                                            .conns_max = CONNS_MAX,
                                            .arena = sending->arena};
    struct transport_part parts[] = {{TRANSPORT_VIA_KERNEL, &transport_epoll, config},
                                     {via, beside, config}};
    parts[1].config.memory.data += RECEIVE_BYTES;
    const struct transport_config several = {.parts = parts, .parts_count = 2};
    struct transport_failure failure;
    sending->ops = beside ? &transport_mixed : &transport_epoll;
    sending->transport = sending->ops->init(beside ? &several : &config, &failure);
    if (!sending->transport)
        return failed(sending, failure.operation, failure.error);
    unsigned most = sending->ops->caps(sending->transport)->lent_max;
    return (make_pump(&sending->up, most) && make_pump(&sending->down, most)) ||
           failed(sending, "calloc", ENOMEM);
}

/* Tries every address of the endpoint. */
static bool connect_endpoint(struct sending *sending, const char *text) {
    struct endpoint endpoint;
    struct transport_address addresses[ADDRESSES_MAX];
    char why[2 * ENDPOINT_TEXT_BYTES + 256];
    unsigned count = 0;
    snprintf(sending->place, sizeof sending->place, "%s", text);
    bool parsed = endpoint_parse(text, &endpoint, why, sizeof why);
    if (parsed && !mistake_check_file(&endpoint, why, sizeof why)) {
        text_complain("mux send: %s; a file is sent by mux send ENDPOINT FILE", why);
        return false;
    }
    if (parsed)
        count = endpoint_resolve(&endpoint, false, addresses, ADDRESSES_MAX, why, sizeof why);
    if (count == 0) {
        text_complain("mux send: %s: %s", text, why);
        return false;
    }
    if (!make_transport(sending, addresses[0].via))
        return false;
    for (unsigned i = 0; i < count; i++) {
        address_text(&addresses[i], sending->place, sizeof sending->place);
        sending->failed = false;
        if (addresses[i].via == TRANSPORT_VIA_KERNEL ? connect_kernel(sending, &addresses[i])
                                                     : connect_beside(sending, &addresses[i]))
            return true;
    }
    return false;
}

/*
 * ---- sending, and the end ----
 */

static bool open_ends(struct sending *sending, int input) {
    struct transport_failure failure;
    sending->up.to = sending->remote;
    sending->input = attach(sending, input, -1, input == STDIN_FILENO, TRANSPORT_POOL_SHARED,
                            &input_end, &failure);
    if (!sending->input) {
        text_complain("mux send: %s: %s", sending->path, strerror(failure.error));
        return false;
    }
    sending->to_terminal = isatty(STDOUT_FILENO);
    if (!sending->to_terminal) {
        sending->output =
            attach(sending, -1, STDOUT_FILENO, true, TRANSPORT_POOL_RESERVE, &output_end, &failure);
        sending->stdout_error = sending->output ? 0 : failure.error;
    }
    sending->down.to = sending->output;
    sending->ops->receive(sending->input, true);
    sending->ops->receive(sending->remote, true);
    return true;
}

/* Tells the peer, once, that nothing more comes. */
static void finish(struct sending *sending) {
    if (!sending->input_over || !is_empty(&sending->up) || sending->finished)
        return;
    sending->finished = true;
    sending->ops->finish(sending->remote);
}

/* As for muxd: who reads until the end does not close before it, and TCP cannot tell who does. */
static bool closed_early(struct sending *sending) {
    if (sending->finished || !sending->remote_over)
        return false;
    text_complain("mux send: %s: receive: the other side closed before the stream's end",
                  sending->place);
    return true;
}

/* The error that the socket was found with since it was last asked; 0 for none. */
static int socket_error(const struct sending *sending) {
    int error = 0;
    socklen_t len = sizeof error;
    if (sending->socket < 0)
        return 0;
    return getsockopt(sending->socket, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

/* Bytes that the peer (TCP: its kernel) does not have yet. */
static uint64_t unacknowledged(const struct sending *sending) {
    int unsent = 0;
    if (sending->socket < 0)
        return sending->ops->unacknowledged(sending->remote);
    return ioctl(sending->socket, SIOCOUTQ, &unsent) < 0 ? 1 : (uint64_t)unsent;
}

/* Has the peer all, and is there nothing left to wait for? */
static bool done(struct sending *sending) {
    if (!sending->finished || !is_empty(&sending->down) || unacknowledged(sending) > 0)
        return false;
    return sending->remote_over || ++sending->looks > LOOKS_MAX;
}

static bool send_all(struct sending *sending) {
    bool all = false;
    while (!all) {
        uint64_t now_ns = sending->ops->now_ns(sending->transport);
        step(sending, sending->finished ? now_ns + LOOK_NS : UINT64_MAX);
        if (sending->failed || closed_early(sending))
            return false;
        finish(sending);
        all = done(sending);
        int error = sending->finished ? socket_error(sending) : 0;
        if (error)
            return failed(sending, "send", error);
    }
    return true;
}

static void leave(struct sending *sending) {
    sending->down.to = NULL;
    close_all(sending);
    stop_pump(&sending->up, 0);
    sending->ops->stop(sending->transport);
    sending->ops->fini(sending->transport);
}

static void tell_dropped(const struct sending *sending) {
    if (sending->dropped_bytes && (sending->to_terminal || sending->stdout_error))
        text_complain("mux send: %llu bytes came back and were dropped: stdout: %s",
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
        text_complain("mux send: where to? mux send ENDPOINT [FILE|-], as in mux send build7:7533 "
                      "run.subunit (mux send --help)");
        return EXIT_USAGE;
    }
    sending.path = argc - optind == 2 ? argv[optind + 1] : "-";
    int input = open_input(&subcommand_send, sending.path);
    if (input < 0 || !connect_endpoint(&sending, argv[optind]))
        return EXIT_FAILED;
    bool fine = open_ends(&sending, input) && send_all(&sending);
    leave(&sending);
    tell_dropped(&sending);
    bool all_written = !sending.dropped_bytes || !sending.stdout_error;
    return fine && all_written ? EXIT_FINE : EXIT_FAILED;
}

const struct subcommand subcommand_send = {"send", "sends a stream to a node", help, run};
