#include "transport/sim/internal.h"

/* Can this connection still receive by itself? */
static bool receives(const struct sim_engine_conn *conn) {
    return conn->in_end && !conn->ended && !conn->connecting && !conn->lost && !conn->closing;
}

void sim_engine_receive_wake(struct sim_engine_conn *conn) {
    bool told = conn->received.len == 0;
    bool failed = told && conn->failed_error && receives(conn) && !sim_end_has_bytes(conn->in_end);
    bool comes = told && conn->intake.on && receives(conn) && sim_end_is_readable(conn->in_end);
    if (!told || failed || comes)
        intake_wake(&conn->intake);
}

void sim_engine_receive_stop(struct sim_engine_conn *conn) {
    intake_stop(&conn->intake);
    if (conn->received.len > 0) /* what was received is reported anyway */
        intake_wake(&conn->intake);
}

void sim_engine_receive(struct transport_conn *handle, bool on) {
    struct sim_engine_conn *conn = sim_engine_conn_of(handle);
    conn->intake.on = on;
    if (!on)
        sim_engine_receive_stop(conn);
    sim_engine_receive_wake(conn); /* when off, a failed send is still reported */
}

void sim_engine_receive_into(struct transport_conn *handle, struct mux_room room) {
    struct sim_engine_conn *conn = sim_engine_conn_of(handle);
    intake_offer(&conn->intake, room);
    sim_engine_receive_early(conn);
    sim_engine_receive_wake(conn);
}

/* Reads the bytes that have arrived into the room, or else into the buffer. */
static void read_into(struct sim_engine_conn *conn, struct mux_buffer *buffer) {
    struct mux_room room = conn->intake.room;
    if (room.len == 0)
        room = (struct mux_room){buffer->data, buffer->size_bytes};
    ssize_t len = sim_read(conn->in_end, room.data, room.len);
    assert(len > 0);
    conn->received = (struct received){conn->intake.room.len ? NULL : buffer, (size_t)len};
}

void sim_engine_receive_early(struct sim_engine_conn *conn) {
    struct sim *sim = conn->transport->sim;
    struct mux_buffer *buffer = NULL;
    bool waits = !mux_list_empty(&conn->intake.task.link); /* for its turn or for a buffer */
    if (waits || !receives(conn) || !conn->intake.on || conn->failed_error ||
        !sim_end_has_bytes(conn->in_end) || !sim_chance(sim, sim->faults.early))
        return;
    if (conn->intake.room.len == 0 && !(buffer = pool_take(conn->intake.pool)))
        return;
    read_into(conn, buffer);
    intake_wake(&conn->intake);
}

/* Reports what was received. A room that was offered meanwhile has lapsed. */
static bool tell(struct sim_engine_conn *conn, struct transport_event *event) {
    struct received received = conn->received;
    event->kind = TRANSPORT_RECEIVED;
    event->conn = &conn->head;
    event->buffer = received.buffer;
    event->bytes =
        mux_span(received.buffer ? received.buffer->data : conn->intake.room.data, received.len);
    conn->received = (struct received){0};
    conn->intake.room.len = 0;
    if (received.buffer)
        intake_lend(&conn->intake, received.buffer, received.len);
    else
        conn->intake.on = false;
    sim_engine_receive_wake(conn);
    return true;
}

/* No bytes: an end, an error, or a send that failed before. */
static bool no_bytes(struct sim_engine_conn *conn, struct transport_event *event) {
    uint8_t byte;
    if (conn->failed_error)
        return sim_engine_conn_lost(conn, event, conn->failed_error, "send");
    ssize_t result = sim_read(conn->in_end, &byte, 1);
    if (result == -EAGAIN)
        return false;
    if (result < 0)
        return sim_engine_conn_lost(conn, event, (int)-result, "receive");
    conn->ended = true;
    event->kind = TRANSPORT_ENDED;
    event->conn = &conn->head;
    return true;
}

bool sim_engine_receive_turn(struct task *task, struct transport_event *event) {
    struct sim_engine_conn *conn = MUX_CONTAINER_OF(task, struct sim_engine_conn, intake.task);
    struct mux_buffer *buffer = NULL;
    if (conn->received.len > 0)
        return tell(conn, event);
    if (!sim_end_has_bytes(conn->in_end)) {
        intake_stop(&conn->intake); /* a buffer was granted for nothing */
        return no_bytes(conn, event);
    }
    if (!conn->intake.on) /* they came after a failed send, and are reported before it */
        return false;
    if (conn->intake.room.len == 0 && !(buffer = intake_buffer(&conn->intake))) {
        intake_wait(&conn->intake);
        event->kind = TRANSPORT_STARVED;
        event->conn = &conn->head;
        return true;
    }
    read_into(conn, buffer);
    return tell(conn, event);
}
