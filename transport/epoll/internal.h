/*
 * The epoll engine from inside.
 *
 * Edge-triggered: a descriptor is registered once, for everything it can do, and never again; what
 * the kernel reported is kept as `ready` in a half until a call says "would block". Pausing,
 * resuming and waiting for buffers cost no system call.
 *
 * All work that can be done at once is a task in the queue of ready tasks. poll() asks the kernel,
 * then gives each task one turn, in order; a turn does one read, write or accept and makes at most
 * one event. A task with more to do queues again behind the others.
 */
#ifndef TRANSPORT_EPOLL_INTERNAL_H
#define TRANSPORT_EPOLL_INTERNAL_H

#include "transport/conns.h"
#include "transport/cursor.h"
#include "transport/descriptor.h"
#include "transport/intake.h"
#include "transport/socket.h"
#include "transport/transport.h"
#include "transport/watch.h"
#include <sys/epoll.h>
#include <sys/uio.h>

/* IOV_MAX: as many as sendmsg() takes. */
#define GATHER_MAX 1024

struct half;

/* How a kind of descriptor is read and written: as read(2) and writev(2), and never blocking. */
struct half_io {
    ssize_t (*read)(struct half *half, struct mux_room room);
    ssize_t (*write)(struct half *half, const struct iovec *pieces, int count);
    bool short_is_empty; /* a short read has emptied it: no need to ask again */
};

extern const struct half_io epoll_socket_io; /* MSG_DONTWAIT */
extern const struct half_io epoll_master_io; /* the controlling side of a terminal */
extern const struct half_io
    epoll_stream_io; /* RWF_NOWAIT; becomes polled_io where that is not supported */
extern const struct half_io
    epoll_plain_io; /* regular files, devices that never block, O_NONBLOCK */

/* One direction of a connection. */
struct half {
    const struct half_io *io;
    int fd; /* -1: none */
    bool owned;
    bool watched;  /* in the epoll set; otherwise always ready */
    bool ready;    /* the last call did not say "would block" */
    bool doubtful; /* hang-up or urgent data: a short read does not mean empty */
};

struct epoll_conn {
    struct transport_conn head; /* first */
    struct transport *transport;
    struct mux_list place; /* of conns.h */
    struct half in;
    struct half out; /* the same fd for a socket; `in` owns and watches it */
    struct intake intake;
    struct task out_task; /* sending; before that connecting */
    struct task closed;

    bool connecting;
    bool closing;
    bool lost;
    bool hung_up; /* `out`, which is not read from, has lost its reader */

    bool ended;

    bool sending;
    bool finishing; /* finish() was called */
    bool finished;
    bool is_file;         /* `out` is a regular file: failed sends are taken back */
    struct cursor cursor; /* of the send in flight */
    struct file_mark mark;

    int failed_error; /* a send failed; reported after the bytes received before it */
    uint64_t in_doubt_bytes;
    struct transport_peer peer;
};

struct epoll_listener {
    struct transport_listener head; /* first */
    struct deferred_item deferred;
    struct transport *transport;
    struct task task;
    struct listening_socket socket;
    bool accepting;
    bool ready;
};

static inline struct epoll_conn *epoll_conn_of(const struct transport_conn *handle) {
    return MUX_CONTAINER_OF(handle, struct epoll_conn, head);
}

static inline struct epoll_listener *epoll_listener_of(const struct transport_listener *handle) {
    return MUX_CONTAINER_OF(handle, struct epoll_listener, head);
}

extern const struct transport_conn_ops epoll_conn_ops;
extern const struct transport_listener_ops epoll_listener_ops;

struct transport {
    struct transport_caps caps;
    int epoll_fd;
    struct deferred deferred;
    struct watches watches;
    bool coarse_timeouts; /* no epoll_pwait2(): milliseconds */
    struct socket_reserve reserve;
    struct pools pools;
    struct mux_list ready;
    struct mux_list starved; /* listeners that wait for a free connection or descriptor */
    struct conns conns;
    unsigned kept;    /* connections that accepting must leave free */
    int accept_limit; /* the first descriptor that accepting must not use */
    unsigned listeners;
};

/* engine.c: the clock, ns */
uint64_t epoll_now_ns(const struct transport *transport);

/* poll.c */
unsigned epoll_poll(struct transport *transport, uint64_t deadline_ns,
                    struct transport_event *events, unsigned most);

/* What an entry of the epoll set is for: of a connection, for which half. */
enum entry_kind {
    ENTRY_LISTENER = 0,
    ENTRY_IN = 1,
    ENTRY_OUT = 2,
    ENTRY_BOTH = 3,
    ENTRY_WATCH = 4
};
#define ENTRY_KIND_MASK ((uint64_t)7)

/*
 * Registers a descriptor of a listener, a connection or a watch: edge-triggered but for watches,
 * whose owners may read as little as they like. False: errno.
 */
bool epoll_register(struct transport *transport, int fd, void *object, enum entry_kind kind);
void epoll_unregister(struct transport *transport, int fd);

/* watch.c */
struct epoll_watch {
    struct watch watch; /* first */
    struct task task;
};
struct transport_watch *epoll_watch(struct transport *transport, int fd, void *user,
                                    struct transport_failure *failure);
void epoll_unwatch(struct transport *transport, struct transport_watch *handle);

/* listener.c */
struct transport_listener *epoll_listen(struct transport *transport,
                                        const struct transport_address *address, void *user,
                                        struct transport_address *bound,
                                        struct transport_failure *failure);
void epoll_accept(struct transport_listener *handle, bool on);
void epoll_close_listener(struct transport_listener *handle);
void epoll_listener_wake(struct epoll_listener *listener);

/* conn.c: how connections begin and end */
struct transport_conn *epoll_connect(struct transport *transport,
                                     const struct transport_address *address, void *user,
                                     struct transport_failure *failure);
struct transport_conn *epoll_attach(struct transport *transport, int in, int out, bool borrowed,
                                    enum transport_pool pool, const char *name, void *user,
                                    struct transport_failure *failure);
void epoll_close(struct transport_conn *handle);

/* A connection of a connected or connecting socket; NULL, with errno, when none is free. */
struct epoll_conn *epoll_conn_new(struct transport *transport, enum transport_pool pool);
bool epoll_conn_use_socket(struct epoll_conn *conn, int fd);
void epoll_conn_free(struct epoll_conn *conn);

/* Makes LOST: nothing more is read or written. */
bool epoll_conn_lost(struct epoll_conn *conn, struct transport_event *event, int error,
                     const char *operation);

/* No longer watched; closed if owned. */
void epoll_half_leave(struct epoll_conn *conn, struct half *half);

/* receive.c */
void epoll_receive(struct transport_conn *handle, bool on);
void epoll_receive_into(struct transport_conn *handle, struct mux_room room);
bool epoll_receive_turn(struct task *task, struct transport_event *event);
void epoll_receive_wake(struct epoll_conn *conn);

/* send.c */
void epoll_send(struct transport_conn *handle, const struct mux_gather *gather);
void epoll_finish(struct transport_conn *handle);
uint64_t epoll_unacknowledged(const struct transport_conn *handle);
bool epoll_unread(const struct transport_conn *handle);
bool epoll_send_turn(struct task *task, struct transport_event *event);
void epoll_send_wake(struct epoll_conn *conn);
void epoll_send_take_back(struct epoll_conn *conn);

#endif
