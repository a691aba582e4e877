/*
 * What carries the bytes between the two ends of a connected pair.
 */
#ifndef TESTS_TRANSPORT_CARRIER_H
#define TESTS_TRANSPORT_CARRIER_H

#include "tests/transport/world.h"

struct carrier {
    const char *name;
    bool listens;     /* `address` is there: listen() and connect() work */
    bool one_channel; /* an error shows in both directions: sockets, not pipes */
    bool is_tcp;
    bool is_rdma;
    bool is_wire; /* bytes cross a cable: RDMA, or TCP by a stack that is not the kernel's, with the
                     kernel as another host */

    /* NULL, or why this carrier is missing on this machine. */
    const char *(*missing)(void);

    /* An address to listen on. */
    void (*address)(struct world *world, struct transport_address *address);

    /* Makes of the address that was bound what the far engine connects to. NULL: it is the same. */
    void (*reach)(struct world *world, struct transport_address *address);

    /* A connected pair: ends[0] is the near engine's, ends[1] the far one's. Receiving is off. */
    void (*pair)(struct world *world, struct end *ends[2]);
};

extern const struct carrier carriers[];
extern const unsigned carriers_count;

/* Its addresses have a host and a port. */
static inline bool carrier_is_ip(const struct carrier *carrier) {
    return carrier->is_tcp || carrier->is_rdma;
}

/* For carriers that listen: `world->listener`, listening; made when it is not there yet. */
void carrier_listen(struct world *world);

/* Another connection to the listener; the far end, not yet connected. */
struct end *carrier_connect(struct world *world);

/* A pair of whatever the world's carrier is. */
static inline void carrier_pair(struct world *world, struct end *ends[2]) {
    world->carrier->pair(world, ends);
}

/* attach() that must work. */
struct end *carrier_attach(struct world *world, struct engine *engine, int in, int out,
                           bool borrowed);

#endif
