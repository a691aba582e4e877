/*
 * What the kernel knows and allows where a virtual device of DPDK's uses it. Nothing blocks. False
 * with errno.
 */
#ifndef TRANSPORT_DPDK_KERNEL_H
#define TRANSPORT_DPDK_KERNEL_H

#include <stdbool.h>

/* Makes a tap, gone at once: CAP_NET_ADMIN and /dev/net/tun are there. */
bool kernel_may_tap(void);

/* CAP_NET_RAW is there. */
bool kernel_may_capture(void);

struct kernel_interface {
    unsigned index;
    unsigned mtu_bytes;
    bool is_promiscuous;
};

bool kernel_interface(const char *name, struct kernel_interface *interface);

#endif
