/* One address: it is wanted, listened on, missing. */
#include "tools/node/listeners_internal.h"
#include "transport/interface.h"
#include "transport/stack.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * The sockets of a process that was killed are free some milliseconds later (27 ms with io_uring
 * and nothing else to do): what is still in use after this time is in use.
 */
#define PATIENCE_NS UINT64_C(2000000000)
#define PATIENCE_TEXT "2 s"

/* A shorter wait is not logged. */
#define UNSAID_NS UINT64_C(300000000)

static in_port_t port_of(const struct transport_address *address) {
    return address->in4.sin_port; /* in6 has it at the same place */
}

static bool is_ip(const struct transport_address *address) {
    return address->any.sa_family == AF_INET || address->any.sa_family == AF_INET6;
}

static bool same_stack(const struct transport_address *a, const struct transport_address *b) {
    return a->via == b->via && a->any.sa_family == b->any.sa_family &&
           strcmp(a->device, b->device) == 0;
}

static bool same_place(const struct transport_address *a, const struct transport_address *b) {
    if (!same_stack(a, b))
        return false;
    if (!is_ip(a))
        return strcmp(a->un.sun_path, b->un.sun_path) == 0;
    return address_same_ip(a, b) && port_of(a) == port_of(b);
}

bool listening_is_every_address(const struct listening *item) {
    const struct transport_address *address = &item->address;
    if (address->any.sa_family == AF_INET)
        return address->in4.sin_addr.s_addr == INADDR_ANY;
    return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr);
}

static void say_no_room(struct listeners *listeners, struct source *source,
                        const struct transport_address *address) {
    char text[ENDPOINT_TEXT_BYTES];
    if (source->said_no_room)
        return;
    source->said_no_room = true;
    address_text(address, text, sizeof text);
    log_text(listeners->log,
             "muxd: --listen %s: no room for %s and what follows: muxd listens on %u addresses at "
             "most; --listen :%u takes all\n",
             source->endpoint->text, text, LISTENERS_MAX, source->endpoint->port);
}

/* An endpoint whose name is found with the same address twice says nothing of interest. */
static void join(struct listeners *listeners, struct listening *item, unsigned source) {
    char text[ENDPOINT_TEXT_BYTES];
    uint64_t bit = UINT64_C(1) << source;
    if (item->sources & ~bit && !item->said_twice) {
        item->said_twice = true;
        address_text(&item->address, text, sizeof text);
        log_text(listeners->log, "muxd: --listen %s: %s is named twice: it is listened on once\n",
                 listeners->sources[source].endpoint->text, text);
    }
    item->sources |= bit;
}

static struct listening *find(struct listeners *listeners,
                              const struct transport_address *address) {
    for (unsigned i = 0; i < listeners->count; i++)
        if (same_place(&listeners->listening[i].address, address))
            return &listeners->listening[i];
    return NULL;
}

void listening_want(struct listeners *listeners, unsigned source,
                    const struct transport_address *address) {
    struct listening *item = find(listeners, address);
    if (item) {
        join(listeners, item, source);
        return;
    }
    if (listeners->count == LISTENERS_MAX) {
        say_no_room(listeners, &listeners->sources[source], address);
        return;
    }
    listeners->listening[listeners->count++] =
        (struct listening){.address = *address, .sources = UINT64_C(1) << source};
}

/*
 * ---- missing ----
 */

bool listening_is_in_use_for_now(const struct listening *item, uint64_t now_ns) {
    return item->state == LISTENING_WANTED && item->failure.error == EADDRINUSE &&
           !item->failure.holder && now_ns < listening_patience_ns(item);
}

uint64_t listening_patience_ns(const struct listening *item) {
    return item->since_ns + PATIENCE_NS;
}

bool listening_will_come(const struct listeners *listeners, const struct listening *item) {
    if (item->offered || item->state != LISTENING_WANTED || !is_ip(&item->address))
        return false;
    if (item->failure.error == EADDRNOTAVAIL)
        return interface_address_state(&item->address) != NETLINK_ADDRESS_ABSENT;
    return item->failure.error == ENODEV && /* RDMA: the interface is down */
           listeners->sources[__builtin_ctzll(item->sources)].kind == SOURCE_INTERFACE;
}

/* What can be said beyond the error; "" otherwise. */
static void explain(const struct listening *item, char *out, size_t out_bytes) {
    out[0] = '\0';
    if (item->failure.holder) {
        snprintf(out, out_bytes, ": process %ld listens there", (long)item->failure.holder);
        return;
    }
    if (item->failure.error != EADDRNOTAVAIL || !is_ip(&item->address))
        return;
    switch (interface_address_state(&item->address)) {
    case NETLINK_ADDRESS_ABSENT:
        snprintf(out, out_bytes, ": no interface has this address");
        break;
    case NETLINK_ADDRESS_TENTATIVE:
        snprintf(out, out_bytes,
                 ": not yet, while its interface has no carrier or looks for duplicates");
        break;
    case NETLINK_ADDRESS_DUPLICATE:
        snprintf(out, out_bytes, ": another machine has this address, too");
        break;
    case NETLINK_ADDRESS_READY:
        break;
    }
}

static void say_missing(struct listeners *listeners, struct listening *item) {
    char text[ENDPOINT_TEXT_BYTES], more[96];
    const struct transport_failure *failure = &item->failure;
    if (item->logged.error == failure->error && item->logged.holder == failure->holder)
        return;
    item->logged = *failure;
    address_text(&item->address, text, sizeof text);
    if (item->offered) {
        log_text(listeners->log, "muxd: %s is not offered, only TCP is: %s: %s\n", text,
                 failure->operation, strerror(failure->error));
        return;
    }
    explain(item, more, sizeof more);
    log_text(listeners->log, "muxd: --listen %s: %s: %s: %s%s\n",
             listening_source(listeners, item)->endpoint->text, text, failure->operation,
             strerror(failure->error), more);
}

static void say_waiting(struct listeners *listeners, struct listening *item, uint64_t now_ns) {
    char text[ENDPOINT_TEXT_BYTES];
    if (item->said_waiting || now_ns - item->since_ns < UNSAID_NS)
        return;
    item->said_waiting = true;
    address_text(&item->address, text, sizeof text);
    log_text(listeners->log,
             "muxd: --listen %s: %s is in use: waiting for it, " PATIENCE_TEXT " at most\n",
             listening_source(listeners, item)->endpoint->text, text);
}

/*
 * ---- listened on ----
 */

/* Does one that is listened on take this address, too? */
static const struct listening *cover_of(const struct listeners *listeners,
                                        const struct listening *item) {
    for (unsigned i = 0; i < listeners->count; i++) {
        const struct listening *other = &listeners->listening[i];
        if (other != item && other->state == LISTENING_ON && is_ip(&item->address) &&
            same_stack(&other->address, &item->address) && listening_is_every_address(other) &&
            port_of(&other->bound) == port_of(&item->address))
            return other;
    }
    return NULL;
}

static void cover(struct listeners *listeners, struct listening *item,
                  const struct listening *other) {
    char text[ENDPOINT_TEXT_BYTES], all[ENDPOINT_TEXT_BYTES];
    struct source *source = listening_source(listeners, item);
    item->state = LISTENING_COVERED;
    if (source->said_covered)
        return;
    source->said_covered = true;
    address_text(&item->address, text, sizeof text);
    address_text(&other->bound, all, sizeof all);
    log_text(listeners->log, "muxd: --listen %s: %s is among the addresses of %s\n",
             source->endpoint->text, text, all);
}

/* Can RDMA be had? If not, it is said once. */
static bool has_rdma(struct listeners *listeners, struct source *source) {
    bool built = stack_of(TRANSPORT_VIA_RDMA)->ops;
    if (stacks_has(listeners->stacks, TRANSPORT_VIA_RDMA))
        return true;
    if (!source->said_no_rdma && built)
        log_text(listeners->log,
                 "muxd: %s carries RDMA now, but did not when muxd started: only TCP is offered\n",
                 source->endpoint->name);
    else if (!source->said_no_rdma)
        log_text(listeners->log, "muxd: %s carries RDMA, but this muxd was built without %s\n",
                 source->endpoint->name, stack_of(TRANSPORT_VIA_RDMA)->name);
    source->said_no_rdma = true;
    return false;
}

/* The same address and port as by TCP, where the interface carries it; without it TCP does. */
static void offer_rdma(struct listeners *listeners, const struct listening *item) {
    struct transport_address address = item->bound;
    unsigned before = listeners->count;
    struct source *source = listening_source(listeners, item);
    address.via = TRANSPORT_VIA_RDMA;
    if (!stack_of(TRANSPORT_VIA_RDMA)->offered_by(source->endpoint) ||
        !has_rdma(listeners, source) || find(listeners, &address))
        return;
    listening_want(listeners, __builtin_ctzll(item->sources), &address);
    if (listeners->count > before)
        listeners->listening[before].offered = true;
}

static void opened(struct listeners *listeners, struct listening *item) {
    char text[ENDPOINT_TEXT_BYTES];
    item->state = LISTENING_ON;
    item->since_ns = 0;
    item->logged = (struct transport_failure){0};
    address_text(&item->bound, text, sizeof text);
    log_text(listeners->log, "listening on %s\n", text);
    listeners->open_to_all = listeners->open_to_all || !address_is_local(&item->bound);
    if (item->address.via == TRANSPORT_VIA_KERNEL && is_ip(&item->address))
        offer_rdma(listeners, item);
}

void listening_open(struct listeners *listeners, struct listening *item, uint64_t now_ns) {
    const struct listening *other = cover_of(listeners, item);
    if (other) {
        cover(listeners, item, other);
        return;
    }
    item->listener = loop_listen(listeners->config.loop, &item->address, listeners->config.handler,
                                 &item->bound, &item->failure);
    if (item->listener) {
        opened(listeners, item);
        return;
    }
    if (item->since_ns == 0)
        item->since_ns = now_ns;
    if (listening_is_in_use_for_now(item, now_ns))
        say_waiting(listeners, item, now_ns);
    else
        say_missing(listeners, item);
}

/* That which is offered beside it goes with it. */
static void drop_offer(struct listeners *listeners, const struct listening *item) {
    struct transport_address address = item->bound;
    address.via = TRANSPORT_VIA_RDMA;
    for (unsigned i = 0; i < listeners->count; i++) {
        struct listening *offer = &listeners->listening[i];
        if (offer->offered && same_place(&offer->address, &address))
            offer->sources = 0;
    }
}

void listening_drop(struct listeners *listeners, struct listening *item) {
    char text[ENDPOINT_TEXT_BYTES];
    if (item->state != LISTENING_ON)
        return;
    address_text(&item->bound, text, sizeof text);
    log_text(listeners->log, "muxd: no longer listening on %s: the address is gone\n", text);
    transport_unlisten(item->listener);
    if (!item->offered)
        drop_offer(listeners, item);
}
