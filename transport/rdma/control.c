/* Controls, messages without bytes of the stream: credits, spans read, end, close. */
#include "transport/rdma/rdma.h"

void rdma_control_due(struct rdma_conn *conn) {
    if (mux_list_empty(&conn->dirty_link))
        mux_list_append(&conn->transport->dirty, &conn->dirty_link);
}

static bool end_is_due(const struct rdma_conn *conn) {
    return conn->finishing && !conn->sending && !conn->end_sent && !conn->closing;
}

/*
 * The answer to a CLOSE with ASK: how far the stream was read, once nothing is on its way any more.
 */
static bool answer_is_due(const struct rdma_conn *conn) {
    return conn->answer_due && conn->reads == 0;
}

static uint8_t flags_due(const struct rdma_conn *conn) {
    if (answer_is_due(conn))
        return WIRE_ANSWER;
    if (conn->closing && !conn->close_sent)
        return conn->asked ? WIRE_CLOSE | WIRE_ASK : WIRE_CLOSE;
    return end_is_due(conn) ? WIRE_END : 0;
}

static void note_sent(struct rdma_conn *conn, uint8_t flags) {
    if (flags & WIRE_END)
        conn->end_sent = true;
    if (flags & WIRE_CLOSE)
        conn->close_sent = true;
    if (flags & WIRE_ANSWER)
        conn->answer_due = false;
}

/*
 * False: nothing is due, or it cannot be sent now: completions or controls of the peer must come
 * first.
 */
static bool send_one(struct rdma_conn *conn) {
    struct wire_head head = {.flags = flags_due(conn)};
    bool due = head.flags || conn->done > 0 || rdma_flow_owes_credits(&conn->flow, conn->window) ||
               rdma_flow_owes_answer(&conn->flow);
    if (!due || conn->stage != STAGE_OPEN || !rdma_flow_may_send_control(&conn->flow))
        return false;
    bool has_taken = head.flags & (WIRE_CLOSE | WIRE_ANSWER);
    size_t len = has_taken ? WIRE_CONTROL_MOST_BYTES : WIRE_HEAD_BYTES;
    uint8_t *out = rdma_work_message(conn, len, 0, true);
    if (!out)
        return false;
    rdma_flow_send(&conn->flow, &head);
    head.done = (uint16_t)conn->done;
    conn->done = 0;
    rdma_wire_put_head(out, &head, 0);
    if (has_taken)
        rdma_wire_put_taken(out, rdma_rc_receive_taken_bytes(conn));
    rdma_work_post(conn, has_taken);
    note_sent(conn, head.flags);
    return true;
}

void rdma_controls_send(struct transport *transport) {
    struct mux_list *link;
    while ((link = mux_list_pop(&transport->dirty))) {
        struct rdma_conn *conn = MUX_LIST_ITEM(link, struct rdma_conn, dirty_link);
        while (send_one(conn))
            ;
        if (conn->closing)
            rdma_rc_close_wake(conn);
    }
}

/* Nothing of the peer's stream follows, and it takes no more of ours. */
static void take_close(struct rdma_conn *conn, const struct wire_message *message) {
    conn->peer_closed = true;
    conn->peer_left_unread = message->taken < conn->stream_bytes;
    conn->answer_due = message->head.flags & WIRE_ASK;
    conn->answer_bytes = message->taken;
    conn->answered = true;
    rdma_rc_receive_cut(conn);
    rdma_rc_send_wake(conn);
}

void rdma_control_receive(struct rdma_conn *conn, const struct wire_message *message) {
    if (message->taken > conn->stream_bytes) {
        rdma_rc_conn_break(conn, EPROTO, "receive");
        return;
    }
    if (message->head.flags & WIRE_END)
        conn->peer_ended = true;
    if (message->head.flags & WIRE_ANSWER) {
        conn->answered = true;
        conn->answer_bytes = message->taken;
    }
    if (message->head.flags & WIRE_CLOSE)
        take_close(conn, message);
    rdma_rc_receive_wake(conn);
    rdma_control_due(conn);
    if (conn->closing)
        rdma_rc_close_wake(conn);
}
