/* The streams that core.c measures. */
#ifndef BENCH_CORE_STREAMS_H
#define BENCH_CORE_STREAMS_H

#include "mux/packet/packet.h"

/* What a worker sends: packets back to back. */
struct stream {
    uint8_t *bytes;
    size_t len_bytes;
    unsigned packets;
};

/* Which packets: see streams.c. */
struct stream_kind {
    const char *name;
    const char *route; /* NULL: none */
    /* The nth packet of a worker's stream. Its spans are good until the next call. */
    void (*packet)(unsigned worker, unsigned n, struct mux_packet *packet);
};

/* A name of NULL ends them. */
extern const struct stream_kind stream_kinds[];

/* A worker's stream of so many packets; the caller frees its bytes. */
struct stream stream_make(const struct stream_kind *kind, unsigned worker, unsigned packets);

#endif
