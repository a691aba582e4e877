/*
 * Where answers go: to the station that a peer's last segment came from. lwIP's own tables have ten
 * entries in Debian's build, fewer than a farm has machines; they are used only for peers that are
 * not in this one. Pure.
 */
#ifndef TRANSPORT_DPDK_NEIGHBOR_H
#define TRANSPORT_DPDK_NEIGHBOR_H

#include "transport/dpdk/spec.h"
#include <time.h>

/* A power of two. Of two peers with the same entry the last one has it. */
#define NEIGHBORS 4096

/* How long an entry is valid after its last segment. */
#define NEIGHBOR_SEC 60

struct neighbor {
    uint8_t address[16]; /* IPv4: the first four bytes, the others 0 */
    uint8_t mac[DPDK_MAC_BYTES];
    time_t until_sec; /* 0: never */
};

struct neighbors {
    struct neighbor of[NEIGHBORS];
};

/* Addresses have 4 or 16 bytes. */
void dpdk_neighbor_learn(struct neighbors *neighbors, const void *address, size_t len,
                         const uint8_t mac[DPDK_MAC_BYTES], time_t now_sec);

/* NULL: no recent segment from it. */
const uint8_t *dpdk_neighbor_mac(const struct neighbors *neighbors, const void *address, size_t len,
                                 time_t now_sec);

/* FNV-1a: not against a peer that chooses its address; it can only displace another's entry. */
#define HASH_START 0xcbf29ce484222325u
uint64_t dpdk_hash_bytes(uint64_t state, const void *data, size_t len);

#endif
