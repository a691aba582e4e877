/* --allow: the networks that may connect. */
#ifndef TOOLS_NODE_ALLOW_H
#define TOOLS_NODE_ALLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ALLOW_MAX 256

struct allow_network {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;       /* 0..128 */
};

struct allow {
    struct allow_network networks[ALLOW_MAX];
    unsigned count; /* 0: everybody */
};

/* Adds "CIDR,CIDR,...". False: one sentence in `why`. */
bool allow_add(struct allow *allow, const char *list, char *why, size_t why_bytes);

/* May this address connect? Unix sockets and pipes always may: their files have permissions. */
bool allow_has(const struct allow *allow, const struct sockaddr_storage *address);

#endif
