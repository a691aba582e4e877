/*
 * What the slots of an earlier run did, as its stream tells: which tests each of them began, in
 * which order, in which jobs, by which runners. For --replay and --analyze-isolation.
 *
 * past_jobs_read() blocks for the disk. The rest is pure. One thread.
 */
#ifndef TOOLS_FARM_PAST_JOBS_H
#define TOOLS_FARM_PAST_JOBS_H

#include "tools/farm/ids.h"

/* A test was begun, there. */
struct past_begin {
    uint32_t test;   /* a number of `tests` */
    uint32_t slot;   /* by the order of their routes */
    uint32_t runner; /* of the slot: it has another number when its process is another one */
    uint32_t job;    /* of the slot */
};

/* Lies in its owner. */
struct past_jobs {
    struct ids tests;
    struct ids slots;          /* routes, as they came */
    uint32_t slot_count;       /* that had tests */
    struct past_begin *begins; /* slot by slot, each in its order */
    uint32_t count, room;
};

/*
 * Reads a run's stream from the descriptor. `hash_key`: random and secret. 0, or an errno value;
 * past_jobs_free() in both cases. A stream of somebody else, whose routes are no slots of agents,
 * has one job for each route.
 */
int past_jobs_read(struct past_jobs *jobs, int fd, uint64_t hash_key);

/* {0} is fine. */
void past_jobs_free(struct past_jobs *jobs);

#endif
