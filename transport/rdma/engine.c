#include "transport/call.h"
#include "transport/rdma/rdma.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

uint64_t rdma_rc_now_ns(const struct transport *transport) {
    struct timespec now;
    (void)transport;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static bool has_device(struct transport_failure *failure) {
    int count = 0;
    struct ibv_device **list = ibv_get_device_list(&count);
    if (count == 0) /* ENOSYS without the kernel's module: no device either */
        *failure = (struct transport_failure){ENODEV, "looking for RDMA devices"};
    if (list)
        ibv_free_device_list(list);
    return count > 0;
}

static bool open_cm(struct transport *transport, struct transport_failure *failure) {
    transport->cm = rdma_create_event_channel();
    if (!transport->cm) {
        transport_failed(failure, "opening /dev/infiniband/rdma_cm");
        return false;
    }
    int fd = transport->cm->fd;
    struct epoll_event entry = {.events = EPOLLIN};
    transport->epoll_fd = call_epoll_create();
    if (transport->epoll_fd < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ||
        epoll_ctl(transport->epoll_fd, EPOLL_CTL_ADD, fd, &entry) < 0) {
        transport_failed(failure, "epoll_ctl");
        return false;
    }
    return true;
}

static bool make(struct transport *transport, const struct transport_config *config,
                 struct transport_failure *failure) {
    transport->conns_max = config->conns_max;
    if (!conns_init(&transport->conns, config->conns_max + BACKLOG, sizeof(struct rdma_conn),
                    offsetof(struct rdma_conn, place), failure))
        return false;
    if (!pools_init(&transport->pools, config, transport, intake_buffer_returned, failure))
        return false;
    transport->caps = (struct transport_caps){.gather_max = GATHER_MAX,
                                              .reference_least_bytes = READ_LEAST_BYTES,
                                              .lent_max = pools_count(&transport->pools),
                                              .lent_bytes_max = config->buffer_bytes};
    transport->arena = config->arena.len > 0 ? config->arena : config->memory;
    transport->allowed = config->allowed;
    transport->allowed_user = config->allowed_user;
    return has_device(failure) && open_cm(transport, failure);
}

static void rc_fini(struct transport *transport) {
    assert(transport->conns_told == 0 && transport->listeners == 0);
    deferred_run(&transport->deferred);
    while (!mux_list_empty(&transport->devices))
        rdma_device_close(MUX_LIST_ITEM(transport->devices.next, struct rdma_device, link));
    if (transport->cm)
        rdma_destroy_event_channel(transport->cm);
    if (transport->epoll_fd >= 0)
        close(transport->epoll_fd);
    if (transport->pools.buffers)
        for (int i = 0; i < TRANSPORT_POOLS; i++) /* no buffer is lost on its way */
            assert(transport->pools.of[i].free_count == transport->pools.of[i].count);
    pools_fini(&transport->pools);
    conns_fini(&transport->conns);
    free(transport);
}

static struct transport *rc_init(const struct transport_config *config,
                                 struct transport_failure *failure) {
    struct transport *transport = calloc(1, sizeof *transport);
    if (!transport) {
        transport_failed(failure, "calloc");
        return NULL;
    }
    transport->epoll_fd = -1;
    mux_list_init(&transport->devices);
    mux_list_init(&transport->ready);
    mux_list_init(&transport->starved);
    mux_list_init(&transport->open_conns);
    mux_list_init(&transport->dirty);
    mux_list_init(&transport->asking);
    transport->taking_in.turn = rdma_requests_turn;
    mux_list_init(&transport->patient);
    deferred_init(&transport->deferred);
    if (make(transport, config, failure))
        return transport;
    rc_fini(transport);
    return NULL;
}

static const struct transport_caps *rc_caps(const struct transport *transport) {
    return &transport->caps;
}

/* Descriptors are the kernel's transports' to read. */
static struct transport_conn *rc_attach(struct transport *transport, int in, int out, bool borrowed,
                                        enum transport_pool pool, const char *name, void *user,
                                        struct transport_failure *failure) {
    (void)transport, (void)in, (void)out, (void)borrowed, (void)pool, (void)name, (void)user;
    *failure = (struct transport_failure){ENOTSUP, "attach"};
    return NULL;
}

static struct transport_watch *rc_watch(struct transport *transport, int fd, void *user,
                                        struct transport_failure *failure) {
    (void)transport, (void)fd, (void)user;
    *failure = (struct transport_failure){ENOTSUP, "watching"};
    return NULL;
}

/* close() has taken all back. */
static void rc_stop(struct transport *transport) {
    rdma_rc_conns_recycle(transport);
    assert(transport->listeners == 0);
}

static int rc_descriptor(const struct transport_conn *conn) {
    (void)conn;
    return -1;
}

const struct transport_conn_ops rdma_rc_conn_ops = {
    .receive = rdma_rc_receive,
    .receive_into = rdma_rc_receive_into,
    .send = rdma_rc_send,
    .finish = rdma_rc_finish,
    .unacknowledged = rdma_rc_unacknowledged,
    .unread = rdma_rc_unread,
    .close = rdma_rc_close,
    .descriptor = rc_descriptor,
};

const struct transport_listener_ops rdma_rc_listener_ops = {
    .accept = rdma_rc_accept,
    .close = rdma_rc_close_listener,
};

const struct transport_ops transport_rdma = {
    .name = "rdma",
    .init = rc_init,
    .caps = rc_caps,
    .now_ns = rdma_rc_now_ns,
    .listen = rdma_rc_listen,
    .connect = rdma_rc_connect,
    .attach = rc_attach,
    .poll = rdma_rc_poll,
    .watch = rc_watch,
    .wake_fd = rdma_rc_wake_fd,
    .idle_until_ns = rdma_rc_idle_until_ns,
    .stop = rc_stop,
    .fini = rc_fini,
};
