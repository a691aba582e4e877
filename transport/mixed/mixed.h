/*
 * Several transports as one, from inside.
 *
 * Connections and listeners are the parts' own: they carry their operations with them. The first
 * part is one of the kernel's: it waits, watches the descriptors that wake it for the others
 * (wake_fd()), and sleeps no longer than they allow (idle_until_ns()).
 */
#ifndef TRANSPORT_MIXED_H
#define TRANSPORT_MIXED_H

#include "transport/transport.h"

struct part {
    enum transport_via via;
    const struct transport_ops *ops;
    struct transport *transport;      /* NULL: it could not be made ... */
    struct transport_failure failure; /* ... for this reason */
    struct transport_watch *watch;    /* by the first part; NULL: it is polled by time alone */
};

struct transport {
    struct transport_caps caps;
    struct part parts[TRANSPORT_VIAS];
    unsigned parts_count;
    uint64_t busy_poll_ns;
    uint64_t busy_until_ns;
    unsigned turn;
};

/* The part that waits. */
static inline struct part *mixed_first(struct transport *transport) {
    return &transport->parts[0];
}

/* poll.c */
unsigned mixed_poll(struct transport *transport, uint64_t deadline_ns,
                    struct transport_event *events, unsigned most);

#endif
