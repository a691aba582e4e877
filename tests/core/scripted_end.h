/*
 * The end of a tree of nodes, by script, for tests of what is below: it opens streams, takes their
 * bundles apart, and acknowledges when it is told to. Streams are never forgotten.
 */
#ifndef TESTS_CORE_SCRIPTED_END_H
#define TESTS_CORE_SCRIPTED_END_H

#include "mux/node/known.h"

#define SCRIPTED_PATH_BYTES 256

struct scripted_stream {
    struct mux_known known;
    bool is_acked; /* since something of it has changed */
    bool is_live;  /* no `lost` has come since its last `where` */
    unsigned wheres;
    char path[SCRIPTED_PATH_BYTES], pin[SCRIPTED_PATH_BYTES];
};

struct scripted_end {
    struct scripted_stream *streams;
    unsigned count;
    bool may_miss;                      /* what a leaf says is lost */
    unsigned duplicates, gaps, unknown; /* bundles that were not taken */
    void *user;
    /* Goes down. */
    void (*down)(void *user, struct mux_span bytes);
    /* A packet of a stream; its route has the stream's pin in front. */
    void (*packet)(void *user, const struct scripted_stream *stream,
                   const struct mux_packet *packet);
};

void scripted_end_fini(struct scripted_end *end);

/* A whole packet has come up. False: it is no message of a stream. */
bool scripted_end_take(struct scripted_end *end, struct mux_span bytes);

/* Its sink has all of a stream up to there; acknowledges it. */
void scripted_end_ack(struct scripted_end *end, struct scripted_stream *stream, uint64_t safe);

#endif
