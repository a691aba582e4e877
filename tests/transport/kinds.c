#include "tests/transport/kinds.h"
#include "transport/epoll/internal.h"
#include "transport/sim/sim.h"
#include "transport/stack.h"
#include <string.h>

/*
 * The epoll engine as one that cannot wait by itself: it runs beside another, as RDMA and DPDK do,
 * so that transport_mixed can be tested without those.
 */
static struct transport_ops beside;

static unsigned beside_poll(struct transport *transport, uint64_t deadline_ns,
                            struct transport_event *events, unsigned most) {
    (void)deadline_ns;
    return epoll_poll(transport, 0, events, most);
}

static int beside_wake_fd(const struct transport *transport) {
    return transport->epoll_fd;
}

static uint64_t beside_idle_until_ns(struct transport *transport) {
    return mux_list_empty(&transport->ready) ? UINT64_MAX : 0;
}

static void make_beside(void) {
    beside = transport_epoll;
    beside.poll = beside_poll;
    beside.watch = NULL;
    beside.unwatch = NULL;
    beside.wake_fd = beside_wake_fd;
    beside.idle_until_ns = beside_idle_until_ns;
}

/* A process has one DPDK engine at most: the other end is the kernel's. */
static const struct engine_kind kernel = {.ops = &transport_epoll};
static struct engine_kind port;

static struct engine_kind kinds[] = {
    {.name = "epoll", .ops = &transport_epoll},
    {.name = "uring", .ops = &transport_uring},
    {.name = "sim", .ops = &transport_sim},
    {.name = "rdma", .via = TRANSPORT_VIA_RDMA},
    {.name = "dpdk", .via = TRANSPORT_VIA_DPDK, .far = &kernel},
    {.name = "dpdk-connects", .ops = &transport_epoll, .far = &port},
    {.name = "uring+rdma",
     .ops = &transport_mixed,
     .parts_count = 2,
     .parts = {{TRANSPORT_VIA_KERNEL, &transport_uring}, {TRANSPORT_VIA_RDMA, NULL}}},
    {.name = "epoll+rdma",
     .ops = &transport_mixed,
     .parts_count = 2,
     .parts = {{TRANSPORT_VIA_KERNEL, &transport_epoll}, {TRANSPORT_VIA_RDMA, NULL}}},
    /* the engine beside listens and connects; the first one has attached descriptors and waits */
    {.name = "epoll+beside",
     .ops = &transport_mixed,
     .parts_count = 2,
     .parts = {{TRANSPORT_VIA_RDMA, &transport_epoll}, {TRANSPORT_VIA_KERNEL, &beside}}},
    {.name = "uring+beside",
     .ops = &transport_mixed,
     .parts_count = 2,
     .parts = {{TRANSPORT_VIA_RDMA, &transport_uring}, {TRANSPORT_VIA_KERNEL, &beside}}},
};

/* Fills in what depends on the build. */
static void complete(struct engine_kind *kind) {
    if (!kind->ops)
        kind->ops = stack_of(kind->via)->ops;
    for (unsigned i = 0; i < kind->parts_count; i++) {
        if (!kind->parts[i].ops)
            kind->parts[i].ops = stack_of(kind->parts[i].via)->ops;
        if (!kind->parts[i].ops)
            kind->ops = NULL;
    }
}

const struct engine_kind *engine_kind(const char *name) {
    make_beside();
    port.ops = stack_of(TRANSPORT_VIA_DPDK)->ops;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, name) != 0)
            continue;
        complete(&kinds[i]);
        return &kinds[i];
    }
    return NULL;
}
