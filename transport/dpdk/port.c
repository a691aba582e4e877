/* A port of DPDK as an interface of lwIP. */
#include "transport/dpdk/internal.h"
#include "transport/dpdk/neighbor.h"
#include <stdlib.h>
#include <time.h>

#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "netif/ethernet.h"

/* The least MTU of an IP network. */
#define MTU_LEAST_BYTES_4 576
#define MTU_LEAST_BYTES_6 1280

/* How often the kernel's interface is looked for. */
#define WATCH_NS UINT64_C(1000000000)

struct port {
    struct transport *transport;
    struct nic *nic; /* NULL while the kernel's interface is away */
    uint64_t watch_due_ns;
    struct netif netif;
    struct dpdk_spec spec;
    struct filter filter;
    time_t now_sec;
    struct neighbors neighbors;
};

struct netif *dpdk_port_netif(struct port *port) {
    return &port->netif;
}

/* A card's own MAC; otherwise a local one that is the same each time. */
static void choose_mac(const struct port *port, uint8_t mac[DPDK_MAC_BYTES]) {
    const struct dpdk_spec *spec = &port->spec;
    if (spec->has_mac) {
        memcpy(mac, spec->mac, DPDK_MAC_BYTES);
        return;
    }
    if (dpdk_nic_mac(port->nic, mac))
        return;
    uint64_t hash = dpdk_hash_bytes(HASH_START, spec->device, strlen(spec->device));
    hash = dpdk_hash_bytes(hash, spec->arguments, strlen(spec->arguments));
    hash = dpdk_hash_bytes(hash, spec->addresses[0].bytes, sizeof spec->addresses[0].bytes);
    memcpy(mac, &hash, DPDK_MAC_BYTES);
    mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
}

static void learn(struct port *port, const struct filter_tcp *tcp, const uint8_t *mac) {
    dpdk_neighbor_learn(&port->neighbors, tcp->source, tcp->family == AF_INET ? 4 : 16, mac,
                        port->now_sec);
}

static err_t output_to(struct netif *netif, struct pbuf *pbuf, const uint8_t *mac, u16_t type) {
    struct eth_addr from, to;
    memcpy(&from, netif->hwaddr, sizeof from);
    memcpy(&to, mac, sizeof to);
    return ethernet_output(netif, pbuf, &from, &to, type);
}

static err_t output4(struct netif *netif, struct pbuf *pbuf, const ip4_addr_t *to) {
    const struct port *port = netif->state;
    const uint8_t *mac =
        dpdk_neighbor_mac(&port->neighbors, &to->addr, sizeof to->addr, port->now_sec);
    return mac ? output_to(netif, pbuf, mac, ETHTYPE_IP) : etharp_output(netif, pbuf, to);
}

static err_t output6(struct netif *netif, struct pbuf *pbuf, const ip6_addr_t *to) {
    const struct port *port = netif->state;
    const uint8_t *mac =
        dpdk_neighbor_mac(&port->neighbors, to->addr, sizeof to->addr, port->now_sec);
    return mac ? output_to(netif, pbuf, mac, ETHTYPE_IPV6) : ethip6_output(netif, pbuf, to);
}

/* The one copy between lwIP's segment and the wire: the frame must live longer than this call. */
static err_t send_frame(struct netif *netif, struct pbuf *pbuf) {
    struct port *port = netif->state;
    void *mbuf;
    bool fits = port->nic && pbuf->tot_len <= NIC_FRAME_MOST_BYTES;
    uint8_t *room = fits ? dpdk_nic_room(pbuf->tot_len, &mbuf) : NULL;
    if (!room) {
        dpdk_counters.frames_unsent++;
        return ERR_MEM;
    }
    pbuf_copy_partial(pbuf, room, pbuf->tot_len, 0);
    dpdk_window_write(room, pbuf->tot_len);
    dpdk_counters.frames_unsent += dpdk_nic_queue(port->nic, mbuf);
    dpdk_counters.frames_sent++;
    dpdk_counters.framed_copied_bytes += pbuf->tot_len;
    return ERR_OK;
}

static err_t init_netif(struct netif *netif) {
    struct port *port = netif->state;
    memcpy(netif->name, "dp", 2);
    memcpy(netif->hwaddr, port->filter.mac, DPDK_MAC_BYTES);
    netif->hwaddr_len = DPDK_MAC_BYTES;
    netif->mtu = (u16_t)dpdk_nic_mtu_bytes(port->nic);
    netif->output = output4;
    netif->output_ip6 = output6;
    netif->linkoutput = send_frame;
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET |
                   NETIF_FLAG_LINK_UP | NETIF_FLAG_MLD6;
    return ERR_OK;
}

/*
 * The address is used at once, as IPv4's is: lwIP's duplicate detection of two seconds would make a
 * listener unreachable that was reported as ready.
 */
static void add_ipv6(struct port *port) {
    netif_create_ip6_linklocal_address(&port->netif, 1);
    netif_ip6_addr_set_state(&port->netif, 0, IP6_ADDR_PREFERRED);
    for (unsigned i = 0; i < port->spec.addresses_count; i++) {
        const struct dpdk_ip *own = &port->spec.addresses[i];
        ip6_addr_t address = {0};
        s8_t index;
        if (own->family != AF_INET6)
            continue;
        memcpy(address.addr, &own->in6, sizeof own->in6);
        if (netif_add_ip6_address(&port->netif, &address, &index) == ERR_OK)
            netif_ip6_addr_set_state(&port->netif, index, IP6_ADDR_PREFERRED);
    }
}

static bool add_netif(struct port *port) {
    ip4_addr_t ip = {0}, mask = {0}, gateway = {0};
    for (unsigned i = 0; i < port->spec.addresses_count; i++) {
        const struct dpdk_ip *own = &port->spec.addresses[i];
        if (own->family != AF_INET)
            continue;
        ip.addr = own->in4.s_addr;
        mask.addr = htonl(UINT32_MAX << (32 - own->prefix_bits));
    }
    if (port->spec.has_gateway)
        gateway.addr = port->spec.gateway.s_addr;
    if (!netif_add(&port->netif, &ip, &mask, &gateway, port, init_netif, ethernet_input))
        return false;
    if (port->filter.in6_count > 0)
        add_ipv6(port);
    netif_set_up(&port->netif);
    return true;
}

static struct port *port_open(struct transport *transport, const struct dpdk_spec *spec,
                              struct transport_failure *failure) {
    struct port *port = calloc(1, sizeof *port);
    if (!port) {
        transport_failed(failure, "calloc");
        return NULL;
    }
    port->transport = transport;
    port->spec = *spec;
    port->nic = dpdk_nic_open(spec, sizeof(struct piece), failure);
    if (!port->nic) {
        free(port);
        return NULL;
    }
    uint8_t mac[DPDK_MAC_BYTES];
    choose_mac(port, mac);
    dpdk_filter_init(&port->filter, spec, mac);
    bool large = dpdk_nic_mtu_bytes(port->nic) >=
                 (port->filter.in6_count > 0 ? MTU_LEAST_BYTES_6 : MTU_LEAST_BYTES_4);
    if (large && add_netif(port))
        return port;
    *failure = (struct transport_failure){large ? ENOMEM : EMSGSIZE,
                                          large ? "netif_add" : "using the port's small MTU"};
    dpdk_nic_close(port->nic);
    free(port);
    return NULL;
}

void dpdk_port_close(struct port *port) {
    netif_remove(&port->netif);
    if (port->nic)
        dpdk_nic_close(port->nic);
    free(port);
}

static bool is_same(const struct dpdk_spec *a, const struct dpdk_spec *b) {
    return strcmp(a->arguments, b->arguments) == 0 && a->addresses_count == b->addresses_count &&
           memcmp(a->addresses, b->addresses, sizeof a->addresses) == 0 &&
           a->has_gateway == b->has_gateway && a->gateway.s_addr == b->gateway.s_addr &&
           a->has_mac == b->has_mac && memcmp(a->mac, b->mac, sizeof a->mac) == 0;
}

static struct port *find_port(struct transport *transport, const struct dpdk_spec *spec) {
    for (unsigned i = 0; i < transport->ports_count; i++)
        if (strcmp(transport->ports[i]->spec.device, spec->device) == 0)
            return transport->ports[i];
    return NULL;
}

struct port *dpdk_port_for(struct transport *transport, const struct transport_address *address,
                           struct transport_failure *failure) {
    struct dpdk_spec spec;
    char why[ENDPOINT_TEXT_BYTES];
    if (!dpdk_spec_parse(address->device, &spec, why, sizeof why)) {
        *failure = (struct transport_failure){EINVAL, "reading the port's description"};
        return NULL;
    }
    struct port *port = find_port(transport, &spec);
    if (port && is_same(&port->spec, &spec))
        return port;
    if (port || transport->ports_count == PORTS_MAX) {
        *failure =
            (struct transport_failure){port ? EADDRINUSE : EMFILE,
                                       port ? "opening a port that is open with another description"
                                            : "opening one more port"};
        return NULL;
    }
    port = port_open(transport, &spec, failure);
    if (port)
        transport->ports[transport->ports_count++] = port;
    return port;
}

bool dpdk_port_has_ip(const struct port *port, const ip_addr_t *ip) {
    for (unsigned i = 0; i < port->spec.addresses_count; i++) {
        const struct dpdk_ip *own = &port->spec.addresses[i];
        if (IP_IS_V4(ip) ? own->family == AF_INET && own->in4.s_addr == ip_2_ip4(ip)->addr
                         : own->family == AF_INET6 &&
                               memcmp(&own->in6, ip_2_ip6(ip)->addr, sizeof own->in6) == 0)
            return true;
    }
    return false;
}

bool dpdk_port_own_ip(const struct port *port, const ip_addr_t *remote, ip_addr_t *own) {
    for (unsigned i = 0; i < port->spec.addresses_count; i++) {
        const struct dpdk_ip *ip = &port->spec.addresses[i];
        if (ip->family != (IP_IS_V4(remote) ? AF_INET : AF_INET6))
            continue;
        struct transport_address address = {.any.sa_family = ip->family};
        uint16_t none;
        if (ip->family == AF_INET)
            address.in4.sin_addr = ip->in4;
        else
            address.in6.sin6_addr = ip->in6;
        return dpdk_address_to_ip(&address, own, &none);
    }
    return false;
}

static void input_frame(struct port *port, const struct nic_frame *frame) {
    struct filter_tcp tcp;
    struct tcp_pcb *pcb = NULL;
    enum filter_kind kind = dpdk_filter_frame(&port->filter, frame->data, frame->len, &tcp);
    bool admitted =
        kind == FILTER_TCP ? dpdk_guard_admits(port->transport, &tcp, &pcb) : kind == FILTER_OTHER;
    if (!admitted) {
        dpdk_counters.frames_filtered += kind == FILTER_DROPPED;
        dpdk_nic_free(frame->mbuf);
        return;
    }
    if (kind == FILTER_TCP)
        learn(port, &tcp, frame->data + DPDK_MAC_BYTES);
    bool owes = dpdk_receive_hold_ack(pcb, &tcp);
    struct pbuf *pbuf = dpdk_piece_of_frame(frame);
    if (port->netif.input(pbuf, &port->netif) != ERR_OK)
        pbuf_free(pbuf);
    if (owes && dpdk_guard_is_open(pcb))
        dpdk_receive_owe_ack(pcb);
    if (kind == FILTER_TCP && !pcb)
        dpdk_guard_opened();
}

/* Feeds what we sent to ourselves back to lwIP, which has queued it. */
static void receive_own(struct port *port) {
    if (port->netif.loop_first)
        netif_poll(&port->netif);
}

unsigned dpdk_port_receive(struct port *port) {
    struct nic_frame frames[NIC_BURST];
    port->now_sec = (time_t)(dpdk_now_ns(port->transport) / 1000000000u);
    unsigned count = port->nic ? dpdk_nic_receive(port->nic, frames, NIC_BURST) : 0;
    for (unsigned i = 0; i < count; i++)
        input_frame(port, &frames[i]);
    dpdk_counters.frames_received += count;
    receive_own(port);
    return count;
}

bool dpdk_port_has_work(const struct port *port) {
    return port->netif.loop_first || (port->nic && dpdk_nic_has_queued(port->nic));
}

uint64_t dpdk_port_missed(const struct port *port) {
    return port->nic ? dpdk_nic_missed(port->nic) : 0;
}

void dpdk_port_flush(struct port *port) {
    if (port->nic && dpdk_nic_has_queued(port->nic))
        dpdk_counters.frames_unsent += dpdk_nic_flush(port->nic);
}

static void lose(struct port *port) {
    dpdk_nic_close(port->nic);
    port->nic = NULL;
    dpdk_conns_fail(port->transport, &port->netif, ENODEV);
    dpdk_listeners_fail(port, port->transport, ENODEV);
}

static void try_again(struct port *port) {
    struct transport_failure failure; /* it is not there yet */
    port->nic = dpdk_nic_open(&port->spec, sizeof(struct piece), &failure);
    if (port->nic)
        port->netif.mtu = (u16_t)dpdk_nic_mtu_bytes(port->nic);
}

void dpdk_port_watch(struct port *port, uint64_t now_ns) {
    if (now_ns < port->watch_due_ns)
        return;
    port->watch_due_ns = now_ns + WATCH_NS;
    if (!port->nic)
        try_again(port);
    else if (dpdk_nic_is_gone(port->nic))
        lose(port);
}

#if !NO_SYS
#include "lwip/tcpip.h"

/*
 * Replaces lwIP's own function, which hands what a netif sends to itself to lwIP's thread. There is
 * none here (lwIP would assert that there is); receive_own() takes it.
 */
err_t tcpip_try_callback(tcpip_callback_fn function, void *context) {
    (void)function, (void)context;
    return ERR_OK;
}
#endif
