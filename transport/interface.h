/*
 * Network interfaces by name: their addresses and what they are.
 */
#ifndef TRANSPORT_INTERFACE_H
#define TRANSPORT_INTERFACE_H

#include "transport/endpoint.h"

bool interface_exists(const char *name);

/*
 * Writes the interface's IPv4 and IPv6 addresses (link-local ones with their scope) with this port.
 * Returns how many, at most `most`; 0 when it has none.
 */
unsigned interface_addresses(const char *name, uint16_t port, struct transport_address *addresses,
                             unsigned most);

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
