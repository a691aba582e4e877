/*
 * What the program may ask of the DPDK engine (transport_dpdk in transport/transport.h) beside the
 * interface of all transports.
 */
#ifndef TRANSPORT_DPDK_DPDK_H
#define TRANSPORT_DPDK_DPDK_H

#include <stdint.h>
#include <stdio.h>

/* Since the process began, of all ports. */
struct dpdk_counters {
    uint64_t frames_received;
    uint64_t frames_filtered; /* of those: not for us, of no protocol of ours, or malformed */
    uint64_t frames_sent;
    uint64_t frames_unsent;         /* no room for them: lost, as on a wire; TCP sends again */
    uint64_t openings_ignored;      /* SYNs beyond the backlog */
    uint64_t segments_refused;      /* with sequence numbers that lwIP cannot take */
    uint64_t reorder_dropped;       /* connections whose out-of-order bytes were thrown away */
    uint64_t received_copied_bytes; /* that were not lent where they had arrived */
    uint64_t sent_copied_bytes;     /* into lwIP's segments */
    uint64_t framed_copied_bytes;   /* lwIP's segments into frames, headers included */
};

extern struct dpdk_counters dpdk_counters;

/*
 * For muxd --list-ports: the network cards that are bound to a driver of DPDK's, and the virtual
 * devices that work here, one line each, as --listen takes them. Starts nothing, needs no rights.
 */
void dpdk_ports_print(FILE *out);

#endif
