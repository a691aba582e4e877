/* The streams that core.c measures. */
#ifndef BENCH_CORE_STREAMS_H
#define BENCH_CORE_STREAMS_H

#include "mux/packet/packet.h"

/* A worker's stream: packets back to back. */
struct stream {
    uint8_t *bytes;
    size_t len_bytes;
    unsigned packets;
};

/* The kinds of packets: see streams.c. */
struct stream_kind {
    const char *name;
    const char *route; /* NULL: none */
    /* The nth packet of a worker's stream. Its spans are valid until the next call. */
    void (*packet)(unsigned worker, unsigned n, struct mux_packet *packet);
};

/* A name of NULL ends the list. */
extern const struct stream_kind stream_kinds[];

/* A worker's stream of `packets` packets; the caller frees its bytes. */
struct stream stream_make(const struct stream_kind *kind, unsigned worker, unsigned packets);

#endif
