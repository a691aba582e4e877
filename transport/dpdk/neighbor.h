/*
 * Where answers go: to the station that a peer's last segment came from. lwIP's own tables have ten
 * entries in Debian's build, fewer than a farm has machines; they are asked for peers that are not
 * here. Pure.
 */
#ifndef TRANSPORT_DPDK_NEIGHBOR_H
#define TRANSPORT_DPDK_NEIGHBOR_H

#include "transport/dpdk/spec.h"
#include <time.h>

/* A power of two. Where two peers fall on one place, the last has it. */
#define NEIGHBORS 4096

/* An entry is good for so long after its last segment. */
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

/* NULL: nothing was heard of it lately. */
const uint8_t *dpdk_neighbor_mac(const struct neighbors *neighbors, const void *address, size_t len,
                                 time_t now_sec);

/* FNV-1a: not against who chooses his address, he only gets at the place of another. */
#define HASH_START 0xcbf29ce484222325u
uint64_t dpdk_hash_bytes(uint64_t state, const void *data, size_t len);

#endif
