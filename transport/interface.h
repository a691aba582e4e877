/*
 * Network interfaces by name: their addresses and what they are.
 */
#ifndef TRANSPORT_INTERFACE_H
#define TRANSPORT_INTERFACE_H

#include "transport/netlink.h"

bool interface_exists(const char *name);

/*
 * Can only an interface have this name: one that the kernel or udev gives ("ib0", "enp3s0",
 * "eth0.100")? Names given by administrators could also be a host's, or a mistake.
 */
bool interface_name_is_usual(const char *name);

/*
 * Writes the interface's IPv4 and IPv6 addresses (link-local ones with their scope) with this port,
 * at most `most`; *count is 0 when it has none or does not exist. False with *failure: they could
 * not be read.
 */
bool interface_addresses(const char *name, uint16_t port, struct transport_address *addresses,
                         unsigned most, unsigned *count, struct transport_failure *failure);

/* Whether some interface has this IP address, and whether it can be bound. */
enum netlink_address_state interface_address_state(const struct transport_address *address);

/* "lo, eth0": all interfaces, for an error's text; cut at names_bytes. */
void interface_names(char *names, size_t names_bytes);

/*
 * "ib0 is InfiniBand (IPoIB, datagram, MTU 2044)", "eth0 is Ethernet (MTU 1500, 10000 Mbit/s)".
 * From the kernel's files under `sys`, i.e. /sys/class/net. False when they cannot be read.
 */
bool interface_describe(const char *sys, const char *name, char *out, size_t out_bytes);

/*
 * Does an RDMA device belong to the interface? `sys` is /sys/class: a device's ports name the
 * interfaces of their GIDs (RoCE), and an IPoIB interface its device.
 */
bool interface_carries_rdma(const char *sys, const char *name);

#endif
