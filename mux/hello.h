/*
 * What nodes say to each other: ordinary packets without test id and route.
 *
 * The hello, file "muxd.hello": the first packet on a node link, by which a node is told from a
 * worker; the other side answers with its own. Its content is lines of KEY=VALUE: version, identity
 * (new for each start of a node) and name. Unknown keys are for later versions.
 *
 * The goodbye, file "muxd.goodbye", empty: the last packet of a node that has ended in order.
 */
#ifndef MUX_HELLO_H
#define MUX_HELLO_H

#include "mux/packet.h"

#define MUX_HELLO_VERSION 1
#define MUX_HELLO_PACKET_BYTES 512

/* With their NULs. */
#define MUX_IDENTITY_BYTES 33
#define MUX_NODE_NAME_BYTES 65

struct mux_hello {
    uint32_t version;
    char identity[MUX_IDENTITY_BYTES]; /* hexadecimal digits */
    char name[MUX_NODE_NAME_BYTES];    /* printable ASCII */
};

/* Sets version, identity and name; what a name must not have becomes '_'. */
void mux_hello_init(struct mux_hello *hello, const char *identity, const char *name);

/* Writes the packet; returns its length. */
size_t mux_hello_write(const struct mux_hello *hello, uint8_t out[MUX_HELLO_PACKET_BYTES]);

/* Is this packet a hello, fine or not? */
bool mux_hello_is(const struct mux_packet *packet);

/* Reads it. NULL, or one clause that says why it cannot be understood. */
const char *mux_hello_read(const struct mux_packet *packet, struct mux_hello *hello);

/* Writes the goodbye; returns its length. */
size_t mux_goodbye_write(uint8_t out[MUX_HELLO_PACKET_BYTES]);
bool mux_goodbye_is(const struct mux_packet *packet);

#endif
