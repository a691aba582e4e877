#include "transport/epoll/internal.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static bool connect_turn(struct task *task, struct transport_event *event);
static bool closed_turn(struct task *task, struct transport_event *event);

struct epoll_conn *epoll_conn_new(struct transport *transport, enum transport_pool pool) {
    struct epoll_conn *conn = conns_take(&transport->conns);
    if (!conn) {
        errno = EMFILE;
        return NULL;
    }
    *conn = (struct epoll_conn){.head = {.ops = &epoll_conn_ops, .peer = &conn->peer},
                                .transport = transport,
                                .in.fd = -1,
                                .out.fd = -1,
                                .intake = {.task.turn = epoll_receive_turn,
                                           .ready = &transport->ready,
                                           .pool = &transport->pools.of[pool]},
                                .out_task.turn = epoll_send_turn,
                                .closed.turn = closed_turn};
    return conn;
}

void epoll_conn_free(struct epoll_conn *conn) {
    conns_give_back(&conn->transport->conns, conn);
}

bool epoll_conn_use_socket(struct epoll_conn *conn, int fd) {
    conn->in.fd = conn->out.fd = fd;
    conn->in.io = conn->out.io = &epoll_socket_io;
    conn->in.owned = conn->in.watched = true;
    conn->out.ready = true; /* the first send shows whether it is */
    return epoll_register(conn->transport, fd, conn, ENTRY_BOTH);
}

bool epoll_conn_lost(struct epoll_conn *conn, struct transport_event *event, int error,
                     const char *operation) {
    assert(!conn->lost);
    conn->lost = true;
    intake_stop(&conn->intake);
    task_stop(&conn->out_task);
    event->kind = TRANSPORT_LOST;
    event->conn = &conn->head;
    event->error = error;
    event->operation = operation;
    return true;
}

/* Begins to connect; connect_turn() reports the result, even an immediate one. */
static bool begin_connect(struct epoll_conn *conn, const struct transport_address *address,
                          struct transport_failure *failure) {
    int fd = socket_for_connect(address, failure);
    if (fd < 0)
        return false;
    conn->connecting = true;
    conn->out_task.turn = connect_turn;
    if (connect(fd, &address->any, address->len) == 0)
        task_wake(&conn->transport->ready, &conn->out_task);
    else if (errno != EINPROGRESS) {
        conn->failed_error = errno;
        task_wake(&conn->transport->ready, &conn->out_task);
    }
    if (!epoll_conn_use_socket(conn, fd)) {
        transport_failed(failure, "epoll_ctl");
        task_stop(&conn->out_task);
        close(fd);
        return false;
    }
    socket_describe_peer(fd, address, &conn->peer);
    return true;
}

struct transport_conn *epoll_connect(struct transport *transport,
                                     const struct transport_address *address, void *user,
                                     struct transport_failure *failure) {
    struct epoll_conn *conn = epoll_conn_new(transport, TRANSPORT_POOL_RESERVE);
    if (!conn) {
        transport_failed(failure, "taking a connection");
        return NULL;
    }
    conn->head.user = user;
    if (!begin_connect(conn, address, failure)) {
        epoll_conn_free(conn);
        return NULL;
    }
    return &conn->head;
}

/* The state of connecting: 0 connected, EINPROGRESS, or the error. */
static int connect_result(const struct epoll_conn *conn) {
    int error = conn->failed_error;
    socklen_t len = sizeof error;
    if (error)
        return error;
    if (getsockopt(conn->out.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return errno;
    if (error)
        return error;
    struct transport_address peer = {.len = sizeof peer.storage};
    return getpeername(conn->out.fd, &peer.any, &peer.len) == 0 ? 0 : EINPROGRESS;
}

static bool connect_turn(struct task *task, struct transport_event *event) {
    struct epoll_conn *conn = MUX_CONTAINER_OF(task, struct epoll_conn, out_task);
    int error = connect_result(conn);
    if (error == EINPROGRESS)
        return false;
    if (error)
        return epoll_conn_lost(conn, event, error, "connect");
    conn->connecting = false;
    conn->out_task.turn = epoll_send_turn;
    conn->out.ready = conn->in.ready = true;
    event->kind = TRANSPORT_CONNECTED;
    event->conn = &conn->head;
    return true;
}

/*
 * Opens a terminal a second time, for this process alone, so that O_NONBLOCK disturbs no other: a
 * terminal that polls as writable may still block. -1 where that is not allowed.
 */
static int reopen_terminal(int fd) {
    char path[64];
    int flags = fcntl(fd, F_GETFL);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static void use_terminal(struct half *half) {
    if (descriptor_is_terminal_master(half->fd)) {
        half->io = &epoll_master_io;
        return;
    }
    int own = reopen_terminal(half->fd);
    half->io = &epoll_stream_io;
    if (own < 0)
        return;
    half->io = &epoll_plain_io;
    half->fd = own;
    half->owned = true;
}

/* Chooses how this half is read and written, and registers it where it can be polled. */
static bool use_descriptor(struct epoll_conn *conn, struct half *half, enum entry_kind kind,
                           struct transport_failure *failure) {
    enum descriptor_kind is;
    if (!descriptor_kind(half->fd, &is, failure))
        return false;
    half->io = is == DESCRIPTOR_SOCKET ? &epoll_socket_io
               : is == DESCRIPTOR_FILE ? &epoll_plain_io
                                       : &epoll_stream_io;
    if (kind & ENTRY_OUT)
        conn->is_file = is == DESCRIPTOR_FILE;
    if (is == DESCRIPTOR_STREAM && isatty(half->fd))
        use_terminal(half);
    half->ready = true;
    half->watched = epoll_register(conn->transport, half->fd, conn, kind);
    if (half->watched)
        return true;
    if (errno != EPERM) {
        transport_failed(failure, "epoll_ctl");
        return false;
    }
    half->io = &epoll_plain_io; /* regular files and /dev/null cannot be polled: always ready */
    return true;
}

static bool use_descriptors(struct epoll_conn *conn, struct transport_failure *failure) {
    if (conn->in.fd < 0)
        return use_descriptor(conn, &conn->out, ENTRY_OUT, failure);
    if (conn->in.fd != conn->out.fd)
        return use_descriptor(conn, &conn->in, ENTRY_IN, failure) &&
               (conn->out.fd < 0 || use_descriptor(conn, &conn->out, ENTRY_OUT, failure));
    if (!use_descriptor(conn, &conn->in, ENTRY_BOTH, failure))
        return false;
    conn->out.fd = conn->in.fd;
    conn->out.io = conn->in.io;
    conn->out.ready = true;
    return true;
}

/*
 * From now on close() closes the descriptors given to attach(); a reopened terminal replaces them.
 */
static void own(struct half *half, int given) {
    if (half->owned)
        close(given);
    half->owned = true;
}

void epoll_half_leave(struct epoll_conn *conn, struct half *half) {
    if (half->watched)
        epoll_unregister(conn->transport, half->fd);
    if (half->owned)
        close(half->fd);
    half->fd = -1;
    half->owned = half->watched = false;
}

struct transport_conn *epoll_attach(struct transport *transport, int in, int out, bool borrowed,
                                    enum transport_pool pool, const char *name, void *user,
                                    struct transport_failure *failure) {
    struct epoll_conn *conn = epoll_conn_new(transport, pool);
    if (!conn) {
        transport_failed(failure, "taking a connection");
        return NULL;
    }
    assert(in >= 0 || out >= 0);
    conn->head.user = user;
    conn->in.fd = in;
    conn->out.fd = out;
    if (!use_descriptors(conn, failure)) {
        epoll_half_leave(conn, &conn->in); /* owns only a reopened terminal so far */
        epoll_half_leave(conn, &conn->out);
        epoll_conn_free(conn);
        return NULL;
    }
    if (!borrowed && in >= 0)
        own(&conn->in, in);
    if (!borrowed && out >= 0 && out != in)
        own(&conn->out, out);
    socket_describe_attached(in >= 0 ? in : out, name, &conn->peer);
    return &conn->head;
}

void epoll_close(struct transport_conn *handle) {
    struct epoll_conn *conn = epoll_conn_of(handle);
    assert(!conn->closing);
    conn->closing = true;
    intake_stop(&conn->intake);
    task_stop(&conn->out_task);
    epoll_send_take_back(conn);
    conn->in_doubt_bytes = epoll_unacknowledged(&conn->head);
    epoll_half_leave(conn, &conn->out);
    epoll_half_leave(conn, &conn->in);
    task_wake(&conn->transport->ready, &conn->closed);
}

static bool closed_turn(struct task *task, struct transport_event *event) {
    struct epoll_conn *conn = MUX_CONTAINER_OF(task, struct epoll_conn, closed);
    event->kind = TRANSPORT_CLOSED;
    event->conn = &conn->head;
    event->sent_bytes = conn->sending ? conn->cursor.sent_bytes : 0;
    event->in_doubt_bytes = conn->in_doubt_bytes;
    epoll_conn_free(conn);
    return true;
}
