#include "transport/epoll/internal.h"

void receive_wake(struct transport_conn *conn) {
    bool wanted = conn->receiving && !conn->ended && !conn->connecting && !conn->lost;
    if (wanted && !conn->closing && conn->in.fd >= 0 && conn->in.ready)
        task_wake(&conn->transport->ready, &conn->in.task);
}

void receive_stop(struct transport_conn *conn) {
    task_stop(&conn->in.task);
    struct mux_buffer *buffer = conn->granted;
    conn->granted = NULL;
    if (buffer)
        conn->pool->returned(conn->pool, buffer);
}

void epoll_receive(struct transport_conn *conn, bool on) {
    conn->receiving = on;
    if (on)
        receive_wake(conn);
    else
        receive_stop(conn);
}

void epoll_receive_into(struct transport_conn *conn, struct mux_room room) {
    assert(conn->receiving && conn->room.len == 0 && room.len > 0);
    conn->room = room;
    receive_stop(conn); /* needs no buffer now, and waits for none */
    receive_wake(conn);
}

/* Goes straight to who waits longest: nobody who comes later can take it first. */
void epoll_buffer_returned(struct pool *pool, struct mux_buffer *buffer) {
    struct queue_link *link = queue_pop(&pool->waiting);
    if (!link) {
        pool_keep(pool, buffer);
        return;
    }
    struct transport_conn *conn = queue_entry(link, struct transport_conn, in.task.link);
    conn->granted = buffer;
    task_wake(&conn->transport->ready, &conn->in.task);
}

/* One read. A short one means empty, which spares the call that would say so. */
static ssize_t read_half(struct half *half, struct mux_room room) {
    ssize_t len = half->io->read(half, room);
    if (len > 0 && (size_t)len < room.len && half->io->short_is_empty && !half->doubtful)
        half->ready = false;
    return len;
}

/* What a read that brought no bytes means. */
static bool no_bytes(struct transport_conn *conn, struct transport_event *event, bool end,
                     int error) {
    if (!end && error == EAGAIN)
        conn->in.ready = false;
    if (!end && error == EINTR) {
        receive_wake(conn);
        return false;
    }
    if (conn->failed_error)
        return conn_lost(conn, event, conn->failed_error, "send");
    if (!end)
        return error != EAGAIN && conn_lost(conn, event, error, "receive");
    conn->ended = true;
    event->kind = TRANSPORT_ENDED;
    event->conn = conn;
    return true;
}

static bool received(struct transport_conn *conn, struct transport_event *event,
                     struct mux_buffer *buffer, const uint8_t *data, size_t len) {
    event->kind = TRANSPORT_RECEIVED;
    event->conn = conn;
    event->buffer = buffer;
    event->bytes = mux_span(data, len);
    receive_wake(conn);
    return true;
}

static bool receive_room(struct transport_conn *conn, struct transport_event *event) {
    uint8_t *data = conn->room.data;
    ssize_t len = read_half(&conn->in, conn->room);
    if (len <= 0)
        return no_bytes(conn, event, len == 0, errno);
    conn->room.len = 0;
    conn->receiving = false;
    return received(conn, event, NULL, data, (size_t)len);
}

bool receive_turn(struct task *task, struct transport_event *event) {
    struct transport_conn *conn = queue_entry(task, struct transport_conn, in.task);
    if (conn->room.len > 0)
        return receive_room(conn, event);
    struct mux_buffer *buffer = conn->granted ? conn->granted : pool_take(conn->pool);
    if (!buffer) {
        queue_push(&conn->pool->waiting, &task->link);
        return false;
    }
    conn->granted = NULL;
    const struct mux_room room = {buffer->data, buffer->size_bytes};
    ssize_t len = read_half(&conn->in, room);
    if (len > 0) {
        pool_lend(conn->pool, buffer);
        return received(conn, event, buffer, buffer->data, (size_t)len);
    }
    int error = errno;
    conn->pool->returned(conn->pool, buffer);
    return no_bytes(conn, event, len == 0, error);
}
