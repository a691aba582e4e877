#include "transport/rdma/rdma.h"

void rdma_rc_send_wake(struct rdma_conn *conn) {
    bool wanted = conn->sending || (conn->error && !conn->peer_closed);
    if (wanted && conn->told && conn->stage == STAGE_OPEN && !conn->lost && !conn->closing)
        task_wake(&conn->transport->ready, &conn->out);
}

void rdma_rc_send(struct transport_conn *handle, const struct mux_gather *gather) {
    struct rdma_conn *conn = rdma_conn_of(handle);
    assert(!conn->sending && !conn->finishing);
    conn->sending = true;
    cursor_begin(&conn->cursor, gather);
    rdma_rc_send_wake(conn);
}

void rdma_rc_finish(struct transport_conn *handle) {
    struct rdma_conn *conn = rdma_conn_of(handle);
    assert(!conn->finishing);
    conn->finishing = true;
    rdma_control_due(conn);
}

uint64_t rdma_announced_bytes(const struct rdma_conn *conn) {
    uint64_t bytes = 0;
    for (unsigned i = conn->announced_first; i != conn->announced_next; i++)
        bytes += conn->announced[i % ANNOUNCED_MAX];
    return bytes;
}

uint64_t rdma_rc_unacknowledged(const struct transport_conn *handle) {
    const struct rdma_conn *conn = rdma_conn_of(handle);
    return conn->unacknowledged_bytes + rdma_announced_bytes(conn);
}

bool rdma_rc_unread(const struct transport_conn *handle) {
    const struct rdma_conn *conn = rdma_conn_of(handle);
    return conn->unread || conn->fill_first != conn->fill_next;
}

bool rdma_rc_send_done(struct rdma_conn *conn, unsigned count) {
    if (count > conn->announced_next - conn->announced_first)
        return false;
    conn->announced_first += count;
    if (count > 0)
        rdma_rc_send_wake(conn);
    return true;
}

/* A message being made: its announcements, then its literal bytes, of the gather list. */
struct plan {
    unsigned spans;
    size_t literal_bytes;
    struct wire_span table[WIRE_SPANS_MAX];
};

static bool is_announced(const struct rdma_conn *conn, const struct mux_span *span) {
    const struct mux_room *arena = &conn->transport->arena;
    return span->len >= READ_LEAST_BYTES && span->len <= UINT32_MAX && span->data >= arena->data &&
           span->data + span->len <= arena->data + arena->len;
}

static bool plan_span(struct rdma_conn *conn, struct plan *plan, const struct mux_span *span,
                      size_t lead) {
    unsigned outstanding = conn->announced_next - conn->announced_first + plan->spans;
    size_t len = rdma_wire_prefix_bytes(plan->spans + 1) + plan->literal_bytes;
    if (plan->spans == WIRE_SPANS_MAX || outstanding == ANNOUNCED_MAX ||
        len > conn->message_most_bytes)
        return false;
    plan->table[plan->spans++] = (struct wire_span){.address = (uintptr_t)span->data,
                                                    .key = conn->device->arena->rkey,
                                                    .length = (uint32_t)span->len,
                                                    .before = (uint16_t)plan->literal_bytes,
                                                    .lead = (uint16_t)lead};
    return true;
}

/* Plans the next message: as much of the rest of the gather list as fits. */
static void plan_message(struct rdma_conn *conn, struct plan *plan) {
    const struct cursor *cursor = &conn->cursor;
    size_t skip = cursor->offset_bytes, lead = 0;
    plan->spans = 0;
    plan->literal_bytes = 0;
    for (size_t i = cursor->index; i < cursor->gather.count; i++, skip = 0) {
        const struct mux_span *span = &cursor->gather.spans[i];
        if (skip == 0 && is_announced(conn, span)) {
            if (!plan_span(conn, plan, span, lead))
                return;
            lead = 0;
            continue;
        }
        size_t room =
            conn->message_most_bytes - rdma_wire_prefix_bytes(plan->spans) - plan->literal_bytes;
        size_t len = span->len - skip < room ? span->len - skip : room;
        plan->literal_bytes += len;
        if (len > 0)
            lead = len;
        if (len < span->len - skip)
            return;
    }
}

/* Writes the literal bytes and advances over everything in the message. */
static void write_stream(struct rdma_conn *conn, const struct plan *plan, uint8_t *out) {
    struct cursor *cursor = &conn->cursor;
    unsigned spans = plan->spans;
    size_t left = plan->literal_bytes;
    while (spans > 0 || left > 0) {
        struct mux_span span = cursor_span(cursor);
        if (cursor->offset_bytes == 0 && is_announced(conn, &span)) {
            spans--;
            conn->announced[conn->announced_next++ % ANNOUNCED_MAX] = (uint32_t)span.len;
        } else {
            span.len = span.len < left ? span.len : left;
            memcpy(out, span.data, span.len);
            out += span.len;
            left -= span.len;
        }
        cursor_advance(cursor, span.len);
    }
}

static uint64_t plan_bytes(const struct plan *plan) {
    uint64_t bytes = plan->literal_bytes;
    for (unsigned i = 0; i < plan->spans; i++)
        bytes += plan->table[i].length;
    return bytes;
}

/* False: everything is posted, or a credit or an entry of the queue is needed first. */
static bool post_message(struct rdma_conn *conn) {
    struct plan plan;
    if (cursor_at_end(&conn->cursor) || !rdma_flow_may_send_stream(&conn->flow))
        return false;
    plan_message(conn, &plan);
    uint64_t bytes = plan_bytes(&plan);
    size_t prefix = rdma_wire_prefix_bytes(plan.spans);
    uint8_t *out = bytes == 0 ? NULL
                              : rdma_work_message(conn, prefix + plan.literal_bytes,
                                                  plan.literal_bytes, false);
    if (!out)
        return false;
    struct wire_head head = {.flags = WIRE_STREAM};
    rdma_flow_send(&conn->flow, &head);
    head.done = (uint16_t)conn->done;
    conn->done = 0;
    rdma_wire_put_head(out, &head, plan.spans);
    for (unsigned i = 0; i < plan.spans; i++)
        rdma_wire_put_span(out, i, &plan.table[i]);
    write_stream(conn, &plan, out + prefix);
    conn->stream_bytes += bytes;
    return true;
}

static bool sent(struct rdma_conn *conn, struct transport_event *event) {
    conn->sending = false;
    event->kind = TRANSPORT_SENT;
    event->conn = &conn->head;
    if (conn->finishing)
        rdma_control_due(conn);
    return true;
}

/* Bytes of the peer that wait are received before the loss is reported. */
static bool failed(struct rdma_conn *conn, struct transport_event *event) {
    if (rdma_rc_receive_has_bytes(conn)) {
        rdma_rc_receive_wake(conn);
        return false;
    }
    if (conn->peer_closed)
        return rdma_rc_conn_tell_lost(conn, event, conn->peer_left_unread ? ECONNRESET : EPIPE,
                                      "send");
    return rdma_rc_conn_tell_lost(conn, event, conn->error, conn->operation);
}

bool rdma_rc_send_turn(struct task *task, struct transport_event *event) {
    struct rdma_conn *conn = MUX_CONTAINER_OF(task, struct rdma_conn, out);
    bool all_read = conn->announced_first == conn->announced_next;
    if (conn->sending && cursor_at_end(&conn->cursor) && all_read)
        return sent(conn, event);
    if (conn->error || conn->peer_closed)
        return failed(conn, event);
    while (post_message(conn))
        ;
    rdma_work_post(conn, true);
    if (conn->error)
        return failed(conn, event);
    all_read = conn->announced_first == conn->announced_next;
    if (cursor_at_end(&conn->cursor) && all_read)
        return sent(conn, event);
    return false;
}
