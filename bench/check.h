/*
 * The sink's checks: every packet's framing, fields, CRC, route and place in its worker's stream;
 * at the end that every worker's stream is whole. They use no code of libmux.
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
    const char *prefix; /* of all route codes; "" with one muxd */
    struct check_worker *worker;
    bool *place_taken; /* a worker began at this place of the cycle: each place once */
    uint32_t ended;    /* workers whose last packet arrived */
    uint64_t packets;  /* without each worker's last one */
    uint64_t bytes;
    uint64_t *latency; /* histogram */
    bool timed;        /* packets carry their sending time */
    char error[512];
};

void check_init(struct check *check, enum framing framing, uint32_t packet_bytes, uint32_t workers,
                const char *prefix, bool timed);

/*
 * Takes whole packets (messages, records) out of `data` and returns the number of bytes taken;
 * `connection` is the worker where each worker has a connection. -1: check->error says why.
 */
int64_t check_take(struct check *check, const uint8_t *data, size_t len, uint32_t connection);

/* The latency in ns that `share` (0.5, 0.99) of the packets do not exceed. */
uint64_t check_latency(const struct check *check, double share);

#endif
