/*
 * What earlier runs know of tests, for who plans the next one (mux run): how long a test takes, how
 * it went. A hint: tests are told apart by 64 bits of a hash of their ids.
 */
#ifndef TOOLS_STORE_PAST_H
#define TOOLS_STORE_PAST_H

#include "mux/packet/packet.h"
#include "tools/store/query.h"

/* Of so many runs a median is worth its name, and follows a test that became slower. */
#define STORE_PAST_RUNS 5

/*
 * So many of the newest runs are looked at, since the last ones may have had a few tests only. Runs
 * that are looked at in vain cost little.
 */
#define STORE_PAST_LOOKED 100

/* Of the newest runs that had the test. A run that it failed in and passed later is flaky. */
struct store_past {
    unsigned runs;              /* STORE_PAST_RUNS at most; 0: it was never seen */
    unsigned bad_runs;          /* in which its last result was a failure, or it did not end */
    unsigned flaky_runs;        /* in which it failed first, and passed in the end */
    enum mux_status last;       /* its last result in the newest of them */
    bool was_flaky;             /* the newest one is flaky */
    int64_t median_us, last_us; /* STORE_NO_TIME: no times are known */
};

/*
 * Fills past[i] for tests[i], for all i < count. The index is read in its order, once for a run, so
 * that 50,000 ids cost a tenth of a second, and a few ids in a large store a millisecond. False:
 * why.
 */
bool store_past_read(struct store *store, const struct mux_span *tests, size_t count,
                     struct store_past *past, char why[STORE_WHY_BYTES]);

#endif
