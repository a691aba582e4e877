#include "transport/dpdk/filter.h"
#include <string.h>

#define ETHERNET_BYTES 14
#define ARP_BYTES 28
#define IPV4_BYTES 20
#define IPV6_BYTES 40
#define TCP_BYTES 20
#define ICMP_BYTES 8

#define TYPE_IPV4 0x0800
#define TYPE_ARP 0x0806
#define TYPE_IPV6 0x86dd

#define PROTOCOL_ICMP 1
#define PROTOCOL_TCP 6
#define PROTOCOL_ICMPV6 58

#define ICMP_ECHO_REQUEST 8
#define ICMPV6_ECHO_REQUEST 128
#define ICMPV6_ROUTER_ADVERTISEMENT 134
#define ICMPV6_NEIGHBOR_SOLICITATION 135
#define ICMPV6_NEIGHBOR_ADVERTISEMENT 136

/* Messages between neighbours; a router would have made it less. */
#define NEIGHBOR_HOP_LIMIT 255

#define FLAG_FIN 0x01
#define FLAG_SYN 0x02
#define FLAG_RST 0x04
#define FLAG_ACK 0x10

#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_MSS 2
#define OPTION_WINDOW_SCALE 3

/* A smaller MSS would make us send packets that are all header; Linux has 48, too. */
#define MSS_LEAST_BYTES 48

/* Addresses and payload of one packet of IP. */
struct packet {
    sa_family_t family;
    const uint8_t *source;
    const uint8_t *destination;
    bool to_us; /* by its MAC and its address */
    uint8_t hop_limit;
    const uint8_t *payload;
    size_t len;
};

static unsigned read16(const uint8_t *data) {
    return (unsigned)data[0] << 8 | data[1];
}

static uint32_t read32(const uint8_t *data) {
    return (uint32_t)read16(data) << 16 | read16(data + 2);
}

void dpdk_filter_init(struct filter *filter, const struct dpdk_spec *spec,
                      const uint8_t mac[DPDK_MAC_BYTES]) {
    *filter = (struct filter){.in6_count = 1};
    memcpy(filter->mac, mac, DPDK_MAC_BYTES);
    const uint8_t link_local[16] = {0xfe,       0x80,   0,      0,    0,    0,      0,      0,
                                    mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};
    memcpy(&filter->in6[0], link_local, sizeof link_local);
    for (unsigned i = 0; i < spec->addresses_count; i++) {
        if (spec->addresses[i].family == AF_INET)
            filter->in4 = spec->addresses[i].in4;
        else
            filter->in6[filter->in6_count++] = spec->addresses[i].in6;
    }
    if (filter->in6_count == 1)
        filter->in6_count = 0;
}

static bool is_own_mac(const struct filter *filter, const uint8_t *mac) {
    return memcmp(mac, filter->mac, DPDK_MAC_BYTES) == 0;
}

static bool is_own4(const struct filter *filter, const uint8_t *address) {
    return memcmp(address, &filter->in4, sizeof filter->in4) == 0;
}

static bool is_own6(const struct filter *filter, const uint8_t *address) {
    for (unsigned i = 0; i < filter->in6_count; i++)
        if (memcmp(address, &filter->in6[i], sizeof filter->in6[i]) == 0)
            return true;
    return false;
}

/* Can this be a peer's address, and not our own? */
static bool is_peer4(const struct filter *filter, const uint8_t *address) {
    uint32_t number = read32(address);
    return number >> 24 != 0 && number >> 24 != IN_LOOPBACKNET && number < INADDR_UNSPEC_GROUP &&
           !is_own4(filter, address);
}

static bool is_peer6(const struct filter *filter, const uint8_t *address) {
    static const uint8_t zeros[12];
    return address[0] != 0xff && memcmp(address, zeros, 10) != 0 && !is_own6(filter, address);
}

static bool is_unspecified6(const uint8_t *address) {
    static const uint8_t zeros[16];
    return memcmp(address, zeros, sizeof zeros) == 0;
}

/* ff02::1, or ff02::1:ffxx:xxxx of one of our addresses */
static bool is_own_group6(const struct filter *filter, const uint8_t *address) {
    static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
    static const uint8_t solicited[13] = {0xff, 2, [11] = 1, [12] = 0xff};
    if (memcmp(address, all_nodes, sizeof all_nodes) == 0)
        return true;
    if (memcmp(address, solicited, sizeof solicited) != 0)
        return false;
    for (unsigned i = 0; i < filter->in6_count; i++)
        if (memcmp(address + 13, &filter->in6[i].s6_addr[13], 3) == 0)
            return true;
    return false;
}

static enum filter_kind filter_arp(const struct filter *filter, const uint8_t *arp, size_t len) {
    static const uint8_t ethernet_ipv4[6] = {0, 1, TYPE_IPV4 >> 8, TYPE_IPV4 & 0xff, 6, 4};
    if (len < ARP_BYTES || memcmp(arp, ethernet_ipv4, sizeof ethernet_ipv4) != 0)
        return FILTER_DROPPED;
    unsigned operation = read16(arp + 6);
    const uint8_t *sender_mac = arp + 8, *sender = arp + 14, *target = arp + 24;
    bool probe = read32(sender) == 0; /* a probe before an address is used */
    bool announced =
        memcmp(sender, target, 4) == 0; /* an announcement: the address moved to another card */
    bool good = (operation == 1 || operation == 2) && !(sender_mac[0] & 1) &&
                !is_own_mac(filter, sender_mac) && (probe || is_peer4(filter, sender)) &&
                (announced || is_own4(filter, target));
    return good ? FILTER_OTHER : FILTER_DROPPED;
}

/*
 * In a SYN: no impossible values. Elsewhere neither MSS nor window scale: lwIP would apply a new
 * MSS to a connection that has sent with the old one, and then find its own queue inconsistent.
 */
static bool options_are_good(const uint8_t *option, size_t left, bool syn) {
    while (left > 0 && *option != OPTION_END) {
        size_t len = *option == OPTION_NOP ? 1 : left >= 2 ? option[1] : 0;
        if (len == 0 || len > left || (*option != OPTION_NOP && len < 2))
            return false;
        if (*option == OPTION_MSS && (!syn || len != 4 || read16(option + 2) < MSS_LEAST_BYTES))
            return false;
        if (*option == OPTION_WINDOW_SCALE && (!syn || len != 3))
            return false;
        option += len;
        left -= len;
    }
    return true;
}

static enum filter_kind filter_tcp(const struct packet *packet, struct filter_tcp *tcp) {
    const uint8_t *header = packet->payload;
    if (packet->len < TCP_BYTES)
        return FILTER_DROPPED;
    size_t header_bytes = (size_t)(header[12] >> 4) * 4;
    unsigned flags = header[13];
    bool syn = flags & FLAG_SYN;
    if (header_bytes < TCP_BYTES || header_bytes > packet->len || read16(header) == 0 ||
        read16(header + 2) == 0)
        return FILTER_DROPPED;
    if (syn && (flags & (FLAG_FIN | FLAG_RST) || packet->len > header_bytes))
        return FILTER_DROPPED;
    if (!options_are_good(header + TCP_BYTES, header_bytes - TCP_BYTES, syn))
        return FILTER_DROPPED;
    *tcp = (struct filter_tcp){.family = packet->family,
                               .source = packet->source,
                               .destination = packet->destination,
                               .source_port = (uint16_t)read16(header),
                               .destination_port = (uint16_t)read16(header + 2),
                               .sequence = read32(header + 4),
                               .len = (uint16_t)(packet->len - header_bytes),
                               .syn = syn,
                               .ack = flags & FLAG_ACK,
                               .fin = flags & FLAG_FIN};
    return FILTER_TCP;
}

static enum filter_kind filter_ipv4(const struct filter *filter, const uint8_t *frame, size_t len,
                                    struct filter_tcp *tcp) {
    const uint8_t *header = frame + ETHERNET_BYTES;
    len -= ETHERNET_BYTES;
    if (len < IPV4_BYTES || header[0] != 0x45 || !is_own_mac(filter, frame))
        return FILTER_DROPPED;
    size_t total = read16(header + 2);
    bool fragment = read16(header + 6) & 0x3fff;
    if (total < IPV4_BYTES || total > len || fragment || !is_own4(filter, header + 16) ||
        !is_peer4(filter, header + 12))
        return FILTER_DROPPED;
    const struct packet packet = {.family = AF_INET,
                                  .source = header + 12,
                                  .destination = header + 16,
                                  .payload = header + IPV4_BYTES,
                                  .len = total - IPV4_BYTES};
    if (header[9] == PROTOCOL_TCP)
        return filter_tcp(&packet, tcp);
    bool echo = header[9] == PROTOCOL_ICMP && packet.len >= ICMP_BYTES &&
                packet.payload[0] == ICMP_ECHO_REQUEST && packet.payload[1] == 0;
    return echo ? FILTER_OTHER : FILTER_DROPPED;
}

/* Options of neighbour discovery: each with a length, in units of 8 bytes, that is not 0. */
static bool neighbor_options_are_good(const uint8_t *option, size_t left) {
    while (left > 0) {
        size_t len = left >= 2 ? (size_t)option[1] * 8 : 0;
        if (len == 0 || len > left)
            return false;
        option += len;
        left -= len;
    }
    return true;
}

/* The length of a neighbour message without its options; 0: a kind that is not accepted. */
static size_t neighbor_bytes(unsigned type) {
    switch (type) {
    case ICMPV6_ROUTER_ADVERTISEMENT:
        return 16;
    case ICMPV6_NEIGHBOR_SOLICITATION:
    case ICMPV6_NEIGHBOR_ADVERTISEMENT:
        return 24;
    default:
        return 0;
    }
}

static enum filter_kind filter_icmpv6(const struct filter *filter, const struct packet *packet) {
    const uint8_t *message = packet->payload;
    if (packet->len < ICMP_BYTES || message[1] != 0)
        return FILTER_DROPPED;
    bool from_peer = is_peer6(filter, packet->source);
    if (message[0] == ICMPV6_ECHO_REQUEST)
        return packet->to_us && from_peer ? FILTER_OTHER : FILTER_DROPPED;
    size_t fixed = neighbor_bytes(message[0]);
    bool to_us = packet->to_us || is_own_group6(filter, packet->destination);
    bool probe = message[0] == ICMPV6_NEIGHBOR_SOLICITATION && is_unspecified6(packet->source);
    bool good = fixed > 0 && packet->len >= fixed && to_us && (from_peer || probe) &&
                packet->hop_limit == NEIGHBOR_HOP_LIMIT &&
                neighbor_options_are_good(message + fixed, packet->len - fixed);
    return good ? FILTER_OTHER : FILTER_DROPPED;
}

static enum filter_kind filter_ipv6(const struct filter *filter, const uint8_t *frame, size_t len,
                                    struct filter_tcp *tcp) {
    const uint8_t *header = frame + ETHERNET_BYTES;
    len -= ETHERNET_BYTES;
    if (len < IPV6_BYTES || header[0] >> 4 != 6 || filter->in6_count == 0)
        return FILTER_DROPPED;
    struct packet packet = {.family = AF_INET6,
                            .source = header + 8,
                            .destination = header + 24,
                            .hop_limit = header[7],
                            .payload = header + IPV6_BYTES,
                            .len = read16(header + 4)};
    packet.to_us = is_own_mac(filter, frame) && is_own6(filter, packet.destination);
    if (packet.len > len - IPV6_BYTES)
        return FILTER_DROPPED;
    if (header[6] == PROTOCOL_ICMPV6)
        return filter_icmpv6(filter, &packet);
    if (header[6] == PROTOCOL_TCP && packet.to_us && is_peer6(filter, packet.source))
        return filter_tcp(&packet, tcp);
    return FILTER_DROPPED;
}

enum filter_kind dpdk_filter_frame(const struct filter *filter, const uint8_t *frame, size_t len,
                                   struct filter_tcp *tcp) {
    if (len < ETHERNET_BYTES || frame[6] & 1 || is_own_mac(filter, frame + 6))
        return FILTER_DROPPED;
    switch (read16(frame + 12)) {
    case TYPE_ARP:
        return filter_arp(filter, frame + ETHERNET_BYTES, len - ETHERNET_BYTES);
    case TYPE_IPV4:
        return filter_ipv4(filter, frame, len, tcp);
    case TYPE_IPV6:
        return filter_ipv6(filter, frame, len, tcp);
    default:
        return FILTER_DROPPED;
    }
}
