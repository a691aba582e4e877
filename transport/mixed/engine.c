/* Several transports as one: their life, and which part a call goes to. */
#include "transport/descriptor.h"
#include "transport/mixed/mixed.h"
#include <stdlib.h>

#define NS_PER_US 1000u

static void mixed_fini(struct transport *transport) {
    for (unsigned i = transport->parts_count; i-- > 0;)
        if (transport->parts[i].transport)
            transport->parts[i].ops->fini(transport->parts[i].transport);
    free(transport);
}

/* The part for an address; NULL with *failure. */
static struct part *part_for(struct transport *transport, enum transport_via via,
                             struct transport_failure *failure) {
    for (unsigned i = 0; i < transport->parts_count; i++) {
        struct part *part = &transport->parts[i];
        if (part->via != via)
            continue;
        if (part->transport)
            return part;
        *failure = part->failure;
        return NULL;
    }
    *failure = (struct transport_failure){EPROTONOSUPPORT, "choosing a transport"};
    return NULL;
}

static struct transport_listener *mixed_listen(struct transport *transport,
                                               const struct transport_address *address, void *user,
                                               struct transport_address *bound,
                                               struct transport_failure *failure) {
    struct part *part = part_for(transport, address->via, failure);
    return part ? part->ops->listen(part->transport, address, user, bound, failure) : NULL;
}

static struct transport_conn *mixed_connect(struct transport *transport,
                                            const struct transport_address *address, void *user,
                                            struct transport_failure *failure) {
    struct part *part = part_for(transport, address->via, failure);
    return part ? part->ops->connect(part->transport, address, user, failure) : NULL;
}

static struct transport_conn *mixed_attach(struct transport *transport, int in, int out,
                                           bool borrowed, enum transport_pool pool,
                                           const char *name, void *user,
                                           struct transport_failure *failure) {
    struct part *first = mixed_first(transport);
    return first->ops->attach(first->transport, in, out, borrowed, pool, name, user, failure);
}

static struct transport_watch *mixed_watch(struct transport *transport, int fd, void *user,
                                           struct transport_failure *failure) {
    struct part *first = mixed_first(transport);
    return first->ops->watch(first->transport, fd, user, failure);
}

static void mixed_unwatch(struct transport *transport, struct transport_watch *watch) {
    struct part *first = mixed_first(transport);
    first->ops->unwatch(first->transport, watch);
}

/* The capabilities that all parts share. */
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

/* False: the part could not be made, or cannot be woken; part->failure says why. */
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
    assert(config->parts_count > 0 && config->parts_count <= TRANSPORT_VIAS);
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

/* The first part is stopped last: it watches descriptors of the others. */
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
    .connect = mixed_connect,
    .attach = mixed_attach,
    .poll = mixed_poll,
    .watch = mixed_watch,
    .unwatch = mixed_unwatch,
    .counts = mixed_counts,
    .stop = mixed_stop,
    .fini = mixed_fini,
};
