#include "transport/dpdk/spec.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* DPDK's RTE_DEV_NAME_MAX_LEN, with the 0 at its end. */
#define DEVICE_NAME_BYTES 64

/* 31 and 32 leave an IPv4 network without a broadcast address, which lwIP needs. */
#define PREFIX_MOST_BITS_4 30

/* lwIP assumes that the first 64 bits of an IPv6 address are the link's. */
#define PREFIX_BITS_6 64

/* "hhhh:hh:hh.h" or "hh:hh.h" */
static bool is_pci_address(const char *text) {
    size_t len = strlen(text);
    const char *form = len == sizeof "0000:00:00.0" - 1 ? "hhhh:hh:hh.h" : "hh:hh.h";
    if (len != strlen(form))
        return false;
    for (size_t i = 0; i < len; i++)
        if (form[i] == 'h' ? !isxdigit((unsigned char)text[i]) : text[i] != form[i])
            return false;
    return true;
}

static bool parse_device(const char *text, struct dpdk_spec *spec, char *why, size_t why_bytes) {
    spec->is_pci = is_pci_address(text);
    bool fits = strlen(text) < DEVICE_NAME_BYTES;
    for (const char *c = text; *c; c++)
        fits = fits && (isalnum((unsigned char)*c) || *c == '_' || (spec->is_pci && ispunct(*c)));
    if (!fits || (!spec->is_pci && strncmp(text, "net_", 4) != 0))
        return endpoint_refuse(
            why, why_bytes,
            "'%s' is no port of DPDK's: expected a PCI address (0000:3b:00.0) or a "
            "virtual device (net_af_packet0,iface=IFACE; net_tap0,iface=NAME)",
            text);
    bool is_short = spec->is_pci && strlen(text) < sizeof "0000:00:00.0" - 1;
    snprintf(spec->device, sizeof spec->device, "%s%.*s", is_short ? "0000:" : "",
             DEVICE_NAME_BYTES, text);
    for (char *c = spec->device; spec->is_pci && *c; c++)
        *c = (char)tolower((unsigned char)*c); /* as DPDK calls it */
    return true;
}

/* Can a machine have this address? */
static bool is_usable(const struct dpdk_ip *ip) {
    if (ip->family == AF_INET6)
        return !IN6_IS_ADDR_MULTICAST(&ip->in6) && !IN6_IS_ADDR_LOOPBACK(&ip->in6) &&
               !IN6_IS_ADDR_UNSPECIFIED(&ip->in6) && !IN6_IS_ADDR_V4MAPPED(&ip->in6) &&
               !IN6_IS_ADDR_LINKLOCAL(&ip->in6);
    uint32_t address = ntohl(ip->in4.s_addr), host = UINT32_MAX >> ip->prefix_bits;
    return address >> 24 != 0 && address >> 24 != IN_LOOPBACKNET && address < INADDR_UNSPEC_GROUP &&
           (address & host) != 0 && (address & host) != host;
}

static bool parse_prefix(const char *text, unsigned least, unsigned most, unsigned *bits) {
    unsigned value = 0;
    const char *c = text;
    for (; isdigit((unsigned char)*c) && value <= most; c++)
        value = value * 10 + (unsigned)(*c - '0');
    *bits = value;
    return c != text && *c == '\0' && value >= least && value <= most;
}

static bool has_family(const struct dpdk_spec *spec, int family) {
    for (unsigned i = 0; i < spec->addresses_count; i++)
        if (spec->addresses[i].family == family)
            return true;
    return false;
}

static bool parse_ip(char *text, struct dpdk_spec *spec, char *why, size_t why_bytes) {
    struct dpdk_ip *ip = &spec->addresses[spec->addresses_count];
    if (spec->addresses_count == DPDK_ADDRESSES_MAX)
        return endpoint_refuse(why, why_bytes, "more than %d addresses for one port",
                               DPDK_ADDRESSES_MAX);
    char *slash = strchr(text, '/');
    bool good = slash != NULL;
    if (good) {
        *slash = '\0';
        ip->family = strchr(text, ':') ? AF_INET6 : AF_INET;
        good = inet_pton(ip->family, text, ip->bytes) == 1 &&
               (ip->family == AF_INET
                    ? parse_prefix(slash + 1, 1, PREFIX_MOST_BITS_4, &ip->prefix_bits)
                    : parse_prefix(slash + 1, PREFIX_BITS_6, PREFIX_BITS_6, &ip->prefix_bits)) &&
               is_usable(ip);
        *slash = '/';
    }
    if (!good)
        return endpoint_refuse(
            why, why_bytes,
            "'ip=%s': expected an address of the port's own with the length of its "
            "network's prefix: 10.0.0.2/24 (/1 to /%d), fd00::2/%d",
            text, PREFIX_MOST_BITS_4, PREFIX_BITS_6);
    if (ip->family == AF_INET && has_family(spec, AF_INET))
        return endpoint_refuse(why, why_bytes, "'ip=%s': a port has one IPv4 address", text);
    spec->addresses_count++;
    return true;
}

static bool parse_gateway(const char *text, struct dpdk_spec *spec, char *why, size_t why_bytes) {
    if (spec->has_gateway)
        return endpoint_refuse(why, why_bytes, "'gw=%s': a port has one gateway", text);
    spec->has_gateway = inet_pton(AF_INET, text, &spec->gateway) == 1;
    return spec->has_gateway ||
           endpoint_refuse(
               why, why_bytes,
               "'gw=%s': expected an IPv4 address (routers of IPv6 announce themselves)", text);
}

static bool parse_mac(const char *text, struct dpdk_spec *spec, char *why, size_t why_bytes) {
    bool good = !spec->has_mac && strlen(text) == sizeof "00:00:00:00:00:00" - 1;
    for (size_t i = 0; good && text[i]; i++)
        good = i % 3 == 2 ? text[i] == ':' : isxdigit((unsigned char)text[i]);
    for (size_t i = 0; good && i < DPDK_MAC_BYTES; i++)
        spec->mac[i] = (uint8_t)strtoul(text + 3 * i, NULL, 16);
    static const uint8_t none[DPDK_MAC_BYTES];
    spec->has_mac = good && !(spec->mac[0] & 1) && memcmp(spec->mac, none, sizeof none) != 0;
    return spec->has_mac ||
           endpoint_refuse(why, why_bytes,
                           "'mac=%s': expected one address, of one station: 02:00:00:00:00:01",
                           text);
}

/* Without the brackets that an IPv6 address has before a port number. */
static bool parse_to(const char *text, struct dpdk_spec *spec, char *why, size_t why_bytes) {
    size_t len = strlen(text);
    if (spec->to[0] != '\0')
        return endpoint_refuse(why, why_bytes, "'to=%s': there is one host to connect to", text);
    bool brackets = len > 2 && text[0] == '[' && text[len - 1] == ']';
    if (len == 0 || (!brackets && strpbrk(text, "[]")))
        return endpoint_refuse(why, why_bytes, "'to=%s': expected a host", text);
    if (text[strspn(text, "0123456789")] == '\0')
        return endpoint_refuse(why, why_bytes,
                               "'to=%s' is a number, no host; a port stands behind a colon", text);
    snprintf(spec->to, sizeof spec->to, "%.*s", (int)(brackets ? len - 2 : len),
             text + (brackets ? 1 : 0));
    return true;
}

/*
 * For the most used devices, the arguments that make sense with one queue: a driver reports only
 * that others fail. Arguments of other devices are checked by their drivers.
 */
static const struct {
    const char *driver;
    const char *keys[5];
} known[] = {
    {"net_af_packet", {"iface", "blocksz", "framesz", "framecnt", "qdisc_bypass"}},
    {"net_tap", {"iface", "remote"}},
};

static bool has_key(const char *const *keys, size_t count, const char *item) {
    for (size_t i = 0; i < count && keys[i]; i++) {
        size_t len = strlen(keys[i]);
        if (strncmp(item, keys[i], len) == 0 && item[len] == '=')
            return true;
    }
    return false;
}

static bool is_known(const struct dpdk_spec *spec, const char *item) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(spec->device, known[i].driver, strlen(known[i].driver)) == 0)
            return has_key(known[i].keys, sizeof known[i].keys / sizeof *known[i].keys, item);
    return true;
}

static bool parse_argument(const char *item, struct dpdk_spec *spec, char *why, size_t why_bytes) {
    size_t len = strlen(spec->arguments);
    if (*item == '\0')
        return endpoint_refuse(why, why_bytes, "there is nothing between two commas");
    if (!is_known(spec, item))
        return endpoint_refuse(why, why_bytes,
                               "'%s' is no argument of %s's, nor ip=, gw=, mac= or to=", item,
                               spec->device);
    for (const char *c = item; *c; c++)
        if (!isgraph((unsigned char)*c))
            return endpoint_refuse(why, why_bytes,
                                   "'%s' has a character that no device's argument has", item);
    snprintf(spec->arguments + len, sizeof spec->arguments - len, "%s%s", len ? "," : "", item);
    return true;
}

static bool parse_item(char *item, struct dpdk_spec *spec, char *why, size_t why_bytes) {
    if (spec->device[0] == '\0')
        return parse_device(item, spec, why, why_bytes);
    if (strncmp(item, "ip=", 3) == 0)
        return parse_ip(item + 3, spec, why, why_bytes);
    if (strncmp(item, "gw=", 3) == 0)
        return parse_gateway(item + 3, spec, why, why_bytes);
    if (strncmp(item, "mac=", 4) == 0)
        return parse_mac(item + 4, spec, why, why_bytes);
    if (strncmp(item, "to=", 3) == 0)
        return parse_to(item + 3, spec, why, why_bytes);
    return parse_argument(item, spec, why, why_bytes);
}

static bool parse_items(char *text, struct dpdk_spec *spec, char *why, size_t why_bytes) {
    char *next = text;
    while (next) {
        char *item = next;
        next = strchr(item, ',');
        if (next)
            *next++ = '\0';
        if (!parse_item(item, spec, why, why_bytes))
            return false;
    }
    return true;
}

/* In the port's own network, and not the port. */
static bool gateway_is_near(const struct dpdk_spec *spec, char *why, size_t why_bytes) {
    bool near = !spec->has_gateway;
    for (unsigned i = 0; i < spec->addresses_count && !near; i++) {
        const struct dpdk_ip *ip = &spec->addresses[i];
        uint32_t differs = ntohl(ip->in4.s_addr ^ spec->gateway.s_addr);
        near = ip->family == AF_INET && differs != 0 && differs >> (32 - ip->prefix_bits) == 0;
    }
    return near ||
           endpoint_refuse(why, why_bytes,
                           "the gateway is not another address in the network of the port's IPv4 "
                           "address");
}

bool dpdk_spec_parse(const char *text, struct dpdk_spec *spec, char *why, size_t why_bytes) {
    char copy[ENDPOINT_TEXT_BYTES];
    *spec = (struct dpdk_spec){0};
    if (strlen(text) >= sizeof copy)
        return endpoint_refuse(why, why_bytes, "a port's description has at most %zu bytes",
                               sizeof copy - 1);
    strcpy(copy, text);
    if (!parse_items(copy, spec, why, why_bytes))
        return false;
    if (spec->addresses_count == 0)
        return endpoint_refuse(
            why, why_bytes, "a port of DPDK's has addresses of its own: expected ip=ADDRESS/LEN");
    return gateway_is_near(spec, why, why_bytes);
}

static bool is_number(const char *text) {
    return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

/* The last colon, if a number follows it. */
static const char *last_number(const char *text) {
    const char *colon = strrchr(text, ':');
    return colon && is_number(colon + 1) ? colon : NULL;
}

/* In the last item: where the colon before the port number is; NULL when there is none. */
static bool find_colon(const char *item, const char **colon) {
    static const size_t mac_item_len = sizeof "mac=00:00:00:00:00:00" - 1;
    *colon = NULL;
    if (strncmp(item, "mac=", 4) == 0) {
        if (strlen(item) > mac_item_len && item[mac_item_len] == ':')
            *colon = item + mac_item_len;
        return true;
    }
    const char *end = strpbrk(item, "]/"); /* after it no colon belongs to the address */
    if (end || strchr(item, ':') == strrchr(item, ':')) {
        *colon = strchr(end ? end : item, ':');
        return true;
    }
    if (strncmp(item, "to=", 3) == 0 || strncmp(item, "gw=", 3) == 0)
        return false;
    *colon = last_number(item); /* in a PCI address a dot follows the last colon */
    return true;
}

bool dpdk_spec_split(const char *text, size_t *spec_len, const char **port_text) {
    const char *comma = strrchr(text, ','), *colon;
    *port_text = NULL;
    if (!find_colon(comma ? comma + 1 : text, &colon))
        return false;
    if (colon && strcspn(text, ",") == strlen(text))
        colon = last_number(text); /* "3b:00.0" has one colon, and it is no port's */
    *spec_len = colon ? (size_t)(colon - text) : strlen(text);
    *port_text = colon ? colon + 1 : NULL;
    return true;
}

static struct transport_address make_address(const struct endpoint *endpoint) {
    struct transport_address address = {.via = TRANSPORT_VIA_DPDK};
    strcpy(address.device, endpoint->name);
    return address;
}

static unsigned own_addresses(const struct endpoint *endpoint, const struct dpdk_spec *spec,
                              struct transport_address *addresses, unsigned most) {
    unsigned count = spec->addresses_count < most ? spec->addresses_count : most;
    for (unsigned i = 0; i < count; i++) {
        const struct dpdk_ip *ip = &spec->addresses[i];
        addresses[i] = make_address(endpoint);
        addresses[i].any.sa_family = ip->family;
        if (ip->family == AF_INET) {
            addresses[i].len = sizeof addresses[i].in4;
            addresses[i].in4.sin_addr = ip->in4;
            addresses[i].in4.sin_port = htons(endpoint->port);
        } else {
            addresses[i].len = sizeof addresses[i].in6;
            addresses[i].in6.sin6_addr = ip->in6;
            addresses[i].in6.sin6_port = htons(endpoint->port);
        }
    }
    return count;
}

static unsigned remote_addresses(const struct endpoint *endpoint, const struct dpdk_spec *spec,
                                 struct transport_address *addresses, unsigned most, char *why,
                                 size_t why_bytes) {
    char port[sizeof "65535"];
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    unsigned count = 0;
    snprintf(port, sizeof port, "%u", endpoint->port);
    int error = getaddrinfo(spec->to, port, &hints, &list);
    for (struct addrinfo *item = list; item && count < most; item = item->ai_next) {
        if (!has_family(spec, item->ai_family))
            continue;
        addresses[count] = make_address(endpoint);
        addresses[count].len = item->ai_addrlen;
        memcpy(&addresses[count++].any, item->ai_addr, item->ai_addrlen);
    }
    if (list)
        freeaddrinfo(list);
    if (count == 0)
        endpoint_refuse(why, why_bytes, "'to=%s': %s", spec->to,
                        error ? gai_strerror(error) : "the port has no address of that family");
    return count;
}

unsigned dpdk_spec_resolve(const struct endpoint *endpoint, bool listening,
                           struct transport_address *addresses, unsigned most, char *why,
                           size_t why_bytes) {
    struct dpdk_spec spec;
    if (!dpdk_spec_parse(endpoint->name, &spec, why, why_bytes))
        return 0;
    if (listening)
        return own_addresses(endpoint, &spec, addresses, most);
    if (spec.to[0] == '\0') {
        endpoint_refuse(why, why_bytes, "'%s' does not say what to connect to: add to=HOST",
                        endpoint->text);
        return 0;
    }
    return remote_addresses(endpoint, &spec, addresses, most, why, why_bytes);
}
