/*
 * The simulator from inside. Two floors: the world (clock.c, wire.c, socket.c), which stands for
 * the kernel and the network, and an engine on top of it (the other files), which sees no more of
 * the world than an engine sees of a kernel.
 */
#ifndef TRANSPORT_SIM_INTERNAL_H
#define TRANSPORT_SIM_INTERNAL_H

#include "transport/conns.h"
#include "transport/cursor.h"
#include "transport/descriptor.h"
#include "transport/intake.h"
#include "transport/sim/sim.h"
#include "transport/watch.h"

/* clock.c: timers. Those due at the same time fire in random order. */
struct sim_timer {
    uint64_t at_ns;
    uint64_t tie;
    unsigned place; /* in the heap, from 1; 0: not in it */
    void (*fire)(struct sim_timer *timer);
};

struct sim {
    uint64_t now_ns;
    uint64_t random[4];
    uint64_t digest;
    bool poll_waits;
    struct sim_faults faults;
    sim_fault *fault_happens; /* NULL: all do */
    void *fault_user;
    struct sim_timer **heap; /* from 1 */
    unsigned heap_count;
    unsigned heap_most;
    struct mux_list listeners;
    struct mux_list transports;
    struct sim_end **descriptors; /* by number */
    unsigned descriptor_count;
    struct wire **wires; /* every one ever made, by id */
    unsigned wire_count;
    unsigned wires_open;
    unsigned ends_open; /* in transports */
    unsigned ends_most;
    uint16_t next_port;
};

/* Ends the process when memory is used up. */
void *sim_alloc(void *old, size_t bytes);

void sim_timer_set(struct sim *sim, struct sim_timer *timer, uint64_t at_ns);
void sim_timer_stop(struct sim *sim, struct sim_timer *timer);

/* Advances time to `until_ns` or to the first timer; all timers due then fire. True: one did. */
bool sim_clock_advance(struct sim *sim, uint64_t until_ns);

void sim_note(struct sim *sim, uint64_t what, uint64_t value);
void sim_note_bytes(struct sim *sim, const uint8_t *data, size_t len);

/* wire.c: one direction. Offsets into the stream only grow: read <= arrived <= written. */
struct channel {
    struct wire *wire;
    unsigned from; /* the writer's index in wire->ends; the reader's is the other */
    uint8_t *bytes;
    size_t room_bytes;
    uint64_t written, arrived, read;
    uint64_t acked, ack_under_way;
    bool fin_written, fin_arrived;
    bool is_full; /* until the next journey: see sim_clog() */
    struct sim_corruption *corruptions;
    unsigned corruption_count;
    struct sim_timer deliver, ack;
};

struct watcher {
    void (*ready)(void *user);
    void *user;
};

struct sim_end {
    struct wire *wire;
    struct channel *in, *out; /* NULL: cannot be read, written */
    bool connecting;
    bool closed;
    int error;
    int coming_error;
    struct sim_timer news; /* fires when coming_error, or the result of connecting, arrives */
    struct watcher watcher;
    struct mux_list backlog_link;
    struct transport_address own, peer; /* own: set for an end that connected */
    int descriptor;                     /* 0: none */
};

/* A connection or pipe. Its streams can be asked for as long as the world exists. */
struct wire {
    struct sim *sim;
    unsigned id;
    bool tcp;
    bool pipe;
    enum sim_fate fate;
    bool is_stranded; /* and has vanished, but for what is under way to the end that accepted */
    size_t buffer_bytes;
    const struct sim_faults *faults; /* NULL: the world's */
    struct channel channels[2];
    struct sim_end ends[2];
};

struct sim_listener {
    struct sim *sim;
    struct mux_list link;
    struct transport_address address;
    struct mux_list backlog;
    struct watcher watcher;
};

/* Both ends are closed until they are opened. */
struct wire *sim_wire_new(struct sim *sim);
void sim_wire_free(struct wire *wire);

/* An end was closed: when both are, nothing moves any more. */
void sim_wire_left(struct wire *wire);

/* Opens an end; `reads`, `writes`: its directions. */
struct sim_end *sim_wire_open_end(struct wire *wire, unsigned index, bool reads, bool writes);

/* Does this fault of the connection, with this chance, happen now? */
bool sim_wire_strikes(struct wire *wire, unsigned millionths, const char *what);

/* The delay of a journey that begins now. */
uint64_t sim_wire_delay_ns(struct wire *wire);
const struct sim_faults *sim_wire_faults(const struct wire *wire);

/* Is this direction moving in spite of how the connection broke? */
bool sim_channel_is_stranded(const struct channel *channel);

/* Free bytes of the writer's kernel buffer. */
size_t sim_channel_space_bytes(const struct channel *channel);

/* As write() and read(): bytes moved, or -EAGAIN. For channel_read() there are bytes. */
ssize_t sim_channel_write(struct channel *channel, const uint8_t *data, size_t len);
ssize_t sim_channel_read(struct channel *channel, uint8_t *data, size_t len);

/* Bytes or an end may have to move: starts a journey unless one is under way. */
void sim_channel_kick(struct channel *channel);

/* The end gets this error after a while, unless it has one. */
void sim_end_fails(struct sim_end *end, int error, uint64_t delay_ns);
void sim_end_ready(struct sim_end *end);
static inline struct sim_end *sim_end_other(const struct sim_end *end) {
    struct wire *wire = end->wire;
    return &wire->ends[end == &wire->ends[0]];
}

/* socket.c */
/* Are there bytes to be read now? And would a read return anything: bytes, an end or an error? */
bool sim_end_has_bytes(const struct sim_end *end);
bool sim_end_is_readable(const struct sim_end *end);

/* Would a write return anything now? */
bool sim_end_has_space(const struct sim_end *end);

/* Bytes written that the other kernel has not acknowledged; 0 where that cannot be known. */
uint64_t sim_end_unacknowledged(const struct sim_end *end);

/* The length of a read, write or journey: all, or less if the faults say so. */
size_t sim_wire_shorten(struct wire *wire, size_t len);

/* The engine: a receive that is done and that poll() has not yet reported. */
struct received {
    struct mux_buffer *buffer; /* NULL: into the room */
    size_t len;                /* 0: there is none */
};

struct sim_engine_conn {
    struct transport_conn head; /* first */
    struct transport *transport;
    struct mux_list place; /* of conns.h */
    struct intake intake;
    struct task out, closed;
    struct sim_end *in_end, *out_end; /* the same for a socket */
    bool borrowed;
    bool connecting;
    bool closing;
    bool lost;
    bool ended;
    bool sending;
    bool finishing;
    struct received received;
    struct cursor cursor; /* of the send in flight */
    int failed_error;     /* a send failed; reported after the bytes received before it */
    uint64_t in_doubt_bytes;
    struct transport_peer peer;
};

struct sim_engine_listener {
    struct transport_listener head; /* first */
    struct deferred_item deferred;
    struct transport *transport;
    struct sim_listener *socket;
    struct task task;
    bool accepting;
};

static inline struct sim_engine_conn *sim_engine_conn_of(const struct transport_conn *handle) {
    return MUX_CONTAINER_OF(handle, struct sim_engine_conn, head);
}

static inline struct sim_engine_listener *
sim_engine_listener_of(const struct transport_listener *handle) {
    return MUX_CONTAINER_OF(handle, struct sim_engine_listener, head);
}

extern const struct transport_conn_ops sim_engine_conn_ops;
extern const struct transport_listener_ops sim_engine_listener_ops;

struct transport {
    struct transport_caps caps;
    struct sim *sim;
    struct mux_list link;
    uint64_t wake_ns; /* deadline of the last poll(); 0: it returned events */
    bool stopped;     /* see sim_stop() */
    struct pools pools;
    struct mux_list ready;
    struct mux_list starved; /* listeners that wait for a free connection */
    struct conns conns;
    unsigned listeners;
    struct deferred deferred;
    struct watches watches;
};

/* poll.c */
unsigned sim_engine_poll(struct transport *transport, uint64_t deadline_ns,
                         struct transport_event *events, unsigned most);

/* watch.c */
struct transport_watch *sim_engine_watch(struct transport *transport, int fd, void *user,
                                         struct transport_failure *failure);
void sim_engine_unwatch(struct transport *transport, struct transport_watch *handle);

/* listener.c */
struct transport_listener *sim_engine_listen(struct transport *transport,
                                             const struct transport_address *address, void *user,
                                             struct transport_address *bound,
                                             struct transport_failure *failure);
void sim_engine_accept(struct transport_listener *handle, bool on);
void sim_engine_close_listener(struct transport_listener *handle);

/* conn.c */
struct transport_conn *sim_engine_connect(struct transport *transport,
                                          const struct transport_address *address, void *user,
                                          struct transport_failure *failure);
struct transport_conn *sim_engine_attach(struct transport *transport, int in, int out,
                                         bool borrowed, enum transport_pool pool, const char *name,
                                         void *user, struct transport_failure *failure);
void sim_engine_close(struct transport_conn *handle);
struct sim_engine_conn *sim_engine_conn_new(struct transport *transport, enum transport_pool pool);
void sim_engine_conn_use_socket(struct sim_engine_conn *conn, struct sim_end *end);
/* Closes only the direction that is written. */
void sim_engine_conn_leave_out(struct sim_engine_conn *conn);
bool sim_engine_conn_lost(struct sim_engine_conn *conn, struct transport_event *event, int error,
                          const char *operation);

/* receive.c */
void sim_engine_receive(struct transport_conn *handle, bool on);
void sim_engine_receive_into(struct transport_conn *handle, struct mux_room room);
bool sim_engine_receive_turn(struct task *task, struct transport_event *event);
void sim_engine_receive_wake(struct sim_engine_conn *conn);
void sim_engine_receive_stop(struct sim_engine_conn *conn);

/* May receive at once; poll() reports it later. */
void sim_engine_receive_early(struct sim_engine_conn *conn);

/* send.c */
void sim_engine_send(struct transport_conn *handle, const struct mux_gather *gather);
void sim_engine_finish(struct transport_conn *handle);
uint64_t sim_engine_unacknowledged(const struct transport_conn *handle);
bool sim_engine_unread(const struct transport_conn *handle);
bool sim_engine_send_turn(struct task *task, struct transport_event *event);
void sim_engine_send_wake(struct sim_engine_conn *conn);

#endif
