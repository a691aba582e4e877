/* Addresses, looked up: what connections and listeners are made of. */
#ifndef TRANSPORT_ADDRESS_H
#define TRANSPORT_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

/* An endpoint or an address as text, with its NUL. */
#define ENDPOINT_TEXT_BYTES 256

/*
 * The stacks: what carries the bytes of an address. Each has one row: the end of its enumerator's
 * name, and the struct stack (transport/stack.h) that says everything else about it. The kernel's
 * is first: TCP and unix sockets.
 */
#define TRANSPORT_STACKS(ROW) \
    ROW(KERNEL, stack_kernel) \
    ROW(RDMA, stack_rdma)     \
    ROW(DPDK, stack_dpdk)

/* TRANSPORT_VIA_KERNEL, ... */
enum transport_via {
#define TRANSPORT_VIA(name, symbol) TRANSPORT_VIA_##name,
    TRANSPORT_STACKS(TRANSPORT_VIA)
#undef TRANSPORT_VIA
        TRANSPORT_VIAS /* how many there are */
};

/* One address to listen on or to connect to. */
struct transport_address {
    enum transport_via via;
    char device[ENDPOINT_TEXT_BYTES]; /* of stacks that drive a device themselves: the device and
                                         its own addresses, as written; else "" */
    struct sockaddr_storage source;   /* to connect from; AF_UNSPEC: as the kernel routes */
    bool mode_given, group_given;     /* unix, to listen on: permissions of the socket ... */
    mode_t mode;                      /* ... without them the umask decides */
    gid_t group;
    unsigned rank; /* of several to connect to: one of a lower rank is tried before */
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
        struct sockaddr_storage storage;
    };
};

/* "10.0.0.7:7533", "[fe80::1%ib0]:7533", "rdma:10.0.0.7:7533", "unix:/run/muxd.sock" */
void address_text(const struct transport_address *address, char *out, size_t out_bytes);

/* Two IP addresses: are they the same except for the port? */
bool address_same_ip(const struct transport_address *a, const struct transport_address *b);

/* Loopback or unix: not reachable from another machine. */
bool address_is_local(const struct transport_address *address);

#endif
