/*
 * Endpoints: the one syntax for places that streams come from and go to.
 *
 *   ib0, ib0:7533        an interface: all its addresses (a bare name that an interface has)
 *   HOST:PORT, HOST      a name or an IPv4 address; [v6]:PORT, [v6]
 *   tcp:REST             any of the above, said aloud
 *   rdma:REST            any of the above by RDMA; with ,from=ADDRESS behind it a connection leaves
 *                        by the device that has this address
 *   dpdk:DEVICE,ip=ADDRESS/LEN[,...]:PORT
 *                        TCP on a port of DPDK's (transport/dpdk/spec.h); to connect: ,to=HOST
 *   unix:PATH            a unix stream socket
 *   file:PATH            a file (upstream only)
 *   -                    stdin and stdout
 *
 * ":7533" and ":0" alone mean every local address.
 */
#ifndef TRANSPORT_ENDPOINT_H
#define TRANSPORT_ENDPOINT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#define ENDPOINT_DEFAULT_PORT 7533
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

enum endpoint_kind {
    ENDPOINT_NETWORK, /* an address of a stack's: `via` */
    ENDPOINT_UNIX,
    ENDPOINT_FILE,
    ENDPOINT_STDIO,
};

/* What the user wrote, parsed; nothing is looked up yet. */
struct endpoint {
    enum endpoint_kind kind;
    enum transport_via via; /* of an ENDPOINT_NETWORK */
    bool port_given;
    uint16_t port;
    char text[ENDPOINT_TEXT_BYTES]; /* as written */
    char name[ENDPOINT_TEXT_BYTES]; /* host or interface without brackets, or the path, or the
                                       device */
    struct sockaddr_storage source; /* from=; AF_UNSPEC: not given */
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
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
        struct sockaddr_storage storage;
    };
};

/*
 * Parses `text`. Returns false and writes one sentence to why[0..why_bytes): what was wrong and
 * what was expected.
 */
bool endpoint_parse(const char *text, struct endpoint *endpoint, char *why, size_t why_bytes);

/*
 * Looks up the addresses of a TCP or unix endpoint: an interface's (all of them, link-local ones
 * with their scope), or a name's. May block on the name service. Returns how many were written
 * (at most `most`), 0 with one sentence in `why` that names what was tried.
 * `listening`: an interface name is only an address to listen on.
 */
unsigned endpoint_resolve(const struct endpoint *endpoint, bool listening,
                          struct transport_address *addresses, unsigned most, char *why,
                          size_t why_bytes);

/* Is its name that of an interface of this machine? */
bool endpoint_is_interface(const struct endpoint *endpoint);

/* Can its name only be an interface's, which may still appear? */
bool endpoint_may_be_interface(const struct endpoint *endpoint);

struct transport_failure;

/*
 * The interface's addresses to listen on, at most `most`; *count is 0 when it has none. False with
 * *failure: they cannot be read.
 */
bool endpoint_interface_addresses(const struct endpoint *endpoint,
                                  struct transport_address *addresses, unsigned most,
                                  unsigned *count, struct transport_failure *failure);

/* Writes the sentence; always false. For parsers of a part of an endpoint. */
__attribute__((format(printf, 3, 4))) bool endpoint_refuse(char *why, size_t why_bytes,
                                                           const char *format, ...);

/* Is this a network address, which endpoint_resolve() looks up, or a unix socket? */
bool endpoint_is_address(const struct endpoint *endpoint);

/*
 * A sentence about the interface that this endpoint names, for the log, e.g. "ib0 is InfiniBand
 * (IPoIB, MTU 65520)"; false when it names none.
 */
bool endpoint_describe_interface(const struct endpoint *endpoint, char *out, size_t out_bytes);

/* "10.0.0.7:7533", "[fe80::1%ib0]:7533", "rdma:10.0.0.7:7533", "unix:/run/muxd.sock" */
void address_text(const struct transport_address *address, char *out, size_t out_bytes);

/* Two IP addresses: are they the same except for the port? */
bool address_same_ip(const struct transport_address *a, const struct transport_address *b);

/* Loopback or unix: not reachable from another machine. */
bool address_is_local(const struct transport_address *address);

#endif
