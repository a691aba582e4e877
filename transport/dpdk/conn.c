#include "transport/dpdk/internal.h"
#include "transport/socket.h"

#include "lwip/priv/tcp_priv.h"

/* As transport/socket.c has it for the kernel's connections. */
#define KEEPALIVE_IDLE_MS (60 * 1000)
#define KEEPALIVE_INTERVAL_MS (20 * 1000)
#define KEEPALIVE_PROBES 3

/* The interval of dpdk_retry_callback() in lwIP's ticks of half a second. */
#define RETRY_TICKS 1

static bool connect_turn(struct task *task, struct transport_event *event);
static bool closed_turn(struct task *task, struct transport_event *event);

struct dpdk_conn *dpdk_conn_new(struct transport *transport, enum transport_pool pool) {
    struct dpdk_conn *conn = conns_take(&transport->conns);
    if (!conn)
        return NULL;
    *conn = (struct dpdk_conn){.head = {.ops = &dpdk_conn_ops, .peer = &conn->peer},
                               .transport = transport,
                               .intake = {.task.turn = dpdk_receive_turn,
                                          .ready = &transport->ready,
                                          .pool = &transport->pools.of[pool]},
                               .out.turn = dpdk_send_turn,
                               .window_bytes = WINDOW_LEAST_BYTES,
                               .closed.turn = closed_turn};
    mux_list_init(&conn->inbox);
    mux_list_init(&conn->lent);
    return conn;
}

void dpdk_conn_free(struct dpdk_conn *conn) {
    dpdk_window_end(conn);
    conns_undo_take(&conn->transport->conns, conn);
}

void dpdk_conns_recycle(struct transport *transport) {
    unsigned count = conns_recycle(&transport->conns);
    transport->conns_used -= count;
    if (count > 0)
        tasks_wake(&transport->ready, &transport->starved);
}

/* It has never been accepted, so the user does not know of it. */
static void forget_pending(struct dpdk_conn *conn) {
    mux_list_remove(&conn->link);
    conn->transport->pending--;
    dpdk_conn_free(conn);
}

void dpdk_conn_fail(struct dpdk_conn *conn, int error) {
    conn->failed_error = error;
    if (conn->listener && mux_list_empty(&conn->inbox)) {
        forget_pending(conn);
        return;
    }
    if (conn->connecting)
        task_wake(&conn->transport->ready, &conn->out);
    dpdk_receive_wake(conn);
    dpdk_send_wake(conn);
}

void dpdk_describe_peer(struct dpdk_conn *conn, const struct transport_address *address) {
    struct transport_address plain = *address;
    plain.via = TRANSPORT_VIA_KERNEL; /* a peer is the same whichever stack it is reached by */
    socket_describe_peer(-1, &plain, &conn->peer);
}

static void without_pcb(struct dpdk_conn *conn) {
    conn->pcb = NULL;
    mux_list_remove(&conn->ack);
}

/* The pcb is freed, or is about to be. */
static void error_callback(void *argument, err_t error) {
    struct dpdk_conn *conn = argument;
    without_pcb(conn);
    if (error == ERR_CLSD) { /* both sides have finished, and all is acknowledged */
        conn->in_doubt_bytes = 0;
        return;
    }
    dpdk_conn_fail(conn,
                   conn->connecting && error == ERR_RST ? ECONNREFUSED : dpdk_errno_of(error));
}

/*
 * If a peer's first window is small and its second smaller still, lwIP finds segments in its queue
 * that are longer than it allows, which is half the largest window seen. So it is told of one that
 * is large enough.
 */
static void steady_segment_size(struct tcp_pcb *pcb) {
    const struct netif *netif = netif_get_by_index(pcb->netif_idx);
    u16_t headers = (IP_IS_V6_VAL(pcb->remote_ip) ? 40 : 20) + 20;
    if (netif && pcb->mss > netif->mtu - headers)
        pcb->mss = netif->mtu - headers;
    if (pcb->snd_wnd_max < 2 * TCP_MSS)
        pcb->snd_wnd_max = 2 * TCP_MSS;
}

void dpdk_conns_fail(struct transport *transport, const struct netif *netif, int error) {
    for (unsigned i = 0; i < transport->conns.fresh; i++) {
        struct dpdk_conn *conn = conns_at(&transport->conns, i);
        struct tcp_pcb *pcb = conn->pcb;
        if (!pcb || pcb->netif_idx != netif_get_index(netif))
            continue;
        dpdk_conn_forget_pcb(conn);
        tcp_abandon(pcb, 0);
        dpdk_conn_fail(conn, error);
    }
}

void dpdk_conn_use_pcb(struct dpdk_conn *conn, struct tcp_pcb *pcb) {
    conn->pcb = pcb;
    tcp_arg(pcb, conn);
    tcp_recv(pcb, dpdk_receive_callback);
    tcp_sent(pcb, dpdk_sent_callback);
    tcp_err(pcb, error_callback);
    tcp_poll(pcb, dpdk_retry_callback, RETRY_TICKS);
    tcp_nagle_disable(pcb);
    ip_set_option(pcb, SOF_KEEPALIVE);
    pcb->keep_idle = KEEPALIVE_IDLE_MS;
    pcb->keep_intvl = KEEPALIVE_INTERVAL_MS;
    pcb->keep_cnt = KEEPALIVE_PROBES;
    steady_segment_size(pcb);
}

void dpdk_conn_forget_pcb(struct dpdk_conn *conn) {
    struct tcp_pcb *pcb = conn->pcb;
    conn->in_doubt_bytes = dpdk_unacknowledged(&conn->head);
    without_pcb(conn);
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    tcp_poll(pcb, NULL, 0);
}

bool dpdk_conn_lost(struct dpdk_conn *conn, struct transport_event *event, const char *operation) {
    assert(!conn->lost);
    conn->lost = true;
    intake_stop(&conn->intake);
    task_stop(&conn->out);
    event->kind = TRANSPORT_LOST;
    event->conn = &conn->head;
    event->error = conn->failed_error;
    event->operation = operation;
    return true;
}

static err_t connected_callback(void *argument, struct tcp_pcb *pcb, err_t error) {
    struct dpdk_conn *conn = argument;
    (void)error; /* always ERR_OK */
    steady_segment_size(pcb);
    task_wake(&conn->transport->ready, &conn->out);
    return ERR_OK;
}

static bool connect_turn(struct task *task, struct transport_event *event) {
    struct dpdk_conn *conn = MUX_CONTAINER_OF(task, struct dpdk_conn, out);
    conn->connecting = false;
    if (conn->failed_error)
        return dpdk_conn_lost(conn, event, "connect");
    conn->out.turn = dpdk_send_turn;
    event->kind = TRANSPORT_CONNECTED;
    event->conn = &conn->head;
    return true;
}

/* A pcb of the port's own address; NULL with *failure. */
static struct tcp_pcb *make_pcb(struct port *port, const ip_addr_t *remote,
                                struct transport_failure *failure) {
    ip_addr_t own;
    if (!dpdk_port_own_ip(port, remote, &own)) {
        *failure = (struct transport_failure){EAFNOSUPPORT, "connect"};
        return NULL;
    }
    struct tcp_pcb *pcb = tcp_new_ip_type(IP_GET_TYPE(remote));
    if (!pcb) {
        dpdk_lwip_failed(failure, ERR_MEM, "tcp_new");
        return NULL;
    }
    tcp_bind_netif(pcb, dpdk_port_netif(port));
    err_t error = tcp_bind(pcb, &own, 0);
    if (error == ERR_OK)
        return pcb;
    tcp_close(pcb);
    dpdk_lwip_failed(failure, error, "tcp_bind");
    return NULL;
}

static bool begin_connect(struct dpdk_conn *conn, struct port *port,
                          const struct transport_address *address,
                          struct transport_failure *failure) {
    ip_addr_t remote;
    uint16_t number;
    if (!dpdk_address_to_ip(address, &remote, &number)) {
        *failure = (struct transport_failure){EAFNOSUPPORT, "connect"};
        return false;
    }
    struct tcp_pcb *pcb = make_pcb(port, &remote, failure);
    if (!pcb)
        return false;
    dpdk_conn_use_pcb(conn, pcb);
    err_t error = tcp_connect(pcb, &remote, number, connected_callback);
    if (error == ERR_OK)
        return true;
    dpdk_conn_forget_pcb(conn);
    tcp_close(pcb);
    return dpdk_lwip_failed(failure, error, "connect");
}

struct transport_conn *dpdk_connect(struct transport *transport,
                                    const struct transport_address *address, void *user,
                                    struct transport_failure *failure) {
    struct port *port = dpdk_port_for(transport, address, failure);
    if (!port)
        return NULL;
    bool full = transport->conns_used == transport->conns_max;
    struct dpdk_conn *conn = full ? NULL : dpdk_conn_new(transport, TRANSPORT_POOL_RESERVE);
    if (!conn) {
        *failure = (struct transport_failure){EMFILE, "taking a connection"};
        return NULL;
    }
    conn->head.user = user;
    conn->connecting = true;
    conn->out.turn = connect_turn;
    if (!begin_connect(conn, port, address, failure)) {
        dpdk_conn_free(conn);
        return NULL;
    }
    dpdk_window_begin(conn, TCP_WND);
    transport->conns_used++;
    dpdk_describe_peer(conn, address);
    return &conn->head;
}

struct transport_conn *dpdk_attach(struct transport *transport, int in, int out, bool borrowed,
                                   enum transport_pool pool, const char *name, void *user,
                                   struct transport_failure *failure) {
    (void)transport, (void)in, (void)out, (void)borrowed, (void)pool, (void)name, (void)user;
    *failure = (struct transport_failure){ENOTSUP, "attach"};
    return NULL;
}

/*
 * Everything that lwIP took is delivered first; but not if bytes of the peer are unread (it gets a
 * reset, as from a kernel), nor from memory that belongs to the user.
 */
static void leave(struct dpdk_conn *conn) {
    struct tcp_pcb *pcb = conn->pcb;
    bool reset = !mux_list_empty(&conn->inbox) || conn->refers;
    dpdk_conn_forget_pcb(conn);
    pcb->rcv_wnd = TCP_WND_MAX(pcb); /* less would tell lwIP that not everything was read */
    if (reset || tcp_close(pcb) != ERR_OK)
        tcp_abort(pcb);
}

void dpdk_close(struct transport_conn *handle) {
    struct dpdk_conn *conn = dpdk_conn_of(handle);
    assert(!conn->closing);
    conn->closing = true;
    intake_stop(&conn->intake);
    task_stop(&conn->out);
    dpdk_receive_disown(conn);
    if (conn->pcb)
        leave(conn);
    dpdk_inbox_clear(conn);
    task_wake(&conn->transport->ready, &conn->closed);
}

static bool closed_turn(struct task *task, struct transport_event *event) {
    struct dpdk_conn *conn = MUX_CONTAINER_OF(task, struct dpdk_conn, closed);
    event->kind = TRANSPORT_CLOSED;
    event->conn = &conn->head;
    event->sent_bytes = conn->sending ? conn->cursor.sent_bytes : 0;
    event->in_doubt_bytes = conn->in_doubt_bytes;
    dpdk_window_end(conn);
    conns_give_back(&conn->transport->conns, conn);
    return true;
}
