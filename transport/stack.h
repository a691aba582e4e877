/*
 * The stacks that this build has: what takes the addresses of each transport_via.
 */
#ifndef TRANSPORT_STACK_H
#define TRANSPORT_STACK_H

#include "transport/transport.h"
#include <stdio.h>

/* To run beside one of the kernel's (transport_mixed). NULL: this build is without it. */
const struct transport_ops *stack_ops(enum transport_via via);

/* "RDMA (libibverbs and librdmacm)": for people. */
const char *stack_name(enum transport_via via);

/* DPDK's ports, a line each. False: this build is without DPDK. */
bool stack_list_ports(FILE *out);

#endif
