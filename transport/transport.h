/*
 * transport.h: how bytes move. One interface for io_uring, epoll, the simulator, RDMA and DPDK.
 * Knows nothing of subunit; of mux/ it uses only the buffer types.
 *
 * A completion interface, driven by one thread:
 *   - the transport lends received buffers, the user gives each back when done
 *     (mux_buffer_release);
 *   - the user hands over gather lists, the transport reports when their memory is free again.
 * Nothing here blocks except poll(), which waits until its deadline at most. All results are events
 * returned by poll(); no call makes an event itself, so the user is never re-entered.
 *
 * The life of a connection: accepted, connected or attached -> events -> (lost) -> close() ->
 * TRANSPORT_CLOSED, its last event. The handle is valid until the poll() after that one. Until
 * CLOSED its memory and the memory of a send in flight belong to the transport. Listeners and
 * watches end without an event of their own: their handle, with `user` NULL, is valid until the
 * next poll(), because events that the last poll() returned may still name it.
 *
 * The life of a transport: init, use, close of its connections, listeners and watches (never
 * blocks), stop (waits for what the kernel still holds), fini.
 *
 * Errors are errno values, positive; what they mean in words is for the user to say, with the
 * operation that the event or call names.
 */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#include "mux/buffer.h"
#include "transport/address.h"
#include <sys/types.h>

struct transport; /* an engine: one thread, one ring or one epoll set */
struct transport_conn_ops;
struct transport_listener_ops;
struct transport_peer;

/* An ordered byte stream, both ways. Engines embed it as their own struct's first member. */
struct transport_conn {
    const struct transport_conn_ops *ops;
    void *user;                        /* the user's to set; accepted connections start with NULL */
    const struct transport_peer *peer; /* valid as long as the handle */
};

struct transport_listener {
    const struct transport_listener_ops *ops;
    void *user; /* as given to listen(); NULL after close() */
};

/* A descriptor that the transport watches for its owner. */
struct transport_watch {
    void *user; /* as given to watch(); NULL after unwatch() */
};

enum transport_kind {
    TRANSPORT_ACCEPTED,  /* listener, conn: a new connection; nothing is received until receive() */
    TRANSPORT_REFUSED,   /* listener, error: a connection was turned away (EMFILE, ENFILE, ENOMEM):
                            the reserve descriptor was used to accept and close it */
    TRANSPORT_CONNECTED, /* conn: connect() succeeded */
    TRANSPORT_RECEIVED,  /* conn, bytes, and buffer: one hold on it is now the user's. buffer NULL:
                            the bytes lie in the room given to receive_into() */
    TRANSPORT_STARVED,  /* conn: receiving is on, but its pool has no free buffer. It waits its turn
                           for one, unless receive_into() gives it room. Once in each wait */
    TRANSPORT_ENDED,    /* conn: the peer sends no more (FIN, closed pipe; no process has the other
                           side of a terminal open). Sending may still work. Everything that the
                           peer sent has been received before */
    TRANSPORT_SENT,     /* conn: the gather list is sent whole, its memory is free */
    TRANSPORT_LOST,     /* conn, error, operation: broken; only close() remains to be called. At
                           most once. Bytes that arrived before are received before it: a failed
                           send is reported after unread bytes, so while receive() is off it waits
                           until receiving is on again. Also the result of a connect() that failed.
                           The kernel's engines also report it, with no send in flight, when the
                           reader of a write-only descriptor (a pipe) has gone */
    TRANSPORT_CLOSED,   /* conn: the last event, after close(). sent_bytes: how much of a send in
                           flight the kernel had taken. in_doubt_bytes: taken by the kernel, on any
                           send, but not acknowledged by the peer's (SIOCOUTQ); 0 where that cannot
                           be known. The gather list's memory is free */
    TRANSPORT_READABLE, /* watch: its descriptor can be read (bytes, an end, an error). Once in each
                           poll() while that is so. It may rarely come with nothing to read, so the
                           owner must read without blocking */
};

struct transport_event {
    enum transport_kind kind;
    int error;             /* errno value */
    const char *operation; /* "connect", "receive", "send", "accept": static */
    struct transport_listener *listener;
    struct transport_conn *conn;
    struct transport_watch *watch;
    struct mux_buffer *buffer;
    struct mux_span bytes;
    uint64_t sent_bytes;
    uint64_t in_doubt_bytes;
};

/* What this transport does well on this kernel: input for the mux's choices. */
struct transport_caps {
    unsigned gather_max;          /* most spans in one send */
    size_t reference_least_bytes; /* smallest span worth a reference instead of a copy */
    unsigned lent_max;            /* most received buffers with the user at a time */
    size_t lent_bytes_max;        /* most bytes of one RECEIVED with a buffer */
};

/*
 * Pools of receive buffers: two, so that a flood from below cannot starve what comes from above;
 * and a third one with few large buffers, which connections of the shared pool receive into as long
 * as much comes at a time. It is not to be asked for.
 */
enum transport_pool {
    TRANSPORT_POOL_SHARED,  /* accepted connections, and attached ones that ask for it */
    TRANSPORT_POOL_RESERVE, /* connect(), and attached ones that ask for it */
    TRANSPORT_POOL_LARGE,
};
#define TRANSPORT_POOLS 3

/*
 * Most descriptors that are watched at a time. An agent watches a pidfd for each child, of which it
 * has as many as the machine has processors (some hundreds), and a few of its own: a signalfd,
 * netlink, eventfds of threads, the epoll descriptor of a library.
 */
#define TRANSPORT_WATCHES_MAX 1024

struct transport_config {
    struct mux_room memory;   /* receive buffers are cut from it; page aligned; outlives the
                                 transport */
    size_t buffer_bytes;      /* size of a receive buffer */
    unsigned reserve_buffers; /* how many of them are in TRANSPORT_POOL_RESERVE (at least 1) */
    size_t large_bytes;       /* size of a buffer in TRANSPORT_POOL_LARGE */
    unsigned large_buffers;   /* how many there are; 0: only small ones */
    unsigned conns_max;       /* most connections at a time, all kinds together */
    unsigned kept; /* connections, and descriptors of the process, that accepting must leave free:
                      a crowd of strangers cannot keep connect(), attach() and files from working */
    struct mux_room arena; /* where gather lists lie, `memory` included: registered with a device,
                              once. Transports that need that copy spans from elsewhere */
    /*
     * May this peer connect? Asked before a connection is made where the transport can (REFUSED
     * with EACCES follows when not); else the user checks when it is ACCEPTED. NULL: everybody.
     */
    bool (*allowed)(const void *user, const struct sockaddr_storage *peer);
    const void *allowed_user;
    void *engine_config; /* what the engine needs beyond this (transport_sim: its world), or NULL */
    const struct transport_part *parts; /* of transport_mixed; else NULL */
    unsigned parts_count;
    unsigned busy_poll_us; /* of transport_mixed: how long it polls without sleeping after an event
                            */
};

/* One of several transports that are used as one (transport/mixed/). */
struct transport_part {
    enum transport_via via; /* addresses that it takes */
    const struct transport_ops *ops;
    struct transport_config config;
};

/* Why init(), listen(), connect(), attach() or watch() did not work. */
struct transport_failure {
    int error;             /* errno value */
    const char *operation; /* "bind", "io_uring_setup", ...: static */
    pid_t holder;          /* EADDRINUSE: the process that listens there; 0: unknown, or the process
                              is gone and the kernel has not yet released its socket */
};

/* Most counts that a transport has. */
#define TRANSPORT_COUNTS_MAX 32

/* Something that a transport counts, for the metrics: "dpdk_frames_received", "frames", help. */
struct transport_count {
    const char *name, *unit, *help; /* static */
    uint64_t value;
};

struct transport_ops {
    const char *name; /* "uring", "epoll" */

    /*
     * Makes an engine. On failure *failure is set, nothing is left behind and NULL is returned;
     * EPERM, ENOSYS and EACCES from "io_uring_setup" mean that io_uring is forbidden here.
     */
    struct transport *(*init)(const struct transport_config *config,
                              struct transport_failure *failure);

    const struct transport_caps *(*caps)(const struct transport *transport);

    /* Monotonic time in ns; the simulator's is virtual. All of the user's deadlines use it. */
    uint64_t (*now_ns)(const struct transport *transport);

    /*
     * Listens on one address (transport/address.h). A stale unix socket, one that refuses
     * connects, is removed first. NULL on failure. *bound gets the real address (":0" resolved).
     */
    struct transport_listener *(*listen)(struct transport *transport,
                                         const struct transport_address *address, void *user,
                                         struct transport_address *bound,
                                         struct transport_failure *failure);

    /*
     * Begins to connect to a TCP or unix address; CONNECTED or LOST follows. NULL on failure at
     * once (out of descriptors or connections). send() and receive() only after CONNECTED.
     */
    struct transport_conn *(*connect)(struct transport *transport,
                                      const struct transport_address *address, void *user,
                                      struct transport_failure *failure);

    /*
     * Makes a connection of open descriptors: `in` is read, `out` written, -1 for none, the same
     * for both when it is a socket. Pipes, files, terminals, sockets. The descriptors stay open
     * after close() when `borrowed` (stdin, stdout) and are closed otherwise. O_NONBLOCK is never
     * set on them: it would hold for every process that shares them. A send to a regular file that
     * fails leaves nothing of it in the file, and reports sent_bytes 0. NULL on failure: the
     * descriptors are still the caller's.
     */
    struct transport_conn *(*attach)(struct transport *transport, int in, int out, bool borrowed,
                                     enum transport_pool pool, const char *name, void *user,
                                     struct transport_failure *failure);

    /*
     * Waits for events, at most until deadline_ns (0: does not wait; UINT64_MAX: no limit), and
     * writes up to `most` of them. Returns how many; 0 at the deadline or after a signal.
     * Fairness: connections that are ready are served in turn.
     */
    unsigned (*poll)(struct transport *transport, uint64_t deadline_ns,
                     struct transport_event *events, unsigned most);

    /*
     * Watches a descriptor that is not a connection of the transport: READABLE comes while it can
     * be read. The event repeats in each poll() until the owner has read everything (or, at an end
     * or error, has called unwatch()), so an owner that reads once per event misses nothing.
     * Everything that can be polled may be watched: pipes, sockets, pidfds, signalfds, eventfds,
     * epoll descriptors. `user` is not NULL. NULL on failure: EBADF, EPERM (a regular file), EMFILE
     * (TRANSPORT_WATCHES_MAX are watched), ENOTSUP (an engine that cannot wait by itself).
     * A descriptor can be watched once at a time.
     */
    struct transport_watch *(*watch)(struct transport *transport, int fd, void *user,
                                     struct transport_failure *failure);

    /*
     * Ends it; the owner may close the descriptor then, not before. May be called while events are
     * handled. No later poll() returns an event of this watch. An event that the last poll() has
     * already returned may still name it, with `user` NULL: the user skips such an event.
     */
    void (*unwatch)(struct transport *transport, struct transport_watch *watch);

    /*
     * For transport_mixed, which lets transports of other stacks run beside one of the kernel's.
     * Only the kernel's can wait: poll() of the others returns at once, whatever its deadline.
     *
     * Of the others: the descriptor that can be read when poll() has something to do, to be
     * watched by the transport that waits; -1: none, poll() is called by time alone.
     */
    int (*wake_fd)(const struct transport *transport);

    /*
     * Of the others, before the thread sleeps: the time until which poll() need not be called
     * unless wake_fd() can be read or a call uses the transport. 0: it has something to do at once.
     */
    uint64_t (*idle_until_ns)(struct transport *transport);

    /* Writes what it counts, at most TRANSPORT_COUNTS_MAX; returns how many. NULL: nothing. */
    unsigned (*counts)(const struct transport *transport, struct transport_count *counts);

    /*
     * Takes back all that the kernel still holds. After it no event comes. All connections and
     * listeners are closed, all watches ended before.
     */
    void (*stop)(struct transport *transport);

    /* Frees the engine. All lent buffers have been given back. */
    void (*fini)(struct transport *transport);
};

/*
 * Of a connection: conn->ops. Every engine has all of them. transport_send(conn, ...) and so on,
 * below, call them.
 */
struct transport_conn_ops {
    /*
     * Turns receiving on or off; off at first. Bytes already received still come after off.
     * With no free buffer a connection waits (STARVED), and is served in turn when buffers come
     * back.
     */
    void (*receive)(struct transport_conn *conn, bool on);

    /*
     * The next bytes of this connection go into `room`: one RECEIVED event without a buffer, and
     * with it receiving is off, as after receive(false), so that nothing is begun before the user
     * has said where the following bytes go. Bytes that were already on their way may still come
     * in a buffer first: then the offer lapses and RECEIVED has the buffer (receiving stays on).
     * `room` is the transport's until RECEIVED, ENDED or CLOSED. Only while receive() is on. For
     * connections that cannot wait for a buffer: buffers cost less.
     */
    void (*receive_into)(struct transport_conn *conn, struct mux_room room);

    /*
     * Sends all of a gather list, in order; SENT follows, or LOST. One send at a time. The spans'
     * memory and the spans array are the transport's until SENT or CLOSED.
     */
    void (*send)(struct transport_conn *conn, const struct mux_gather *gather);

    /*
     * No more sends: the peer sees the end after what was sent. Receiving goes on. Borrowed pipes
     * stay open: their reader sees the end only when every process has closed the descriptor.
     */
    void (*finish)(struct transport_conn *conn);

    /* Bytes sent that the peer's kernel has not acknowledged (SIOCOUTQ); 0 where unknown. */
    uint64_t (*unacknowledged)(const struct transport_conn *conn);

    /*
     * Has our side received bytes that the user has not been given? (FIONREAD.) A connection that
     * its peer has left can so be closed only when all that we have acknowledged was read.
     */
    bool (*unread)(const struct transport_conn *conn);

    /*
     * Ends the connection now; CLOSED follows from poll(). Never blocks. Once. Events of it that
     * were on their way may come before CLOSED: their buffers are the user's to give back.
     */
    void (*close)(struct transport_conn *conn);

    /*
     * The kernel's descriptor that it is sent by, to ask about it and to set what
     * transport/socket.h sets, nothing else; -1: none.
     */
    int (*descriptor)(const struct transport_conn *conn);
};

/* Of a listener: listener->ops; transport_accept() and transport_unlisten() call them. */
struct transport_listener_ops {
    /* Accepting goes on or pauses (the kernel's backlog fills). A new listener accepts. */
    void (*accept)(struct transport_listener *listener, bool on);

    /*
     * Stops accepting; its unix socket's path is removed. No later poll() returns an event of it.
     * An ACCEPTED that the last poll() has already returned may still name it, with `user` NULL:
     * that connection is the user's to close.
     */
    void (*close)(struct transport_listener *listener);
};

/* A call each, in short. */

static inline void transport_receive(struct transport_conn *conn, bool on) {
    conn->ops->receive(conn, on);
}

static inline void transport_receive_into(struct transport_conn *conn, struct mux_room room) {
    conn->ops->receive_into(conn, room);
}

static inline void transport_send(struct transport_conn *conn, const struct mux_gather *gather) {
    conn->ops->send(conn, gather);
}

static inline void transport_finish(struct transport_conn *conn) {
    conn->ops->finish(conn);
}

static inline uint64_t transport_unacknowledged(const struct transport_conn *conn) {
    return conn->ops->unacknowledged(conn);
}

static inline bool transport_unread(const struct transport_conn *conn) {
    return conn->ops->unread(conn);
}

static inline void transport_close(struct transport_conn *conn) {
    conn->ops->close(conn);
}

static inline int transport_descriptor(const struct transport_conn *conn) {
    return conn->ops->descriptor(conn);
}

static inline void transport_accept(struct transport_listener *listener, bool on) {
    listener->ops->accept(listener, on);
}

static inline void transport_unlisten(struct transport_listener *listener) {
    listener->ops->close(listener);
}

#define TRANSPORT_PEER_TEXT_BYTES 128

/* A connection's other end, for logs, --allow and --segment-by. */
struct transport_peer {
    char text[TRANSPORT_PEER_TEXT_BYTES]; /* "10.0.0.7:40112", "unix:pid 4711", "stdin" */
    char host[TRANSPORT_PEER_TEXT_BYTES]; /* "10.0.0.7", "fe80::1%ib0"; "" for unix and pipes */
    struct sockaddr_storage address;      /* ss_family AF_UNSPEC for pipes and files */
};

extern const struct transport_ops transport_epoll;
extern const struct transport_ops transport_uring;

extern const struct transport_ops transport_rdma; /* where the build has it: stack.h */
extern const struct transport_ops transport_dpdk; /* likewise */

/*
 * Several as one: config.parts, the first of which waits for all and takes what is attached and
 * watched. Connections and listeners are the parts' own. A part that cannot be made is reported
 * only to a listen() or connect() that needs it. Of the config only `parts` and `busy_poll_us`
 * count.
 */
extern const struct transport_ops transport_mixed;

#endif
