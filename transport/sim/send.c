#include "transport/sim/internal.h"

void engine_send_wake(struct sim_engine_conn *conn) {
    bool wanted = (conn->sending && !conn->failed_error) || conn->connecting;
    if (wanted && !conn->lost && !conn->closing)
        task_wake(&conn->transport->ready, &conn->out);
}

/* Shows the peer the end of what was sent. */
static void finish_now(struct sim_engine_conn *conn) {
    if (!conn->out_end->in && !conn->borrowed)
        engine_conn_leave_out(conn);
    else if (conn->out_end->in)
        sim_finish(conn->out_end);
}

void engine_finish(struct transport_conn *handle) {
    struct sim_engine_conn *conn = sim_engine_conn_of(handle);
    assert(!conn->finishing && conn->out_end);
    conn->finishing = true;
    if (!conn->sending)
        finish_now(conn);
}

uint64_t engine_unacknowledged(const struct transport_conn *handle) {
    const struct sim_engine_conn *conn = sim_engine_conn_of(handle);
    return conn->out_end && !conn->connecting ? end_unacknowledged(conn->out_end) : 0;
}

bool engine_unread(const struct transport_conn *handle) {
    const struct sim_engine_conn *conn = sim_engine_conn_of(handle);
    return conn->in_end && !conn->connecting && end_has_bytes(conn->in_end);
}

/* One write: moves on within the gather list. Not positive: nothing was written, or why not. */
static ssize_t write_span(struct sim_engine_conn *conn) {
    const struct mux_span *span = &conn->gather.spans[conn->span];
    size_t left = span->len - conn->span_sent_bytes;
    ssize_t len = left ? sim_write(conn->out_end, span->data + conn->span_sent_bytes, left) : 0;
    if (len < 0)
        return len;
    conn->sent_bytes += (uint64_t)len;
    conn->span_sent_bytes += (size_t)len;
    if (conn->span_sent_bytes == span->len) {
        conn->span++;
        conn->span_sent_bytes = 0;
    }
    return len;
}

/* Writes until one is short: 0 when all is written, or an errno value. */
static int write_spans(struct sim_engine_conn *conn) {
    for (size_t span = conn->span; span < conn->gather.count; span++) {
        ssize_t len = write_span(conn);
        if (len < 0)
            return (int)-len;
        if (conn->span == span)
            return EAGAIN;
    }
    return 0;
}

void engine_send(struct transport_conn *handle, const struct mux_gather *gather) {
    struct sim_engine_conn *conn = sim_engine_conn_of(handle);
    struct sim *sim = conn->transport->sim;
    assert(!conn->sending && !conn->finishing && conn->out_end);
    conn->sending = true;
    conn->gather = *gather;
    conn->span = conn->span_sent_bytes = 0;
    conn->sent_bytes = 0;
    if (!conn->lost && !conn->failed_error && sim_chance(sim, sim->faults.early))
        write_spans(conn); /* what is wrong is found again in its turn */
    engine_send_wake(conn);
}

/*
 * Bytes of the peer's that wait to be read come before the news that it is lost: a worker that
 * ended without reading what was sent to it has perhaps written its results before.
 */
static bool send_failed(struct sim_engine_conn *conn, struct transport_event *event, int error) {
    bool readable = conn->in_end == conn->out_end && !conn->ended &&
                    (conn->intake.on || end_has_bytes(conn->in_end));
    if (!readable && conn->received.len == 0)
        return engine_conn_lost(conn, event, error, "send");
    conn->failed_error = error;
    engine_receive_wake(conn);
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

bool engine_send_turn(struct task *task, struct transport_event *event) {
    struct sim_engine_conn *conn = queue_entry(task, struct sim_engine_conn, out);
    int error = write_spans(conn);
    if (!error)
        return sent(conn, event);
    if (error == EAGAIN && end_has_space(conn->out_end)) /* it was short by chance */
        engine_send_wake(conn);
    return error != EAGAIN && send_failed(conn, event, error);
}
