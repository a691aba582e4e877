#include "transport/sim/internal.h"

/* May this connection still receive by itself? */
static bool receives(const struct transport_conn *conn) {
    return conn->in_end && !conn->ended && !conn->connecting && !conn->lost && !conn->closing;
}

void engine_receive_wake(struct transport_conn *conn) {
    bool told = conn->received.len == 0;
    bool failed = told && conn->failed_error && receives(conn) && !end_has_bytes(conn->in_end);
    bool comes = told && conn->receiving && receives(conn) && end_is_readable(conn->in_end);
    if (!told || failed || comes)
        task_wake(&conn->transport->ready, &conn->in);
}

void engine_receive_stop(struct transport_conn *conn) {
    struct mux_buffer *buffer = conn->granted;
    conn->granted = NULL;
    if (conn->received.len == 0) /* what has come is told all the same */
        task_stop(&conn->in);
    if (buffer)
        conn->pool->returned(conn->pool, buffer);
}

void engine_receive(struct transport_conn *conn, bool on) {
    conn->receiving = on;
    if (!on)
        engine_receive_stop(conn);
    engine_receive_wake(conn); /* off: a failed send is told though */
}

void engine_receive_into(struct transport_conn *conn, struct mux_room room) {
    assert(conn->receiving && conn->room.len == 0 && room.len > 0);
    conn->room = room;
    engine_receive_stop(conn); /* needs no buffer now, and waits for none */
    engine_receive_early(conn);
    engine_receive_wake(conn);
}

/* Goes straight to who waits longest: nobody who comes later can take it first. */
void engine_buffer_returned(struct pool *pool, struct mux_buffer *buffer) {
    struct queue_link *link = queue_pop(&pool->waiting);
    if (!link) {
        pool_keep(pool, buffer);
        return;
    }
    struct transport_conn *conn = queue_entry(link, struct transport_conn, in.link);
    conn->granted = buffer;
    task_wake(&conn->transport->ready, &conn->in);
}

/* Reads what is there into the room, or else into the buffer. */
static void read_into(struct transport_conn *conn, struct mux_buffer *buffer) {
    struct mux_room room = conn->room;
    if (room.len == 0)
        room = (struct mux_room){buffer->data, buffer->size_bytes};
    ssize_t len = sim_read(conn->in_end, room.data, room.len);
    assert(len > 0);
    conn->received = (struct received){conn->room.len ? NULL : buffer, (size_t)len};
}

void engine_receive_early(struct transport_conn *conn) {
    struct sim *sim = conn->transport->sim;
    struct mux_buffer *buffer = NULL;
    bool waits = queue_linked(&conn->in.link); /* for its turn or for a buffer */
    if (waits || !receives(conn) || !conn->receiving || conn->failed_error ||
        !end_has_bytes(conn->in_end) || !sim_chance(sim, sim->faults.early))
        return;
    if (conn->room.len == 0 && !(buffer = pool_take(conn->pool)))
        return;
    read_into(conn, buffer);
    task_wake(&conn->transport->ready, &conn->in);
}

/* Tells of what was received. A room that was offered meanwhile has lapsed. */
static bool tell(struct transport_conn *conn, struct transport_event *event) {
    struct received received = conn->received;
    event->kind = TRANSPORT_RECEIVED;
    event->conn = conn;
    event->buffer = received.buffer;
    event->bytes =
        mux_span(received.buffer ? received.buffer->data : conn->room.data, received.len);
    conn->received = (struct received){0};
    conn->room.len = 0;
    if (received.buffer)
        pool_lend(conn->pool, received.buffer);
    else
        conn->receiving = false;
    engine_receive_wake(conn);
    return true;
}

/* There is nothing to be read: the end, an error, or that a send has failed before. */
static bool no_bytes(struct transport_conn *conn, struct transport_event *event) {
    uint8_t byte;
    if (conn->failed_error)
        return engine_conn_lost(conn, event, conn->failed_error, "send");
    ssize_t result = sim_read(conn->in_end, &byte, 1);
    if (result == -EAGAIN)
        return false;
    if (result < 0)
        return engine_conn_lost(conn, event, (int)-result, "receive");
    conn->ended = true;
    event->kind = TRANSPORT_ENDED;
    event->conn = conn;
    return true;
}

bool engine_receive_turn(struct task *task, struct transport_event *event) {
    struct transport_conn *conn = queue_entry(task, struct transport_conn, in);
    struct mux_buffer *buffer = conn->granted;
    if (conn->received.len > 0)
        return tell(conn, event);
    conn->granted = NULL;
    if (!end_has_bytes(conn->in_end)) {
        if (buffer)
            conn->pool->returned(conn->pool, buffer);
        return no_bytes(conn, event);
    }
    assert(!buffer || conn->receiving);
    if (!conn->receiving) /* they came after a failed send, and are told before it */
        return false;
    if (conn->room.len == 0 && !buffer && !(buffer = pool_take(conn->pool))) {
        queue_push(&conn->pool->waiting, &task->link);
        return false;
    }
    read_into(conn, buffer);
    return tell(conn, event);
}
