/*
 * The tails of texts that wait for their test's outcome: a traceback comes before the failure that
 * it belongs to. Few tests fail at the same time; the oldest text gives way. Pure.
 */
#ifndef TOOLS_RESULTS_TEXTS_H
#define TOOLS_RESULTS_TEXTS_H

#include "mux/buffer.h"

#include <stdbool.h>
#include <stdint.h>

#define TEXTS_MAX 64
#define TEXTS_TAIL_BYTES 2048

struct texts_entry {
    uint64_t hash; /* of route and test id; 0: free */
    uint64_t used; /* when, as a count */
    size_t len;
    uint8_t bytes[TEXTS_TAIL_BYTES];
};

/* Zeroed: empty. */
struct texts {
    struct texts_entry entries[TEXTS_MAX];
    uint64_t uses;
};

/* Adds to the text of this test, of which the last bytes that fit are kept. The hash is not 0. */
void texts_add(struct texts *texts, uint64_t hash, struct mux_span bytes);

/*
 * The text, which is forgotten: good until the next texts_add(). data NULL: there is none.
 */
struct mux_span texts_take(struct texts *texts, uint64_t hash);

#endif
