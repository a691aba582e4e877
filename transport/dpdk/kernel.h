/* What the kernel knows and allows for DPDK's virtual devices. Nothing blocks. False with errno. */
#ifndef TRANSPORT_DPDK_KERNEL_H
#define TRANSPORT_DPDK_KERNEL_H

#include <stdbool.h>

/* Makes a tap that is gone at once, to check for CAP_NET_ADMIN and /dev/net/tun. */
bool dpdk_kernel_may_tap(void);

/* Is CAP_NET_RAW there? */
bool dpdk_kernel_may_capture(void);

struct dpdk_kernel_interface {
    unsigned index;
    unsigned mtu_bytes;
};

bool dpdk_kernel_interface(const char *name, struct dpdk_kernel_interface *interface);

/*
 * The interface accepts frames for every MAC until the returned descriptor is closed, by the end of
 * the process at the latest; other processes that want the same are not affected. -1 on failure.
 */
int dpdk_kernel_promiscuous(const struct dpdk_kernel_interface *interface);

/*
 * Claims a name, of up to KERNEL_NAME_BYTES, that only one process of this network namespace can
 * have: until the returned descriptor is closed. -1: EADDRINUSE, another process has it.
 */
#define KERNEL_NAME_BYTES 100
int dpdk_kernel_claim(const char *name);

#endif
