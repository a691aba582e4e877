#include "transport/dpdk/neighbor.h"
#include <string.h>

uint64_t dpdk_hash_bytes(uint64_t state, const void *data, size_t len) {
    for (const uint8_t *byte = data; len > 0; byte++, len--)
        state = (state ^ *byte) * 0x100000001b3u;
    return state;
}

static size_t place_of(const void *address, size_t len) {
    uint64_t hash = dpdk_hash_bytes(HASH_START, address, len);
    return (size_t)((hash ^ hash >> 32) & (NEIGHBORS - 1));
}

void dpdk_neighbor_learn(struct neighbors *neighbors, const void *address, size_t len,
                         const uint8_t mac[DPDK_MAC_BYTES], time_t now_sec) {
    struct neighbor *neighbor = &neighbors->of[place_of(address, len)];
    *neighbor = (struct neighbor){.until_sec = now_sec + NEIGHBOR_SEC};
    memcpy(neighbor->address, address, len);
    memcpy(neighbor->mac, mac, DPDK_MAC_BYTES);
}

const uint8_t *dpdk_neighbor_mac(const struct neighbors *neighbors, const void *address, size_t len,
                                 time_t now_sec) {
    const struct neighbor *neighbor = &neighbors->of[place_of(address, len)];
    uint8_t whole[sizeof neighbor->address] = {0};
    memcpy(whole, address, len);
    bool known =
        now_sec < neighbor->until_sec && memcmp(whole, neighbor->address, sizeof whole) == 0;
    return known ? neighbor->mac : NULL;
}
