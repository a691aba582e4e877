#include "tools/node/allow.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAPPED_BITS 96 /* of ::ffff:0:0 */

static void map_ipv4(const struct in_addr *in, uint8_t out[16]) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    memcpy(out, mapped, sizeof mapped);
    memcpy(out + sizeof mapped, in, 4);
}

/* Zeroes what lies beyond the prefix. False: nothing did. */
static bool clear_host(struct allow_network *network) {
    bool cleared = false;
    for (unsigned i = network->bits / 8; i < sizeof network->address; i++) {
        unsigned bits = i == network->bits / 8 ? network->bits % 8 : 0;
        uint8_t host = (uint8_t)(0xFF >> bits);
        cleared |= (network->address[i] & host) != 0;
        network->address[i] &= (uint8_t)~host;
    }
    return cleared;
}

/* 10.0.0.1/8 means one address or many: refused, with the network that it lies in. */
static bool check_host(const struct allow_network *network, const char *text, char *why,
                       size_t why_bytes) {
    char address[INET6_ADDRSTRLEN];
    struct allow_network meant = *network;
    bool is_ipv4 = strchr(text, ':') == NULL;
    if (!clear_host(&meant))
        return true;
    if (is_ipv4)
        inet_ntop(AF_INET, meant.address + MAPPED_BITS / 8, address, sizeof address);
    else
        inet_ntop(AF_INET6, meant.address, address, sizeof address);
    snprintf(why, why_bytes, "'%s' has bits beyond its prefix: did you mean %s/%u?", text, address,
             meant.bits - (is_ipv4 ? MAPPED_BITS : 0));
    return false;
}

/* "10.0.0.0/8", "fe80::/10", "10.1.2.3" */
static bool parse_network(const char *text, struct allow_network *network) {
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof address)
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    struct in_addr in;
    unsigned base = 0;
    if (inet_pton(AF_INET, address, &in) == 1) {
        map_ipv4(&in, network->address);
        base = MAPPED_BITS;
    } else if (inet_pton(AF_INET6, address, network->address) != 1) {
        return false;
    }
    unsigned most = 128 - base;
    unsigned long bits = most;
    if (slash) {
        char *end;
        bits = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end || bits > most)
            return false;
    }
    network->bits = base + (unsigned)bits;
    return true;
}

bool allow_add(struct allow *allow, const char *list, char *why, size_t why_bytes) {
    while (true) {
        char one[INET6_ADDRSTRLEN + 8];
        size_t len = strcspn(list, ",");
        snprintf(one, sizeof one, "%.*s", (int)len, list);
        if (allow->count == ALLOW_MAX) {
            snprintf(why, why_bytes, "more than %d networks", ALLOW_MAX);
            return false;
        }
        if (len >= sizeof one || !parse_network(one, &allow->networks[allow->count])) {
            snprintf(why, why_bytes, "'%s' is not a network such as 10.0.0.0/8 or fd00::/8", one);
            return false;
        }
        if (!check_host(&allow->networks[allow->count], one, why, why_bytes))
            return false;
        allow->count++;
        if (list[len] == '\0')
            return true;
        list += len + 1;
    }
}

static bool contains(const struct allow_network *network, const uint8_t address[16]) {
    unsigned bytes = network->bits / 8, bits = network->bits % 8;
    if (memcmp(network->address, address, bytes) != 0)
        return false;
    uint8_t mask = (uint8_t)(0xFF00 >> bits);
    return bits == 0 || ((network->address[bytes] ^ address[bytes]) & mask) == 0;
}

bool allow_has(const struct allow *allow, const struct sockaddr_storage *address) {
    uint8_t bytes[16];
    if (allow->count == 0)
        return true;
    if (address->ss_family == AF_INET)
        map_ipv4(&((const struct sockaddr_in *)(const void *)address)->sin_addr, bytes);
    else if (address->ss_family == AF_INET6)
        memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    else
        return true;
    for (unsigned i = 0; i < allow->count; i++)
        if (contains(&allow->networks[i], bytes))
            return true;
    return false;
}
