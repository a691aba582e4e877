/* mux send: a stream to a node, and what comes back. */
#include "mux/packet/framer.h"
#include "tools/base/loop.h"
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/node/dialer.h"
#include "tools/node/resolver.h"
#include "tools/node/stacks.h"
#include "transport/endpoint.h"
#include "transport/mistake.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is received into, both ways and each stack; of it a share for what comes back. */
#define RECEIVE_BYTES ((size_t)4 << 20)
#define BUFFER_BYTES ((size_t)32 << 10)
#define RESERVE_BUFFERS 32

/* Attempts to connect, stdin, stdout. */
#define CONNS_MAX (DIALER_ATTEMPTS_MAX + 4)
#define ADDRESSES_MAX DIALER_ADDRESSES_MAX

/* After the end: how often it is looked whether the peer's kernel has all ... */
#define LOOK_NS 20000000u
/* ... and how often then, with nothing coming back, until a peer that does not close is left. */
#define LOOKS_MAX 100

/* A peer that goes on sending after the end is left after this time, and a second more for each ...
 */
#define LATE_MOST_NS UINT64_C(10000000000)
/* ... of this many bytes: mux does not wait without end for a peer that drips. */
#define LATE_BYTES_PER_SECOND 65536
#define NS_PER_SECOND UINT64_C(1000000000)

static const char intro[] =
    "usage: mux send ENDPOINT [FILE|-]\n"
    "\n"
    "Sends a stream, byte for byte, to a muxd (or to anything that listens): a file, or\n"
    "stdin as it comes. Ends when the other side has closed, or has acknowledged all and is\n"
    "silent for 2 s (or only drips for 10 s); that it closes before the stream's end is a loss.\n"
    "What comes back, packets for this worker, goes to stdout; on a terminal it is only counted.\n"
    "All addresses of a name are tried side by side; stdin is read meanwhile.\n"
    "\n"
    "  python3 -m subunit.run my.tests | mux send build7\n"
    "  mux send unix:/run/muxd.sock run.subunit\n"
    "\n"
    "ENDPOINT: HOST, HOST:PORT, [v6]:PORT, tcp:..., rdma:HOST:PORT or unix:PATH; the port is 7533\n"
    "unless given.\n";

static const char outro[] =
    "Exit codes: 0 all was sent; 1 it was not, or what came back could not be written to stdout:\n"
    "stderr says why; 2 wrong usage.\n";

static const struct option_row rows[] = {
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {
    .program = "mux send",
    .intro = intro,
    .outro = outro,
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};

/* One direction: what was received and is still to be sent. */
struct pump {
    struct transport_conn *to;   /* NULL: there is no receiver, bytes are only counted ... */
    bool waits;                  /* ... or it is kept until there is a connection */
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
    struct stacks stacks;
    struct loop loop;
    struct timer alarm; /* ends a wait */
    struct loop_handler from_input, from_remote, from_output, from_dialing;
    int socket; /* of the kernel's; -1: another stack */
    struct dialer dialer;
    struct transport_conn *input, *remote, *output;
    unsigned open; /* connections that are not CLOSED */
    struct pump up, down;
    struct mux_framer words; /* of what comes back: a node says why it does not take a stream */
    uint8_t words_store[MUX_STORE_MAX_BYTES];
    bool input_over, remote_over;
    bool finished; /* told the peer that nothing more comes */
    bool failed;
    bool to_terminal;    /* what comes back is counted only */
    int stdout_error;    /* errno: what comes back is counted only */
    unsigned looks;      /* since the peer's kernel had all and something came back */
    uint64_t late_ns;    /* waited for nothing but a peer that has all, */
    uint64_t late_bytes; /* which sent so much meanwhile */
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
static void go_on(struct pump *pump) {
    if (pump->waits || pump->sent_count > 0 || pump->count == 0)
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
    transport_send(pump->to, &pump->gather);
}

static void sent(struct pump *pump) {
    for (unsigned i = 0; i < pump->sent_count; i++)
        mux_buffer_release(pump->buffers_sent[i]);
    pump->sent_count = 0;
}

static void received(struct sending *sending, struct pump *pump,
                     const struct transport_event *event) {
    if (!pump->to && !pump->waits) {
        sending->dropped_bytes += event->bytes.len;
        mux_buffer_release(event->buffer);
        return;
    }
    pump->buffers[pump->count] = event->buffer;
    pump->spans[pump->count++] = event->bytes;
    go_on(pump);
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

/* Its last event comes all the same. */
static void close_conn(struct transport_conn **conn) {
    if (*conn)
        transport_close(*conn);
    *conn = NULL;
}

static void from_input(struct loop_handler *handler, const struct transport_event *event,
                       uint64_t now_ns) {
    struct sending *sending = LOOP_OWNER(handler, struct sending, from_input);
    (void)now_ns;
    sending->open -= event->kind == TRANSPORT_CLOSED;
    if (event->kind == TRANSPORT_RECEIVED) {
        received(sending, &sending->up, event);
    } else if (event->kind == TRANSPORT_ENDED) {
        sending->input_over = true;
    } else if (event->kind == TRANSPORT_LOST) {
        text_complain("mux send: %s: %s", sending->path, strerror(event->error));
        sending->failed = true;
    }
}

/* A node's own message that something has failed: of this stream not all is used. */
static bool is_refusal(const struct mux_packet *packet) {
    return packet->status == MUX_STATUS_FAIL && !packet->test_id.data &&
           mux_span_equal(packet->file_name, mux_span_text("muxd"));
}

static void listen_to(struct sending *sending, struct mux_span bytes) {
    struct mux_framer *framer = &sending->words;
    struct mux_frame frame;
    mux_framer_feed(framer, bytes);
    for (;;) {
        mux_framer_next(framer, &frame);
        if (frame.kind == MUX_FRAME_NONE)
            return;
        if (frame.kind == MUX_FRAME_STORE)
            mux_framer_move(framer, framer->store);
        if (frame.kind != MUX_FRAME_PACKET || !is_refusal(&frame.packet))
            continue;
        text_complain("mux send: %s says: %.*s", sending->place, (int)frame.packet.file_content.len,
                      (const char *)frame.packet.file_content.data);
        sending->failed = true;
    }
}

static void from_remote(struct loop_handler *handler, const struct transport_event *event,
                        uint64_t now_ns) {
    struct sending *sending = LOOP_OWNER(handler, struct sending, from_remote);
    (void)now_ns;
    sending->open -= event->kind == TRANSPORT_CLOSED;
    switch (event->kind) {
    case TRANSPORT_RECEIVED:
        sending->looks = 0;
        sending->late_bytes += sending->finished ? event->bytes.len : 0;
        listen_to(sending, event->bytes);
        received(sending, &sending->down, event);
        break;
    case TRANSPORT_ENDED:
        sending->remote_over = true;
        break;
    case TRANSPORT_SENT:
        sent(&sending->up);
        go_on(&sending->up);
        break;
    case TRANSPORT_LOST:
        failed(sending, event->operation, event->error);
        break;
    default:
        break;
    }
}

/* To stdout; when that breaks the stream still has to go up. */
static void from_output(struct loop_handler *handler, const struct transport_event *event,
                        uint64_t now_ns) {
    struct sending *sending = LOOP_OWNER(handler, struct sending, from_output);
    (void)now_ns;
    sending->open -= event->kind == TRANSPORT_CLOSED;
    if (event->kind == TRANSPORT_SENT) {
        sent(&sending->down);
        go_on(&sending->down);
    } else if (event->kind == TRANSPORT_LOST) {
        sending->stdout_error = event->error;
        sending->down.to = NULL;
        close_conn(&sending->output);
    } else if (event->kind == TRANSPORT_CLOSED) {
        sending->dropped_bytes += stop_pump(&sending->down, event->sent_bytes);
    }
}

static void from_dialing(struct loop_handler *handler, const struct transport_event *event,
                         uint64_t now_ns) {
    struct sending *sending = LOOP_OWNER(handler, struct sending, from_dialing);
    sending->open -= event->kind == TRANSPORT_CLOSED;
    dialer_handle(&sending->dialer, event, now_ns);
}

/* The wait is over: its caller looks again. */
static void wake(struct timer *timer, uint64_t now_ns) {
    (void)timer, (void)now_ns;
}

static void wait_until(struct sending *sending, uint64_t at_ns) {
    if (at_ns != UINT64_MAX)
        loop_at(&sending->loop, &sending->alarm, at_ns);
    loop_step(&sending->loop);
    loop_cancel(&sending->loop, &sending->alarm);
}

/* Until the last event of a connection has come its memory may be in flight. */
static void close_all(struct sending *sending) {
    close_conn(&sending->input);
    close_conn(&sending->remote);
    close_conn(&sending->output);
    while (sending->open > 0)
        wait_until(sending, UINT64_MAX);
}

/*
 * ---- connecting ----
 */

static struct transport_conn *attach(struct sending *sending,
                                     const struct loop_descriptors *descriptors,
                                     struct loop_handler *handler,
                                     struct transport_failure *failure) {
    struct transport_conn *conn = loop_attach(&sending->loop, descriptors, handler, failure);
    sending->open += conn != NULL;
    return conn;
}

/* The epoll engine, and beside it the stack that the place asks for. */
static bool make_transport(struct sending *sending, const struct endpoint *endpoint) {
    const struct stacks_config config = {
        .upstream = endpoint,
        .io = IO_EPOLL,
        .memory_bytes = 2 * RECEIVE_BYTES,
        .receive_bytes = RECEIVE_BYTES,
        .buffer_bytes = BUFFER_BYTES,
        .reserve_buffers = RESERVE_BUFFERS,
        .conns_max = CONNS_MAX,
    };
    char why[2 * ENDPOINT_TEXT_BYTES];
    if (!stacks_start(&sending->stacks, &config, why, sizeof why)) {
        text_complain("mux send: %s", why);
        return false;
    }
    loop_init(&sending->loop, sending->stacks.ops, sending->stacks.transport);
    sending->alarm.run = wake;
    sending->from_input.handle = from_input;
    sending->from_remote.handle = from_remote;
    sending->from_output.handle = from_output;
    sending->from_dialing.handle = from_dialing;
    mux_framer_init(&sending->words,
                    (struct mux_room){sending->words_store, sizeof sending->words_store});
    unsigned most = sending->stacks.ops->caps(sending->stacks.transport)->lent_max;
    return (make_pump(&sending->up, most) && make_pump(&sending->down, most)) ||
           failed(sending, "calloc", ENOMEM);
}

static struct transport_conn *begin_connect(void *user, const struct transport_address *address,
                                            void *conn_user, struct transport_failure *failure) {
    struct sending *sending = user;
    struct transport_conn *conn = loop_connect(&sending->loop, address, conn_user, failure);
    sending->open += conn != NULL;
    return conn;
}

static void say_trying(void *user, const char *addresses) {
    (void)user;
    text_complain("mux send: trying %s", addresses);
}

static void say_failed(void *user, const char *address, const struct transport_failure *failure,
                       unsigned told) {
    (void)user;
    if (told)
        text_complain("mux send: %s: %s: %s", address, failure->operation,
                      strerror(failure->error));
}

/* The name's addresses; its look-up may take long. 0 after a sentence, or when the input failed. */
static unsigned look_up(struct sending *sending, const struct endpoint *endpoint,
                        struct transport_address *addresses) {
    char why[256];
    unsigned count = 0;
    struct resolver *resolver = resolver_start(endpoint);
    if (resolver_is_waiting(resolver))
        text_complain("mux send: %s: looking up the name", endpoint->text);
    while (resolver_is_waiting(resolver) && !sending->failed)
        wait_until(sending, loop_now_ns(&sending->loop) + LOOK_NS);
    if (!sending->failed)
        count = resolver_addresses(resolver, addresses, ADDRESSES_MAX, why, sizeof why);
    if (count == 0 && !sending->failed)
        text_complain("mux send: %s: %s", endpoint->text, why);
    return count;
}

/* Tries every address, and reads the input meanwhile. False: none answers, or the input failed. */
static bool dial(struct sending *sending, const struct transport_address *addresses,
                 unsigned count) {
    struct dialer *dialer = &sending->dialer;
    const struct dialer_config config = {
        .conn_user = &sending->from_dialing,
        .attempt_most_ns = DIALER_ATTEMPT_MOST_NS,
        .user = sending,
        .connect = begin_connect,
        .trying = say_trying,
        .failed = say_failed,
    };
    dialer_init(dialer, &config);
    dialer_start(dialer, addresses, count, loop_now_ns(&sending->loop));
    while (dialer->state == DIALER_TRYING && !sending->failed) {
        wait_until(sending, dialer_deadline_ns(dialer));
        dialer_run(dialer, loop_now_ns(&sending->loop));
    }
    if (sending->failed || dialer->state == DIALER_FAILED) {
        dialer_stop(dialer);
        return false;
    }
    sending->remote = dialer_take(dialer, &sending->from_remote);
    address_text(dialer_taken(dialer), sending->place, sizeof sending->place);
    return true;
}

/* Asked of the kernel: what its peer has done with the bytes. */
static bool connect_endpoint(struct sending *sending, const struct endpoint *endpoint) {
    struct transport_address addresses[ADDRESSES_MAX];
    unsigned count = look_up(sending, endpoint, addresses);
    if (count == 0 || !dial(sending, addresses, count))
        return false;
    sending->socket = transport_descriptor(sending->remote);
    sending->up.to = sending->remote;
    sending->up.waits = false;
    transport_receive(sending->remote, true);
    go_on(&sending->up);
    return true;
}

/*
 * ---- sending, and the end ----
 */

/* The input is read from now on, whether or not there is a connection for it. */
static bool open_ends(struct sending *sending, int input) {
    struct transport_failure failure;
    sending->up.waits = true;
    const struct loop_descriptors in = {input, -1, input == STDIN_FILENO, TRANSPORT_POOL_SHARED,
                                        sending->path};
    const struct loop_descriptors out = {-1, STDOUT_FILENO, true, TRANSPORT_POOL_RESERVE,
                                         sending->path};
    sending->input = attach(sending, &in, &sending->from_input, &failure);
    if (!sending->input) {
        text_complain("mux send: %s: %s", sending->path, strerror(failure.error));
        return false;
    }
    sending->to_terminal = isatty(STDOUT_FILENO);
    if (!sending->to_terminal) {
        sending->output = attach(sending, &out, &sending->from_output, &failure);
        sending->stdout_error = sending->output ? 0 : failure.error;
    }
    sending->down.to = sending->output;
    transport_receive(sending->input, true);
    return true;
}

/* Tells the peer, once, that nothing more comes. */
static void finish(struct sending *sending) {
    if (!sending->input_over || !is_empty(&sending->up) || sending->finished)
        return;
    sending->finished = true;
    transport_finish(sending->remote);
}

/* As for muxd: a peer that reads to the end does not close before it; TCP cannot tell them apart.
 */
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
        return transport_unacknowledged(sending->remote);
    return ioctl(sending->socket, SIOCOUTQ, &unsent) < 0 ? 1 : (uint64_t)unsent;
}

/* Has the peer all, and is what it sent written? */
static bool all_through(const struct sending *sending) {
    return sending->finished && is_empty(&sending->down) && unacknowledged(sending) == 0;
}

/* The peer has all, and goes on sending, but little. */
static bool drips(const struct sending *sending) {
    uint64_t allowed_ns =
        LATE_MOST_NS + sending->late_bytes * NS_PER_SECOND / LATE_BYTES_PER_SECOND;
    if (sending->late_ns < allowed_ns)
        return false;
    text_complain("mux send: %s: has all, but goes on sending a little: left", sending->place);
    return true;
}

/* Is there nothing left to wait for? */
static bool done(struct sending *sending) {
    if (!all_through(sending))
        return false;
    return sending->remote_over || ++sending->looks > LOOKS_MAX || drips(sending);
}

static bool send_all(struct sending *sending) {
    bool all = false;
    while (!all) {
        uint64_t now_ns = loop_now_ns(&sending->loop);
        finish(sending);
        bool is_late = all_through(sending);
        wait_until(sending, sending->finished ? now_ns + LOOK_NS : UINT64_MAX);
        if (is_late)
            sending->late_ns += loop_now_ns(&sending->loop) - now_ns;
        if (sending->failed || closed_early(sending))
            return false;
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
    stacks_stop(&sending->stacks, NULL, NULL);
}

static void tell_dropped(const struct sending *sending) {
    if (sending->dropped_bytes && (sending->to_terminal || sending->stdout_error))
        text_complain("mux send: %llu bytes came back and were dropped: stdout: %s",
                      (unsigned long long)sending->dropped_bytes,
                      sending->to_terminal ? "a terminal takes no packets"
                                           : strerror(sending->stdout_error));
}

/* What is to be sent stands where the endpoint belongs. */
static bool refuse_input(const char *text) {
    struct stat status;
    bool is_stdin = strcmp(text, "-") == 0;
    if (!is_stdin &&
        (stat(text, &status) < 0 || S_ISSOCK(status.st_mode) || S_ISDIR(status.st_mode)))
        return true;
    text_complain("mux send: '%s' is no network address%s: ENDPOINT first, then FILE, as in mux "
                  "send build7 %s",
                  text, is_stdin ? "" : " but a file here (tcp:HOST if it is a host)", text);
    return false;
}

static bool parse_place(const char *text, struct endpoint *endpoint) {
    char why[2 * ENDPOINT_TEXT_BYTES + 256];
    bool fine = endpoint_parse(text, endpoint, why, sizeof why);
    if (fine)
        fine = mistake_check_file(endpoint, why, sizeof why);
    if (fine && !endpoint_is_address(endpoint))
        fine = endpoint_refuse(why, sizeof why, "'%s' is no network address", text);
    if (!fine)
        text_complain("mux send: %s: %s", text, why);
    return fine;
}

static int run(int argc, char **argv) {
    static struct sending sending;
    struct endpoint endpoint;
    int status = option_parse(&options, argc, argv, NULL);
    if (status != OPTION_GO_ON)
        return status;
    if (argc - optind < 1 || argc - optind > 2) {
        text_complain("mux send: where to? mux send ENDPOINT [FILE|-], as in mux send build7:7533 "
                      "run.subunit (mux send --help)");
        return EXIT_USAGE;
    }
    sending.path = argc - optind == 2 ? argv[optind + 1] : "-";
    const char *text = argv[optind];
    snprintf(sending.place, sizeof sending.place, "%s", text);
    if (!refuse_input(text) || !parse_place(text, &endpoint))
        return EXIT_USAGE;
    int input = open_input(&subcommand_send, sending.path);
    if (input < 0 || !make_transport(&sending, &endpoint))
        return EXIT_FAILED;
    bool fine =
        open_ends(&sending, input) && connect_endpoint(&sending, &endpoint) && send_all(&sending);
    leave(&sending);
    tell_dropped(&sending);
    bool all_written = !sending.dropped_bytes || !sending.stdout_error;
    return fine && all_written ? EXIT_FINE : EXIT_FAILED;
}

const struct subcommand subcommand_send = {"send", "sends a stream to a node", run};
