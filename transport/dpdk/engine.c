#include "transport/call.h"
#include "transport/dpdk/internal.h"
#include <stdlib.h>
#include <time.h>

#include "lwip/init.h"
#include "lwip/priv/tcp_priv.h"

#define NS_PER_SEC 1000000000u

/* Each span costs a call of lwIP: below this size a copy costs less. */
#define REFERENCE_LEAST_BYTES 512

/* lwIP's state belongs to the process, not to an engine. */
static bool exists;

int dpdk_errno_of(err_t error) {
    switch (error) {
    case ERR_OK:
        return 0;
    case ERR_MEM:
    case ERR_BUF:
        return ENOMEM;
    case ERR_RTE:
        return ENETUNREACH;
    case ERR_USE:
        return EADDRINUSE;
    case ERR_RST:
        return ECONNRESET;
    case ERR_ABRT:
        return ETIMEDOUT;
    default:
        return EIO;
    }
}

bool dpdk_lwip_failed(struct transport_failure *failure, err_t error, const char *operation) {
    *failure = (struct transport_failure){dpdk_errno_of(error), operation};
    return false;
}

static void dpdk_fini(struct transport *transport) {
    assert(transport->conns_used == 0 && transport->pending == 0 &&
           mux_list_empty(&transport->listeners));
    deferred_run(&transport->deferred);
    while (transport->ports_count > 0)
        dpdk_port_close(transport->ports[--transport->ports_count]);
    pools_fini(&transport->pools);
    conns_fini(&transport->conns);
    free(transport);
    exists = false;
}

static bool make(struct transport *transport, const struct transport_config *config,
                 struct transport_failure *failure) {
    transport->conns_max = config->conns_max;
    if (!conns_init(&transport->conns, config->conns_max + BACKLOG_MAX, sizeof(struct dpdk_conn),
                    offsetof(struct dpdk_conn, place), failure))
        return false;
    if (!pools_init(&transport->pools, config, transport, intake_buffer_returned, failure))
        return false;
    transport->windows_max_bytes = config->memory.len;
    size_t largest = NIC_MTU_BYTES;
    transport->caps = (struct transport_caps){
        .gather_max = GATHER_MAX,
        .reference_least_bytes = REFERENCE_LEAST_BYTES,
        .lent_max = pools_count(&transport->pools),
        .lent_bytes_max = config->buffer_bytes > largest ? config->buffer_bytes : largest};
    return true;
}

/*
 * Debian's lwIP starts with the same numbers in each process, for ports and for sequences, which
 * grow with its ticks: so at least the start is made unpredictable.
 */
static void start_lwip(void) {
    unsigned numbers[2] = {0};
    if (!call_random(numbers, sizeof numbers))
        numbers[0] = numbers[1] = (unsigned)dpdk_now_ns(NULL); /* no better source */
    srand(numbers[0]);
    lwip_init();
    tcp_ticks = numbers[1];
}

static struct transport *dpdk_init(const struct transport_config *config,
                                   struct transport_failure *failure) {
    static bool lwip_runs;
    if (exists) {
        *failure = (struct transport_failure){EBUSY, "starting lwIP a second time"};
        return NULL;
    }
    struct transport *transport = calloc(1, sizeof *transport);
    if (!transport) {
        transport_failed(failure, "calloc");
        return NULL;
    }
    exists = true;
    mux_list_init(&transport->listeners);
    mux_list_init(&transport->ready);
    mux_list_init(&transport->starved);
    mux_list_init(&transport->acks_now);
    mux_list_init(&transport->acks);
    deferred_init(&transport->deferred);
    if (!make(transport, config, failure)) {
        dpdk_fini(transport);
        return NULL;
    }
    if (!lwip_runs)
        start_lwip();
    lwip_runs = true;
    return transport;
}

static const struct transport_caps *dpdk_caps(const struct transport *transport) {
    return &transport->caps;
}

uint64_t dpdk_now_ns(const struct transport *transport) {
    struct timespec now;
    (void)transport;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

static struct transport_watch *dpdk_watch(struct transport *transport, int fd, void *user,
                                          struct transport_failure *failure) {
    (void)transport, (void)fd, (void)user;
    *failure = (struct transport_failure){ENOTSUP, "watching"};
    return NULL;
}

static void dpdk_stop(struct transport *transport) {
    assert(mux_list_empty(&transport->listeners));
    dpdk_conns_recycle(transport);
    dpdk_guard_linger(transport);
    dpdk_guard_end();
    for (unsigned i = 0; i < transport->ports_count; i++)
        dpdk_port_flush(transport->ports[i]);
}

static int dpdk_descriptor(const struct transport_conn *conn) {
    (void)conn;
    return -1;
}

const struct transport_conn_ops dpdk_conn_ops = {
    .receive = dpdk_receive,
    .receive_into = dpdk_receive_into,
    .send = dpdk_send,
    .finish = dpdk_finish,
    .unacknowledged = dpdk_unacknowledged,
    .unread = dpdk_unread,
    .close = dpdk_close,
    .descriptor = dpdk_descriptor,
};

const struct transport_listener_ops dpdk_listener_ops = {
    .accept = dpdk_accept,
    .close = dpdk_close_listener,
};

const struct transport_ops transport_dpdk = {
    .name = "dpdk",
    .init = dpdk_init,
    .caps = dpdk_caps,
    .now_ns = dpdk_now_ns,
    .listen = dpdk_listen,
    .connect = dpdk_connect,
    .attach = dpdk_attach,
    .poll = dpdk_poll,
    .watch = dpdk_watch,
    .wake_fd = dpdk_wake_fd,
    .idle_until_ns = dpdk_idle_until_ns,
    .counts = dpdk_counts,
    .stop = dpdk_stop,
    .fini = dpdk_fini,
};
