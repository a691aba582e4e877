/*
 * Which frames reach lwIP: those of the protocols that we speak, in their plainest form, for this
 * port. lwIP's asserts are enabled in Debian's build, and some of them can be triggered by frames
 * that no honest station sends; a frame that is not accepted cannot trigger them. Checksums are not
 * checked here: lwIP does that.
 *
 * Accepted: ARP; ICMP and ICMPv6 echo requests; what IPv6 needs to find its neighbours; TCP. Not:
 * fragments, IP options, addresses that no peer can have, our own addresses as a source (lwIP would
 * answer itself), TCP options in the wrong place. Pure functions, in every build.
 */
#ifndef TRANSPORT_DPDK_FILTER_H
#define TRANSPORT_DPDK_FILTER_H

#include "transport/dpdk/spec.h"

struct filter {
    uint8_t mac[DPDK_MAC_BYTES];
    struct in_addr in4; /* 0.0.0.0: none */
    struct in6_addr in6[DPDK_ADDRESSES_MAX + 1];
    unsigned in6_count; /* 0: no IPv6 at all; otherwise the first is the link-local one */
};

enum filter_kind {
    FILTER_DROPPED,
    FILTER_OTHER, /* ARP, ICMP */
    FILTER_TCP,
};

/* What dpdk_filter_frame() found in a TCP frame. */
struct filter_tcp {
    sa_family_t family;
    const uint8_t *source; /* addresses of this family, in the frame */
    const uint8_t *destination;
    uint16_t source_port;
    uint16_t destination_port;
    uint32_t sequence;
    uint16_t len; /* of the payload */
    bool syn;
    bool ack;
    bool fin;
};

void dpdk_filter_init(struct filter *filter, const struct dpdk_spec *spec,
                      const uint8_t mac[DPDK_MAC_BYTES]);

/* Any bytes. *tcp is written for FILTER_TCP. */
enum filter_kind dpdk_filter_frame(const struct filter *filter, const uint8_t *frame, size_t len,
                                   struct filter_tcp *tcp);

#endif
