/*
 * Listening. A connection request is granted whether or not the user accepts now, as with a
 * socket's backlog; the connection is reported when it is set up, the user accepts, and there is a
 * place for it. Up to BACKLOG connections are set up and not reported; REQUESTS_MAX further
 * requests wait.
 */
#include "transport/rdma/rdma.h"
#include <stdlib.h>

/* A connection request that waits to be granted. */
struct request {
    struct mux_list link; /* in transport->asking */
    struct rdma_listener *listener;
    struct rdma_cm_id *id;
    struct wire_hello hello;
    struct rdma_conn_param asked;
};

static bool accept_turn(struct task *task, struct transport_event *event);
static void discard_requests(struct rdma_listener *listener);

static bool begin(struct rdma_listener *listener, const struct transport_address *address,
                  struct transport_failure *failure) {
    int only = 1;
    struct sockaddr *at = (struct sockaddr *)(uintptr_t)&address->any;
    if (rdma_create_id(listener->transport->cm, &listener->id, &listener->owner, RDMA_PS_TCP) != 0)
        transport_failed(failure, "rdma_create_id");
    else if (at->sa_family == AF_INET6 &&
             rdma_set_option(listener->id, RDMA_OPTION_ID, RDMA_OPTION_ID_AFONLY, &only,
                             sizeof only) != 0)
        transport_failed(failure, "rdma_set_option");
    else if (rdma_bind_addr(listener->id, at) != 0)
        transport_failed(failure, "rdma_bind_addr");
    else if (rdma_listen(listener->id, REQUESTS_MAX) != 0)
        transport_failed(failure, "rdma_listen");
    else /* bound to one device: an error is better now than with the first client */
        return !listener->id->verbs ||
               rdma_device_get(listener->transport, listener->id->verbs, failure);
    return false;
}

struct transport_listener *rdma_rc_listen(struct transport *transport,
                                          const struct transport_address *address, void *user,
                                          struct transport_address *bound,
                                          struct transport_failure *failure) {
    struct rdma_listener *listener = calloc(1, sizeof *listener);
    if (!listener) {
        transport_failed(failure, "calloc");
        return NULL;
    }
    *listener = (struct rdma_listener){.head = {.ops = &rdma_rc_listener_ops, .user = user},
                                       .owner.is_listener = true,
                                       .transport = transport,
                                       .task.turn = accept_turn,
                                       .accepting = true};
    mux_list_init(&listener->arrived);
    transport->listeners++;
    if (!begin(listener, address, failure)) {
        rdma_rc_close_listener(&listener->head);
        return NULL;
    }
    *bound = *address;
    memcpy(&bound->storage, rdma_get_local_addr(listener->id), bound->len);
    return &listener->head;
}

static void wake(struct rdma_listener *listener) {
    if (listener->accepting && (listener->refused || !mux_list_empty(&listener->arrived)))
        task_wake(&listener->transport->ready, &listener->task);
}

void rdma_rc_accept(struct transport_listener *handle, bool on) {
    struct rdma_listener *listener = rdma_listener_of(handle);
    listener->accepting = on;
    if (on)
        wake(listener);
    else
        task_stop(&listener->task);
}

/* Connections that were not reported to the user go with it. */
static void discard_arrived(struct rdma_listener *listener) {
    struct mux_list *head = &listener->transport->open_conns, *next;
    for (struct mux_list *link = head->next; link != head; link = next) {
        struct rdma_conn *conn = MUX_LIST_ITEM(link, struct rdma_conn, open_link);
        next = link->next;
        if (conn->listener == listener)
            rdma_rc_conn_discard(conn);
    }
}

void rdma_rc_close_listener(struct transport_listener *handle) {
    struct rdma_listener *listener = rdma_listener_of(handle);
    task_stop(&listener->task);
    discard_requests(listener);
    discard_arrived(listener);
    if (listener->id)
        rdma_destroy_id(listener->id);
    listener->transport->listeners--;
    listener->head.user = NULL;
    deferred_free(&listener->transport->deferred, &listener->deferred, listener);
}

static void reject(struct rdma_cm_id *id, enum wire_reason reason) {
    uint8_t why[WIRE_HELLO_BYTES];
    rdma_wire_put_rejection(why, reason);
    rdma_reject(id, why, sizeof why);
    rdma_destroy_id(id);
}

/* Reports a refusal that is this side's doing. */
static void refuse(struct rdma_listener *listener, const struct transport_failure *failure) {
    listener->refused = true;
    listener->refusal = *failure;
    wake(listener);
}

void rdma_listener_removed(struct rdma_listener *listener) {
    struct ibv_context *context = listener->id->verbs;
    discard_requests(listener);
    rdma_destroy_id(listener->id);
    listener->id = NULL;
    refuse(listener, &(struct transport_failure){ENODEV, "listen"});
    rdma_device_removed(listener->transport, context);
}

static bool accept_now(struct rdma_conn *conn, const struct rdma_conn_param *asked,
                       struct transport_failure *failure) {
    uint8_t hello[WIRE_HELLO_BYTES];
    struct rdma_device *device = rdma_device_get(conn->transport, conn->id->verbs, failure);
    if (!device || !rdma_device_join(device, conn, failure))
        return false;
    unsigned most = device->reads_max;
    rdma_hello_put(hello);
    struct rdma_conn_param with = {
        .private_data = hello,
        .private_data_len = sizeof hello,
        .responder_resources =
            (uint8_t)(asked->responder_resources < most ? asked->responder_resources : most),
        .initiator_depth = (uint8_t)(asked->initiator_depth < most ? asked->initiator_depth : most),
        .rnr_retry_count = RNR_RETRY_COUNT};
    if (rdma_accept(conn->id, &with) == 0)
        return true;
    transport_failed(failure, "rdma_accept");
    return false;
}

static void take_in(struct rdma_conn *conn, const struct request *request) {
    struct rdma_listener *listener = request->listener;
    struct transport_failure failure;
    conn->listener = listener;
    conn->stage = STAGE_ACCEPTING;
    conn->id = request->id;
    conn->id->context = &conn->owner;
    listener->transport->arrived++;
    rdma_set_ack_timeout(conn->id);
    rdma_rc_greet(conn, &request->hello);
    rdma_rc_peer_describe(&conn->peer, rdma_get_peer_addr(conn->id));
    if (accept_now(conn, &request->asked, &failure))
        return;
    if (conn->device)
        rdma_device_leave(conn);
    conn->id = NULL; /* rejected below */
    rdma_rc_conn_discard(conn);
    reject(request->id, WIRE_NO_RESOURCES);
    refuse(listener, &failure);
}

static void forget_request(struct request *request) {
    mux_list_remove(&request->link);
    request->listener->transport->requests--;
    free(request);
}

bool rdma_requests_turn(struct task *task, struct transport_event *event) {
    struct transport *transport = MUX_CONTAINER_OF(task, struct transport, taking_in);
    (void)event;
    while (!mux_list_empty(&transport->asking) && transport->arrived < BACKLOG) {
        struct mux_list *first = transport->asking.next;
        struct request *request = MUX_LIST_ITEM(first, struct request, link);
        struct rdma_conn *conn = rdma_rc_conn_new(transport, TRANSPORT_POOL_SHARED);
        if (!conn)
            break;
        take_in(conn, request);
        forget_request(request);
    }
    return false;
}

void rdma_requests_wake(struct transport *transport) {
    if (!mux_list_empty(&transport->asking) && transport->arrived < BACKLOG)
        task_wake(&transport->ready, &transport->taking_in);
}

/* Checked before there is a queue pair: with one the peer could read the arena. */
static bool is_allowed(const struct transport *transport, struct rdma_cm_id *id) {
    const struct sockaddr *address = rdma_get_peer_addr(id);
    struct sockaddr_storage peer = {0};
    memcpy(&peer, address,
           address->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                         : sizeof(struct sockaddr_in6));
    return !transport->allowed || transport->allowed(transport->allowed_user, &peer);
}

void rdma_listener_request(struct rdma_listener *listener, const struct rdma_cm_event *event) {
    struct transport *transport = listener->transport;
    const struct rdma_conn_param *asked = &event->param.conn;
    struct wire_hello hello;
    if (rdma_wire_get_hello(asked->private_data, asked->private_data_len, &hello) !=
        WIRE_HELLO_GOOD) {
        reject(event->id, WIRE_UNKNOWN_VERSION);
        return;
    }
    if (!is_allowed(transport, event->id)) {
        reject(event->id, WIRE_FORBIDDEN);
        refuse(listener, &(struct transport_failure){EACCES, "accept"});
        return;
    }
    struct request *request = transport->requests < REQUESTS_MAX ? malloc(sizeof *request) : NULL;
    if (!request) {
        reject(event->id, WIRE_FULL);
        return;
    }
    *request = (struct request){
        .listener = listener, .id = event->id, .hello = hello, .asked = event->param.conn};
    mux_list_append(&transport->asking, &request->link);
    transport->requests++;
    rdma_requests_wake(transport);
}

/* Requests that this listener has not answered. */
static void discard_requests(struct rdma_listener *listener) {
    struct mux_list *head = &listener->transport->asking, *next;
    for (struct mux_list *link = head->next; link != head; link = next) {
        struct request *request = MUX_LIST_ITEM(link, struct request, link);
        next = link->next;
        if (request->listener != listener)
            continue;
        rdma_destroy_id(request->id);
        forget_request(request);
    }
}

void rdma_listener_arrived(struct rdma_conn *conn) {
    mux_list_append(&conn->listener->arrived, &conn->link);
    wake(conn->listener);
}

void rdma_listener_forget(struct rdma_conn *conn) {
    if (!conn->listener)
        return;
    mux_list_remove(&conn->link);
    conn->listener = NULL;
    conn->transport->arrived--;
    rdma_requests_wake(conn->transport);
}

static bool refused(struct rdma_listener *listener, struct transport_event *event) {
    listener->refused = false;
    event->kind = TRANSPORT_REFUSED;
    event->listener = &listener->head;
    event->error = listener->refusal.error;
    event->operation = listener->refusal.operation;
    wake(listener);
    return true;
}

static bool accept_turn(struct task *task, struct transport_event *event) {
    struct rdma_listener *listener = MUX_CONTAINER_OF(task, struct rdma_listener, task);
    struct transport *transport = listener->transport;
    if (listener->refused)
        return refused(listener, event);
    if (mux_list_empty(&listener->arrived))
        return false;
    if (transport->conns_told == transport->conns_max) {
        mux_list_append(&transport->starved, &task->link);
        return false;
    }
    struct mux_list *first = listener->arrived.next;
    struct rdma_conn *conn = MUX_LIST_ITEM(first, struct rdma_conn, link);
    rdma_listener_forget(conn);
    transport->conns_told++;
    conn->told = true;
    event->kind = TRANSPORT_ACCEPTED;
    event->listener = &listener->head;
    event->conn = &conn->head;
    wake(listener);
    rdma_rc_send_wake(conn); /* broken already? */
    return true;
}
