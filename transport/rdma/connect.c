/* How connections begin: the steps of rdma_cm, each reported by an event. */
#include "transport/rdma/rdma.h"
#include <unistd.h>

void rdma_set_ack_timeout(struct rdma_cm_id *id) {
    uint8_t timeout = ACK_TIMEOUT; /* on InfiniBand the path decides: a refusal does no harm */
    rdma_set_option(id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &timeout, sizeof timeout);
}

/* LOST comes from rdma_rc_connected_turn(). */
static void connect_failed(struct rdma_conn *conn, int error, const char *operation) {
    rdma_rc_conn_break(conn, error ? error : EIO, operation);
    task_wake(&conn->transport->ready, &conn->out);
}

static bool begin(struct rdma_conn *conn, const struct transport_address *address,
                  struct transport_failure *failure) {
    struct sockaddr *from = (struct sockaddr *)(uintptr_t)&address->source;
    struct sockaddr *to = (struct sockaddr *)(uintptr_t)&address->any;
    if (rdma_create_id(conn->transport->cm, &conn->id, &conn->owner, RDMA_PS_TCP) != 0) {
        transport_failed(failure, "rdma_create_id");
        return false;
    }
    if (rdma_resolve_addr(conn->id, from->sa_family == AF_UNSPEC ? NULL : from, to, RESOLVE_MS))
        connect_failed(conn, errno, "rdma_resolve_addr");
    return true;
}

struct transport_conn *rdma_rc_connect(struct transport *transport,
                                       const struct transport_address *address, void *user,
                                       struct transport_failure *failure) {
    struct rdma_conn *conn = NULL;
    errno = EMFILE;
    if (transport->conns_told < transport->conns_max)
        conn = rdma_rc_conn_new(transport, TRANSPORT_POOL_RESERVE);
    if (!conn) {
        transport_failed(failure, "taking a connection");
        return NULL;
    }
    conn->head.user = user;
    conn->out.turn = rdma_rc_connected_turn;
    rdma_rc_peer_describe(&conn->peer, &address->any);
    if (!begin(conn, address, failure)) {
        rdma_rc_conn_discard(conn);
        return NULL;
    }
    conn->told = true;
    transport->conns_told++;
    return &conn->head;
}

bool rdma_rc_connected_turn(struct task *task, struct transport_event *event) {
    struct rdma_conn *conn = MUX_CONTAINER_OF(task, struct rdma_conn, out);
    if (conn->stage != STAGE_OPEN)
        return rdma_rc_conn_tell_lost(conn, event, conn->error, conn->operation);
    conn->out.turn = rdma_rc_send_turn;
    event->kind = TRANSPORT_CONNECTED;
    event->conn = &conn->head;
    rdma_rc_send_wake(conn); /* broken already? */
    return true;
}

void rdma_rc_conn_open(struct rdma_conn *conn) {
    bool accepting = conn->stage == STAGE_ACCEPTING;
    conn->stage = STAGE_OPEN;
    rdma_control_due(conn);
    if (accepting)
        rdma_listener_arrived(conn);
    else
        task_wake(&conn->transport->ready, &conn->out);
}

static void resolved(struct rdma_conn *conn) {
    rdma_set_ack_timeout(conn->id);
    if (rdma_resolve_route(conn->id, RESOLVE_MS) != 0)
        connect_failed(conn, errno, "rdma_resolve_route");
}

void rdma_hello_put(uint8_t *out) {
    rdma_wire_put_hello(out, &(struct wire_hello){SLOT_BYTES, CONN_CREDITS});
}

static void routed(struct rdma_conn *conn) {
    struct transport_failure failure;
    uint8_t hello[WIRE_HELLO_BYTES];
    struct rdma_device *device = rdma_device_get(conn->transport, conn->id->verbs, &failure);
    if (!device || !rdma_device_join(device, conn, &failure)) {
        connect_failed(conn, failure.error, failure.operation);
        return;
    }
    rdma_hello_put(hello);
    struct rdma_conn_param with = {.private_data = hello,
                                   .private_data_len = sizeof hello,
                                   .responder_resources = (uint8_t)device->reads_max,
                                   .initiator_depth = (uint8_t)device->reads_max,
                                   .retry_count = RETRY_COUNT,
                                   .rnr_retry_count = RNR_RETRY_COUNT};
    if (rdma_connect(conn->id, &with) != 0)
        connect_failed(conn, errno, "connect");
}

void rdma_rc_greet(struct rdma_conn *conn, const struct wire_hello *hello) {
    unsigned credits = hello->credits < FLOW_CREDITS_MAX ? hello->credits : FLOW_CREDITS_MAX;
    conn->message_most_bytes =
        hello->message_bytes < SLOT_BYTES ? hello->message_bytes : SLOT_BYTES;
    rdma_flow_init(&conn->flow, credits, CONN_CREDITS);
}

/* The peer's hello, in its answer. False: it is not a muxd. */
static bool is_greeted(struct rdma_conn *conn, const struct rdma_conn_param *with) {
    struct wire_hello hello;
    enum wire_kind kind = rdma_wire_get_hello(with->private_data, with->private_data_len, &hello);
    if (kind == WIRE_HELLO_GOOD)
        rdma_rc_greet(conn, &hello);
    else
        connect_failed(conn, kind == WIRE_HELLO_OTHER ? EPROTONOSUPPORT : EPROTO, "connect");
    return kind == WIRE_HELLO_GOOD;
}

static void established(struct rdma_conn *conn, const struct rdma_cm_event *event) {
    if (conn->stage == STAGE_CONNECTING && !is_greeted(conn, &event->param.conn))
        return;
    if (conn->stage != STAGE_OPEN)
        rdma_rc_conn_open(conn);
}

/* The error for a rejection, from its private data; without any, no muxd listens there. */
static int rejection_error(const struct rdma_cm_event *event) {
    const struct rdma_conn_param *with = &event->param.conn;
    switch (rdma_wire_get_rejection(with->private_data, with->private_data_len)) {
    case WIRE_UNKNOWN_VERSION:
        return EPROTONOSUPPORT;
    case WIRE_NO_RESOURCES:
        return ENOBUFS;
    default:
        return ECONNREFUSED;
    }
}

/* A connection that was not opened fails. */
static void not_set_up(struct rdma_conn *conn, int error, const char *operation) {
    if (conn->stage == STAGE_ACCEPTING)
        rdma_rc_conn_discard(conn);
    else
        connect_failed(conn, error, operation);
}

/* What the peer sent before is received first. */
static void disconnected(struct rdma_conn *conn) {
    if (conn->stage != STAGE_OPEN) {
        not_set_up(conn, ECONNRESET, "connect");
        return;
    }
    rdma_completions_take(conn->device);
    rdma_rc_conn_break(conn, ECONNRESET, "receive");
}

/* The device is being removed from the machine, which waits until every user has released it. */
static void removed(struct rdma_conn *conn) {
    struct transport *transport = conn->transport;
    struct ibv_context *context = conn->id->verbs;
    if (conn->stage == STAGE_OPEN)
        rdma_rc_conn_break(conn, ENODEV, "receive");
    else
        not_set_up(conn, ENODEV, "connect");
    rdma_device_removed(transport, context);
}

static void on_conn(struct rdma_conn *conn, const struct rdma_cm_event *event) {
    int error = event->status < 0 ? -event->status : ETIMEDOUT;
    switch (event->event) {
    case RDMA_CM_EVENT_ADDR_RESOLVED:
        resolved(conn);
        break;
    case RDMA_CM_EVENT_ROUTE_RESOLVED:
        routed(conn);
        break;
    case RDMA_CM_EVENT_ESTABLISHED:
        established(conn, event);
        break;
    case RDMA_CM_EVENT_ADDR_ERROR:
        not_set_up(conn, error, "rdma_resolve_addr");
        break;
    case RDMA_CM_EVENT_ROUTE_ERROR:
        not_set_up(conn, error, "rdma_resolve_route");
        break;
    case RDMA_CM_EVENT_CONNECT_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE:
        not_set_up(conn, error, "connect");
        break;
    case RDMA_CM_EVENT_REJECTED:
        not_set_up(conn, rejection_error(event), "connect");
        break;
    case RDMA_CM_EVENT_DISCONNECTED:
        disconnected(conn);
        break;
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
        removed(conn);
        break;
    default: /* a change of address, the end of a time wait: nothing to be done */
        break;
    }
}

static bool is_past(const struct rdma_conn *conn, const struct rdma_cm_event *event) {
    return conn->id != event->id || (conn->error && conn->stage != STAGE_OPEN);
}

static void on_event(const struct rdma_cm_event *event) {
    if (event->event == RDMA_CM_EVENT_CONNECT_REQUEST) {
        struct cm_owner *asked = event->listen_id->context;
        rdma_listener_request(MUX_CONTAINER_OF(asked, struct rdma_listener, owner), event);
        return;
    }
    struct cm_owner *owner = event->id->context;
    if (owner->is_listener) {
        struct rdma_listener *listener = MUX_CONTAINER_OF(owner, struct rdma_listener, owner);
        if (event->event == RDMA_CM_EVENT_DEVICE_REMOVAL && event->id == listener->id)
            rdma_listener_removed(listener);
        return; /* of a request that was not accepted yet: rdma_accept() reports what became of it
                 */
    }
    struct rdma_conn *conn = MUX_CONTAINER_OF(owner, struct rdma_conn, owner);
    if (!is_past(conn, event))
        on_conn(conn, event);
}

/*
 * An event is acknowledged before it is handled: an id cannot be destroyed while it has
 * unacknowledged events. So what the event carries is copied first.
 */
void rdma_cm_events_take(struct transport *transport) {
    struct rdma_cm_event *event;
    while (rdma_get_cm_event(transport->cm, &event) == 0) {
        uint8_t private_data[256];
        struct rdma_cm_event copy = *event;
        size_t len = copy.param.conn.private_data ? copy.param.conn.private_data_len : 0;
        if (len > 0)
            memcpy(private_data, copy.param.conn.private_data, len);
        copy.param.conn.private_data = private_data;
        copy.param.conn.private_data_len = (uint8_t)len;
        rdma_ack_cm_event(event);
        on_event(&copy);
    }
}
