#include "transport/rdma/rdma.h"
#include <sys/epoll.h>

/* Polls after which the connection manager is asked although the user never sleeps. */
#define POLLS_PER_CM 32

/* Takes the channel's events, so that its descriptor is not readable until the next one. */
static void disarm(struct rdma_device *device) {
    struct ibv_cq *cq;
    void *context;
    unsigned count = 0;
    while (ibv_get_cq_event(device->channel, &cq, &context) == 0)
        count++;
    if (count > 0) {
        ibv_ack_cq_events(device->cq, count);
        device->armed = false;
    }
}

static bool take_completions(struct transport *transport) {
    struct mux_list *head = &transport->devices;
    bool any = false;
    for (struct mux_list *link = head->next; link != head; link = link->next)
        any |= rdma_completions_take(MUX_LIST_ITEM(link, struct rdma_device, link));
    return any;
}

static bool cm_is_due(struct transport *transport) {
    if (!transport->rested && ++transport->polls < POLLS_PER_CM)
        return false;
    transport->polls = 0;
    return true;
}

unsigned rdma_rc_poll(struct transport *transport, uint64_t deadline_ns,
                      struct transport_event *events, unsigned most) {
    (void)deadline_ns; /* never waits: transport_mixed does */
    rdma_rc_conns_recycle(transport);
    deferred_run(&transport->deferred);
    take_completions(transport);
    if (cm_is_due(transport))
        rdma_cm_events_take(transport);
    transport->rested = false;
    if (!mux_list_empty(&transport->patient))
        rdma_rc_close_timeouts(transport, rdma_rc_now_ns(transport));
    unsigned count = tasks_serve(&transport->ready, events, most);
    rdma_controls_send(transport);
    return count;
}

/*
 * From now on any completion makes its channel's descriptor readable. What is there already is read
 * now: the waiting thread is woken once for it, and that may have been before.
 */
static void arm(struct transport *transport) {
    struct mux_list *head = &transport->devices;
    for (struct mux_list *link = head->next; link != head; link = link->next) {
        struct rdma_device *device = MUX_LIST_ITEM(link, struct rdma_device, link);
        if (device->armed)
            disarm(device);
        if (!device->armed)
            device->armed = ibv_req_notify_cq(device->cq, 0) == 0;
    }
}

uint64_t rdma_rc_idle_until_ns(struct transport *transport) {
    if (!mux_list_empty(&transport->ready) || transport->conns.gone_count > 0)
        return 0;
    arm(transport);
    bool any = take_completions(transport);
    rdma_cm_events_take(transport);
    rdma_controls_send(transport);
    uint64_t now_ns = rdma_rc_now_ns(transport);
    uint64_t close_ns = rdma_rc_close_timeouts(transport, now_ns);
    uint64_t probe_ns = rdma_rc_keepalive(transport, now_ns);
    if (any || !mux_list_empty(&transport->ready))
        return 0;
    transport->rested = true;
    return close_ns < probe_ns ? close_ns : probe_ns;
}

int rdma_rc_wake_fd(const struct transport *transport) {
    return transport->epoll_fd;
}
