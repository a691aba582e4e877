/*
 * What the kernel knows and allows where a virtual device of DPDK's uses it. Nothing blocks. False
 * with errno.
 */
#ifndef TRANSPORT_DPDK_KERNEL_H
#define TRANSPORT_DPDK_KERNEL_H

#include <stdbool.h>

/* Makes a tap, gone at once: CAP_NET_ADMIN and /dev/net/tun are there. */
bool dpdk_kernel_may_tap(void);

/* CAP_NET_RAW is there. */
bool dpdk_kernel_may_capture(void);

struct dpdk_kernel_interface {
    unsigned index;
    unsigned mtu_bytes;
};

bool dpdk_kernel_interface(const char *name, struct dpdk_kernel_interface *interface);

/*
 * The interface takes frames for every MAC until the descriptor that is returned is closed, by the
 * end of the process at the latest; others who want the same are not disturbed. -1 on failure.
 */
int dpdk_kernel_promiscuous(const struct dpdk_kernel_interface *interface);

/*
 * Takes a name, of up to KERNEL_NAME_BYTES, that only one process of this network namespace can
 * have at a time: until the descriptor that is returned is closed. -1: EADDRINUSE, another one has
 * it.
 */
#define KERNEL_NAME_BYTES 100
int dpdk_kernel_claim(const char *name);

#endif
