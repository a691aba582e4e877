/* Old runs go. */
#ifndef TOOLS_STORE_PRUNE_H
#define TOOLS_STORE_PRUNE_H

#include "tools/store/store.h"

/* What may stay; a run goes that exceeds one of them. */
struct store_limits {
    uint64_t runs;         /* so many, the newest; UINT64_MAX: any */
    uint64_t bytes;        /* so many in the files of the newest; UINT64_MAX: any */
    int64_t begun_from_us; /* what has begun since then; INT64_MIN: any */
};

struct store_pruned {
    uint64_t runs, bytes;
};

/*
 * Removes runs with their files, each at once: its file first, which makes room where the disk is
 * full. Runs that are being written stay. Tests' names stay, too, since others may just use them;
 * the index keeps its size, and uses what is free for the next runs. False: why; `pruned` says what
 * went before.
 */
bool store_prune(struct store *store, const struct store_limits *limits,
                 struct store_pruned *pruned, char why[STORE_WHY_BYTES]);

#endif
