/*
 * Sending: one gather list at a time, handed to the kernel as it is. What a request leaves over
 * (always possible with pipes, files and signals; on sockets MSG_WAITALL makes the kernel continue
 * by itself) is sent by the next request.
 */
#include "transport/uring/uring.h"
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * The user's spans are the kernel's iovec array: no copy, no array per connection. They have the
 * same layout, and only the kernel reads them as iovecs.
 */
_Static_assert(sizeof(struct mux_span) == sizeof(struct iovec), "a span is an iovec");
_Static_assert(offsetof(struct mux_span, data) == offsetof(struct iovec, iov_base),
               "a span is an iovec");
_Static_assert(offsetof(struct mux_span, len) == offsetof(struct iovec, iov_len),
               "a span is an iovec");

static struct uring_conn *conn_of(struct uring_op *op) {
    return MUX_CONTAINER_OF(op, struct uring_conn, send.op);
}

/* The next piece: the rest of a partly sent span, alone; otherwise all further spans. */
static struct msghdr *next_piece(struct uring_send *send) {
    const struct cursor *cursor = &send->cursor;
    if (cursor->offset_bytes > 0) {
        cursor_pieces(cursor, &send->rest, 1);
        send->message = (struct msghdr){.msg_iov = &send->rest, .msg_iovlen = 1};
    } else {
        send->message = (struct msghdr){
            .msg_iov = (struct iovec *)(uintptr_t)(cursor->gather.spans + cursor->index),
            .msg_iovlen = cursor->gather.count - cursor->index,
        };
    }
    return &send->message;
}

/* In a file, as for reading. One opened to append ignores the offset. */
static uint64_t offset(const struct uring_send *send) {
    return send->kind == DESCRIPTOR_FILE
               ? (uint64_t)send->mark.offset_bytes + send->cursor.sent_bytes
               : URING_OFFSET_NONE;
}

static bool begin(struct uring_conn *conn) {
    struct uring_send *send = &conn->send;
    struct io_uring_sqe *sqe = uring_op_begin(conn->transport, &send->op);
    if (!sqe)
        return false;
    conn->transport->coalescing.sends_in_flight++;
    if (send->poll_first) {
        io_uring_prep_poll_add(sqe, send->fd, POLLOUT);
        return true;
    }
    const struct msghdr *piece = next_piece(send);
    if (send->kind == DESCRIPTOR_SOCKET)
        io_uring_prep_sendmsg(sqe, send->fd, piece, MSG_WAITALL | MSG_NOSIGNAL);
    else
        io_uring_prep_writev(sqe, send->fd, piece->msg_iov, (unsigned)piece->msg_iovlen,
                             offset(send));
    if (send->is_device)
        sqe->flags |= IOSQE_ASYNC;
    return true;
}

/* Shows the peer the end of the stream. */
static void end(struct uring_conn *conn) {
    struct uring_send *send = &conn->send;
    send->finished = true;
    if (send->kind == DESCRIPTOR_SOCKET) {
        shutdown(send->fd,
                 SHUT_WR); /* fails when the connection is gone: then it has ended anyway */
    } else if (!conn->borrowed) {
        close(send->fd);
        send->fd = -1;
    }
}

bool uring_send_advance(struct uring_conn *conn) {
    struct uring_send *send = &conn->send;
    if (!uring_op_idle(&send->op) || conn->lost || send->error != 0)
        return true;
    if (send->active)
        return begin(conn);
    if (send->finish && !send->finished && send->fd >= 0 && uring_op_idle(&conn->hang_up))
        end(conn);
    return true;
}

void uring_send_take_back(struct uring_send *send) {
    uint64_t *sent_bytes = &send->cursor.sent_bytes;
    if (send->kind != DESCRIPTOR_FILE || *sent_bytes == 0 || cursor_at_end(&send->cursor))
        return;
    if (file_take_back(send->fd, &send->mark, *sent_bytes))
        *sent_bytes = 0;
}

static void failed(struct uring_conn *conn, int error) {
    conn->send.error = error;
    uring_send_take_back(&conn->send);
}

static void complete(struct uring_op *op, int result, unsigned flags, struct uring_events *out) {
    (void)flags;
    struct uring_conn *conn = conn_of(op);
    struct uring_send *send = &conn->send;
    conn->transport->coalescing.sends_in_flight--;
    bool polled = send->poll_first;
    send->poll_first = !polled && result == -EAGAIN;
    if (polled || send->poll_first)
        return;
    if (result < 0) {
        /* cancelled or interrupted: the rest is sent again if it is still wanted */
        if (result != -ECANCELED && result != -EINTR)
            failed(conn, -result);
        return;
    }
    cursor_advance(&send->cursor, (size_t)result);
    if (!cursor_at_end(&send->cursor)) {
        if (result == 0)
            failed(conn, EIO); /* a device that takes nothing would be asked without end */
        return;
    }
    if (send->kind == DESCRIPTOR_FILE)
        lseek(send->fd, (off_t)offset(send), SEEK_SET); /* for other processes that share it */
    if (conn->closing || conn->lost)
        return; /* CLOSED reports it */
    send->active = false;
    uring_event(out, TRANSPORT_SENT)->conn = &conn->head;
}

static void settle(struct uring_op *op, struct uring_events *out) {
    uring_conn_settle(conn_of(op), out);
}

const struct uring_op_kind uring_send_kind = {complete, settle};

/*
 * ---- a reader that goes ----
 */

static struct uring_conn *written_by(struct uring_op *op) {
    return MUX_CONTAINER_OF(op, struct uring_conn, hang_up);
}

bool uring_reader_advance(struct uring_conn *conn) {
    if (conn->send.finish)
        return uring_op_stop(conn->transport, &conn->hang_up);
    bool heard_out = conn->receive.fd < 0 ||
                     conn->receive.ended; /* otherwise the end of receiving comes first */
    if (!conn->watches_reader || !heard_out || conn->lost || !uring_op_idle(&conn->hang_up))
        return true;
    struct io_uring_sqe *sqe = uring_op_begin(conn->transport, &conn->hang_up);
    if (!sqe)
        return false;
    io_uring_prep_poll_add(sqe, conn->send.fd, POLLERR | POLLHUP);
    return true;
}

/* A send in flight finds out by itself. A descriptor that cannot be polled has no reader. */
static void reader_complete(struct uring_op *op, int result, unsigned flags,
                            struct uring_events *out) {
    (void)flags;
    struct uring_conn *conn = written_by(op);
    if (result == -ECANCELED || result == -EINTR)
        return;
    conn->watches_reader = false;
    if (result > 0 && !conn->send.active && !conn->send.finish)
        uring_conn_lost(conn, EPIPE, "send", out);
}

static void reader_settle(struct uring_op *op, struct uring_events *out) {
    uring_conn_settle(written_by(op), out);
}

const struct uring_op_kind uring_reader_kind = {reader_complete, reader_settle};

void uring_send(struct transport_conn *handle, const struct mux_gather *gather) {
    struct uring_conn *conn = uring_conn_of(handle);
    struct uring_send *send = &conn->send;
    assert(!send->active && !send->finish && send->fd >= 0);
    assert(gather->count <= URING_GATHER_MAX);
    send->active = true;
    cursor_begin(&send->cursor, gather);
    if (send->kind == DESCRIPTOR_FILE && !file_mark(send->fd, &send->mark))
        send->error = errno;
    uring_conn_wake(conn);
}

void uring_finish(struct transport_conn *handle) {
    struct uring_conn *conn = uring_conn_of(handle);
    conn->send.finish = true;
    uring_conn_wake(conn);
}

uint64_t uring_unacknowledged(const struct transport_conn *handle) {
    const struct uring_conn *conn = uring_conn_of(handle);
    const struct uring_send *send = &conn->send;
    bool knows = send->fd >= 0 && !conn->connecting;
    return knows ? socket_unacknowledged(send->fd, send->finished) : 0;
}

bool uring_unread(const struct transport_conn *handle) {
    const struct uring_conn *conn = uring_conn_of(handle);
    int fd = conn->receive.fd;
    return fd >= 0 && !conn->connecting && socket_unread(fd) > 0;
}
