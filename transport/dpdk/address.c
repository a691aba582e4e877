#include "transport/dpdk/internal.h"

bool dpdk_address_to_ip(const struct transport_address *address, ip_addr_t *ip, uint16_t *port) {
    *ip = (ip_addr_t){0};
    if (address->any.sa_family == AF_INET) {
        IP_SET_TYPE(ip, IPADDR_TYPE_V4);
        ip_2_ip4(ip)->addr = address->in4.sin_addr.s_addr;
        *port = ntohs(address->in4.sin_port);
        return true;
    }
    if (address->any.sa_family != AF_INET6)
        return false;
    IP_SET_TYPE(ip, IPADDR_TYPE_V6);
    memcpy(ip_2_ip6(ip)->addr, &address->in6.sin6_addr, sizeof address->in6.sin6_addr);
    *port = ntohs(address->in6.sin6_port);
    return true;
}

void dpdk_address_from_ip(struct transport_address *address, const ip_addr_t *ip, uint16_t port) {
    *address = (struct transport_address){.via = TRANSPORT_VIA_DPDK};
    if (IP_IS_V4(ip)) {
        address->len = sizeof address->in4;
        address->in4.sin_family = AF_INET;
        address->in4.sin_addr.s_addr = ip_2_ip4(ip)->addr;
        address->in4.sin_port = htons(port);
    } else {
        address->len = sizeof address->in6;
        address->in6.sin6_family = AF_INET6;
        memcpy(&address->in6.sin6_addr, ip_2_ip6(ip)->addr, sizeof address->in6.sin6_addr);
        address->in6.sin6_port = htons(port);
    }
}
