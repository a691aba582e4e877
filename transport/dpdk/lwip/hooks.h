/* What lwIP asks us. */
#ifndef TRANSPORT_DPDK_LWIP_HOOKS_H
#define TRANSPORT_DPDK_LWIP_HOOKS_H

#include "lwip/arch.h"

/* An unpredictable initial sequence number: a stranger cannot write into a connection. */
#define LWIP_HOOK_TCP_ISN(local_ip, local_port, remote_ip, remote_port) lwip_random()

#endif
