#include "transport/sim/internal.h"

void sim_engine_send_wake(struct sim_engine_conn *conn) {
    bool wanted = (conn->sending && !conn->failed_error) || conn->connecting;
    if (wanted && !conn->lost && !conn->closing)
        task_wake(&conn->transport->ready, &conn->out);
}

/* Shows the peer the end of the stream. */
static void finish_now(struct sim_engine_conn *conn) {
    if (!conn->out_end->in && !conn->borrowed)
        sim_engine_conn_leave_out(conn);
    else if (conn->out_end->in)
        sim_finish(conn->out_end);
}

void sim_engine_finish(struct transport_conn *handle) {
    struct sim_engine_conn *conn = sim_engine_conn_of(handle);
    assert(!conn->finishing && conn->out_end);
    conn->finishing = true;
    if (!conn->sending)
        finish_now(conn);
}

uint64_t sim_engine_unacknowledged(const struct transport_conn *handle) {
    const struct sim_engine_conn *conn = sim_engine_conn_of(handle);
    return conn->out_end && !conn->connecting ? sim_end_unacknowledged(conn->out_end) : 0;
}

bool sim_engine_unread(const struct transport_conn *handle) {
    const struct sim_engine_conn *conn = sim_engine_conn_of(handle);
    return conn->in_end && !conn->connecting && sim_end_has_bytes(conn->in_end);
}

/* Writes until one is short: 0 when all is written, or an errno value. */
static int write_spans(struct sim_engine_conn *conn) {
    while (!cursor_at_end(&conn->cursor)) {
        struct mux_span span = cursor_span(&conn->cursor);
        ssize_t len = sim_write(conn->out_end, span.data, span.len);
        if (len < 0)
            return (int)-len;
        cursor_advance(&conn->cursor, (size_t)len);
        if ((size_t)len < span.len)
            return EAGAIN;
    }
    return 0;
}

void sim_engine_send(struct transport_conn *handle, const struct mux_gather *gather) {
    struct sim_engine_conn *conn = sim_engine_conn_of(handle);
    struct sim *sim = conn->transport->sim;
    assert(!conn->sending && !conn->finishing && conn->out_end);
    conn->sending = true;
    cursor_begin(&conn->cursor, gather);
    if (!conn->lost && !conn->failed_error && sim_chance(sim, sim->faults.early))
        write_spans(conn); /* an error is found again in its turn */
    sim_engine_send_wake(conn);
}

static bool send_failed(struct sim_engine_conn *conn, struct transport_event *event, int error) {
    bool received = conn->received.len > 0;
    bool readable = received || (conn->in_end == conn->out_end && !conn->ended);
    if (!readable ||
        !intake_precedes_loss(&conn->intake, received || sim_end_has_bytes(conn->in_end)))
        return sim_engine_conn_lost(conn, event, error, "send");
    conn->failed_error = error;
    sim_engine_receive_wake(conn);
    return false;
}

static bool sent(struct sim_engine_conn *conn, struct transport_event *event) {
    conn->sending = false;
    event->kind = TRANSPORT_SENT;
    event->conn = &conn->head;
    if (conn->finishing)
        finish_now(conn);
    return true;
}

bool sim_engine_send_turn(struct task *task, struct transport_event *event) {
    struct sim_engine_conn *conn = MUX_CONTAINER_OF(task, struct sim_engine_conn, out);
    int error = write_spans(conn);
    if (!error)
        return sent(conn, event);
    if (error == EAGAIN && sim_end_has_space(conn->out_end)) /* it was short by chance */
        sim_engine_send_wake(conn);
    return error != EAGAIN && send_failed(conn, event, error);
}
