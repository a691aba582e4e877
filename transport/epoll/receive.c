#include "transport/epoll/internal.h"

void epoll_receive_wake(struct epoll_conn *conn) {
    bool wanted = conn->intake.on && !conn->ended && !conn->connecting && !conn->lost;
    if (wanted && !conn->closing && conn->in.fd >= 0 && conn->in.ready)
        intake_wake(&conn->intake);
}

void epoll_receive(struct transport_conn *handle, bool on) {
    struct epoll_conn *conn = epoll_conn_of(handle);
    conn->intake.on = on;
    if (on)
        epoll_receive_wake(conn);
    else
        intake_stop(&conn->intake);
}

void epoll_receive_into(struct transport_conn *handle, struct mux_room room) {
    struct epoll_conn *conn = epoll_conn_of(handle);
    intake_offer(&conn->intake, room);
    epoll_receive_wake(conn);
}

/* One read. A short one means empty, which saves the call that would return EAGAIN. */
static ssize_t read_half(struct half *half, struct mux_room room) {
    ssize_t len = half->io->read(half, room);
    if (len > 0 && (size_t)len < room.len && half->io->short_is_empty && !half->doubtful)
        half->ready = false;
    return len;
}

/* Handles a read without bytes: an end or an error. */
static bool no_bytes(struct epoll_conn *conn, struct transport_event *event, bool end, int error) {
    if (!end && error == EAGAIN)
        conn->in.ready = false;
    if (!end && error == EINTR) {
        epoll_receive_wake(conn);
        return false;
    }
    if (conn->failed_error)
        return epoll_conn_lost(conn, event, conn->failed_error, "send");
    if (!end)
        return error != EAGAIN && epoll_conn_lost(conn, event, error, "receive");
    conn->ended = true;
    epoll_send_wake(conn);
    event->kind = TRANSPORT_ENDED;
    event->conn = &conn->head;
    return true;
}

static bool received(struct epoll_conn *conn, struct transport_event *event,
                     struct mux_buffer *buffer, const uint8_t *data, size_t len) {
    event->kind = TRANSPORT_RECEIVED;
    event->conn = &conn->head;
    event->buffer = buffer;
    event->bytes = mux_span(data, len);
    epoll_receive_wake(conn);
    return true;
}

static bool receive_room(struct epoll_conn *conn, struct transport_event *event) {
    uint8_t *data = conn->intake.room.data;
    ssize_t len = read_half(&conn->in, conn->intake.room);
    if (len <= 0)
        return no_bytes(conn, event, len == 0, errno);
    conn->intake.room.len = 0;
    conn->intake.on = false;
    return received(conn, event, NULL, data, (size_t)len);
}

bool epoll_receive_turn(struct task *task, struct transport_event *event) {
    struct epoll_conn *conn = MUX_CONTAINER_OF(task, struct epoll_conn, intake.task);
    if (conn->intake.room.len > 0)
        return receive_room(conn, event);
    struct mux_buffer *buffer = intake_buffer(&conn->intake);
    if (!buffer) {
        intake_wait(&conn->intake);
        event->kind = TRANSPORT_STARVED;
        event->conn = &conn->head;
        return true;
    }
    const struct mux_room room = {buffer->data, buffer->size_bytes};
    ssize_t len = read_half(&conn->in, room);
    if (len > 0) {
        intake_lend(&conn->intake, buffer, (size_t)len);
        return received(conn, event, buffer, buffer->data, (size_t)len);
    }
    int error = errno;
    conn->intake.pool->returned(conn->intake.pool, buffer);
    return no_bytes(conn, event, len == 0, error);
}
