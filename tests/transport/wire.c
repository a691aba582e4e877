#include "tests/transport/wire.h"
#include "transport/stack.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VETH_PORT "net_af_packet0,iface=dv0,ip=10.9.0.1/24,ip=fd09::1/64"
#define TAP_PORT "net_tap0,iface=dtap9,ip=10.9.1.1/24"

static bool is_on_port(const struct engine *engine) {
    return engine->ops == stack_of(TRANSPORT_VIA_DPDK)->ops;
}

const char *wire_missing_veth(void) {
    return if_nametoindex("dv0") && if_nametoindex("dv1")
               ? NULL
               : "there is no cable dv0 - dv1: tests/dpdk/run lays it";
}

const char *wire_missing_tap(void) {
    return access("/dev/net/tun", R_OK | W_OK) == 0 ? NULL : "/dev/net/tun cannot be used";
}

static void address_of(struct transport_address *address, int family, const char *host) {
    *address = (struct transport_address){.any.sa_family = (sa_family_t)family};
    bool is_4 = family == AF_INET;
    address->len = is_4 ? sizeof address->in4 : sizeof address->in6;
    void *where = is_4 ? (void *)&address->in4.sin_addr : (void *)&address->in6.sin6_addr;
    assert_int_equal(inet_pton(family, host, where), 1);
}

static void on_port(struct transport_address *address, const char *port) {
    address->via = TRANSPORT_VIA_DPDK;
    snprintf(address->device, sizeof address->device, "%s", port);
}

static void near_address(struct world *world, struct transport_address *address, int family,
                         const char *port_host, const char *kernel_host) {
    address_of(address, family, is_on_port(world->near) ? port_host : kernel_host);
    if (is_on_port(world->near))
        on_port(address, VETH_PORT);
}

void wire_address4(struct world *world, struct transport_address *address) {
    near_address(world, address, AF_INET, "10.9.0.1", "10.9.0.2");
}

void wire_address6(struct world *world, struct transport_address *address) {
    near_address(world, address, AF_INET6, "fd09::1", "fd09::2");
}

void wire_address_tap(struct world *world, struct transport_address *address) {
    assert_true(is_on_port(world->near));
    address_of(address, AF_INET, "10.9.1.1");
    on_port(address, TAP_PORT);
}

static void reach(struct world *world, struct transport_address *address, const char *port) {
    address->via = TRANSPORT_VIA_KERNEL;
    address->device[0] = '\0';
    if (is_on_port(world->far))
        on_port(address, port);
}

void wire_reach(struct world *world, struct transport_address *address) {
    reach(world, address, VETH_PORT);
}

void wire_reach_tap(struct world *world, struct transport_address *address) {
    assert_int_equal(system("ip addr replace 10.9.1.2/24 dev dtap9 && ip link set dtap9 up"), 0);
    reach(world, address, TAP_PORT);
}
