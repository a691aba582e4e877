/* Connections: made, connected, lost, closed. */
#include "transport/uring/uring.h"
#include <sys/stat.h>
#include <unistd.h>

struct uring_conn *uring_conn_new(struct transport *transport, int in, int out,
                                  enum transport_pool pool, void *user,
                                  struct transport_failure *failure) {
    struct uring_conn *conn = conns_take(&transport->conns);
    if (!conn) {
        *failure = (struct transport_failure){EMFILE, "taking a connection"};
        return NULL;
    }
    *conn = (struct uring_conn){
        .head = {.ops = &uring_conn_ops, .user = user, .peer = &conn->peer},
        .transport = transport,
        .receive = {.op = {.kind = &uring_receive_kind},
                    .fd = in,
                    .pool = &transport->pools.of[pool],
                    .next_pool = &transport->pools.of[pool]},
        .send = {.op = {.kind = &uring_send_kind}, .fd = out},
        .hang_up = {.kind = &uring_reader_kind},
    };
    return conn;
}

void uring_conn_drop(struct uring_conn *conn) {
    mux_list_remove(&conn->work);
    uring_receive_leave(&conn->receive);
    conns_give_back(&conn->transport->conns, conn);
}

void uring_conn_wake(struct uring_conn *conn) {
    if (mux_list_empty(&conn->work))
        mux_list_append(&conn->transport->work, &conn->work);
}

void uring_conn_lost(struct uring_conn *conn, int error, const char *operation,
                     struct uring_events *out) {
    if (conn->lost || conn->closing)
        return;
    conn->lost = true;
    struct transport_event *event = uring_event(out, TRANSPORT_LOST);
    event->conn = &conn->head;
    event->error = error;
    event->operation = operation;
}

static bool connect_begin(struct uring_conn *conn) {
    struct io_uring_sqe *sqe = uring_op_begin(conn->transport, &conn->send.op);
    if (!sqe)
        return false;
    io_uring_prep_connect(sqe, conn->send.fd, &conn->address.any, conn->address.len);
    return true;
}

static void connect_complete(struct uring_op *op, int result, unsigned flags,
                             struct uring_events *out) {
    (void)flags;
    struct uring_conn *conn = MUX_CONTAINER_OF(op, struct uring_conn, send.op);
    if (conn->closing || result == -EINTR)
        return;
    if (result < 0) {
        uring_conn_lost(conn, -result, "connect", out);
        return;
    }
    conn->connecting = false;
    op->kind = &uring_send_kind;
    if (conn->address.any.sa_family == AF_UNIX) /* the peer's pid is known only now */
        socket_describe_peer(conn->send.fd, &conn->address, &conn->peer);
    uring_event(out, TRANSPORT_CONNECTED)->conn = &conn->head;
}

static void connect_settle(struct uring_op *op, struct uring_events *out) {
    uring_conn_settle(MUX_CONTAINER_OF(op, struct uring_conn, send.op), out);
}

static const struct uring_op_kind connect_kind = {connect_complete, connect_settle};

struct transport_conn *uring_connect(struct transport *transport,
                                     const struct transport_address *address, void *user,
                                     struct transport_failure *failure) {
    struct uring_conn *conn =
        uring_conn_new(transport, -1, -1, TRANSPORT_POOL_RESERVE, user, failure);
    if (!conn)
        return NULL;
    int fd = socket_for_connect(address, failure);
    if (fd < 0) {
        uring_conn_drop(conn);
        return NULL;
    }
    conn->receive.fd = conn->send.fd = fd;
    conn->send.op.kind = &connect_kind;
    conn->connecting = true;
    conn->address = *address;
    socket_describe_peer(fd, address, &conn->peer);
    uring_conn_wake(conn);
    return &conn->head;
}

/*
 * A device may block although it polls as ready, and cannot be asked not to: the kernel's worker
 * threads wait for it instead of this thread.
 */
static bool use_descriptor(int fd, enum descriptor_kind *kind, bool *is_pipe, bool *is_device,
                           struct transport_failure *failure) {
    struct stat st;
    *is_pipe = *is_device = false;
    if (fd < 0)
        return true;
    if (!descriptor_kind(fd, kind, failure))
        return false;
    *is_pipe = fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
    *is_device = *kind == DESCRIPTOR_STREAM && !*is_pipe;
    return true;
}

static bool use_descriptors(struct uring_conn *conn, struct transport_failure *failure) {
    struct uring_receive *receive = &conn->receive;
    enum descriptor_kind in_kind = DESCRIPTOR_SOCKET;
    bool in_pipe, out_pipe;
    if (!use_descriptor(receive->fd, &in_kind, &in_pipe, &receive->is_device, failure) ||
        !use_descriptor(conn->send.fd, &conn->send.kind, &out_pipe, &conn->send.is_device, failure))
        return false;
    receive->is_file = in_kind == DESCRIPTOR_FILE;
    receive->is_master = receive->is_device && descriptor_is_terminal_master(receive->fd);
    conn->watches_reader =
        conn->send.fd >= 0 && conn->send.fd != receive->fd && conn->send.kind != DESCRIPTOR_FILE;
    if (receive->is_file)
        receive->file_offset = lseek(receive->fd, 0, SEEK_CUR);
    if (in_kind != DESCRIPTOR_SOCKET)
        receive->how =
            in_pipe && conn->transport->read_multishot ? URING_READ_MULTISHOT : URING_READ;
    return true;
}

struct transport_conn *uring_attach(struct transport *transport, int in, int out, bool borrowed,
                                    enum transport_pool pool, const char *name, void *user,
                                    struct transport_failure *failure) {
    assert(in >= 0 || out >= 0);
    struct uring_conn *conn = uring_conn_new(transport, in, out, pool, user, failure);
    if (!conn)
        return NULL;
    conn->borrowed = borrowed;
    if (!use_descriptors(conn, failure)) {
        uring_conn_drop(conn);
        return NULL;
    }
    socket_describe_attached(in >= 0 ? in : out, name, &conn->peer);
    uring_conn_wake(conn);
    return &conn->head;
}

static void close_descriptors(struct uring_conn *conn) {
    if (conn->borrowed)
        return;
    int in = conn->receive.fd, out = conn->send.fd;
    if (in >= 0)
        close(in);
    if (out >= 0 && out != in)
        close(out);
}

static void closed(struct uring_conn *conn, struct uring_events *out) {
    struct transport_event *event = uring_event(out, TRANSPORT_CLOSED);
    uring_send_take_back(&conn->send);
    event->conn = &conn->head;
    event->sent_bytes = conn->send.active ? conn->send.cursor.sent_bytes : 0;
    event->in_doubt_bytes = uring_unacknowledged(&conn->head);
    close_descriptors(conn);
    uring_conn_drop(conn);
}

static bool is_idle(const struct uring_conn *conn) {
    return uring_op_idle(&conn->receive.op) && uring_op_idle(&conn->send.op) &&
           uring_op_idle(&conn->hang_up);
}

static bool closing_advance(struct uring_conn *conn, struct uring_events *out) {
    if (!uring_op_stop(conn->transport, &conn->receive.op) ||
        !uring_op_stop(conn->transport, &conn->send.op) ||
        !uring_op_stop(conn->transport, &conn->hang_up))
        return false;
    if (is_idle(conn))
        closed(conn, out);
    return true;
}

bool uring_conn_advance(struct uring_conn *conn, struct uring_events *out) {
    if (conn->closing)
        return closing_advance(conn, out);
    if (conn->connecting)
        return conn->lost || !uring_op_idle(&conn->send.op) || connect_begin(conn);
    return uring_reader_advance(conn) && uring_send_advance(conn) &&
           uring_receive_advance(conn, out);
}

void uring_conn_settle(struct uring_conn *conn, struct uring_events *out) {
    if (conn->closing && is_idle(conn))
        closed(conn, out);
    else
        uring_conn_wake(conn);
}

void uring_close(struct transport_conn *handle) {
    struct uring_conn *conn = uring_conn_of(handle);
    assert(!conn->closing);
    conn->closing = true;
    uring_receive_leave(&conn->receive);
    uring_conn_wake(conn);
}
