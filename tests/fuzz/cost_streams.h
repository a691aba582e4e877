/* The streams that cost.c measures. */
#ifndef TESTS_FUZZ_COST_STREAMS_H
#define TESTS_FUZZ_COST_STREAMS_H

#include "tests/fuzz/fuzz.h"

struct stream {
    const char *name;
    void (*make)(struct bytes *stream); /* appends a piece of it */
    size_t receive_bytes;               /* of each receive */
};

/* The others are compared with the first; a name of NULL ends the list. */
extern const struct stream cost_streams[];

#endif
