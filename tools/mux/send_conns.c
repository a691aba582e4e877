/* mux send: its connections, and what their events do. */
#include "tools/base/text.h"
#include "tools/mux/send_internal.h"

#include <errno.h>
#include <unistd.h>

/* Memory that each stack receives into, and for each direction. */
#define RECEIVE_BYTES ((size_t)4 << 20)
#define BUFFER_BYTES ((size_t)32 << 10)

/* Of it, buffers that only the remote's bytes may take: a full input does not stop them. */
#define RESERVE_BUFFERS 32

/* Attempts to connect, the one that answered, stdin, stdout. */
#define CONNS_MAX (DIALER_ATTEMPTS_MAX + 4)

bool send_fail(struct sending *sending, const char *operation, int error) {
    text_complain("mux send: %s: %s: %s", sending->place, operation, strerror(error));
    sending->failed = true;
    return false;
}

/*
 * ---- events ----
 */

/* Its CLOSED event still comes. */
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
        pump_receive(&sending->up, event);
    } else if (event->kind == TRANSPORT_ENDED) {
        sending->input_over = true;
    } else if (event->kind == TRANSPORT_LOST) {
        text_complain("mux send: %s: %s", sending->path, strerror(event->error));
        sending->failed = true;
    }
}

/* A node's own message of status fail: it does not use all of this stream. */
static bool is_refusal(const struct mux_packet *packet) {
    return packet->status == MUX_STATUS_FAIL && !packet->test_id.data &&
           mux_span_equal(packet->file_name, mux_span_text("muxd"));
}

/* Searches the bytes that come back for refusals. */
static void look_for_refusal(struct sending *sending, struct mux_span bytes) {
    struct mux_framer *framer = &sending->answers;
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
        look_for_refusal(sending, event->bytes);
        pump_receive(&sending->down, event);
        break;
    case TRANSPORT_ENDED:
        sending->remote_over = true;
        break;
    case TRANSPORT_SENT:
        pump_sent(&sending->up);
        break;
    case TRANSPORT_LOST:
        send_fail(sending, event->operation, event->error);
        break;
    default:
        break;
    }
}

/* Of stdout. When it breaks, the stream still goes up. */
static void from_output(struct loop_handler *handler, const struct transport_event *event,
                        uint64_t now_ns) {
    struct sending *sending = LOOP_OWNER(handler, struct sending, from_output);
    (void)now_ns;
    sending->open -= event->kind == TRANSPORT_CLOSED;
    if (event->kind == TRANSPORT_SENT) {
        pump_sent(&sending->down);
    } else if (event->kind == TRANSPORT_LOST) {
        sending->stdout_error = event->error;
        pump_detach(&sending->down);
        close_conn(&sending->output);
    } else if (event->kind == TRANSPORT_CLOSED) {
        pump_stop(&sending->down, event->sent_bytes);
    }
}

/* Of the attempts to connect. */
static void from_dialing(struct loop_handler *handler, const struct transport_event *event,
                         uint64_t now_ns) {
    struct sending *sending = LOOP_OWNER(handler, struct sending, from_dialing);
    sending->open -= event->kind == TRANSPORT_CLOSED;
    dialer_handle(&sending->dialer, event, now_ns);
}

/*
 * ---- begin, wait, end ----
 */

/* The wait is over: the caller of send_wait_until() looks again. */
static void wake(struct timer *timer, uint64_t now_ns) {
    (void)timer, (void)now_ns;
}

/* The epoll engine, and the stack of the endpoint beside it. */
bool send_start(struct sending *sending, const struct endpoint *endpoint) {
    const struct stacks_config config = {
        .upstream = &(struct place){.endpoint = *endpoint},
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
    mux_framer_init(&sending->answers,
                    (struct mux_room){sending->answers_store, sizeof sending->answers_store});
    unsigned most = sending->stacks.ops->caps(sending->stacks.transport)->lent_max;
    return (pump_init(&sending->up, most) && pump_init(&sending->down, most)) ||
           send_fail(sending, "calloc", ENOMEM);
}

static struct transport_conn *attach(struct sending *sending,
                                     const struct loop_descriptors *descriptors,
                                     struct loop_handler *handler,
                                     struct transport_failure *failure) {
    struct transport_conn *conn = loop_attach(&sending->loop, descriptors, handler, failure);
    sending->open += conn != NULL;
    return conn;
}

bool send_open_ends(struct sending *sending, int input) {
    struct transport_failure failure;
    const struct loop_descriptors in = {input, -1, input == STDIN_FILENO, TRANSPORT_POOL_SHARED,
                                        sending->path};
    const struct loop_descriptors out = {-1, STDOUT_FILENO, true, TRANSPORT_POOL_RESERVE,
                                         sending->path};
    pump_keep(&sending->up);
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
    pump_start(&sending->down, sending->output);
    transport_receive(sending->input, true);
    return true;
}

void send_wait_until(struct sending *sending, uint64_t at_ns) {
    if (at_ns != UINT64_MAX)
        loop_at(&sending->loop, &sending->alarm, at_ns);
    loop_step(&sending->loop);
    loop_cancel(&sending->loop, &sending->alarm);
}

void send_stop(struct sending *sending) {
    pump_detach(&sending->down);
    close_conn(&sending->input);
    close_conn(&sending->remote);
    close_conn(&sending->output);
    while (sending->open > 0) /* until its last event a connection may use our buffers */
        send_wait_until(sending, UINT64_MAX);
    pump_stop(&sending->up, 0);
    stacks_stop(&sending->stacks, NULL, NULL);
}
