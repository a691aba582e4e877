/*
 * What has been seen of a run, for all who show it (run_view.h): counts and times of results as
 * they come, the failures, which of their texts came before.
 */
#ifndef TOOLS_FARM_RUN_SEEN_H
#define TOOLS_FARM_RUN_SEEN_H

#include "tools/farm/run.h"

/* Failures that are kept, the last ones: more than anybody looks through. */
#define RUN_SEEN_FAILURES_MAX 256

/* Of an id, clean, its end. */
#define RUN_SEEN_ID_BYTES 192

struct run_seen_failure {
    char id[RUN_SEEN_ID_BYTES];
    enum mux_status status;
    uint64_t took_ns; /* UINT64_MAX: not known */
    int slot;         /* -1: none */
    bool is_stranger; /* nobody announced it */
};

/* Texts that are told apart; later ones are taken for new. */
#define RUN_SEEN_TEXTS_MAX 1024

struct run_seen {
    const struct run *run;
    bool is_planned;
    unsigned past_runs; /* that the order was made from; 0: there were none */
    uint32_t known;     /* tests of which they know the time */
    uint64_t begun_ns, planned_ns;
    uint64_t busy_ns;                 /* of all tests */
    uint64_t passed, failed, skipped; /* results, as they come */
    uint64_t *took_ns;                /* by test; 0: not known. NULL: no memory for it */
    uint64_t failures;                /* in all: the last is failure[(failures - 1) % MAX] */
    struct run_seen_failure failure[RUN_SEEN_FAILURES_MAX];
    struct run_seen_text {
        uint64_t hash; /* 0: free */
        unsigned count;
    } texts[RUN_SEEN_TEXTS_MAX];
};

/* The run outlives it. NULL: out of memory. */
struct run_seen *run_seen_open(const struct run *run, uint64_t now_ns);

/* NULL is fine. */
void run_seen_close(struct run_seen *seen);

void run_seen_planned(struct run_seen *seen, unsigned past_runs, uint64_t now_ns);

/* Returns how often this text of a failure came before. */
unsigned run_seen_ended(struct run_seen *seen, const struct run_ended *ended);

/* Those that are kept, the oldest first; NULL: there are no more. */
const struct run_seen_failure *run_seen_failure(const struct run_seen *seen, uint64_t index);

/* How long the run still takes; UINT64_MAX: too few tests are known for a guess. */
uint64_t run_seen_left_ns(const struct run_seen *seen, uint64_t now_ns);

/* The test is not as in earlier runs: it was well in the last of them. */
bool run_seen_is_new(const struct run *run, uint32_t test);

#endif
