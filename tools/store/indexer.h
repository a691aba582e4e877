/*
 * Reads a run's file into the index: from where the index ends, as far as the file goes now. It is
 * its own queue: whoever appends to the file never waits for the index, and after any crash the
 * index goes on from the offset that was committed with its rows. Blocks; for a thread or process
 * of its own beside what is live.
 */
#ifndef TOOLS_STORE_INDEXER_H
#define TOOLS_STORE_INDEXER_H

#include "tools/store/store.h"

/* Results in one transaction: more do not make it quicker, and readers wait for no longer. */
#define STORE_BATCH_ROWS 10000

struct store_indexer;

/* The store outlives it. NULL: why. */
struct store_indexer *store_indexer_create(struct store *store, const struct store_run *run,
                                           char why[STORE_WHY_BYTES]);

/*
 * What the file has now. False: why; the index has whole batches, and another indexer can go on
 * from there. This one can only be freed.
 */
bool store_indexer_read(struct store_indexer *indexer, char why[STORE_WHY_BYTES]);

/* The run is over: reads the rest, and stores tests that have not ended as such. */
bool store_indexer_finish(struct store_indexer *indexer, char why[STORE_WHY_BYTES]);

/* NULL is fine. */
void store_indexer_free(struct store_indexer *indexer);

#endif
