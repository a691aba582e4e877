/* The streams that cost.c measures. */
#ifndef TESTS_FUZZ_COST_STREAMS_H
#define TESTS_FUZZ_COST_STREAMS_H

#include "tests/fuzz/fuzz.h"

struct stream {
    const char *name;
    void (*make)(struct bytes *stream); /* appends a piece of it */
    size_t receive_bytes;               /* how it comes */
};

/* The first is what the others are held against; a name of NULL ends them. */
extern const struct stream cost_streams[];

#endif
