/*
 * The io_uring engine from inside.
 *
 * The user's calls note what is wanted and put the connection on the work list; poll() compares
 * what is wanted with what is in flight, makes the requests, submits and waits in one system call,
 * and turns completions into events. So a quick change of mind costs nothing, a full submission
 * queue loses nothing, and no call can fail half-way. The ring belongs to the thread that called
 * init() (IORING_SETUP_SINGLE_ISSUER): no other thread may use the transport.
 *
 * Why no memory is used after it is freed: a request's user_data is the address of a uring_op,
 * which is part of a connection, a listener or a watch. An op has at most one request in flight and
 * one request that cancels it, and is idle only when the last completion of both has been seen. The
 * memory around it is reused (or freed) only when all its ops are idle, and not before the next
 * poll(), so that events of the same batch can still name it. Buffers, rooms and gather lists
 * belong to the op in flight in the same way.
 */
#ifndef TRANSPORT_URING_H
#define TRANSPORT_URING_H

#include "mux/list.h"
#include "transport/conns.h"
#include "transport/cursor.h"
#include "transport/descriptor.h"
#include "transport/pool.h"
#include "transport/socket.h"
#include "transport/transport.h"
#include "transport/uring/compat.h"
#include "transport/watch.h"
#include <sys/uio.h>

/* The user's array that poll() fills. A completion makes one event at most. */
struct uring_events {
    struct transport_event *events;
    unsigned most;
    unsigned count;
};

/* Bytes of one request: its result is an int. */
#define URING_REQUEST_MAX_BYTES (1U << 30)

/* Most spans of one send: the limit of sendmsg() and writev() (IOV_MAX). */
#define URING_GATHER_MAX 1024

/* For descriptors without an offset (devices, pipes), or to use the kernel's. */
#define URING_OFFSET_NONE UINT64_MAX

struct uring_op;

struct uring_op_kind {
    /* A completion of the request; op->in_flight says whether more follow. */
    void (*complete)(struct uring_op *op, int result, unsigned flags, struct uring_events *out);
    /* After a completion that ended the request or its cancellation. */
    void (*settle)(struct uring_op *op, struct uring_events *out);
};

/* A request to the kernel; the same memory serves one request after another. */
struct uring_op {
    const struct uring_op_kind *kind;
    bool in_flight;        /* its last completion has not been seen */
    bool cancel_in_flight; /* nor that of the request that cancels it */
    bool cancel_taken;     /* the kernel found it: it ends by itself, do not cancel again */
};

/* A pool's buffers as the kernel takes them. */
struct uring_buffer_ring {
    struct io_uring_buf_ring *entries;
    size_t mapped_bytes;
    unsigned most;   /* entries; a power of two */
    unsigned target; /* buffers to keep in it, while that many are free */
    unsigned count;  /* buffers in it, according to the completions seen */
    bool too_few;    /* a request found none in it although there were free ones */
    bool scarce;     /* a request found no buffer, and not every waiting connection has had its turn
                        since */
    struct mux_list in_turn; /* connections that wait, but whose turn lasts: before all others */
    struct mux_list told;    /* whose STARVED was reported: before those in pool->waiting */
};

enum uring_receive_how {
    URING_RECV_MULTISHOT, /* sockets */
    URING_READ_MULTISHOT, /* pipes, where the kernel has it */
    URING_READ,           /* other descriptors, one read at a time */
};

struct uring_receive {
    struct uring_op op;
    int fd; /* -1: none */
    enum uring_receive_how how;
    struct pool *pool;       /* of the request in flight, or of the wait for a buffer */
    struct pool *next_pool;  /* of the next request: see pool_after() */
    unsigned short_receives; /* likewise */
    struct mux_list waiting; /* for a buffer, in pool->waiting or the ring's in_turn or told */
    bool told;               /* of this wait, STARVED was reported */
    uint64_t turn_until_ns;  /* with large buffers: pool_turn_ns(); 0: it waits for its turn */
    struct mux_room room;    /* receive_into(); data NULL: none */
    bool is_device;
    bool is_master; /* the controlling side of a terminal */
    bool is_file;
    int64_t file_offset; /* of a file: where the next read begins */
    bool into_room;      /* the request in flight receives into `room` */
    bool poll_first;     /* another process made it non-blocking, and it was empty: wait until it is
                            readable */
    bool wanted;
    bool ended;
    bool draining;        /* a send failed: `drain_bytes` are received before LOST */
    uint64_t drain_bytes; /* unread when it failed */
};

struct uring_send {
    struct uring_op op;
    int fd; /* -1: none */
    enum descriptor_kind kind;
    bool is_device;
    bool active;     /* from send() until SENT or CLOSED */
    bool poll_first; /* another process made it non-blocking, and it was full: wait until it is
                        writable */
    bool finish;     /* wanted */
    bool finished;
    int error;            /* why sending has ended; 0: it has not */
    struct cursor cursor; /* behind what the kernel took */
    struct iovec rest;    /* of the span at the cursor, when some of it is taken */
    struct msghdr message;
    struct file_mark mark;
};

struct uring_conn {
    struct transport_conn head; /* first */
    struct transport *transport;
    struct mux_list place; /* of conns.h */
    struct mux_list work;  /* in transport->work */
    struct uring_receive receive;
    struct uring_send send;  /* its op also connects */
    struct uring_op hang_up; /* reports that the reader of a write-only descriptor has gone */
    bool watches_reader;
    bool borrowed;
    bool connecting;
    bool lost;
    bool closing;
    struct transport_address address; /* connect(): read by the kernel until it is submitted */
    struct transport_peer peer;
};

struct uring_listener {
    struct transport_listener head; /* first */
    struct transport *transport;
    struct mux_list all; /* in transport->listeners */
    struct uring_op op;
    struct listening_socket socket;
    bool on;
    bool closing;
    bool poll_first; /* accepting failed: wait for a connection before the next try */
    bool resting;    /* neither accepting nor refusing works: not again before the next poll() */
};

static inline struct uring_conn *uring_conn_of(const struct transport_conn *handle) {
    return MUX_CONTAINER_OF(handle, struct uring_conn, head);
}

static inline struct uring_listener *uring_listener_of(const struct transport_listener *handle) {
    return MUX_CONTAINER_OF(handle, struct uring_listener, head);
}

extern const struct transport_conn_ops uring_conn_ops;
extern const struct transport_listener_ops uring_listener_ops;

/* wait.c: whether a wait coalesces completions. */
struct uring_coalescing {
    unsigned sends_in_flight;
    unsigned small_wakes;  /* in a row, shortly after each other */
    unsigned wakes_needed; /* small wakes that make the next wait coalesce */
    bool waited, on;       /* the last system call did */
    uint64_t woken_ns;
};

/* watch.c */
struct uring_watch {
    struct watch watch; /* first; its user is NULL after unwatch() */
    struct transport *transport;
    struct uring_op op;
    struct mux_list work; /* in transport->watch_work */
};

struct transport {
    struct transport_caps caps;
    struct io_uring ring;
    bool ring_made;
    bool read_multishot;
    bool min_wait; /* the kernel can wait for a least time */
    struct uring_coalescing coalescing;
    struct pools pools;
    struct uring_buffer_ring rings[TRANSPORT_POOLS];
    struct socket_reserve reserve;
    struct conns conns;
    unsigned kept;        /* places that are not for accepting */
    int accept_limit;     /* the first descriptor that is not */
    struct mux_list work; /* conns that may have something to do */
    struct mux_list listeners;
    struct deferred deferred;
    struct watches watches;
    struct mux_list watch_work; /* watches whose request is to be made or cancelled */
};

/* ring.c: the ring itself. */

/* Makes the ring for this configuration. False with *failure. */
bool uring_ring_make(struct transport *transport, const struct transport_config *config,
                     struct transport_failure *failure);

/* An entry to fill; submits when the queue is full. NULL only when the kernel takes none now. */
struct io_uring_sqe *uring_sqe(struct transport *transport);

/*
 * Submits, lets completions arrive and waits for the first one until deadline_ns (0: does not
 * wait). False after a signal.
 */
bool uring_enter(struct transport *transport, uint64_t deadline_ns);

uint64_t uring_now_ns(const struct transport *transport);

/* wait.c */

void uring_coalescing_init(struct uring_coalescing *coalescing);

/* Should the next wait coalesce completions? */
bool uring_coalesces(const struct transport *transport);

/* A wait has returned these events. */
void uring_coalescing_woken(struct transport *transport, const struct uring_events *out);

/* op.c: requests. */

static inline bool uring_op_idle(const struct uring_op *op) {
    return !op->in_flight && !op->cancel_in_flight;
}

/* An entry for this op, which is idle; the caller prepares it. NULL: try again at the next poll().
 */
struct io_uring_sqe *uring_op_begin(struct transport *transport, struct uring_op *op);

/* Has the op cancelled unless it is already. False: try again at the next poll(). */
bool uring_op_stop(struct transport *transport, struct uring_op *op);

/* A completion: finds its op and lets it act. */
void uring_op_complete(uint64_t user_data, int result, unsigned flags, struct uring_events *out);

/* The next event, all zero but for its kind. There is room for it. */
struct transport_event *uring_event(struct uring_events *out, enum transport_kind kind);

/* buffers.c: provided buffers. */

bool uring_buffers_make(struct transport *transport, const struct transport_config *config,
                        struct transport_failure *failure);
void uring_buffers_free(struct transport *transport);

/* The buffer that a completion names, or NULL; it is no longer in the ring. */
struct mux_buffer *uring_buffer_taken(struct transport *transport, struct pool *pool,
                                      unsigned flags);

/* Puts it back unused. */
void uring_buffer_back(struct pool *pool, struct mux_buffer *buffer);

/* A request found no buffer. */
void uring_buffers_scarce(struct transport *transport, const struct pool *pool);

/* Puts it into the queue of its pool: before all others while its turn lasts. */
void uring_buffers_wait(struct transport *transport, struct uring_receive *receive);

/* The group by which a request names a pool. */
uint16_t uring_buffers_group(const struct transport *transport, const struct pool *pool);

/*
 * Lets connections that wait for a buffer receive, in turn, as many as there are buffers; when
 * there is none, reports STARVED. True if more can be served at once.
 */
bool uring_buffers_serve(struct transport *transport, struct uring_events *out);

/* receive.c */

extern const struct uring_op_kind uring_receive_kind;

/* Makes what is in flight match what is wanted. False: no entry, try again. */
bool uring_receive_advance(struct uring_conn *conn, struct uring_events *out);

/* Receives into buffers from now on, or into one. False: no entry, try again. */
bool uring_receive_arm(struct uring_conn *conn, bool once);

/* No longer waits for a buffer. */
void uring_receive_leave(struct uring_receive *receive);

void uring_receive(struct transport_conn *handle, bool on);
void uring_receive_into(struct transport_conn *handle, struct mux_room room);

/* send.c */

extern const struct uring_op_kind uring_send_kind;

/* As uring_receive_advance(). */
bool uring_send_advance(struct uring_conn *conn);

/* Removes from a file what a failed send has left there. */
void uring_send_take_back(struct uring_send *send);

/*
 * Notices that the reader has gone while nothing is sent. As uring_receive_advance(). The request
 * holds the descriptor open: it is cancelled before that is closed.
 */
bool uring_reader_advance(struct uring_conn *conn);
extern const struct uring_op_kind uring_reader_kind;

void uring_send(struct transport_conn *handle, const struct mux_gather *gather);
void uring_finish(struct transport_conn *handle);
uint64_t uring_unacknowledged(const struct transport_conn *handle);
bool uring_unread(const struct transport_conn *handle);

/* conn.c: connections from their first to their last event. */

/* A connection of these descriptors; NULL with *failure when conns_max are open. */
struct uring_conn *uring_conn_new(struct transport *transport, int in, int out,
                                  enum transport_pool pool, void *user,
                                  struct transport_failure *failure);

/* The connection is no more; its descriptors are the caller's. */
void uring_conn_drop(struct uring_conn *conn);

/* It may have something to do: the next poll() advances it. */
void uring_conn_wake(struct uring_conn *conn);

bool uring_conn_advance(struct uring_conn *conn, struct uring_events *out);

/* uring_op_kind.settle of its ops. */
void uring_conn_settle(struct uring_conn *conn, struct uring_events *out);

/* Makes LOST, unless that was reported before or close() was called. */
void uring_conn_lost(struct uring_conn *conn, int error, const char *operation,
                     struct uring_events *out);

struct transport_conn *uring_connect(struct transport *transport,
                                     const struct transport_address *address, void *user,
                                     struct transport_failure *failure);
struct transport_conn *uring_attach(struct transport *transport, int in, int out, bool borrowed,
                                    enum transport_pool pool, const char *name, void *user,
                                    struct transport_failure *failure);
void uring_close(struct transport_conn *handle);

/* listener.c */

struct transport_listener *uring_listen(struct transport *transport,
                                        const struct transport_address *address, void *user,
                                        struct transport_address *bound,
                                        struct transport_failure *failure);
void uring_accept(struct transport_listener *handle, bool on);
void uring_close_listener(struct transport_listener *handle);

/* Makes what is in flight match what is wanted, frees closed ones. False: no entry, try again. */
bool uring_listeners_advance(struct transport *transport);

/* A new poll(): listeners with `resting` may try again. */
void uring_listeners_rested(struct transport *transport);

/* watch.c */

struct transport_watch *uring_watch(struct transport *transport, int fd, void *user,
                                    struct transport_failure *failure);
void uring_unwatch(struct transport *transport, struct transport_watch *handle);

/* As uring_listeners_advance(). */
bool uring_watches_advance(struct transport *transport);

#endif
