/*
 * The RDMA engine from inside: reliable connections of rdma_cm, on any device that supports them.
 *
 * A connection is an ordered stream of bytes each way, made of messages (wire.h) under a flow
 * control that never lets one meet an empty receive queue (flow.h). Small pieces are copied into a
 * message's slot by the sender, and out of it into a receive buffer by the receiver, as sockets do.
 * Spans of READ_LEAST_BYTES and more that lie in config.arena are announced, and the receiver moves
 * them by RDMA READ to their final place: a receive buffer, behind what precedes them in the
 * stream, or the room of receive_into(). These bytes are never copied.
 *
 * SENT means: literal bytes are copied, announced spans have been read. close() notifies the peer
 * (WIRE_CLOSE) and waits CLOSE_PATIENCE_NS at most for it to say how far it has read.
 *
 * Memory: slots (slots.h): (CONN_CREDITS + FLOW_CONTROLS_MAX + CONN_STAGING) per connection and two
 * surpluses; receive buffers are those of config.memory. Reads in flight never exceed READS_MAX per
 * connection, nor the receive buffers and rooms that they go to.
 *
 * Trust: config.arena as a whole is registered for remote reading, once per device. A peer that was
 * accepted, and no other, can read any byte of the arena, other links' packets among them, but
 * write none. Accept only machines of the farm (transport_config.allowed).
 *
 * All work that can be done at once is a task in the queue of ready tasks, as in the epoll engine;
 * completions and events of the connection manager only change state and wake tasks.
 */
#ifndef TRANSPORT_RDMA_RDMA_H
#define TRANSPORT_RDMA_RDMA_H

#include "transport/conns.h"
#include "transport/cursor.h"
#include "transport/deferred.h"
#include "transport/descriptor.h"
#include "transport/intake.h"
#include "transport/rdma/flow.h"
#include "transport/rdma/slots.h"
#include "transport/rdma/wire.h"
#include "transport/transport.h"
#include <rdma/rdma_cma.h>

/* More than a batch of the mux has; lists are walked span by span, never handed to the device. */
#define GATHER_MAX 1024

/*
 * From this size on an announcement, a READ and their round trip are assumed to cost less than two
 * copies. An estimate for hardware, where a copy of 8 KiB costs some 300 ns; not measured on any.
 */
#define READ_LEAST_BYTES 8192

/* Slots that every connection always has; busy ones get more. */
#define CONN_CREDITS 3
#define CONN_STAGING 1

/* Most slots that one connection gets from the surplus: 256 KiB, as much as a socket buffer. */
#define CONN_CREDITS_MAX 64
#define CONN_STAGING_MAX 32

/*
 * Most work requests in a connection's send queue; some are reserved for controls. Each may need an
 * entry in the device's completion queue: rxe has 32767, enough for 840 connections. One less than
 * a power of two, because devices round the requested number plus one up.
 */
#define WORK_RING 32
#define WORK_MAX (WORK_RING - 1)
#define WORK_FOR_CONTROLS 8

/* Requests that share one completion. */
#define WORK_SIGNAL_EVERY 8

/* Requests that are posted together, for one doorbell. */
#define BATCH_MAX 16

/*
 * RDMA READs at a time: a usual limit of devices; further ones would wait in the send queue and
 * delay messages.
 */
#define READS_MAX 16

/*
 * Bytes being read at a time, for one connection: several times what is in flight at 100 Gbit/s,
 * and little enough for slow devices: with twice as much rxe takes delayed answers for lost and
 * asks again (24 instead of 38 MB/s in the guest).
 */
#define READ_WINDOW_BYTES ((size_t)256 << 10)

/* Receive buffers being filled at a time, for one connection. */
#define FILLS_MAX 8

/* Announced spans of one connection that are not read yet. */
#define ANNOUNCED_MAX 64

/* Sent inside the work request, where the device can. */
#define INLINE_MAX 256

/* Connections set up and not yet reported to the user: as a socket's backlog. */
#define BACKLOG 128

/* Requests that wait beyond that: what net.core.somaxconn allows a socket. */
#define REQUESTS_MAX 4096

#define NS_PER_S UINT64_C(1000000000)

/* A peer that is alive answers within microseconds. */
#define CLOSE_PATIENCE_NS (NS_PER_S / 2)

/* The interval at which idle connections are probed: a vanished peer shows as a failing send. */
#define KEEPALIVE_NS (10 * NS_PER_S)

/* The connection manager's timeout for each step. */
#define RESOLVE_MS 4000

/*
 * A lost packet is sent again after 4.096 us << 14, about 67 ms; after six retries the connection
 * has failed (three were too few for a software device on a busy machine). rdma_cm's own timeout is
 * seconds, and a count of 7 means without end on rxe.
 */
#define ACK_TIMEOUT 14
#define RETRY_COUNT 6

/*
 * A receive queue is empty only if some peer breaks the rules of flow.h; that peer is being cut
 * off, and the others' sends are retried meanwhile.
 */
#define RNR_RETRY_COUNT 6

#define QP_BUCKETS 1024

struct rdma_device {
    struct mux_list link; /* in transport->devices */
    struct transport *transport;
    struct ibv_context *context;
    struct ibv_pd *pd;
    struct ibv_mr *arena;
    struct ibv_comp_channel *channel;
    struct ibv_cq *cq;
    struct ibv_srq *srq;
    struct slots receive; /* charged: posted for a connection, or holding unread bytes */
    struct slots staging;
    unsigned posted;  /* slots in the shared receive queue */
    unsigned claimed; /* messages that peers may send; never more than `posted` */
    unsigned srq_max;
    unsigned completions; /* entries of cq, and the most that the device supports */
    unsigned completions_max;
    unsigned conns;
    unsigned reads_max; /* at a time, as responder and as initiator */
    bool armed;
    bool removed; /* from the machine; closed with its last connection */
    struct rdma_conn *by_qp[QP_BUCKETS];
};

/* What rdma_cm's id->context points to. */
struct cm_owner {
    bool is_listener;
};

/* A receive buffer or room that is being filled. */
struct fill {
    struct mux_buffer *buffer; /* NULL: the room of receive_into() */
    struct mux_room room;
    size_t len;
    unsigned reads; /* in flight */
    bool failed;
    struct slot *bounce; /* of staging: the room is not registered, bytes are copied from here */
};

enum work_kind { WORK_MESSAGE, WORK_READ, WORK_PROBE };

/* A request in the send queue. */
struct work {
    enum work_kind kind;
    bool signalled;
    bool is_last;         /* READ: the announced span is read whole with this */
    uint32_t bytes;       /* READ: all; MESSAGE: literal ones */
    struct slot *staging; /* NULL: inline */
    struct fill *fill;
};

enum stage {
    STAGE_CONNECTING, /* connect() was called */
    STAGE_ACCEPTING,  /* accepted, and the peer has not confirmed */
    STAGE_OPEN,
};

struct rdma_conn {
    struct transport_conn head; /* first */
    struct cm_owner owner;
    struct transport *transport;
    struct mux_list place;      /* of conns.h */
    struct mux_list link;       /* accepted and not reported: in listener->arrived */
    struct mux_list open_link;  /* has a queue pair */
    struct mux_list dirty_link; /* a control may be due */
    struct mux_list patience_link;
    struct rdma_device *device;
    struct rdma_cm_id *id;
    struct rdma_conn *next_by_qp;
    struct rdma_listener *listener; /* until reported */
    struct intake intake;
    struct task out;
    struct task closed;
    enum stage stage;
    bool told;    /* reported to the user */
    bool starved; /* waits for a buffer, which was not reported yet */
    bool lost;    /* LOST was reported */
    int error;    /* why it is broken; 0: not */
    const char *operation;
    bool disconnected; /* rdma_disconnect() was called */

    struct flow flow;
    struct work *work;   /* WORK_MAX of them, allocated with the queue pair */
    unsigned work_first; /* these two only grow */
    unsigned work_next;
    unsigned unsignalled; /* the number of last requests without a signalled one */
    unsigned reads;       /* in flight */
    size_t reading_bytes;
    unsigned inline_most;

    /* The peer's stream. */
    bool ended;      /* reported */
    bool peer_ended; /* nothing follows what has arrived */
    bool peer_closed;
    bool peer_left_unread;
    bool answer_due;
    bool dropped;        /* what was not reported never will be */
    struct slot *unread; /* messages in their order */
    struct slot **unread_end;
    struct slots_share receive_share;
    unsigned window; /* slots that it should have */
    struct fill fills[FILLS_MAX];
    unsigned fill_first; /* these two only grow */
    unsigned fill_next;
    uint64_t taken_bytes; /* of the peer's stream, laid out in fills */
    unsigned done;        /* announced spans that were read, and not yet acknowledged */

    /* The stream to the peer. */
    size_t message_most_bytes; /* that the peer takes */
    bool sending;
    struct cursor cursor;              /* behind what is posted */
    uint64_t stream_bytes;             /* posted in all */
    uint64_t unacknowledged_bytes;     /* literal ones posted, not known to have arrived */
    uint32_t announced[ANNOUNCED_MAX]; /* lengths */
    unsigned announced_first;
    unsigned announced_next;
    struct slots_share staging_share;
    bool finishing;
    bool end_sent;

    bool closing;
    bool close_sent;
    bool asked;    /* for an answer */
    bool answered; /* or known in another way: answer_bytes */
    uint64_t answer_bytes;
    uint64_t patience_ns;

    struct transport_peer peer;
};

struct rdma_listener {
    struct transport_listener head; /* first */
    struct deferred_item deferred;
    struct cm_owner owner;
    struct transport *transport;
    struct rdma_cm_id *id;
    struct task task;
    struct mux_list arrived; /* set up, not reported */
    bool accepting;
    bool refused;
    struct transport_failure refusal;
};

static inline struct rdma_conn *rdma_conn_of(const struct transport_conn *handle) {
    return MUX_CONTAINER_OF(handle, struct rdma_conn, head);
}

static inline struct rdma_listener *rdma_listener_of(const struct transport_listener *handle) {
    return MUX_CONTAINER_OF(handle, struct rdma_listener, head);
}

extern const struct transport_conn_ops rdma_rc_conn_ops;
extern const struct transport_listener_ops rdma_rc_listener_ops;

struct batch {
    struct rdma_conn *conn;
    unsigned count;
    struct ibv_send_wr requests[BATCH_MAX];
    struct ibv_sge pieces[BATCH_MAX];
    uint8_t inlined[BATCH_MAX][INLINE_MAX];
};

struct transport {
    struct rdma_event_channel *cm;
    int epoll_fd; /* of the channels: one descriptor to wait for */
    struct mux_room arena;
    bool (*allowed)(const void *user, const struct sockaddr_storage *peer); /* the config's */
    const void *allowed_user;
    struct pools pools;
    struct deferred deferred;
    struct transport_caps caps;
    struct mux_list devices;
    struct mux_list ready;
    struct mux_list starved; /* listeners that wait for a place */
    struct mux_list open_conns;
    struct mux_list dirty;
    struct mux_list patient; /* closing, in the order of their deadlines */
    struct batch batch;
    struct conns conns; /* reported ones and those that are not yet */
    unsigned conns_max; /* the user's */
    unsigned conns_told;
    unsigned listeners;
    unsigned arrived;       /* connections granted and not reported */
    struct mux_list asking; /* requests that wait to be granted */
    unsigned requests;
    struct task taking_in; /* grants requests */
    bool rested;           /* the thread may have slept: wake_fd() may be readable */
    unsigned polls;        /* since the connection manager was asked */
    uint64_t keepalive_ns;
};

/* engine.c: the clock, ns */
uint64_t rdma_rc_now_ns(const struct transport *transport);

/* poll.c */
unsigned rdma_rc_poll(struct transport *transport, uint64_t deadline_ns,
                      struct transport_event *events, unsigned most);
uint64_t rdma_rc_idle_until_ns(struct transport *transport);
int rdma_rc_wake_fd(const struct transport *transport);

/* device.c */

/* The device of a verbs context, opened at first use. NULL with *failure. */
struct rdma_device *rdma_device_get(struct transport *transport, struct ibv_context *context,
                                    struct transport_failure *failure);
void rdma_device_close(struct rdma_device *device);

/* It is being removed from the machine, which waits for us to release it. */
void rdma_device_removed(struct transport *transport, struct ibv_context *context);

/*
 * A queue pair for conn->id, with everything that it needs. False with *failure, nothing left
 * behind.
 */
bool rdma_device_join(struct rdma_device *device, struct rdma_conn *conn,
                      struct transport_failure *failure);

/* The queue pair is destroyed; no work of the connection is in flight any more. */
void rdma_device_leave(struct rdma_conn *conn);

/* Peers may send `count` messages more, or fewer. */
void rdma_device_claim(struct rdma_device *device, unsigned count);
void rdma_device_unclaim(struct rdma_device *device, unsigned count);
struct rdma_conn *rdma_device_conn(const struct rdma_device *device, uint32_t qp_number);

/* complete.c: completions. They change state and wake tasks. Returns whether there were any. */
bool rdma_completions_take(struct rdma_device *device);

/* work.c: the send queue. The top bit of wr_id distinguishes its requests from received slots. */
#define WORK_ID (UINT64_C(1) << 63)

/* Room for a message of `len` bytes, literal_bytes of them literal; NULL when the queue is full. */
uint8_t *rdma_work_message(struct rdma_conn *conn, size_t len, size_t literal_bytes, bool control);

/* READ into `to`, which lies in registered memory with that key. False when the queue is full. */
bool rdma_work_read(struct rdma_conn *conn, struct fill *fill, const struct wire_span *from,
                    uint8_t *to, uint32_t key, bool is_last);

/*
 * Posts the requests that the two functions above have collected; `signal`: with a completion for
 * the last.
 */
void rdma_work_post(struct rdma_conn *conn, bool signal);

/* A request without bytes: it fails if the peer is gone. */
void rdma_work_probe(struct rdma_conn *conn);

/* Requests up to and with number `last` are over; `ok`: the last one worked. */
void rdma_work_over(struct rdma_conn *conn, unsigned last, bool ok);

static inline unsigned rdma_work_used(const struct rdma_conn *conn) {
    return conn->work_next - conn->work_first;
}

/* connect.c: how connections begin, and the connection manager's events */
struct transport_conn *rdma_rc_connect(struct transport *transport,
                                       const struct transport_address *address, void *user,
                                       struct transport_failure *failure);
bool rdma_rc_connected_turn(struct task *task, struct transport_event *event);
void rdma_cm_events_take(struct transport *transport);

/* Our hello; and what the peer's says that it accepts. */
void rdma_hello_put(uint8_t *out);
void rdma_rc_greet(struct rdma_conn *conn, const struct wire_hello *hello);

void rdma_set_ack_timeout(struct rdma_cm_id *id);

/* It is set up: messages can be exchanged. */
void rdma_rc_conn_open(struct rdma_conn *conn);

/* listener.c */
struct transport_listener *rdma_rc_listen(struct transport *transport,
                                          const struct transport_address *address, void *user,
                                          struct transport_address *bound,
                                          struct transport_failure *failure);
void rdma_rc_accept(struct transport_listener *handle, bool on);
void rdma_rc_close_listener(struct transport_listener *handle);

/* Its device was removed: it gets no more requests, and the user is notified. */
void rdma_listener_removed(struct rdma_listener *listener);

/* A connection request arrived. */
void rdma_listener_request(struct rdma_listener *listener, const struct rdma_cm_event *event);

/* A connection is set up, or will not be reported after all. */
void rdma_listener_arrived(struct rdma_conn *conn);
void rdma_listener_forget(struct rdma_conn *conn);

/* Grants waiting requests, as far as there are places. */
bool rdma_requests_turn(struct task *task, struct transport_event *event);
void rdma_requests_wake(struct transport *transport);

/* conn.c */
struct rdma_conn *rdma_rc_conn_new(struct transport *transport, enum transport_pool pool);

/* It was never reported: frees everything that it has. */
void rdma_rc_conn_discard(struct rdma_conn *conn);
void rdma_rc_conns_recycle(struct transport *transport);

/*
 * Nothing can be sent or read any more; only what has arrived is still reported. The first error
 * counts.
 */
void rdma_rc_conn_break(struct rdma_conn *conn, int error, const char *operation);
bool rdma_rc_conn_tell_lost(struct rdma_conn *conn, struct transport_event *event, int error,
                            const char *operation);
void rdma_rc_conn_disconnect(struct rdma_conn *conn);
void rdma_rc_close(struct transport_conn *handle);

/* Something happened that close() may be waiting for. */
void rdma_rc_close_wake(struct rdma_conn *conn);

/*
 * Ends connections that have waited long enough. Returns the next such time; UINT64_MAX: none
 * waits.
 */
uint64_t rdma_rc_close_timeouts(struct transport *transport, uint64_t now_ns);

/* Probes idle connections when it is time. Returns the next such time. */
uint64_t rdma_rc_keepalive(struct transport *transport, uint64_t now_ns);

void rdma_rc_peer_describe(struct transport_peer *peer, const struct sockaddr *address);

/* receive.c */
void rdma_rc_receive(struct transport_conn *handle, bool on);
void rdma_rc_receive_into(struct transport_conn *handle, struct mux_room room);
bool rdma_rc_receive_turn(struct task *task, struct transport_event *event);
void rdma_rc_receive_wake(struct rdma_conn *conn);

/* A message of the stream, in its slot, which is charged to the connection. */
void rdma_rc_receive_message(struct rdma_conn *conn, struct slot *slot);

/* The peer closes; its announced spans are read no more. */
void rdma_rc_receive_cut(struct rdma_conn *conn);

/* How far the peer's stream has been read, or, when the peer closes, will be reported. */
uint64_t rdma_rc_receive_taken_bytes(const struct rdma_conn *conn);

/* Drops what has arrived and was not reported, except buffers with READs in flight. */
void rdma_rc_receive_drop(struct rdma_conn *conn);

/* Are there bytes that can still be reported? */
bool rdma_rc_receive_has_bytes(const struct rdma_conn *conn);

/* send.c */
void rdma_rc_send(struct transport_conn *handle, const struct mux_gather *gather);
void rdma_rc_finish(struct transport_conn *handle);
uint64_t rdma_rc_unacknowledged(const struct transport_conn *handle);
bool rdma_rc_unread(const struct transport_conn *handle);
bool rdma_rc_send_turn(struct task *task, struct transport_event *event);
void rdma_rc_send_wake(struct rdma_conn *conn);

/* The peer has read `count` more announced spans. False: it cannot have. */
bool rdma_rc_send_done(struct rdma_conn *conn, unsigned count);
uint64_t rdma_announced_bytes(const struct rdma_conn *conn);

/* control.c: messages without bytes of the stream */
void rdma_control_due(struct rdma_conn *conn);
void rdma_controls_send(struct transport *transport);

/* A control arrived. */
void rdma_control_receive(struct rdma_conn *conn, const struct wire_message *message);

#endif
