/*
 * The index of a run that is being written: a thread of its own reads the run's file while it
 * grows, so that its rows can be seen, and who writes never waits for them.
 */
#ifndef TOOLS_STORE_FOLLOWER_H
#define TOOLS_STORE_FOLLOWER_H

#include "tools/store/store.h"

struct follower;

/* From now on the store is the thread's alone; it and the run's file outlive it. NULL: why. */
struct follower *follower_start(struct store *store, const struct store_run *run,
                                char why[STORE_WHY_BYTES]);

/*
 * The file is complete: reads the rest, and ends the run. The store is the caller's again. False:
 * why; the next who opens the store reads the rest. Frees the follower.
 */
bool follower_finish(struct follower *follower, char why[STORE_WHY_BYTES]);

#endif
