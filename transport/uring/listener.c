/*
 * Listeners: one accept for each in every poll(). A multishot accept would take a whole backlog
 * before any connection is served: a delay of 25 to 170 ms with 4,000 in the backlog.
 */
#include "transport/uring/uring.h"
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

static bool must_stop(const struct uring_listener *listener) {
    const struct transport *transport = listener->transport;
    unsigned used = transport->conns.used + transport->kept;
    return listener->closing || !listener->on || used >= transport->conns.count;
}

static bool arm(struct uring_listener *listener) {
    struct io_uring_sqe *sqe = uring_op_begin(listener->transport, &listener->op);
    if (!sqe)
        return false;
    if (listener->poll_first)
        io_uring_prep_poll_add(sqe, listener->socket.fd, POLLIN);
    else
        io_uring_prep_accept(sqe, listener->socket.fd, NULL, NULL, SOCK_CLOEXEC);
    return true;
}

static bool advance(struct uring_listener *listener) {
    if (!uring_op_idle(&listener->op))
        return !must_stop(listener) || uring_op_stop(listener->transport, &listener->op);
    if (listener->closing) {
        mux_list_remove(&listener->all);
        free(listener);
        return true;
    }
    return must_stop(listener) || listener->resting || arm(listener);
}

bool uring_listeners_advance(struct transport *transport) {
    const struct mux_list *end = &transport->listeners;
    for (struct mux_list *link = end->next, *next; link != end; link = next) {
        next = link->next;
        if (!advance(MUX_LIST_ITEM(link, struct uring_listener, all)))
            return false;
    }
    return true;
}

void uring_listeners_rested(struct transport *transport) {
    const struct mux_list *end = &transport->listeners;
    for (struct mux_list *link = end->next; link != end; link = link->next)
        MUX_LIST_ITEM(link, struct uring_listener, all)->resting = false;
}

/*
 * The peer's address. getpeername() fails when the peer has already reset the connection, whose
 * bytes can still be received.
 */
static struct transport_address peer_of(const struct uring_listener *listener, int fd) {
    struct transport_address address = {
        .storage.ss_family = listener->socket.bound.any.sa_family,
        .len = listener->socket.bound.len,
    };
    if (address.any.sa_family != AF_UNIX)
        getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &address.storage, &address.len);
    return address;
}

static void refused(struct uring_listener *listener, int error, struct uring_events *out) {
    struct transport_event *event = uring_event(out, TRANSPORT_REFUSED);
    event->listener = &listener->head;
    event->error = error;
    event->operation = "accept";
}

static void accepted(struct uring_listener *listener, int fd, struct uring_events *out) {
    struct transport_failure failure = {EMFILE, "accept"};
    struct uring_conn *conn =
        fd < listener->transport->accept_limit
            ? uring_conn_new(listener->transport, fd, fd, TRANSPORT_POOL_SHARED, NULL, &failure)
            : NULL;
    if (!conn) {
        close(fd);
        refused(listener, failure.error, out);
        return;
    }
    struct transport_address peer = peer_of(listener, fd);
    socket_describe_peer(fd, &peer, &conn->peer);
    struct transport_event *event = uring_event(out, TRANSPORT_ACCEPTED);
    event->listener = &listener->head;
    event->conn = &conn->head;
}

/*
 * The kernel takes a descriptor before it looks for a connection: without one, accepting fails even
 * when no connection waits. So it is tried again only when one does.
 */
static void accept_failed(struct uring_listener *listener, int error, struct uring_events *out) {
    struct transport *transport = listener->transport;
    listener->poll_first = true;
    if (!socket_accept_starved(error))
        return; /* an error of that one connection, which is gone */
    if (socket_refuse(&transport->reserve, listener->socket.fd))
        refused(listener, error, out);
    else
        listener->resting = transport->reserve.fd < 0;
}

static void complete(struct uring_op *op, int result, unsigned flags, struct uring_events *out) {
    struct uring_listener *listener = MUX_CONTAINER_OF(op, struct uring_listener, op);
    (void)flags;
    bool polled = listener->poll_first;
    if (result == -ECANCELED || result == -EINTR)
        return;
    listener->poll_first = false;
    if (polled)
        return;
    if (listener->closing) {
        if (result >= 0)
            close(result);
    } else if (result >= 0) {
        accepted(listener, result, out);
    } else {
        accept_failed(listener, -result, out);
    }
}

/* Every poll() advances all listeners. */
static void settle(struct uring_op *op, struct uring_events *out) {
    (void)op;
    (void)out;
}

static const struct uring_op_kind accept_kind = {complete, settle};

struct transport_listener *uring_listen(struct transport *transport,
                                        const struct transport_address *address, void *user,
                                        struct transport_address *bound,
                                        struct transport_failure *failure) {
    struct uring_listener *listener = calloc(1, sizeof *listener);
    if (!listener) {
        transport_failed(failure, "calloc");
        return NULL;
    }
    if (!socket_listen(address, &listener->socket, failure)) {
        free(listener);
        return NULL;
    }
    listener->head = (struct transport_listener){.ops = &uring_listener_ops, .user = user};
    listener->transport = transport;
    listener->on = true;
    listener->op.kind = &accept_kind;
    mux_list_append(&transport->listeners, &listener->all);
    *bound = listener->socket.bound;
    return &listener->head;
}

void uring_accept(struct transport_listener *handle, bool on) {
    struct uring_listener *listener = uring_listener_of(handle);
    listener->on = on;
}

void uring_close_listener(struct transport_listener *handle) {
    struct uring_listener *listener = uring_listener_of(handle);
    listener->closing = true;
    listener->head.user = NULL;
    socket_unlisten(&listener->socket);
}
