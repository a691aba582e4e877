#include "transport/sim/internal.h"
#include <stdlib.h>

/* Few, so that lists are cut in many places. */
#define GATHER_MAX 64

/* Low, so that both copies and references occur with small packets. */
#define REFERENCE_LEAST_BYTES 256

static bool make(struct transport *transport, const struct transport_config *config,
                 struct transport_failure *failure) {
    if (!conns_init(&transport->conns, config->conns_max, sizeof(struct sim_engine_conn),
                    offsetof(struct sim_engine_conn, place), failure))
        return false;
    return pools_init(&transport->pools, config, transport, intake_buffer_returned, failure);
}

static void engine_fini(struct transport *transport) {
    assert(conns_open(&transport->conns) == 0 && transport->listeners == 0);
    for (int i = 0; i < TRANSPORT_POOLS; i++) /* no buffer was lost */
        assert(transport->pools.of[i].free_count == transport->pools.of[i].count);
    pools_fini(&transport->pools);
    assert(transport->watches.count == 0);
    deferred_run(&transport->deferred);
    mux_list_remove(&transport->link);
    conns_fini(&transport->conns);
    free(transport);
}

static struct transport *engine_init(const struct transport_config *config,
                                     struct transport_failure *failure) {
    struct transport *transport = calloc(1, sizeof *transport);
    if (!transport) {
        transport_failed(failure, "calloc");
        return NULL;
    }
    transport->sim = config->engine_config;
    mux_list_init(&transport->ready);
    mux_list_init(&transport->starved);
    deferred_init(&transport->deferred);
    transport->watches.deferred = &transport->deferred;
    mux_list_append(&transport->sim->transports, &transport->link);
    if (!make(transport, config, failure)) {
        engine_fini(transport);
        return NULL;
    }
    transport->caps =
        (struct transport_caps){.gather_max = GATHER_MAX,
                                .reference_least_bytes = REFERENCE_LEAST_BYTES,
                                .lent_max = pools_count(&transport->pools),
                                .lent_bytes_max = pools_buffer_most_bytes(&transport->pools)};
    return transport;
}

unsigned sim_lent(const struct transport *transport) {
    unsigned lent = 0;
    for (int i = 0; i < TRANSPORT_POOLS; i++)
        lent += transport->pools.of[i].lent;
    return lent;
}

static const struct transport_caps *engine_caps(const struct transport *transport) {
    return &transport->caps;
}

static uint64_t engine_now_ns(const struct transport *transport) {
    return transport->sim->now_ns;
}

/* The world holds nothing of ours between two calls: close() has taken everything back. */
static void engine_stop(struct transport *transport) {
    assert(transport->listeners == 0);
}

static int engine_descriptor(const struct transport_conn *conn) {
    (void)conn;
    return -1;
}

const struct transport_conn_ops sim_engine_conn_ops = {
    .receive = sim_engine_receive,
    .receive_into = sim_engine_receive_into,
    .send = sim_engine_send,
    .finish = sim_engine_finish,
    .unacknowledged = sim_engine_unacknowledged,
    .unread = sim_engine_unread,
    .close = sim_engine_close,
    .descriptor = engine_descriptor,
};

const struct transport_listener_ops sim_engine_listener_ops = {
    .accept = sim_engine_accept,
    .close = sim_engine_close_listener,
};

const struct transport_ops transport_sim = {
    .name = "sim",
    .init = engine_init,
    .caps = engine_caps,
    .now_ns = engine_now_ns,
    .listen = sim_engine_listen,
    .connect = sim_engine_connect,
    .attach = sim_engine_attach,
    .poll = sim_engine_poll,
    .watch = sim_engine_watch,
    .unwatch = sim_engine_unwatch,
    .stop = engine_stop,
    .fini = engine_fini,
};
