/*
 * Times of a test that runs several times in a run: their median and spread, beside those of
 * earlier runs in the store (mux run --perf, mux show --perf).
 */
#ifndef TOOLS_MUX_PERF_TIMES_H
#define TOOLS_MUX_PERF_TIMES_H

#include "tools/store/query.h"

/* Of a run: so many times of a test are looked at, and so few are no median. */
#define PERF_TIMES_MOST 1000
#define PERF_TIMES_LEAST 2

/* Of one test in one run. */
struct perf_times {
    int64_t us[PERF_TIMES_MOST];
    unsigned count;
    unsigned failed;   /* results that are no times */
    int64_t before_us; /* the median of earlier runs' medians; STORE_NO_TIME: there are none */
    unsigned runs_before;
};

/* All members but `us` as at the beginning. */
void perf_times_clear(struct perf_times *times);

void perf_times_add(struct perf_times *times, int64_t us);

/* Sorts them. STORE_NO_TIME: they are too few. */
int64_t perf_times_median(struct perf_times *times);

/* Finds `before_us`: of runs that began before this time. Blocks for the disk. False: why. */
bool perf_times_compare(struct perf_times *times, struct store *store, const char *test,
                        int64_t begun_us, char why[STORE_WHY_BYTES]);

/* By how many percent the median is larger than earlier ones. False: nobody can say. */
bool perf_times_drift(struct perf_times *times, double *percent);

/* "median 60 ms of 5 (58 ms to 64 ms); 51 ms in 3 runs before: +17.6 %", on stdout. */
void perf_times_print(struct perf_times *times);

#endif
