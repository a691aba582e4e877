#include "transport/dpdk/internal.h"

#include "lwip/priv/tcp_priv.h"

/*
 * How long an acknowledgement waits for an answer that carries it. lwIP's own delay is 250 ms: each
 * small write of a peer with Nagle's algorithm would wait that long for the one before it.
 */
#define ACK_DELAY_NS 500000

void dpdk_receive_wake(struct dpdk_conn *conn) {
    bool wanted = conn->intake.on && !conn->connecting && !conn->closing && !conn->lost;
    bool some =
        !mux_list_empty(&conn->inbox) || (!conn->ended && (conn->fin || conn->failed_error));
    if (wanted && some)
        intake_wake(&conn->intake);
}

void dpdk_receive(struct transport_conn *handle, bool on) {
    struct dpdk_conn *conn = dpdk_conn_of(handle);
    conn->intake.on = on;
    if (on)
        dpdk_receive_wake(conn);
    else
        intake_stop(&conn->intake);
}

void dpdk_receive_into(struct transport_conn *handle, struct mux_room room) {
    struct dpdk_conn *conn = dpdk_conn_of(handle);
    intake_offer(&conn->intake, room);
    dpdk_receive_wake(conn);
}

/* Acknowledged with this pass. */
static void ack_now(struct dpdk_conn *conn) {
    mux_list_remove(&conn->ack);
    mux_list_append(&conn->transport->acks_now, &conn->ack);
}

static void open_window(struct dpdk_conn *conn, size_t len) {
    dpdk_window_open(conn, len);
    if (conn->pcb && dpdk_window_is_news(conn))
        ack_now(conn);
}

/* The user gives a frame back. */
static void give_back(struct mux_buffer *buffer) {
    struct piece *piece = buffer->owner;
    struct mux_buffer *token = piece->token;
    if (piece->conn) {
        mux_list_remove(&piece->link);
        open_window(piece->conn, piece->len);
    }
    dpdk_piece_free(piece);
    mux_buffer_release(token);
}

void dpdk_receive_disown(struct dpdk_conn *conn) {
    struct mux_list *link;
    while ((link = mux_list_pop(&conn->lent))) {
        struct piece *piece = MUX_LIST_ITEM(link, struct piece, link);
        piece->conn = NULL;
        open_window(conn, piece->len);
    }
}

/* The inbox is empty: is there something else to report? */
static bool no_bytes(struct dpdk_conn *conn, struct transport_event *event) {
    if (!conn->fin)
        return conn->failed_error &&
               dpdk_conn_lost(conn, event, conn->sending ? "send" : "receive");
    conn->ended = true;
    event->kind = TRANSPORT_ENDED;
    event->conn = &conn->head;
    dpdk_send_wake(conn); /* a failed send waited for this */
    return true;
}

static bool received(struct dpdk_conn *conn, struct transport_event *event,
                     struct mux_buffer *buffer, const uint8_t *data, size_t len) {
    event->kind = TRANSPORT_RECEIVED;
    event->conn = &conn->head;
    event->buffer = buffer;
    event->bytes = mux_span(data, len);
    dpdk_receive_wake(conn);
    return true;
}

static bool receive_room(struct dpdk_conn *conn, struct transport_event *event) {
    uint8_t *data = conn->intake.room.data;
    size_t len = dpdk_inbox_copy(conn, conn->intake.room);
    conn->intake.room.len = 0;
    conn->intake.on = false;
    open_window(conn, len);
    return received(conn, event, NULL, data, len);
}

/* The frame itself is lent to the user; the pool's buffer is its token. */
static bool lend(struct dpdk_conn *conn, struct transport_event *event, struct mux_buffer *token) {
    struct piece *piece = MUX_LIST_ITEM(mux_list_pop(&conn->inbox), struct piece, link);
    piece->conn = conn;
    piece->token = token;
    piece->buffer = (struct mux_buffer){.data = piece->data,
                                        .size_bytes = piece->len,
                                        .holders = 1,
                                        .release = give_back,
                                        .owner = piece};
    mux_list_append(&conn->lent, &piece->link);
    return received(conn, event, &piece->buffer, piece->data, piece->len);
}

static bool gather(struct dpdk_conn *conn, struct transport_event *event,
                   struct mux_buffer *buffer) {
    size_t len = dpdk_inbox_copy(conn, (struct mux_room){buffer->data, buffer->size_bytes});
    open_window(conn, len);
    return received(conn, event, buffer, buffer->data, len);
}

/* One frame is lent; several are collected into one event, which costs less. */
static bool is_alone(const struct dpdk_conn *conn) {
    return conn->inbox.next == conn->inbox.prev;
}

bool dpdk_receive_turn(struct task *task, struct transport_event *event) {
    struct dpdk_conn *conn = MUX_CONTAINER_OF(task, struct dpdk_conn, intake.task);
    if (mux_list_empty(&conn->inbox))
        return no_bytes(conn, event);
    if (conn->intake.room.len > 0)
        return receive_room(conn, event);
    struct mux_buffer *buffer = intake_buffer(&conn->intake);
    if (!buffer) {
        intake_wait(&conn->intake);
        event->kind = TRANSPORT_STARVED;
        event->conn = &conn->head;
        return true;
    }
    pool_lend(conn->intake.pool, buffer);
    return is_alone(conn) ? lend(conn, event, buffer) : gather(conn, event, buffer);
}

bool dpdk_receive_hold_ack(struct tcp_pcb *pcb, const struct filter_tcp *tcp) {
    bool owes = pcb && pcb->recv == dpdk_receive_callback && tcp->len > 0 &&
                tcp->sequence == pcb->rcv_nxt && pcb->flags & TF_ACK_DELAY;
    if (owes)
        tcp_clear_flags(pcb, TF_ACK_DELAY);
    return owes;
}

/* lwIP may have dropped the segment: an acknowledgement owed before is still owed. */
void dpdk_receive_owe_ack(struct tcp_pcb *pcb) {
    tcp_set_flags(pcb, TF_ACK_DELAY);
}

/* For two segments with this pass, for less a little later: an answer may carry it. */
static void note_ack(struct dpdk_conn *conn, size_t len) {
    struct transport *transport = conn->transport;
    if (mux_list_empty(&conn->ack)) {
        conn->ack_bytes = 0;
        conn->ack_due_ns = dpdk_now_ns(transport) + ACK_DELAY_NS;
        mux_list_append(&transport->acks, &conn->ack);
    }
    conn->ack_bytes += (uint32_t)len;
    if (conn->ack_bytes < 2 * conn->pcb->mss)
        return;
    ack_now(conn);
}

uint64_t dpdk_receive_due_ns(const struct transport *transport) {
    if (!mux_list_empty(&transport->acks_now))
        return 0;
    return mux_list_empty(&transport->acks)
               ? UINT64_MAX
               : MUX_LIST_ITEM(transport->acks.next, struct dpdk_conn, ack)->ack_due_ns;
}

void dpdk_receive_acknowledge(struct transport *transport, uint64_t now_ns) {
    while (dpdk_receive_due_ns(transport) <= now_ns) {
        struct mux_list *link = mux_list_pop(&transport->acks_now);
        link = link ? link : mux_list_pop(&transport->acks);
        struct dpdk_conn *conn = MUX_LIST_ITEM(link, struct dpdk_conn, ack);
        if (!(conn->pcb->flags & TF_ACK_DELAY) && !dpdk_window_is_news(conn))
            continue; /* another segment has carried it */
        tcp_ack_now(conn->pcb);
        tcp_output(conn->pcb);
    }
}

err_t dpdk_receive_callback(void *argument, struct tcp_pcb *pcb, struct pbuf *chain, err_t error) {
    struct dpdk_conn *conn = argument;
    size_t len = chain ? chain->tot_len : 0;
    (void)error;
    if (!chain) {
        conn->fin = true;
        if (pcb->state == TIME_WAIT)
            dpdk_conn_forget_pcb(conn);
    } else if (!dpdk_inbox_put(conn, chain)) {
        dpdk_conn_forget_pcb(conn);
        tcp_abort(pcb);
        dpdk_conn_fail(conn, ENOMEM);
        return ERR_ABRT;
    } else {
        note_ack(conn, len);
    }
    dpdk_receive_wake(conn);
    return ERR_OK;
}
