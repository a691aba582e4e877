#include "transport/epoll/internal.h"

void epoll_send_wake(struct epoll_conn *conn) {
    bool heard_out =
        conn->in.fd < 0 || conn->ended; /* otherwise the bytes that arrived are received first */
    bool news = conn->hung_up && heard_out && !conn->finishing;
    bool wanted = (conn->sending && !conn->failed_error) || conn->connecting || news;
    if (wanted && !conn->lost && !conn->closing && conn->out.ready)
        task_wake(&conn->transport->ready, &conn->out_task);
}

void epoll_send(struct transport_conn *handle, const struct mux_gather *gather) {
    struct epoll_conn *conn = epoll_conn_of(handle);
    assert(!conn->sending && !conn->finishing && conn->out.fd >= 0);
    conn->sending = true;
    cursor_begin(&conn->cursor, gather);
    epoll_send_wake(conn);
}

/* Shows the peer the end of the stream. */
static void finish_now(struct epoll_conn *conn) {
    conn->finished = true;
    if (conn->out.io == &epoll_socket_io)
        shutdown(conn->out.fd, SHUT_WR); /* ENOTCONN: the peer is gone, which receiving reports */
    else if (conn->out.owned)
        epoll_half_leave(conn, &conn->out);
}

void epoll_finish(struct transport_conn *handle) {
    struct epoll_conn *conn = epoll_conn_of(handle);
    assert(!conn->finishing && conn->out.fd >= 0);
    conn->finishing = true;
    if (!conn->sending)
        finish_now(conn);
}

uint64_t epoll_unacknowledged(const struct transport_conn *handle) {
    const struct epoll_conn *conn = epoll_conn_of(handle);
    bool knows = conn->out.fd >= 0 && conn->out.io == &epoll_socket_io && !conn->connecting;
    return knows ? socket_unacknowledged(conn->out.fd, conn->finished) : 0;
}

bool epoll_unread(const struct transport_conn *handle) {
    const struct epoll_conn *conn = epoll_conn_of(handle);
    return conn->in.fd >= 0 && !conn->connecting && socket_unread(conn->in.fd) > 0;
}

/* A failed send leaves nothing in a file. */
void epoll_send_take_back(struct epoll_conn *conn) {
    uint64_t *sent_bytes = &conn->cursor.sent_bytes;
    if (conn->is_file && conn->sending && *sent_bytes > 0 &&
        file_take_back(conn->out.fd, &conn->mark, *sent_bytes))
        *sent_bytes = 0;
}

static bool send_failed(struct epoll_conn *conn, struct transport_event *event, int error) {
    epoll_send_take_back(conn);
    bool readable = conn->in.fd == conn->out.fd && !conn->ended;
    if (!readable || !intake_precedes_loss(&conn->intake, socket_unread(conn->in.fd) > 0))
        return epoll_conn_lost(conn, event, error, "send");
    conn->failed_error = error;
    conn->in.ready = true;
    epoll_receive_wake(conn);
    return false;
}

static bool sent(struct epoll_conn *conn, struct transport_event *event) {
    conn->sending = false;
    event->kind = TRANSPORT_SENT;
    event->conn = &conn->head;
    if (conn->finishing)
        finish_now(conn);
    return true;
}

/* One write. After a short one, EAGAIN or EINTR the send continues in a later turn. */
static bool write_half(struct epoll_conn *conn) {
    struct iovec pieces[GATHER_MAX];
    int count = cursor_pieces(&conn->cursor, pieces, GATHER_MAX);
    assert(count > 0); /* len_bytes is the sum of the spans */
    if (conn->is_file && conn->cursor.sent_bytes == 0 && !file_mark(conn->out.fd, &conn->mark))
        return false;
    ssize_t len = conn->out.io->write(&conn->out, pieces, count);
    if (len >= 0)
        cursor_advance(&conn->cursor, (size_t)len);
    else if (errno == EAGAIN)
        conn->out.ready = false;
    return len >= 0 || errno == EAGAIN || errno == EINTR;
}

bool epoll_send_turn(struct task *task, struct transport_event *event) {
    struct epoll_conn *conn = MUX_CONTAINER_OF(task, struct epoll_conn, out_task);
    if (!conn->sending)
        return epoll_conn_lost(conn, event, EPIPE, "send");
    if (!cursor_at_end(&conn->cursor) && !write_half(conn))
        return send_failed(conn, event, errno);
    if (cursor_at_end(&conn->cursor))
        return sent(conn, event);
    epoll_send_wake(conn);
    return false;
}
