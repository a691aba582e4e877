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

#include "transport/address.h"
#include <stdint.h>

#define ENDPOINT_DEFAULT_PORT 7533

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

#endif
