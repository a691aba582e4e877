/*
 * Carriers: the sockets, pipes or wires between the two ends of a connected pair.
 */
#ifndef TESTS_TRANSPORT_CARRIER_H
#define TESTS_TRANSPORT_CARRIER_H

#include "tests/transport/world.h"

struct carrier {
    const char *name;
    bool listens;     /* it has `address`: listen() and connect() work */
    bool one_channel; /* an error shows in both directions: sockets, not pipes */
    bool is_tcp;
    bool is_rdma;
    bool is_wire; /* bytes cross a cable: RDMA, or TCP by a stack that is not the kernel's, with the
                     kernel as another host */

    /* NULL, or the reason why this machine lacks this carrier. */
    const char *(*missing)(void);

    /* An address to listen on. */
    void (*address)(struct world *world, struct transport_address *address);

    /* Turns the bound address into the one that the far engine connects to. NULL: the same. */
    void (*reach)(struct world *world, struct transport_address *address);

    /* A connected pair: ends[0] is in the near engine, ends[1] in the far one. Receiving is off. */
    void (*pair)(struct world *world, struct end *ends[2]);
};

extern const struct carrier carriers[];
extern const unsigned carriers_count;

/* Its addresses have a host and a port. */
static inline bool carrier_is_ip(const struct carrier *carrier) {
    return carrier->is_tcp || carrier->is_rdma;
}

/* For carriers that listen: makes `world->listener`, listening, if there is none yet. */
void carrier_listen(struct world *world);

/* Another connection to the listener; the far end, not yet connected. */
struct end *carrier_connect(struct world *world);

/* A pair over the world's carrier. */
static inline void carrier_pair(struct world *world, struct end *ends[2]) {
    world->carrier->pair(world, ends);
}

/* Calls attach(), which must succeed. */
struct end *carrier_attach(struct world *world, struct engine *engine, int in, int out,
                           bool borrowed);

#endif
