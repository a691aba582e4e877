/* The life of several transports as one. */
#include "transport/descriptor.h"
#include "transport/mixed/mixed.h"
#include <stdlib.h>

#define NS_PER_US 1000u

static void mixed_fini(struct transport *transport) {
    mixed_reclaim(transport);
    for (unsigned i = transport->parts_count; i-- > 0;)
        if (transport->parts[i].transport)
            transport->parts[i].ops->fini(transport->parts[i].transport);
    free(transport->conns);
    free(transport);
}

static bool make_conns(struct transport *transport, const struct transport_config *config,
                       struct transport_failure *failure) {
    size_t count = 0;
    for (unsigned i = 0; i < config->parts_count; i++)
        count += config->parts[i].config.conns_max;
    transport->conns = calloc(count, sizeof *transport->conns);
    if (!transport->conns) {
        transport_failed(failure, "calloc");
        return false;
    }
    for (size_t i = 0; i < count; i++)
        queue_push(&transport->free, &transport->conns[i].link);
    return true;
}

/* What every part can do. */
static void add_caps(struct transport_caps *caps, const struct transport_caps *part) {
    if (part->gather_max < caps->gather_max)
        caps->gather_max = part->gather_max;
    if (part->reference_least_bytes > caps->reference_least_bytes)
        caps->reference_least_bytes = part->reference_least_bytes;
    if (part->lent_bytes_max > caps->lent_bytes_max)
        caps->lent_bytes_max = part->lent_bytes_max;
    caps->lent_max += part->lent_max;
}

/* The first part has to wake up for this one. */
static bool watch_part(struct transport *transport, struct part *part) {
    int fd = part->ops->wake_fd(part->transport);
    if (fd >= 0)
        part->watch = mixed_watch(transport, fd, part, &part->failure);
    return fd < 0 || part->watch;
}

/* False: the part could not be made, or not be woken; part->failure says why. */
static bool make_part(struct transport *transport, const struct transport_part *config) {
    struct part *part = &transport->parts[transport->parts_count++];
    *part = (struct part){.via = config->via, .ops = config->ops};
    part->transport = part->ops->init(&config->config, &part->failure);
    if (!part->transport)
        return false;
    if (part == mixed_first(transport)) {
        transport->caps = *part->ops->caps(part->transport);
        return true;
    }
    if (!watch_part(transport, part)) {
        part->ops->stop(part->transport);
        part->ops->fini(part->transport);
        part->transport = NULL;
        return false;
    }
    add_caps(&transport->caps, part->ops->caps(part->transport));
    return true;
}

static bool make(struct transport *transport, const struct transport_config *config,
                 struct transport_failure *failure) {
    assert(config->parts_count > 0 && config->parts_count <= MIXED_PARTS_MAX);
    if (!make_conns(transport, config, failure))
        return false;
    if (!make_part(transport, &config->parts[0])) {
        *failure = mixed_first(transport)->failure;
        return false;
    }
    for (unsigned i = 1; i < config->parts_count; i++)
        make_part(transport, &config->parts[i]);
    return true;
}

static struct transport *mixed_init(const struct transport_config *config,
                                    struct transport_failure *failure) {
    struct transport *transport = calloc(1, sizeof *transport);
    if (!transport) {
        transport_failed(failure, "calloc");
        return NULL;
    }
    transport->busy_poll_ns = (uint64_t)config->busy_poll_us * NS_PER_US;
    queue_init(&transport->free);
    queue_init(&transport->retired);
    queue_init(&transport->closed);
    if (make(transport, config, failure))
        return transport;
    mixed_fini(transport);
    return NULL;
}

static const struct transport_caps *mixed_caps(const struct transport *transport) {
    return &transport->caps;
}

static uint64_t mixed_now_ns(const struct transport *transport) {
    const struct part *first = &transport->parts[0];
    return first->ops->now_ns(first->transport);
}

static unsigned mixed_counts(const struct transport *transport, struct transport_count *counts) {
    struct transport_count own[TRANSPORT_COUNTS_MAX];
    unsigned total = 0;
    for (unsigned i = 0; i < transport->parts_count; i++) {
        const struct part *part = &transport->parts[i];
        bool has_some = part->transport && part->ops->counts;
        unsigned count = has_some ? part->ops->counts(part->transport, own) : 0;
        for (unsigned at = 0; at < count && total < TRANSPORT_COUNTS_MAX; at++)
            counts[total++] = own[at];
    }
    return total;
}

static void stop_part(struct transport *transport, struct part *part) {
    if (part->watch)
        mixed_unwatch(transport, part->watch);
    part->watch = NULL;
    if (part->transport)
        part->ops->stop(part->transport);
}

/* The first part last: it gives back the others' descriptors. */
static void mixed_stop(struct transport *transport) {
    for (unsigned i = transport->parts_count; i-- > 0;)
        stop_part(transport, &transport->parts[i]);
}

const struct transport_ops transport_mixed = {
    .name = "mixed",
    .init = mixed_init,
    .caps = mixed_caps,
    .now_ns = mixed_now_ns,
    .listen = mixed_listen,
    .accept = mixed_accept,
    .close_listener = mixed_close_listener,
    .connect = mixed_connect,
    .attach = mixed_attach,
    .poll = mixed_poll,
    .receive = mixed_receive,
    .receive_into = mixed_receive_into,
    .send = mixed_send,
    .finish = mixed_finish,
    .unacknowledged = mixed_unacknowledged,
    .unread = mixed_unread,
    .close = mixed_close,
    .watch = mixed_watch,
    .unwatch = mixed_unwatch,
    .counts = mixed_counts,
    .stop = mixed_stop,
    .fini = mixed_fini,
    .set_user = mixed_set_user,
    .user = mixed_user,
    .listener_user = mixed_listener_user,
    .descriptor = mixed_descriptor,
    .peer = mixed_peer,
};
