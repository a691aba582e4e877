/*
 * What the user says about a port of DPDK's, taken apart:
 *
 *   PORT,ip=ADDRESS/LEN[,ip=V6/64][,gw=V4][,mac=xx:xx:xx:xx:xx:xx][,to=HOST][,KEY=VALUE...]
 *
 * PORT is a PCI address (0000:3b:00.0) or a virtual device (net_af_packet0). Keys that are not ours
 * are the device's. Knows nothing of DPDK and is there in every build. Nothing here blocks but
 * dpdk_spec_resolve(), on the name service.
 */
#ifndef TRANSPORT_DPDK_SPEC_H
#define TRANSPORT_DPDK_SPEC_H

#include "transport/endpoint.h"

/* One IPv4 address and some of IPv6: lwIP's interface has one and six, of which one is link-local.
 */
#define DPDK_ADDRESSES_MAX 4

#define DPDK_MAC_BYTES 6

struct dpdk_ip {
    sa_family_t family;
    unsigned prefix_bits;
    union {
        struct in_addr in4;
        struct in6_addr in6;
        uint8_t bytes[16];
    };
};

struct dpdk_spec {
    char device[ENDPOINT_TEXT_BYTES];
    char arguments[ENDPOINT_TEXT_BYTES]; /* the device's own, "iface=dv0" */
    bool is_pci;
    struct dpdk_ip addresses[DPDK_ADDRESSES_MAX];
    unsigned addresses_count; /* at least one */
    bool has_gateway;
    struct in_addr gateway;
    bool has_mac;
    uint8_t mac[DPDK_MAC_BYTES];
    char to[ENDPOINT_TEXT_BYTES]; /* "": none */
};

/* False with one sentence in `why`. */
bool dpdk_spec_parse(const char *text, struct dpdk_spec *spec, char *why, size_t why_bytes);

/*
 * Finds the TCP port number in "SPEC:PORT": *port_text gets what follows the colon, NULL when there
 * is none (the colons of PCI, MAC and IPv6 addresses belong to those), *spec_len the length of what
 * precedes it. False when that is ambiguous: an IPv6 address without brackets is last.
 */
bool dpdk_spec_split(const char *text, size_t *spec_len, const char **port_text);

/*
 * The addresses of a dpdk: endpoint, as endpoint_resolve() says: to listen on, each of the port's
 * own; to connect to, those of to=HOST whose family the port has.
 */
unsigned dpdk_spec_resolve(const struct endpoint *endpoint, bool listening,
                           struct transport_address *addresses, unsigned most, char *why,
                           size_t why_bytes);

#endif
