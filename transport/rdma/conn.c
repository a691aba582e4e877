/* Connections: their memory, and how they end. */
#include "transport/rdma/rdma.h"
#include <netdb.h>
#include <stdio.h>

static bool closed_turn(struct task *task, struct transport_event *event);

struct rdma_conn *rdma_rc_conn_new(struct transport *transport, enum transport_pool pool) {
    struct rdma_conn *conn = conns_take(&transport->conns);
    if (!conn) {
        errno = EMFILE;
        return NULL;
    }
    *conn = (struct rdma_conn){.head = {.ops = &rdma_rc_conn_ops, .peer = &conn->peer},
                               .transport = transport,
                               .intake = {.task.turn = rdma_rc_receive_turn,
                                          .ready = &transport->ready,
                                          .pool = &transport->pools.of[pool]},
                               .out.turn = rdma_rc_send_turn,
                               .closed.turn = closed_turn};
    return conn;
}

void rdma_rc_conns_recycle(struct transport *transport) {
    unsigned count = conns_recycle(&transport->conns);
    transport->conns_told -= count;
    if (count == 0)
        return;
    tasks_wake(&transport->ready, &transport->starved);
    rdma_requests_wake(transport);
}

void rdma_rc_conn_disconnect(struct rdma_conn *conn) {
    if (conn->disconnected || !conn->device)
        return;
    conn->disconnected = true;
    rdma_disconnect(conn->id); /* ends the queue pair, and notifies the peer */
}

void rdma_rc_conn_break(struct rdma_conn *conn, int error, const char *operation) {
    if (conn->error)
        return;
    conn->error = error;
    conn->operation = operation;
    rdma_rc_conn_disconnect(conn);
    rdma_rc_receive_wake(conn);
    rdma_rc_send_wake(conn);
    if (conn->closing)
        rdma_rc_close_wake(conn);
}

bool rdma_rc_conn_tell_lost(struct rdma_conn *conn, struct transport_event *event, int error,
                            const char *operation) {
    assert(!conn->lost);
    conn->lost = true;
    intake_stop(&conn->intake);
    task_stop(&conn->out);
    event->kind = TRANSPORT_LOST;
    event->conn = &conn->head;
    event->error = error;
    event->operation = operation;
    return true;
}

/* Frees everything that the connection has in the kernel and the device. */
static void part(struct rdma_conn *conn) {
    task_stop(&conn->intake.task);
    task_stop(&conn->out);
    task_stop(&conn->closed);
    if (conn->device)
        rdma_device_leave(conn);
    if (conn->id)
        rdma_destroy_id(conn->id);
    conn->id = NULL;
    task_stop(&conn->intake.task); /* completions that rdma_device_leave() took may have woken it */
    task_stop(&conn->out);
    task_stop(&conn->closed);
    mux_list_remove(&conn->dirty_link);
    mux_list_remove(&conn->patience_link);
}

void rdma_rc_conn_discard(struct rdma_conn *conn) {
    rdma_listener_forget(conn);
    part(conn);
    conns_undo_take(&conn->transport->conns, conn);
}

/* Is there something to wait for before the queue pair is destroyed? */
static bool must_wait(const struct rdma_conn *conn) {
    if (conn->error || conn->stage != STAGE_OPEN || conn->peer_closed)
        return false;
    bool all_over = rdma_work_used(conn) == 0;
    return !conn->close_sent || !all_over || (conn->asked && !conn->answered);
}

void rdma_rc_close_wake(struct rdma_conn *conn) {
    if (!must_wait(conn))
        task_wake(&conn->transport->ready, &conn->closed);
}

uint64_t rdma_rc_close_timeouts(struct transport *transport, uint64_t now_ns) {
    struct mux_list *head = &transport->patient, *link;
    while ((link = head->next) != head) {
        struct rdma_conn *conn = MUX_LIST_ITEM(link, struct rdma_conn, patience_link);
        if (conn->patience_ns > now_ns)
            return conn->patience_ns;
        mux_list_remove(link);
        task_wake(&transport->ready, &conn->closed);
    }
    return UINT64_MAX;
}

/*
 * Says goodbye, and how much of the peer's stream was reported to the user: what arrived beyond is
 * dropped. If the peer may be reading announced spans, it is asked how far it came, so sent_bytes
 * is exact.
 */
void rdma_rc_close(struct transport_conn *handle) {
    struct rdma_conn *conn = rdma_conn_of(handle);
    assert(!conn->closing);
    intake_stop(&conn->intake);
    task_stop(&conn->out);
    conn->closing = true;
    conn->asked = conn->announced_first != conn->announced_next;
    rdma_rc_receive_drop(conn);
    if (must_wait(conn)) {
        conn->patience_ns = rdma_rc_now_ns(conn->transport) + CLOSE_PATIENCE_NS;
        mux_list_append(&conn->transport->patient, &conn->patience_link);
        rdma_control_due(conn);
    }
    rdma_rc_close_wake(conn);
}

/*
 * How much of the send in flight the peer got. Announced spans that the peer did not acknowledge
 * count as taken, and are in doubt, unless it has said how far it came.
 */
static void report_sent(struct rdma_conn *conn, struct transport_event *event) {
    uint64_t begin = conn->stream_bytes - conn->cursor.sent_bytes;
    event->sent_bytes = conn->sending ? conn->cursor.sent_bytes : 0;
    event->in_doubt_bytes = rdma_rc_unacknowledged(&conn->head);
    if (!conn->answered)
        return;
    uint64_t taken = conn->answer_bytes;
    event->in_doubt_bytes =
        taken < begin ? begin - taken : 0; /* sent before this one, and unread */
    if (conn->sending)
        event->sent_bytes = taken > begin ? taken - begin : 0;
}

static bool closed_turn(struct task *task, struct transport_event *event) {
    struct rdma_conn *conn = MUX_CONTAINER_OF(task, struct rdma_conn, closed);
    part(conn);
    event->kind = TRANSPORT_CLOSED;
    event->conn = &conn->head;
    report_sent(conn, event);
    conns_give_back(&conn->transport->conns, conn);
    return true;
}

uint64_t rdma_rc_keepalive(struct transport *transport, uint64_t now_ns) {
    struct mux_list *head = &transport->open_conns;
    if (mux_list_empty(&transport->open_conns))
        return UINT64_MAX;
    if (now_ns < transport->keepalive_ns)
        return transport->keepalive_ns;
    for (struct mux_list *link = head->next; link != head; link = link->next) {
        struct rdma_conn *conn = MUX_LIST_ITEM(link, struct rdma_conn, open_link);
        if (conn->stage == STAGE_OPEN)
            rdma_work_probe(conn);
    }
    return transport->keepalive_ns = now_ns + KEEPALIVE_NS;
}

void rdma_rc_peer_describe(struct transport_peer *peer, const struct sockaddr *address) {
    struct transport_address text = {.via = TRANSPORT_VIA_KERNEL}; /* as with other stacks */
    bool is_4 = address->sa_family == AF_INET;
    text.len = is_4 ? sizeof text.in4 : sizeof text.in6;
    memcpy(&text.storage, address, text.len);
    memcpy(&peer->address, address, text.len);
    char whole[ENDPOINT_TEXT_BYTES];
    address_text(&text, whole, sizeof whole);
    snprintf(peer->text, sizeof peer->text, "%.*s", (int)sizeof peer->text - 1, whole);
    if (getnameinfo(address, text.len, peer->host, sizeof peer->host, NULL, 0, NI_NUMERICHOST))
        peer->host[0] = '\0';
}
