/*
 * What the sink believes: nothing. Every packet's framing, fields, CRC, route and place in its
 * worker's stream; in the end that every worker's stream is whole. Uses no line of libmux.
 */
#ifndef BENCH_CHECK_H
#define BENCH_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/packet.h"

struct check {
    enum framing framing;
    uint32_t workers;
    uint32_t cycle;
    const char *prefix; /* of all route codes; "" where one muxd gives them */
    struct check_worker *worker;
    bool *place_taken; /* by which route a place in the cycle was begun: each only once */
    uint32_t ended;    /* workers whose last packet came */
    uint64_t packets;  /* without each worker's last one */
    uint64_t bytes;
    uint64_t *latency; /* histogram */
    bool timed;        /* packets carry the time they were sent at */
    char error[512];
};

void check_init(struct check *check, enum framing framing, uint32_t packet_bytes, uint32_t workers,
                const char *prefix, bool timed);

/*
 * Takes whole packets (messages, records) out of `data` and returns how many bytes it took;
 * `connection` is the worker where a connection is a worker's. -1: check->error says why.
 */
int64_t check_take(struct check *check, const uint8_t *data, size_t len, uint32_t connection);

/* Nanoseconds that `share` (0.5, 0.99) of the packets took at most. */
uint64_t check_latency(const struct check *check, double share);

#endif
