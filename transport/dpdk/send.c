#include "transport/dpdk/internal.h"

/* Smaller spans are copied into lwIP's segments even where those could refer to them. */
#define REFER_LEAST_BYTES 512

void dpdk_send_wake(struct dpdk_conn *conn) {
    if (conn->sending && !conn->closing && !conn->lost)
        task_wake(&conn->transport->ready, &conn->out);
}

void dpdk_send(struct transport_conn *handle, const struct mux_gather *gather) {
    struct dpdk_conn *conn = dpdk_conn_of(handle);
    assert(!conn->sending && !conn->finishing && !conn->connecting);
    conn->sending = true;
    conn->refers = false;
    cursor_begin(&conn->cursor, gather);
    dpdk_send_wake(conn);
}

uint64_t dpdk_unacknowledged(const struct transport_conn *handle) {
    const struct dpdk_conn *conn = dpdk_conn_of(handle);
    if (!conn->pcb || conn->connecting)
        return conn->in_doubt_bytes;
    uint32_t end = conn->finished ? conn->end_seq : conn->pcb->snd_lbb;
    int32_t len = (int32_t)(end - conn->pcb->lastack); /* -1: the FIN is acknowledged, too */
    return len > 0 ? (uint64_t)len : 0;
}

bool dpdk_unread(const struct transport_conn *handle) {
    const struct dpdk_conn *conn = dpdk_conn_of(handle);
    return !mux_list_empty(&conn->inbox);
}

static void finish_now(struct dpdk_conn *conn) {
    if (!conn->pcb)
        return;
    conn->end_seq = conn->pcb->snd_lbb;
    conn->finished = true;
    tcp_shutdown(conn->pcb, 0, 1); /* out of memory, lwIP tries again itself */
}

void dpdk_finish(struct transport_conn *handle) {
    struct dpdk_conn *conn = dpdk_conn_of(handle);
    assert(!conn->finishing);
    conn->finishing = true;
    if (!conn->sending)
        finish_now(conn);
}

/* lwIP takes all of it or nothing; with little room in its queue, perhaps one segment. */
static size_t write_bytes(struct dpdk_conn *conn, const uint8_t *data, size_t len) {
    bool refer = SENDS_BY_REFERENCE && len >= REFER_LEAST_BYTES;
    bool last = conn->cursor.sent_bytes + len == conn->cursor.gather.len_bytes;
    u8_t flags = (u8_t)((refer ? 0 : TCP_WRITE_FLAG_COPY) | (last ? 0 : TCP_WRITE_FLAG_MORE));
    err_t error = tcp_write(conn->pcb, data, (u16_t)len, flags);
    if (error == ERR_MEM && len > conn->pcb->mss) {
        len = conn->pcb->mss;
        error = tcp_write(conn->pcb, data, (u16_t)len, flags | TCP_WRITE_FLAG_MORE);
    }
    assert(error == ERR_OK || error == ERR_MEM);
    if (error != ERR_OK)
        return 0;
    conn->refers |= refer;
    if (!refer)
        dpdk_counters.sent_copied_bytes += len;
    return len;
}

/* As much as lwIP has room for. */
static void write_some(struct dpdk_conn *conn) {
    while (!cursor_at_end(&conn->cursor)) {
        struct mux_span span = cursor_span(&conn->cursor);
        size_t room = tcp_sndbuf(conn->pcb);
        size_t len = room > 0 ? write_bytes(conn, span.data, span.len < room ? span.len : room) : 0;
        if (len == 0)
            break;
        cursor_advance(&conn->cursor, len);
    }
    tcp_output(conn->pcb); /* the timers send the rest */
    conn->in_doubt_bytes = dpdk_unacknowledged(&conn->head);
}

static bool sent(struct dpdk_conn *conn, struct transport_event *event) {
    conn->sending = conn->refers = false;
    event->kind = TRANSPORT_SENT;
    event->conn = &conn->head;
    if (conn->finishing)
        finish_now(conn);
    return true;
}

/* Bytes that arrived before the failure are received before it is reported. */
static bool send_failed(struct dpdk_conn *conn, struct transport_event *event) {
    return mux_list_empty(&conn->inbox) && dpdk_conn_lost(conn, event, "send");
}

bool dpdk_send_turn(struct task *task, struct transport_event *event) {
    struct dpdk_conn *conn = MUX_CONTAINER_OF(task, struct dpdk_conn, out);
    if (conn->failed_error)
        return send_failed(conn, event);
    if (!cursor_at_end(&conn->cursor))
        write_some(conn);
    bool free = !conn->refers || dpdk_unacknowledged(&conn->head) == 0;
    return cursor_at_end(&conn->cursor) && free && sent(conn, event);
}

err_t dpdk_sent_callback(void *argument, struct tcp_pcb *pcb, u16_t len) {
    struct dpdk_conn *conn = argument;
    (void)len;
    conn->in_doubt_bytes = dpdk_unacknowledged(&conn->head);
    if (pcb->state == TIME_WAIT)
        dpdk_conn_forget_pcb(conn);
    dpdk_send_wake(conn);
    return ERR_OK;
}

/* Twice a second: memory that lwIP lacked may be free again. */
err_t dpdk_retry_callback(void *argument, struct tcp_pcb *pcb) {
    (void)pcb;
    dpdk_send_wake(argument);
    return ERR_OK;
}
