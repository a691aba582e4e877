/*
 * Receiving: into buffers that the kernel chooses (multishot where supported), large ones while
 * much comes at a time, or into the user's room. One request at a time; a change of what is wanted
 * cancels it, and the new request begins when the old one has ended. So no byte can overtake
 * another.
 */
#include "transport/uring/uring.h"
#include <poll.h>
#include <unistd.h>

static struct uring_conn *conn_of(struct uring_op *op) {
    return MUX_CONTAINER_OF(op, struct uring_conn, receive.op);
}

static bool has_room(const struct uring_receive *receive) {
    return receive->room.data != NULL;
}

/* Is the request in flight no longer what is wanted? */
static bool must_stop(const struct uring_conn *conn) {
    const struct uring_receive *receive = &conn->receive;
    if (conn->send.error != 0 && (!receive->draining || receive->drain_bytes == 0))
        return true;
    bool other_place = has_room(receive) || receive->next_pool != receive->pool;
    return !receive->wanted || (other_place && !receive->into_room);
}

/* After a failed send: have all bytes been received that had arrived until then? */
static bool drained(struct uring_conn *conn) {
    struct uring_receive *receive = &conn->receive;
    if (!receive->draining) {
        receive->draining = true;
        receive->drain_bytes = receive->fd == conn->send.fd ? socket_unread(receive->fd) : 0;
    }
    return receive->ended || receive->drain_bytes == 0;
}

void uring_receive_leave(struct uring_receive *receive) {
    mux_list_remove(&receive->waiting);
    receive->told = false;
}

/*
 * A file is read and written at explicit offsets: the kernel does not move the descriptor's offset
 * when a request fails after a part was done, which it reports as done.
 */
static uint64_t offset(const struct uring_receive *receive) {
    return receive->is_file ? (uint64_t)receive->file_offset : URING_OFFSET_NONE;
}

static bool arm_room(struct uring_conn *conn) {
    struct uring_receive *receive = &conn->receive;
    struct io_uring_sqe *sqe = uring_op_begin(conn->transport, &receive->op);
    if (!sqe)
        return false;
    receive->into_room = true;
    if (receive->poll_first) {
        io_uring_prep_poll_add(sqe, receive->fd, POLLIN);
        return true;
    }
    unsigned len = receive->room.len < URING_REQUEST_MAX_BYTES ? (unsigned)receive->room.len
                                                               : URING_REQUEST_MAX_BYTES;
    if (receive->how == URING_RECV_MULTISHOT)
        io_uring_prep_recv(sqe, receive->fd, receive->room.data, len, 0);
    else
        io_uring_prep_read(sqe, receive->fd, receive->room.data, len, offset(receive));
    if (receive->is_device)
        sqe->flags |= IOSQE_ASYNC;
    return true;
}

/* Receives into buffers that the kernel chooses. */
static void prepare(const struct uring_receive *receive, struct io_uring_sqe *sqe, uint16_t group,
                    bool once) {
    int fd = receive->fd;
    if (receive->how == URING_RECV_MULTISHOT && !once)
        io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    else if (receive->how == URING_RECV_MULTISHOT)
        io_uring_prep_recv(sqe, fd, NULL, 0, 0);
    else if (receive->how == URING_READ_MULTISHOT && !once)
        io_uring_prep_rw(URING_OP_READ_MULTISHOT, sqe, fd, NULL, 0, offset(receive));
    else
        io_uring_prep_read(sqe, fd, NULL, 0, offset(receive));
    sqe->flags |= IOSQE_BUFFER_SELECT | (receive->is_device ? IOSQE_ASYNC : 0);
    sqe->buf_group = group;
}

bool uring_receive_arm(struct uring_conn *conn, bool once) {
    struct uring_receive *receive = &conn->receive;
    struct io_uring_sqe *sqe = uring_op_begin(conn->transport, &receive->op);
    if (!sqe)
        return false;
    if (receive->poll_first)
        io_uring_prep_poll_add(sqe, receive->fd, POLLIN);
    else
        prepare(receive, sqe, uring_buffers_group(conn->transport, receive->pool), once);
    receive->into_room = false;
    return true;
}

bool uring_receive_advance(struct uring_conn *conn, struct uring_events *out) {
    struct uring_receive *receive = &conn->receive;
    if (!uring_op_idle(&receive->op))
        return !must_stop(conn) || uring_op_stop(conn->transport, &receive->op);
    if (!conn->lost && conn->send.error != 0 && drained(conn))
        uring_conn_lost(conn, conn->send.error, "send", out);
    if (conn->lost || !receive->wanted || receive->ended || receive->fd < 0) {
        uring_receive_leave(receive);
        return true;
    }
    if (has_room(receive)) {
        uring_receive_leave(receive);
        return arm_room(conn);
    }
    if (mux_list_empty(&receive->waiting)) { /* otherwise it keeps its place in the queue */
        receive->pool = receive->next_pool;
        uring_buffers_wait(conn->transport, receive);
    }
    return true;
}

/* Chooses the pool of the next request; what the one in flight still brings does not change it. */
static void choose_pool(struct uring_conn *conn, size_t len) {
    struct uring_receive *receive = &conn->receive;
    if (receive->next_pool != receive->pool)
        return;
    receive->next_pool = pool_after(receive->pool, len, &receive->short_receives);
    if (receive->next_pool != receive->pool)
        uring_conn_wake(conn);
}

/* The first large buffer begins its turn, which ends early when little comes. */
static void take_turn(struct uring_conn *conn, size_t len) {
    struct uring_receive *receive = &conn->receive;
    uint64_t turn_ns = pool_turn_ns(receive->pool, len, conns_open(&conn->transport->conns));
    if (turn_ns == 0)
        receive->turn_until_ns = 0;
    else if (receive->turn_until_ns == 0)
        receive->turn_until_ns = uring_now_ns(conn->transport) + turn_ns;
}

static void deliver(struct uring_conn *conn, struct mux_buffer *buffer, size_t len,
                    struct uring_events *out) {
    struct uring_receive *receive = &conn->receive;
    struct transport_event *event = uring_event(out, TRANSPORT_RECEIVED);
    event->conn = &conn->head;
    event->buffer = buffer;
    if (buffer) {
        pool_lend(receive->pool, buffer);
        event->bytes = mux_span(buffer->data, len);
        take_turn(conn, len);
        choose_pool(conn, len);
    } else {
        event->bytes = mux_span(receive->room.data, len);
        receive->wanted = false;
    }
    receive->room = (struct mux_room){NULL, 0}; /* filled or lapsed */
    if (receive->is_file) {
        receive->file_offset += (int64_t)len;
        lseek(receive->fd, receive->file_offset, SEEK_SET); /* for other processes that share it */
    }
    if (receive->draining) {
        receive->drain_bytes -= len < receive->drain_bytes ? len : receive->drain_bytes;
        uring_conn_wake(conn);
    }
}

static void end(struct uring_conn *conn, struct uring_events *out) {
    conn->receive.ended = true;
    if (conn->send.error == 0) /* otherwise LOST reports it */
        uring_event(out, TRANSPORT_ENDED)->conn = &conn->head;
}

/* ENOBUFS and a cancelled request are not failures: what is wanted begins again in its turn. */
static bool is_failure(int result) {
    return result != -ENOBUFS && result != -ECANCELED && result != -EINTR;
}

static void complete(struct uring_op *op, int result, unsigned flags, struct uring_events *out) {
    struct uring_conn *conn = conn_of(op);
    struct uring_receive *receive = &conn->receive;
    struct mux_buffer *buffer = uring_buffer_taken(conn->transport, receive->pool, flags);
    bool polled = receive->poll_first;
    receive->poll_first = !polled && result == -EAGAIN;
    if (result > 0 && !polled && !conn->closing) {
        deliver(conn, buffer, (size_t)result, out);
        return;
    }
    if (buffer)
        uring_buffer_back(receive->pool, buffer);
    if (result == -ENOBUFS)
        uring_buffers_scarce(conn->transport, receive->pool);
    if (conn->closing || polled || receive->poll_first)
        return;
    if (result == 0 || (result == -EIO && receive->is_master))
        end(conn, out);
    else if (is_failure(result))
        uring_conn_lost(conn, -result, "receive", out);
}

static void settle(struct uring_op *op, struct uring_events *out) {
    uring_conn_settle(conn_of(op), out);
}

const struct uring_op_kind uring_receive_kind = {complete, settle};

void uring_receive(struct transport_conn *handle, bool on) {
    struct uring_conn *conn = uring_conn_of(handle);
    conn->receive.wanted = on;
    uring_conn_wake(conn);
}

void uring_receive_into(struct transport_conn *handle, struct mux_room room) {
    struct uring_conn *conn = uring_conn_of(handle);
    assert(conn->receive.wanted && !has_room(&conn->receive) && room.data && room.len > 0);
    conn->receive.room = room;
    uring_conn_wake(conn);
}
