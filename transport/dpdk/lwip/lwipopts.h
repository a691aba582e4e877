/*
 * lwIP as we build it (-Ddpdk_lwip_src): without threads, with large windows, SACK towards the
 * sender, unpredictable initial sequence numbers, and segments that refer to the sender's memory.
 * Protocols that we do not use are left out.
 */
#ifndef LWIP_LWIPOPTS_H
#define LWIP_LWIPOPTS_H

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_HOOK_FILENAME "transport/dpdk/lwip/hooks.h"

/* From malloc(); their number is limited by BACKLOG_MAX and conns_max. */
#define MEM_ALIGNMENT 8
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1

#define LWIP_RAW 0
#define LWIP_UDP 0
#define LWIP_STATS 0
#define LWIP_NETIF_LOOPBACK 1
#define LWIP_HAVE_LOOPIF 0
#define LWIP_NETIF_TX_SINGLE_PBUF 0
#define LWIP_SUPPORT_CUSTOM_PBUF 1

#define LWIP_IPV4 1
#define IP_FORWARD 0
#define IP_REASSEMBLY 0
#define IP_FRAG 0
#define ARP_TABLE_SIZE 120
#define ARP_QUEUEING 1

#define LWIP_IPV6 1
#define LWIP_IPV6_FORWARD 0
#define LWIP_IPV6_REASS 0
#define LWIP_IPV6_FRAG 0
#define LWIP_IPV6_NUM_ADDRESSES 6
#define LWIP_ND6_NUM_NEIGHBORS 120
#define LWIP_ND6_NUM_DESTINATIONS 120

#define LWIP_TCP 1
#define TCP_MSS 1460
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 3
#define TCP_WND (0xffff << TCP_RCV_SCALE)
#define TCP_SND_BUF (512 * 1024)
#define TCP_SND_QUEUELEN 2048
#define TCP_SNDLOWAT 16384
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_KEEPALIVE 1
#define LWIP_CHECKSUM_ON_COPY 1
#define SO_REUSE 1

#endif
