/*
 * What the index knows of runs and tests. Each call gives its rows to a function, one by one, in
 * the order that it says; texts are good until that returns. False from the function ends the call.
 * A call holds no lock longer than it takes: readers do not wait for a writer, nor it for them.
 */
#ifndef TOOLS_STORE_QUERY_H
#define TOOLS_STORE_QUERY_H

#include "mux/packet/packet.h"
#include "tools/store/store.h"

/* A time that is not known. */
#define STORE_NO_TIME INT64_MIN

/* Statuses are those of the wire (enum mux_status), and two more that a run has when it is over. */
enum {
    STORE_STATUS_FLAKY = MUX_STATUS_XFAIL + 1, /* it passed, and had failed before in this run */
    STORE_STATUS_RETRIED, /* it failed, and ran again in this run: what came of that counts */
    STORE_STATUSES,
};

struct store_run_row {
    struct store_run run;
    const char *source;
    int64_t ended_us; /* since 1970; STORE_NO_TIME: it has not ended, or nobody saw it */
    enum store_verdict verdict;
    int exit_status; /* of who ran it; or STORE_NO_EXIT */
    int64_t new_bad; /* tests that are no good, and were in the run before of the same source; -1:
                        there is none */
    uint64_t counts[STORE_STATUSES];
    uint64_t damages;
};

/* A result that is no good: it failed, passed against expectation, or did not end. */
bool store_is_bad(unsigned status);

uint64_t store_run_bad(const struct store_run_row *row);
/* Results, each test once that was tried again. */
uint64_t store_run_tests(const struct store_run_row *row);

struct store_result_row {
    struct store_run run;
    int64_t id; /* in the run */
    const char *test, *route;
    unsigned status; /* MUX_STATUS_INPROGRESS: it has not ended */
    int64_t begun_us, took_us;
    /* Of STORE_FAILURES, when the run is over: the first of the runs in a row in which it was no
     * good; id 0: that is not known; this run's: it is new. uuid "": that run is there no more. */
    struct store_run since;
};

struct store_attachment_row {
    const char *name, *mime; /* mime NULL: none */
    int64_t at, len;         /* in the run's file */
};

/* A test in two runs; MUX_STATUS_NONE: it is not there. */
struct store_change_row {
    const char *test;
    unsigned before, after;
    int64_t took_before_us, took_after_us;
};

/* A slot of a run: what came under its route. */
struct store_slot_row {
    const char *route;
    uint64_t results;
    int64_t busy_us; /* the sum of their times */
    int64_t span_us; /* of the run, from its first test's begin to its last one's end */
};

enum store_which {
    STORE_FAILURES, /* as they came */
    STORE_SLOWEST,  /* of those that took any time; the slowest first */
    STORE_ALL,      /* by name */
    STORE_BY_SLOT,  /* route by route, each in the order in which its tests began: the jobs */
};

typedef bool store_run_seen(void *user, const struct store_run_row *row);
typedef bool store_result_seen(void *user, const struct store_result_row *row);
typedef bool store_attachment_seen(void *user, const struct store_attachment_row *row);
typedef bool store_test_seen(void *user, const char *test);
typedef bool store_slot_seen(void *user, const struct store_slot_row *row);
typedef bool store_change_seen(void *user, const struct store_change_row *row);

/* The newest first; of one run alone when `run` is not 0. */
bool store_runs(struct store *store, int64_t run, unsigned most, store_run_seen *seen, void *user,
                char why[STORE_WHY_BYTES]);

bool store_results(struct store *store, const struct store_run *run, enum store_which which,
                   unsigned most, store_result_seen *seen, void *user, char why[STORE_WHY_BYTES]);

/* Every test id that a run has had, in no order. */
bool store_tests(struct store *store, store_test_seen *seen, void *user, char why[STORE_WHY_BYTES]);

/* Of one test in all runs, the newest first. */
bool store_history(struct store *store, const char *test, unsigned most, store_result_seen *seen,
                   void *user, char why[STORE_WHY_BYTES]);

/* Of one result, in the order of the stream. */
bool store_attachments(struct store *store, const struct store_run *run, int64_t result,
                       store_attachment_seen *seen, void *user, char why[STORE_WHY_BYTES]);

/* By route, the shortest first. */
bool store_slots(struct store *store, const struct store_run *run, store_slot_seen *seen,
                 void *user, char why[STORE_WHY_BYTES]);

/* By name. Of a test with several results in a run the worst counts, but for those retried. */
bool store_changes(struct store *store, const struct store_run *before,
                   const struct store_run *after, store_change_seen *seen, void *user,
                   char why[STORE_WHY_BYTES]);

#endif
