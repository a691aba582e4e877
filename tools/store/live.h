/*
 * Runs that go on, and where the process that owns them can be reached: a file beside the run's
 * stream, runs/TIME-UUID.live, which that process writes and removes. After kill -9 it stays: then
 * nobody holds the lock of the stream any more, and readers pass over it.
 *
 * Knows no index. Blocks for file operations.
 */
#ifndef TOOLS_STORE_LIVE_H
#define TOOLS_STORE_LIVE_H

#include "tools/store/store.h"

/* Of an endpoint, unix:PATH, with NUL. */
#define STORE_LIVE_PLACE_BYTES 512

struct store_live {
    struct store_run run; /* without its number in the index */
    long pid;
    char control[STORE_LIVE_PLACE_BYTES]; /* the control socket of its node; "": none */
    char screen[STORE_LIVE_PLACE_BYTES];  /* where who comes back to it is shown it; "": nowhere */
};

/* `live->run` is owned by this process, whose pid is taken. False: why. */
bool store_live_write(const char *folder, const struct store_live *live, char why[STORE_WHY_BYTES]);

/* Before the run is given up. */
void store_live_remove(const char *folder, const struct store_run *run);

/*
 * The run that goes on and whose name begins so, or the newest one ("", "last"). Returns how many
 * there are: *live is the newest of them.
 */
unsigned store_live_find(const char *folder, const char *name, struct store_live *live);

#endif
