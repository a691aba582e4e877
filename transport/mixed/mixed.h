/*
 * Several transports as one, from inside.
 *
 * A connection of the user's wraps one of a part's, whose user pointer leads back to it. The first
 * part is one of the kernel's: it waits, watches the descriptors that wake it for the others
 * (wake_fd()), and sleeps no longer than they allow (rest()).
 */
#ifndef TRANSPORT_MIXED_H
#define TRANSPORT_MIXED_H

#include "transport/queue.h"
#include "transport/transport.h"

/* One for each transport_via. */
#define MIXED_PARTS_MAX 3

struct part {
    enum transport_via via;
    const struct transport_ops *ops;
    struct transport *transport;      /* NULL: it could not be made ... */
    struct transport_failure failure; /* ... for this reason */
    struct transport_watch *watch;    /* by the first part; NULL: it is polled by time alone */
};

struct transport_conn {
    struct transport *transport;
    struct queue_link link; /* in transport->free or ->retired */
    const struct transport_ops *ops;
    struct transport_conn *inner;
    void *user;
};

struct transport_listener {
    struct transport *transport;
    struct queue_link link; /* in transport->closed */
    const struct transport_ops *ops;
    struct transport_listener *inner;
    void *user;
};

struct transport {
    struct transport_caps caps;
    struct part parts[MIXED_PARTS_MAX];
    unsigned parts_count;
    struct transport_conn *conns;
    struct queue free;
    struct queue retired; /* CLOSED in the last poll() */
    struct queue closed;  /* listeners, since the last poll() */
    uint64_t busy_poll_ns;
    uint64_t busy_until_ns;
    unsigned turn;
};

/* The part that waits. */
static inline struct part *mixed_first(struct transport *transport) {
    return &transport->parts[0];
}

/* conn.c */
struct transport_listener *mixed_listen(struct transport *transport,
                                        const struct transport_address *address, void *user,
                                        struct transport_address *bound,
                                        struct transport_failure *failure);
void mixed_accept(struct transport_listener *listener, bool on);
void mixed_close_listener(struct transport_listener *listener);
void *mixed_listener_user(const struct transport_listener *listener);
struct transport_conn *mixed_connect(struct transport *transport,
                                     const struct transport_address *address, void *user,
                                     struct transport_failure *failure);
struct transport_conn *mixed_attach(struct transport *transport, int in, int out, bool borrowed,
                                    enum transport_pool pool, const char *name, void *user,
                                    struct transport_failure *failure);
void mixed_receive(struct transport_conn *conn, bool on);
void mixed_receive_into(struct transport_conn *conn, struct mux_room room);
void mixed_send(struct transport_conn *conn, const struct mux_gather *gather);
void mixed_finish(struct transport_conn *conn);
uint64_t mixed_unacknowledged(const struct transport_conn *conn);
bool mixed_unread(const struct transport_conn *conn);
void mixed_close(struct transport_conn *conn);
void mixed_set_user(struct transport_conn *conn, void *user);
void *mixed_user(const struct transport_conn *conn);
int mixed_descriptor(const struct transport_conn *conn);
const struct transport_peer *mixed_peer(const struct transport_conn *conn);

/* An event of a part's becomes one of the user's. */
void mixed_event(struct transport *transport, const struct transport_ops *ops,
                 struct transport_event *event);

/* What was CLOSED before this poll() can be used again. */
void mixed_reclaim(struct transport *transport);

/* Watches are the first part's own: it waits. */
struct transport_watch *mixed_watch(struct transport *transport, int fd, void *user,
                                    struct transport_failure *failure);
void mixed_unwatch(struct transport *transport, struct transport_watch *watch);

/* poll.c */
unsigned mixed_poll(struct transport *transport, uint64_t deadline_ns,
                    struct transport_event *events, unsigned most);

#endif
