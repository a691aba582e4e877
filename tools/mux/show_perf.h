/* mux show --perf: tests that ran several times in a run, as mux run --perf runs them. */
#ifndef TOOLS_MUX_SHOW_PERF_H
#define TOOLS_MUX_SHOW_PERF_H

#include "tools/store/query.h"

/* A line a test: its median and spread, and its drift against runs before. False: why. */
bool show_perf(struct store *store, const struct store_run *run, bool json,
               char why[STORE_WHY_BYTES]);

#endif
