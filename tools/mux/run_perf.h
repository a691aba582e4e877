/*
 * mux run --perf: the times of tests that run alone, several times, beside those of earlier runs in
 * the store.
 */
#ifndef TOOLS_MUX_RUN_PERF_H
#define TOOLS_MUX_RUN_PERF_H

#include "tools/farm/run.h"
#include "tools/mux/run_options.h"

struct run_perf;

/* NULL: out of memory. The options outlive it. */
struct run_perf *run_perf_open(const struct run_options *options);

/* NULL is fine. */
void run_perf_close(struct run_perf *perf);

/* A test that ended, and whose times are to be judged. */
void run_perf_take(struct run_perf *perf, const struct run_ended *ended);

/*
 * Looks up earlier runs, which blocks for the disk. True: nothing drifted by more than the options
 * allow. Without a store nothing is known of earlier runs: those that began before this time.
 */
bool run_perf_judge(struct run_perf *perf, const struct run *run, int64_t begun_us);

/* A line for each test, on stdout. */
void run_perf_print(const struct run_perf *perf, const struct run *run);

#endif
