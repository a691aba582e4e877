#include "transport/sim/internal.h"
#include <arpa/inet.h>
#include <stdio.h>

static bool connect_turn(struct task *task, struct transport_event *event);
static bool closed_turn(struct task *task, struct transport_event *event);

struct sim_engine_conn *sim_engine_conn_new(struct transport *transport, enum transport_pool pool) {
    struct sim_engine_conn *conn = conns_take(&transport->conns);
    if (!conn)
        return NULL;
    *conn = (struct sim_engine_conn){.head = {.ops = &sim_engine_conn_ops, .peer = &conn->peer},
                                     .transport = transport,
                                     .intake = {.task.turn = sim_engine_receive_turn,
                                                .ready = &transport->ready,
                                                .pool = &transport->pools.of[pool]},
                                     .out.turn = sim_engine_send_turn,
                                     .closed.turn = closed_turn};
    return conn;
}

static void conn_ready(void *user) {
    struct sim_engine_conn *conn = user;
    sim_engine_receive_early(conn);
    sim_engine_receive_wake(conn);
    sim_engine_send_wake(conn);
}

static void describe_peer(struct sim_engine_conn *conn, const struct transport_address *address) {
    struct transport_peer *peer = &conn->peer;
    peer->address = address->storage;
    address_text(address, peer->text, sizeof peer->text);
    const void *host = address->any.sa_family == AF_INET ? (const void *)&address->in4.sin_addr
                                                         : &address->in6.sin6_addr;
    inet_ntop(address->any.sa_family, host, peer->host, sizeof peer->host);
}

void sim_engine_conn_use_socket(struct sim_engine_conn *conn, struct sim_end *end) {
    conn->in_end = conn->out_end = end;
    conn->transport->sim->ends_open++;
    describe_peer(conn, &end->peer);
    sim_end_watch(end, conn_ready, conn);
}

struct sim_end *sim_conn_end(const struct transport_conn *handle) {
    const struct sim_engine_conn *conn = sim_engine_conn_of(handle);
    return conn->in_end ? conn->in_end : conn->out_end;
}

bool sim_engine_conn_lost(struct sim_engine_conn *conn, struct transport_event *event, int error,
                          const char *operation) {
    assert(!conn->lost && conn->received.len == 0);
    conn->lost = true;
    sim_engine_receive_stop(conn);
    task_stop(&conn->out);
    event->kind = TRANSPORT_LOST;
    event->conn = &conn->head;
    event->error = error;
    event->operation = operation;
    return true;
}

struct transport_conn *sim_engine_connect(struct transport *transport,
                                          const struct transport_address *address, void *user,
                                          struct transport_failure *failure) {
    struct sim *sim = transport->sim;
    struct sim_engine_conn *conn = sim->ends_open < sim->ends_most
                                       ? sim_engine_conn_new(transport, TRANSPORT_POOL_RESERVE)
                                       : NULL;
    if (!conn) {
        *failure = (struct transport_failure){EMFILE, "taking a connection"};
        return NULL;
    }
    conn->head.user = user;
    conn->connecting = true;
    conn->out.turn = connect_turn;
    sim_engine_conn_use_socket(conn, sim_connect(sim, address));
    return &conn->head;
}

static bool connect_turn(struct task *task, struct transport_event *event) {
    struct sim_engine_conn *conn = MUX_CONTAINER_OF(task, struct sim_engine_conn, out);
    int error = sim_connected(conn->out_end);
    if (error == EINPROGRESS)
        return false;
    if (error)
        return sim_engine_conn_lost(conn, event, error, "connect");
    conn->connecting = false;
    conn->out.turn = sim_engine_send_turn;
    event->kind = TRANSPORT_CONNECTED;
    event->conn = &conn->head;
    return true;
}

struct transport_conn *sim_engine_attach(struct transport *transport, int in, int out,
                                         bool borrowed, enum transport_pool pool, const char *name,
                                         void *user, struct transport_failure *failure) {
    struct sim_end *in_end = sim_by_descriptor(transport->sim, in);
    struct sim_end *out_end = sim_by_descriptor(transport->sim, out);
    if ((in >= 0 && !in_end) || (out >= 0 && !out_end)) {
        *failure = (struct transport_failure){EBADF, "attaching"};
        return NULL;
    }
    assert(in_end || out_end);
    struct sim_engine_conn *conn = sim_engine_conn_new(transport, pool);
    if (!conn) {
        *failure = (struct transport_failure){EMFILE, "taking a connection"};
        return NULL;
    }
    conn->head.user = user;
    conn->borrowed = borrowed;
    conn->in_end = in_end;
    conn->out_end = out_end;
    snprintf(conn->peer.text, sizeof conn->peer.text, "%s", name);
    if (in_end)
        sim_end_watch(in_end, conn_ready, conn);
    if (out_end)
        sim_end_watch(out_end, conn_ready, conn);
    return &conn->head;
}

/* The process closes the end; a borrowed one stays open, outside the transport. */
static void leave(struct sim_engine_conn *conn, struct sim_end *end) {
    if (conn->borrowed) {
        sim_end_watch(end, NULL, NULL);
        return;
    }
    conn->transport->sim->ends_open -= end->descriptor == 0;
    sim_close(end);
}

void sim_engine_conn_leave_out(struct sim_engine_conn *conn) {
    leave(conn, conn->out_end);
    conn->out_end = NULL;
}

/* Bytes received and not reported: either reported before CLOSED, or as if never read. */
static void drop_received(struct sim_engine_conn *conn) {
    struct mux_buffer *buffer = conn->received.buffer;
    struct sim *sim = conn->transport->sim;
    if (conn->received.len == 0 || sim_random(sim, 2))
        return;
    conn->in_end->in->read -= conn->received.len;
    conn->received = (struct received){0};
    if (buffer)
        conn->intake.pool->returned(conn->intake.pool, buffer);
}

void sim_engine_close(struct transport_conn *handle) {
    struct sim_engine_conn *conn = sim_engine_conn_of(handle);
    assert(!conn->closing);
    conn->closing = true;
    drop_received(conn);
    sim_engine_receive_stop(conn);
    task_stop(&conn->out);
    conn->in_doubt_bytes = sim_engine_unacknowledged(&conn->head);
    bool is_socket = conn->in_end == conn->out_end;
    if (conn->in_end)
        leave(conn, conn->in_end);
    if (conn->out_end && !is_socket)
        leave(conn, conn->out_end);
    conn->in_end = conn->out_end = NULL;
    task_wake(&conn->transport->ready, &conn->closed);
}

static bool closed_turn(struct task *task, struct transport_event *event) {
    struct sim_engine_conn *conn = MUX_CONTAINER_OF(task, struct sim_engine_conn, closed);
    if (conn->received.len > 0) { /* its turn comes first */
        task_wake(&conn->transport->ready, &conn->closed);
        return false;
    }
    event->kind = TRANSPORT_CLOSED;
    event->conn = &conn->head;
    event->sent_bytes = conn->sending ? conn->cursor.sent_bytes : 0;
    event->in_doubt_bytes = conn->in_doubt_bytes;
    conns_give_back(&conn->transport->conns, conn);
    return true;
}
