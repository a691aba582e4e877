#include "transport/dpdk/internal.h"
#include <stdlib.h>

/* The size of lwIP's own backlog, where it is built with one; ours is BACKLOG_MAX. */
#define LWIP_BACKLOG 255

static bool accept_turn(struct task *task, struct transport_event *event);

void dpdk_listener_wake(struct dpdk_listener *listener) {
    if (listener->failed_error || (listener->accepting && !mux_list_empty(&listener->pending)))
        task_wake(&listener->transport->ready, &listener->task);
}

/* lwIP has made a connection: it waits here until there is a place for it. */
static err_t accept_callback(void *argument, struct tcp_pcb *pcb, err_t error) {
    struct dpdk_listener *listener = argument;
    struct transport *transport = listener->transport;
    if (error != ERR_OK || !pcb)
        return ERR_VAL;
    if (transport->half_open > 0)
        transport->half_open--;
    struct dpdk_conn *conn = dpdk_conn_new(transport, TRANSPORT_POOL_SHARED);
    if (!conn)
        return ERR_MEM; /* dpdk_guard_admits() counts, so that this is rare; the peer gets a reset
                         */
    struct transport_address address;
    dpdk_address_from_ip(&address, &pcb->remote_ip, pcb->remote_port);
    dpdk_describe_peer(conn, &address);
    dpdk_conn_use_pcb(conn, pcb);
    dpdk_window_begin(conn,
                      pcb->rcv_wnd); /* larger than the least for connections from ourselves */
    conn->listener = listener;
    mux_list_append(&listener->pending, &conn->link);
    transport->pending++;
    dpdk_listener_wake(listener);
    return ERR_OK;
}

/* Binds and listens; lwIP then returns another pcb. NULL with *failure. */
static struct tcp_pcb *make_pcb(struct port *port, const ip_addr_t *ip, uint16_t number,
                                struct transport_failure *failure) {
    struct tcp_pcb *pcb = tcp_new_ip_type(IP_GET_TYPE(ip));
    if (!pcb) {
        dpdk_lwip_failed(failure, ERR_MEM, "tcp_new");
        return NULL;
    }
    ip_set_option(pcb, SOF_REUSEADDR); /* closed connections do not keep the port */
    tcp_bind_netif(pcb, dpdk_port_netif(port));
    err_t error = tcp_bind(pcb, ip, number);
    struct tcp_pcb *listening =
        error == ERR_OK ? tcp_listen_with_backlog_and_err(pcb, LWIP_BACKLOG, &error) : NULL;
    if (listening)
        return listening;
    tcp_close(pcb);
    dpdk_lwip_failed(failure, error, "bind");
    return NULL;
}

static bool begin_listen(struct dpdk_listener *listener, const struct transport_address *address,
                         struct transport_address *bound, struct transport_failure *failure) {
    struct port *port = dpdk_port_for(listener->transport, address, failure);
    ip_addr_t ip, own;
    uint16_t number;
    if (!port)
        return false;
    if (!dpdk_address_to_ip(address, &ip, &number) || !dpdk_port_has_ip(port, &ip)) {
        *failure = (struct transport_failure){EADDRNOTAVAIL, "bind"};
        return false;
    }
    own = ip;
    listener->port = port;
    listener->pcb = make_pcb(port, &own, number, failure);
    if (!listener->pcb)
        return false;
    tcp_arg(listener->pcb, listener);
    tcp_accept(listener->pcb, accept_callback);
    *bound = *address;
    bound->in4.sin_port = htons(listener->pcb->local_port); /* in6 has it at the same place */
    return true;
}

struct transport_listener *dpdk_listen(struct transport *transport,
                                       const struct transport_address *address, void *user,
                                       struct transport_address *bound,
                                       struct transport_failure *failure) {
    struct dpdk_listener *listener = calloc(1, sizeof *listener);
    if (!listener) {
        transport_failed(failure, "calloc");
        return NULL;
    }
    listener->head = (struct transport_listener){.ops = &dpdk_listener_ops, .user = user};
    listener->transport = transport;
    listener->task.turn = accept_turn;
    listener->accepting = true;
    mux_list_init(&listener->pending);
    if (!begin_listen(listener, address, bound, failure)) {
        free(listener);
        return NULL;
    }
    mux_list_append(&transport->listeners, &listener->link);
    return &listener->head;
}

void dpdk_accept(struct transport_listener *handle, bool on) {
    struct dpdk_listener *listener = dpdk_listener_of(handle);
    listener->accepting = on;
    if (on)
        dpdk_listener_wake(listener);
    else
        task_stop(&listener->task);
}

/* Resets connections that were never accepted, as a kernel does. */
static void reset_pending(struct dpdk_listener *listener) {
    struct transport *transport = listener->transport;
    struct mux_list *link;
    while ((link = mux_list_pop(&listener->pending))) {
        struct dpdk_conn *conn = MUX_LIST_ITEM(link, struct dpdk_conn, link);
        struct tcp_pcb *pcb = conn->pcb;
        if (pcb) {
            dpdk_conn_forget_pcb(conn);
            tcp_abort(pcb);
        }
        dpdk_inbox_clear(conn);
        transport->pending--;
        dpdk_conn_free(conn);
    }
}

void dpdk_close_listener(struct transport_listener *handle) {
    struct dpdk_listener *listener = dpdk_listener_of(handle);
    task_stop(&listener->task);
    tcp_close(listener->pcb);
    reset_pending(listener);
    mux_list_remove(&listener->link);
    listener->head.user = NULL;
    deferred_free(&listener->transport->deferred, &listener->deferred, listener);
}

void dpdk_listeners_fail(struct port *port, struct transport *transport, int error) {
    struct mux_list *link = transport->listeners.next;
    for (; link != &transport->listeners; link = link->next) {
        struct dpdk_listener *listener = MUX_LIST_ITEM(link, struct dpdk_listener, link);
        if (listener->port != port)
            continue;
        listener->failed_error = error;
        dpdk_listener_wake(listener);
    }
}

static bool port_failed(struct dpdk_listener *listener, struct transport_event *event) {
    event->kind = TRANSPORT_REFUSED;
    event->listener = &listener->head;
    event->error = listener->failed_error;
    event->operation = "receiving on the port";
    listener->failed_error = 0;
    dpdk_listener_wake(listener);
    return true;
}

static bool accept_turn(struct task *task, struct transport_event *event) {
    struct dpdk_listener *listener = MUX_CONTAINER_OF(task, struct dpdk_listener, task);
    struct transport *transport = listener->transport;
    if (listener->failed_error)
        return port_failed(listener, event);
    if (mux_list_empty(&listener->pending))
        return false; /* the waiting connection has gone */
    if (transport->conns_used == transport->conns_max) {
        mux_list_append(&transport->starved, &task->link);
        return false;
    }
    struct mux_list *link = mux_list_pop(&listener->pending);
    struct dpdk_conn *conn = MUX_LIST_ITEM(link, struct dpdk_conn, link);
    conn->listener = NULL;
    transport->pending--;
    transport->conns_used++;
    event->kind = TRANSPORT_ACCEPTED;
    event->listener = &listener->head;
    event->conn = &conn->head;
    dpdk_listener_wake(listener);
    return true;
}
