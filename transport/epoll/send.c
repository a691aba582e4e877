#include "transport/epoll/internal.h"

void send_wake(struct epoll_conn *conn) {
    bool heard_out = conn->in.fd < 0 || conn->ended; /* else what came before is received first */
    bool news = conn->hung_up && heard_out && !conn->finishing;
    bool wanted = (conn->sending && !conn->failed_error) || conn->connecting || news;
    if (wanted && !conn->lost && !conn->closing && conn->out.ready)
        task_wake(&conn->transport->ready, &conn->out_task);
}

void epoll_send(struct transport_conn *handle, const struct mux_gather *gather) {
    struct epoll_conn *conn = epoll_conn_of(handle);
    assert(!conn->sending && !conn->finishing && conn->out.fd >= 0);
    conn->sending = true;
    conn->gather = *gather;
    conn->span = conn->span_sent_bytes = 0;
    conn->sent_bytes = 0;
    send_wake(conn);
}

/* Shows the peer the end of what was sent. */
static void finish_now(struct epoll_conn *conn) {
    conn->finished = true;
    if (conn->out.io == &socket_io)
        shutdown(conn->out.fd, SHUT_WR); /* ENOTCONN: gone already, which receiving reports */
    else if (conn->out.owned)
        half_leave(conn, &conn->out);
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
    bool knows = conn->out.fd >= 0 && conn->out.io == &socket_io && !conn->connecting;
    return knows ? socket_unacknowledged(conn->out.fd, conn->finished) : 0;
}

bool epoll_unread(const struct transport_conn *handle) {
    const struct epoll_conn *conn = epoll_conn_of(handle);
    return conn->in.fd >= 0 && !conn->connecting && socket_unread(conn->in.fd) > 0;
}

/* What is left of the gather list, as many pieces as go at a time. */
static int pieces_left(const struct epoll_conn *conn, struct iovec *pieces) {
    size_t skip = conn->span_sent_bytes;
    int count = 0;
    for (size_t i = conn->span; i < conn->gather.count && count < GATHER_MAX; i++, skip = 0) {
        const struct mux_span *span = &conn->gather.spans[i];
        if (span->len > skip)
            pieces[count++] = (struct iovec){.iov_base = (void *)(uintptr_t)(span->data + skip),
                                             .iov_len = span->len - skip};
    }
    return count;
}

static void advance(struct epoll_conn *conn, size_t len) {
    conn->sent_bytes += len;
    while (len > 0) {
        size_t left = conn->gather.spans[conn->span].len - conn->span_sent_bytes;
        if (len < left) {
            conn->span_sent_bytes += len;
            return;
        }
        len -= left;
        conn->span++;
        conn->span_sent_bytes = 0;
    }
}

/* A file keeps nothing of a send that did not come through. */
void send_take_back(struct epoll_conn *conn) {
    if (conn->is_file && conn->sending && conn->sent_bytes > 0 &&
        file_take_back(conn->out.fd, &conn->mark, conn->sent_bytes))
        conn->sent_bytes = 0;
}

/*
 * Bytes of the peer's that wait to be read come before the news that it is lost: a worker that
 * ended without reading what was sent to it has perhaps written its results before.
 */
static bool send_failed(struct epoll_conn *conn, struct transport_event *event, int error) {
    send_take_back(conn);
    bool readable = conn->in.fd == conn->out.fd && !conn->ended;
    if (!readable || (!conn->intake.on && socket_unread(conn->in.fd) == 0))
        return conn_lost(conn, event, error, "send");
    conn->failed_error = error;
    conn->in.ready = true;
    receive_wake(conn);
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

/* One write. What follows a short one or none that is no error of its own comes in a later turn. */
static bool write_half(struct epoll_conn *conn) {
    struct iovec pieces[GATHER_MAX];
    int count = pieces_left(conn, pieces);
    assert(count > 0); /* len_bytes is the sum of the spans */
    if (conn->is_file && conn->sent_bytes == 0 && !file_mark(conn->out.fd, &conn->mark))
        return false;
    ssize_t len = conn->out.io->write(&conn->out, pieces, count);
    if (len >= 0)
        advance(conn, (size_t)len);
    else if (errno == EAGAIN)
        conn->out.ready = false;
    return len >= 0 || errno == EAGAIN || errno == EINTR;
}

bool send_turn(struct task *task, struct transport_event *event) {
    struct epoll_conn *conn = queue_entry(task, struct epoll_conn, out_task);
    if (!conn->sending)
        return conn_lost(conn, event, EPIPE, "send");
    if (conn->sent_bytes < conn->gather.len_bytes && !write_half(conn))
        return send_failed(conn, event, errno);
    if (conn->sent_bytes == conn->gather.len_bytes)
        return sent(conn, event);
    send_wake(conn);
    return false;
}
