/* What mux show finds by reading a run once more: its slots, and tests that never ran. */
#ifndef TOOLS_MUX_SHOW_MORE_H
#define TOOLS_MUX_SHOW_MORE_H

#include "tools/store/query.h"

/* A line a slot: its results, the time that they took, and the share of the run that it was idle.
 */
bool show_slots(struct store *store, const struct store_run *run, bool json,
                char why[STORE_WHY_BYTES]);

/*
 * The ids that the run's stream announces and no result has, each once, in the order of the stream.
 * Where some are announced under no route code these alone count: who ran it says what was to run,
 * and the list of a runner may have more.
 * `stream` is the run's file, at its beginning.
 */
bool show_never_ran(int stream, bool json, char why[STORE_WHY_BYTES]);

#endif
