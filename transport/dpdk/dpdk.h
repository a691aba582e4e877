/* What the stack (stack.c) asks of the DPDK engine beside transport_dpdk. */
#ifndef TRANSPORT_DPDK_DPDK_H
#define TRANSPORT_DPDK_DPDK_H

#include <stdio.h>

/*
 * Network cards that are bound to a driver of DPDK, and virtual devices that work on this machine;
 * a line each, as endpoints name them. Starts nothing.
 */
void dpdk_ports_print(FILE *out);

#endif
