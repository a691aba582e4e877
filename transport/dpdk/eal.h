/*
 * DPDK's environment: one in a process, started with the first port.
 */
#ifndef TRANSPORT_DPDK_EAL_H
#define TRANSPORT_DPDK_EAL_H

#include "transport/dpdk/spec.h"
#include "transport/transport.h"

/*
 * Starts it for this port, unless it is running: PCI devices are only looked for when the first
 * port is one. Quiet, with huge pages if enough are free, and without a change to this thread's
 * affinity or signal mask. False with *failure.
 */
bool dpdk_eal_start(const struct dpdk_spec *spec, struct transport_failure *failure);

/*
 * Notes a failure of DPDK: the operation, its object, and the last line that DPDK logged. `error`
 * is an errno value of either sign.
 */
void dpdk_eal_failed(struct transport_failure *failure, int error, const char *operation,
                     const char *object);

#endif
