/*
 * What the program may ask of the DPDK transport (transport_dpdk in transport/transport.h) beside
 * the interface that all transports have.
 */
#ifndef TRANSPORT_DPDK_DPDK_H
#define TRANSPORT_DPDK_DPDK_H

#include <stdio.h>

/*
 * For muxd --list-ports: network cards that are bound to a driver of DPDK's, and virtual devices
 * that work here; a line each, as --listen takes them. Starts nothing.
 */
void dpdk_ports_print(FILE *out);

#endif
