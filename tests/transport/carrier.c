#include "tests/transport/carrier.h"
#include "tests/transport/host.h"
#include "tests/transport/wire.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void address_tcp4(struct world *world, struct transport_address *address) {
    (void)world;
    *address = (struct transport_address){.len = sizeof address->in4};
    address->in4.sin_family = AF_INET;
    address->in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static void address_tcp6(struct world *world, struct transport_address *address) {
    (void)world;
    *address = (struct transport_address){.len = sizeof address->in6};
    address->in6.sin6_family = AF_INET6;
    address->in6.sin6_addr = in6addr_loopback;
}

static void address_unix(struct world *world, struct transport_address *address) {
    *address = (struct transport_address){.len = sizeof address->un};
    address->un.sun_family = AF_UNIX;
    snprintf(address->un.sun_path, sizeof address->un.sun_path, "%s/socket", world->directory);
}

static const char *missing_tcp6(void) {
    struct transport_address address;
    address_tcp6(NULL, &address);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && bind(fd, &address.any, address.len) == 0;
    if (fd >= 0)
        close(fd);
    return bound ? NULL : "there is no IPv6 loopback address";
}

/* The device and interface that tests/rdma/guest makes. */
static const char *missing_rdma(void) {
    return access("/sys/class/infiniband/rxe0", F_OK) == 0 && if_nametoindex("ib0")
               ? NULL
               : "there is no RDMA device rxe0 on ib0: tests/rdma/run boots a machine that has it";
}

static void address_rdma4(struct world *world, struct transport_address *address) {
    address_tcp4(world, address);
    address->via = TRANSPORT_VIA_RDMA;
    assert_int_equal(inet_pton(AF_INET, "10.9.0.1", &address->in4.sin_addr), 1);
}

static void address_rdma6(struct world *world, struct transport_address *address) {
    address_tcp6(world, address);
    address->via = TRANSPORT_VIA_RDMA;
    assert_int_equal(inet_pton(AF_INET6, "fd09::1", &address->in6.sin6_addr), 1);
}

void carrier_listen(struct world *world) {
    struct transport_address address;
    struct transport_failure failure = {0};
    if (world->listener)
        return;
    world->carrier->address(world, &address);
    world->listener = world->near->ops->listen(world->near->transport, &address, world,
                                               &world->address, &failure);
    if (!world->listener)
        fail_msg("listen: %s: %s", failure.operation, strerror(failure.error));
    world->reach = world->address;
    if (world->carrier->reach)
        world->carrier->reach(world, &world->reach);
}

struct end *carrier_connect(struct world *world) {
    struct transport_failure failure = {0};
    struct transport_conn *conn =
        world->far->ops->connect(world->far->transport, &world->reach, world, &failure);
    if (!conn)
        fail_msg("connect: %s: %s", failure.operation, strerror(failure.error));
    assert_ptr_equal(conn->user, world);
    return end_new(world, world->far, conn);
}

static void pair_by_listener(struct world *world, struct end *ends[2]) {
    unsigned before = world->near->accepted_count;
    carrier_listen(world);
    ends[1] = carrier_connect(world);
    WAIT(world, ends[1]->connected && world->near->accepted_count > before);
    ends[0] = world->near->accepted[before];
}

struct end *carrier_attach(struct world *world, struct engine *engine, int in, int out,
                           bool borrowed) {
    struct transport_failure failure = {0};
    struct transport_conn *conn = engine->ops->attach(
        engine->transport, in, out, borrowed, TRANSPORT_POOL_RESERVE, "attached", world, &failure);
    if (!conn)
        fail_msg("attach: %s: %s", failure.operation, strerror(failure.error));
    struct end *end = end_new(world, engine, conn);
    end->connected = true;
    return end;
}

static void pair_by_pipes(struct world *world, struct end *ends[2]) {
    int there[2], back[2];
    world->host->make_pipe(world, there);
    world->host->make_pipe(world, back);
    ends[0] = carrier_attach(world, world->near, there[0], back[1], false);
    ends[1] = carrier_attach(world, world->far, back[0], there[1], false);
}

static void pair_by_socketpair(struct world *world, struct end *ends[2]) {
    int fds[2];
    world->host->make_socketpair(world, fds);
    ends[0] = carrier_attach(world, world->near, fds[0], fds[0], false);
    ends[1] = carrier_attach(world, world->far, fds[1], fds[1], false);
}

const struct carrier carriers[] = {
    {.name = "tcp4",
     .listens = true,
     .one_channel = true,
     .is_tcp = true,
     .address = address_tcp4,
     .pair = pair_by_listener},
    {.name = "tcp6",
     .listens = true,
     .one_channel = true,
     .is_tcp = true,
     .missing = missing_tcp6,
     .address = address_tcp6,
     .pair = pair_by_listener},
    {.name = "unix",
     .listens = true,
     .one_channel = true,
     .address = address_unix,
     .pair = pair_by_listener},
    {.name = "dpdk4",
     .listens = true,
     .one_channel = true,
     .is_tcp = true,
     .is_wire = true,
     .missing = wire_missing_veth,
     .address = wire_address4,
     .reach = wire_reach,
     .pair = pair_by_listener},
    {.name = "dpdk6",
     .listens = true,
     .one_channel = true,
     .is_tcp = true,
     .is_wire = true,
     .missing = wire_missing_veth,
     .address = wire_address6,
     .reach = wire_reach,
     .pair = pair_by_listener},
    {.name = "tap4",
     .listens = true,
     .one_channel = true,
     .is_tcp = true,
     .is_wire = true,
     .missing = wire_missing_tap,
     .address = wire_address_tap,
     .reach = wire_reach_tap,
     .pair = pair_by_listener},
    {.name = "rdma4",
     .listens = true,
     .one_channel = true,
     .is_rdma = true,
     .is_wire = true,
     .missing = missing_rdma,
     .address = address_rdma4,
     .pair = pair_by_listener},
    {.name = "rdma6",
     .listens = true,
     .one_channel = true,
     .is_rdma = true,
     .is_wire = true,
     .missing = missing_rdma,
     .address = address_rdma6,
     .pair = pair_by_listener},
    {.name = "pipe", .pair = pair_by_pipes},
    {.name = "socketpair", .one_channel = true, .pair = pair_by_socketpair},
};
const unsigned carriers_count = sizeof carriers / sizeof *carriers;
