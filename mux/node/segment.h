/*
 * Segments: the names of links, which go in front of route codes. Never reused while the node
 * lives.
 */
#ifndef MUX_SEGMENT_H
#define MUX_SEGMENT_H

#include "mux/node/mux.h"

/* With its NUL: an IPv6 address with a scope, a dot and 20 digits. */
#define MUX_SEGMENT_TEXT_BYTES 96

/*
 * Most hosts that are remembered, so that their second link becomes HOST.1. Bounded, because a
 * hostile network has many addresses; further hosts get HOST.nSERIAL, which is also unique.
 */
#define MUX_SEGMENT_HOSTS 4096

struct mux_segment_host;

struct mux_segments {
    enum mux_segment_by by;
    uint64_t hash_key;
    uint64_t next; /* segments given so far */
    struct mux_segment_host *hosts;
    unsigned host_count;
};

/* False: out of memory. */
bool mux_segments_init(struct mux_segments *segments, enum mux_segment_by by, uint64_t hash_key);
void mux_segments_fini(struct mux_segments *segments);

/* Writes the next segment for a link from `host` to `out`. It never contains '/' or NUL. */
void mux_segments_next(struct mux_segments *segments, const char *host,
                       char out[MUX_SEGMENT_TEXT_BYTES]);

#endif
