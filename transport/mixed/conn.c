/* Connections and listeners: each call goes to the part that has it. */
#include "transport/descriptor.h"
#include "transport/mixed/mixed.h"
#include <stdlib.h>

/* The part for an address; NULL with *failure. */
static struct part *part_for(struct transport *transport, enum transport_via via,
                             struct transport_failure *failure) {
    for (unsigned i = 0; i < transport->parts_count; i++) {
        struct part *part = &transport->parts[i];
        if (part->via != via)
            continue;
        if (part->transport)
            return part;
        *failure = part->failure;
        return NULL;
    }
    *failure = (struct transport_failure){EPROTONOSUPPORT, "choosing a transport"};
    return NULL;
}

/* There are as many as the parts can have together. */
static struct transport_conn *wrap(struct transport *transport, const struct transport_ops *ops,
                                   struct transport_conn *inner, void *user) {
    struct queue_link *link = queue_pop(&transport->free);
    assert(link);
    struct transport_conn *conn = queue_entry(link, struct transport_conn, link);
    conn->transport = transport;
    conn->ops = ops;
    conn->inner = inner;
    conn->user = user;
    ops->set_user(inner, conn);
    return conn;
}

void mixed_event(struct transport *transport, const struct transport_ops *ops,
                 struct transport_event *event) {
    if (event->listener)
        event->listener = ops->listener_user(event->listener);
    if (event->kind == TRANSPORT_ACCEPTED)
        event->conn = wrap(transport, ops, event->conn, NULL);
    else if (event->conn)
        event->conn = ops->user(event->conn);
    if (event->kind == TRANSPORT_CLOSED)
        queue_push(&transport->retired, &event->conn->link);
}

void mixed_reclaim(struct transport *transport) {
    struct queue_link *link;
    while ((link = queue_pop(&transport->closed)))
        free(queue_entry(link, struct transport_listener, link));
    queue_prepend(&transport->free, &transport->retired);
}

struct transport_listener *mixed_listen(struct transport *transport,
                                        const struct transport_address *address, void *user,
                                        struct transport_address *bound,
                                        struct transport_failure *failure) {
    struct part *part = part_for(transport, address->via, failure);
    if (!part)
        return NULL;
    struct transport_listener *listener = calloc(1, sizeof *listener);
    if (!listener) {
        transport_failed(failure, "calloc");
        return NULL;
    }
    listener->transport = transport;
    listener->ops = part->ops;
    listener->user = user;
    listener->inner = part->ops->listen(part->transport, address, listener, bound, failure);
    if (listener->inner)
        return listener;
    free(listener);
    return NULL;
}

void mixed_accept(struct transport_listener *listener, bool on) {
    listener->ops->accept(listener->inner, on);
}

/* Events of the same poll() may still name it. */
void mixed_close_listener(struct transport_listener *listener) {
    listener->ops->close_listener(listener->inner);
    queue_push(&listener->transport->closed, &listener->link);
}

void *mixed_listener_user(const struct transport_listener *listener) {
    return listener->user;
}

struct transport_conn *mixed_connect(struct transport *transport,
                                     const struct transport_address *address, void *user,
                                     struct transport_failure *failure) {
    struct part *part = part_for(transport, address->via, failure);
    if (!part)
        return NULL;
    struct transport_conn *inner = part->ops->connect(part->transport, address, NULL, failure);
    return inner ? wrap(transport, part->ops, inner, user) : NULL;
}

struct transport_conn *mixed_attach(struct transport *transport, int in, int out, bool borrowed,
                                    enum transport_pool pool, const char *name, void *user,
                                    struct transport_failure *failure) {
    struct part *part = mixed_first(transport);
    struct transport_conn *inner =
        part->ops->attach(part->transport, in, out, borrowed, pool, name, NULL, failure);
    return inner ? wrap(transport, part->ops, inner, user) : NULL;
}

struct transport_watch *mixed_watch(struct transport *transport, int fd, void *user,
                                    struct transport_failure *failure) {
    struct part *first = mixed_first(transport);
    return first->ops->watch(first->transport, fd, user, failure);
}

void mixed_unwatch(struct transport *transport, struct transport_watch *watch) {
    struct part *first = mixed_first(transport);
    first->ops->unwatch(first->transport, watch);
}

void mixed_receive(struct transport_conn *conn, bool on) {
    conn->ops->receive(conn->inner, on);
}

/* An offer that a part declines has lapsed, as any may. */
void mixed_receive_into(struct transport_conn *conn, struct mux_room room) {
    if (conn->ops->receive_into)
        conn->ops->receive_into(conn->inner, room);
}

void mixed_send(struct transport_conn *conn, const struct mux_gather *gather) {
    conn->ops->send(conn->inner, gather);
}

void mixed_finish(struct transport_conn *conn) {
    conn->ops->finish(conn->inner);
}

uint64_t mixed_unacknowledged(const struct transport_conn *conn) {
    return conn->ops->unacknowledged(conn->inner);
}

bool mixed_unread(const struct transport_conn *conn) {
    return conn->ops->unread(conn->inner);
}

void mixed_close(struct transport_conn *conn) {
    conn->ops->close(conn->inner);
}

void mixed_set_user(struct transport_conn *conn, void *user) {
    conn->user = user;
}

void *mixed_user(const struct transport_conn *conn) {
    return conn->user;
}

int mixed_descriptor(const struct transport_conn *conn) {
    return conn->ops->descriptor ? conn->ops->descriptor(conn->inner) : -1;
}

const struct transport_peer *mixed_peer(const struct transport_conn *conn) {
    return conn->ops->peer(conn->inner);
}
