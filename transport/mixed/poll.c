/* Which part is polled when, and when the thread may sleep. */
#include "transport/mixed/mixed.h"

/* Is this only the wake-up for one of the parts? */
static bool wakes_part(const struct transport *transport, const struct transport_event *event) {
    if (event->kind != TRANSPORT_READABLE)
        return false;
    for (unsigned i = 1; i < transport->parts_count; i++)
        if (event->watch == transport->parts[i].watch)
            return true;
    return false;
}

static unsigned poll_part(struct transport *transport, struct part *part, uint64_t deadline_ns,
                          struct transport_event *events, unsigned most) {
    unsigned count = part->ops->poll(part->transport, deadline_ns, events, most), kept = 0;
    for (unsigned i = 0; i < count; i++) {
        if (wakes_part(transport, &events[i]))
            continue;
        if (kept < i)
            events[kept] = events[i];
        kept++;
    }
    return kept;
}

/*
 * The parts that cannot wait, each with its share of the room, so that none takes all of it: with
 * room for one event they have it in turn.
 */
static unsigned poll_others(struct transport *transport, struct transport_event *events,
                            unsigned most) {
    unsigned count = 0, parts = transport->parts_count;
    transport->turn++;
    for (unsigned i = 1; i < parts; i++) {
        struct part *part = &transport->parts[i];
        unsigned share = most >= parts ? most / parts : (transport->turn % parts == i);
        if (part->transport && share)
            count += poll_part(transport, part, 0, events + count, share);
    }
    return count;
}

/* Until when no part but the first needs to be polled; 0: one needs it now. */
static uint64_t idle_until_ns(struct transport *transport) {
    uint64_t until_ns = UINT64_MAX;
    for (unsigned i = 1; i < transport->parts_count; i++) {
        struct part *part = &transport->parts[i];
        uint64_t part_ns = part->transport ? part->ops->idle_until_ns(part->transport) : UINT64_MAX;
        until_ns = part_ns < until_ns ? part_ns : until_ns;
    }
    return until_ns;
}

/* Until when to wait in the first part: not at all during the time of busy_poll_us. */
static uint64_t wait_until(struct transport *transport, uint64_t deadline_ns) {
    struct part *first = mixed_first(transport);
    if (deadline_ns == 0 || (transport->busy_poll_ns &&
                             first->ops->now_ns(first->transport) < transport->busy_until_ns))
        return 0;
    uint64_t idle_ns = idle_until_ns(transport);
    return idle_ns < deadline_ns ? idle_ns : deadline_ns;
}

static unsigned poll_all(struct transport *transport, uint64_t deadline_ns, uint64_t *waited_ns,
                         struct transport_event *events, unsigned most) {
    unsigned count = poll_others(transport, events, most);
    *waited_ns = count ? 0 : wait_until(transport, deadline_ns);
    if (count < most)
        count +=
            poll_part(transport, mixed_first(transport), *waited_ns, events + count, most - count);
    return count;
}

unsigned mixed_poll(struct transport *transport, uint64_t deadline_ns,
                    struct transport_event *events, unsigned most) {
    struct part *first = mixed_first(transport);
    for (;;) {
        uint64_t waited_ns;
        unsigned count = poll_all(transport, deadline_ns, &waited_ns, events, most);
        uint64_t now_ns = first->ops->now_ns(first->transport);
        if (count > 0 && transport->busy_poll_ns)
            transport->busy_until_ns = now_ns + transport->busy_poll_ns;
        /* early: woken for another part, or by a signal */
        bool woken = now_ns < waited_ns;
        if (count == 0 && woken)
            count = poll_others(transport, events, most);
        if (count > 0 || woken || deadline_ns <= now_ns)
            return count;
    }
}
