/* Names for links: the segments that go in front of route codes. Never reused in a node's life. */
#ifndef MUX_SEGMENT_H
#define MUX_SEGMENT_H

#include "mux/node/mux.h"

/* With its NUL: an IPv6 address with a scope, a dot and 20 digits. */
#define MUX_SEGMENT_TEXT_BYTES 96

/*
 * Hosts that are remembered, so that their second link becomes HOST.1. Bounded, because a hostile
 * network has many addresses; hosts beyond it get HOST.nSERIAL, which is as unique.
 */
#define MUX_SEGMENT_HOSTS 4096

struct mux_segment_host;

struct mux_segments {
    enum mux_segment_by by;
    uint64_t hash_key;
    uint64_t next; /* number of segments given */
    struct mux_segment_host *hosts;
    unsigned host_count;
};

/* False: out of memory. */
bool mux_segments_init(struct mux_segments *segments, enum mux_segment_by by, uint64_t hash_key);
void mux_segments_fini(struct mux_segments *segments);

/* The next segment for a link from `host`, into `out`. Neither '/' nor NUL is ever in it. */
void mux_segments_next(struct mux_segments *segments, const char *host,
                       char out[MUX_SEGMENT_TEXT_BYTES]);

#endif
