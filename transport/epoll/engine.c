#include "transport/call.h"
#include "transport/epoll/internal.h"
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SEC 1000000000u

/* Below this size a copy costs less than another iovec: measured on Zen 4. */
#define REFERENCE_LEAST_BYTES 2048

static bool make(struct transport *transport, const struct transport_config *config,
                 struct transport_failure *failure) {
    transport->kept = config->kept;
    transport->accept_limit = socket_accept_limit(config->kept);
    if (!conns_init(&transport->conns, config->conns_max, sizeof(struct epoll_conn),
                    offsetof(struct epoll_conn, place), failure))
        return false;
    transport->epoll_fd = call_epoll_create();
    if (transport->epoll_fd < 0) {
        transport_failed(failure, "epoll_create");
        return false;
    }
    return socket_reserve_open(&transport->reserve, failure) &&
           pools_init(&transport->pools, config, transport, intake_buffer_returned, failure);
}

static void epoll_fini(struct transport *transport) {
    assert(conns_open(&transport->conns) == 0 && transport->listeners == 0);
    for (int i = 0; i < TRANSPORT_POOLS; i++) /* no buffer was lost */
        assert(transport->pools.of[i].free_count == transport->pools.of[i].count);
    pools_fini(&transport->pools);
    assert(transport->watches.count == 0);
    deferred_run(&transport->deferred);
    socket_reserve_close(&transport->reserve);
    if (transport->epoll_fd >= 0)
        close(transport->epoll_fd);
    conns_fini(&transport->conns);
    free(transport);
}

static struct transport *epoll_init(const struct transport_config *config,
                                    struct transport_failure *failure) {
    struct transport *transport = calloc(1, sizeof *transport);
    if (!transport) {
        transport_failed(failure, "calloc");
        return NULL;
    }
    transport->epoll_fd = transport->reserve.fd = -1;
    mux_list_init(&transport->ready);
    mux_list_init(&transport->starved);
    deferred_init(&transport->deferred);
    transport->watches.deferred = &transport->deferred;
    if (!make(transport, config, failure)) {
        epoll_fini(transport);
        return NULL;
    }
    transport->caps =
        (struct transport_caps){.gather_max = GATHER_MAX,
                                .reference_least_bytes = REFERENCE_LEAST_BYTES,
                                .lent_max = pools_count(&transport->pools),
                                .lent_bytes_max = pools_buffer_most_bytes(&transport->pools)};
    descriptor_ignore_signals();
    return transport;
}

static const struct transport_caps *epoll_caps(const struct transport *transport) {
    return &transport->caps;
}

uint64_t epoll_now_ns(const struct transport *transport) {
    struct timespec now;
    (void)transport;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

/* The kernel holds nothing of ours between two calls: close() has taken everything back. */
static void epoll_stop(struct transport *transport) {
    assert(transport->listeners == 0);
}

static int epoll_descriptor(const struct transport_conn *conn) {
    return epoll_conn_of(conn)->out.fd;
}

const struct transport_conn_ops epoll_conn_ops = {
    .receive = epoll_receive,
    .receive_into = epoll_receive_into,
    .send = epoll_send,
    .finish = epoll_finish,
    .unacknowledged = epoll_unacknowledged,
    .unread = epoll_unread,
    .close = epoll_close,
    .descriptor = epoll_descriptor,
};

const struct transport_listener_ops epoll_listener_ops = {
    .accept = epoll_accept,
    .close = epoll_close_listener,
};

const struct transport_ops transport_epoll = {
    .name = "epoll",
    .init = epoll_init,
    .caps = epoll_caps,
    .now_ns = epoll_now_ns,
    .listen = epoll_listen,
    .connect = epoll_connect,
    .attach = epoll_attach,
    .poll = epoll_poll,
    .watch = epoll_watch,
    .unwatch = epoll_unwatch,
    .stop = epoll_stop,
    .fini = epoll_fini,
};
