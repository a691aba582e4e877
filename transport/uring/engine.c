/* The engine: its life, and poll(). */
#include "transport/uring/uring.h"
#include <stdlib.h>

/* How often stop() checks whether the kernel has released everything; usually it has at once. */
#define STOP_STEP_NS 1000000U
#define STOP_EVENTS 64

/* Below this size a copy costs less than another iovec in sendmsg(). */
#define REFERENCE_LEAST_BYTES 2048

static void uring_fini(struct transport *transport) {
    assert(conns_open(&transport->conns) == 0 && mux_list_empty(&transport->listeners));
    assert(transport->watches.count == 0);
    deferred_run(&transport->deferred);
    if (transport->ring_made)
        io_uring_queue_exit(&transport->ring);
    uring_buffers_free(transport);
    socket_reserve_close(&transport->reserve);
    conns_fini(&transport->conns);
    free(transport);
}

static bool make(struct transport *transport, const struct transport_config *config,
                 struct transport_failure *failure) {
    transport->kept = config->kept;
    transport->accept_limit = socket_accept_limit(config->kept);
    return conns_init(&transport->conns, config->conns_max, sizeof(struct uring_conn),
                      offsetof(struct uring_conn, place), failure) &&
           uring_ring_make(transport, config, failure) &&
           uring_buffers_make(transport, config, failure) &&
           socket_reserve_open(&transport->reserve, failure);
}

static struct transport *uring_init(const struct transport_config *config,
                                    struct transport_failure *failure) {
    struct transport *transport = calloc(1, sizeof *transport);
    if (!transport) {
        transport_failed(failure, "calloc");
        return NULL;
    }
    transport->reserve.fd = -1;
    uring_coalescing_init(&transport->coalescing);
    mux_list_init(&transport->work);
    mux_list_init(&transport->listeners);
    mux_list_init(&transport->watch_work);
    deferred_init(&transport->deferred);
    transport->watches.deferred = &transport->deferred;
    if (!make(transport, config, failure)) {
        uring_fini(transport);
        return NULL;
    }
    transport->caps =
        (struct transport_caps){.gather_max = URING_GATHER_MAX,
                                .reference_least_bytes = REFERENCE_LEAST_BYTES,
                                .lent_max = pools_count(&transport->pools),
                                .lent_bytes_max = pools_buffer_most_bytes(&transport->pools)};
    descriptor_ignore_signals();
    return transport;
}

static const struct transport_caps *uring_caps(const struct transport *transport) {
    return &transport->caps;
}

static bool advance_conns(struct transport *transport, struct uring_events *out) {
    struct mux_list *link;
    while (out->count < out->most && (link = mux_list_pop(&transport->work))) {
        struct uring_conn *conn = MUX_LIST_ITEM(link, struct uring_conn, work);
        if (!uring_conn_advance(conn, out)) {
            uring_conn_wake(conn);
            return false;
        }
    }
    return mux_list_empty(&transport->work);
}

/* Makes the requests that are wanted. False if more can be made at once. */
static bool advance(struct transport *transport, struct uring_events *out) {
    return uring_watches_advance(transport) && uring_listeners_advance(transport) &&
           advance_conns(transport, out) && !uring_buffers_serve(transport, out);
}

/* Turns completions into events while there is room for them. */
static void harvest(struct transport *transport, struct uring_events *out) {
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0;
    io_uring_for_each_cqe(&transport->ring, head, cqe) {
        if (out->count == out->most)
            break;
        uring_op_complete(io_uring_cqe_get_data64(cqe), cqe->res, cqe->flags, out);
        seen++;
    }
    io_uring_cq_advance(&transport->ring, seen);
}

static unsigned uring_poll(struct transport *transport, uint64_t deadline_ns,
                           struct transport_event *events, unsigned most) {
    struct uring_events out = {.events = events, .most = most};
    conns_recycle(&transport->conns);
    uring_listeners_rested(transport);
    deferred_run(&transport->deferred);
    for (;;) {
        bool may_wait = advance(transport, &out) && out.count == 0;
        transport->coalescing.waited = transport->coalescing.on = false;
        bool woken = !uring_enter(transport, may_wait ? deadline_ns : 0);
        harvest(transport, &out);
        if (transport->coalescing.waited)
            uring_coalescing_woken(transport, &out);
        if (out.count > 0 || woken || deadline_ns <= uring_now_ns(transport))
            return out.count;
    }
}

static void uring_stop(struct transport *transport) {
    struct transport_event events[STOP_EVENTS];
    /* Everything is closed: the only events are CLOSED. */
    while (conns_open(&transport->conns) > 0 || !mux_list_empty(&transport->listeners) ||
           transport->watches.count > 0)
        uring_poll(transport, uring_now_ns(transport) + STOP_STEP_NS, events, STOP_EVENTS);
}

static int uring_descriptor(const struct transport_conn *conn) {
    return uring_conn_of(conn)->send.fd;
}

const struct transport_conn_ops uring_conn_ops = {
    .receive = uring_receive,
    .receive_into = uring_receive_into,
    .send = uring_send,
    .finish = uring_finish,
    .unacknowledged = uring_unacknowledged,
    .unread = uring_unread,
    .close = uring_close,
    .descriptor = uring_descriptor,
};

const struct transport_listener_ops uring_listener_ops = {
    .accept = uring_accept,
    .close = uring_close_listener,
};

const struct transport_ops transport_uring = {
    .name = "uring",
    .init = uring_init,
    .caps = uring_caps,
    .now_ns = uring_now_ns,
    .listen = uring_listen,
    .connect = uring_connect,
    .attach = uring_attach,
    .poll = uring_poll,
    .watch = uring_watch,
    .unwatch = uring_unwatch,
    .stop = uring_stop,
    .fini = uring_fini,
};
