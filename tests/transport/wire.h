/*
 * Carriers between a DPDK port and the kernel as the other host. tests/dpdk/run makes the cable:
 * dv0 is the port, dv1 the kernel's end with 10.9.0.2 and fd09::2.
 */
#ifndef TESTS_TRANSPORT_WIRE_H
#define TESTS_TRANSPORT_WIRE_H

#include "tests/transport/carrier.h"

const char *wire_missing_veth(void);
const char *wire_missing_tap(void);

void wire_address4(struct world *world, struct transport_address *address);
void wire_address6(struct world *world, struct transport_address *address);
void wire_address_tap(struct world *world, struct transport_address *address);

/* The bound address as the far engine's connect() needs it. */
void wire_reach(struct world *world, struct transport_address *address);

/* The tap exists once the near engine listens; this gives the kernel's end its address. */
void wire_reach_tap(struct world *world, struct transport_address *address);

#endif
