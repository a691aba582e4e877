/*
 * DPDK's environment: one in a process, started with the first port.
 */
#ifndef TRANSPORT_DPDK_EAL_H
#define TRANSPORT_DPDK_EAL_H

#include "transport/dpdk/spec.h"
#include "transport/transport.h"

/*
 * Starts it unless it runs, for this port: PCI devices are only looked for when the first port is
 * one. Quiet, with huge pages if enough are free, and without a change to the affinity or the
 * signal mask of this thread. False with *failure.
 */
bool dpdk_eal_start(const struct dpdk_spec *spec, struct transport_failure *failure);

/*
 * A failure of DPDK's: the operation, what it was done to, and the last line that DPDK logged.
 * `error` is an errno value of either sign.
 */
void dpdk_eal_failed(struct transport_failure *failure, int error, const char *operation,
                     const char *object);

#endif
