/* What mux run takes from earlier runs in the store. Blocks for the disk. */
#ifndef TOOLS_MUX_RUN_PAST_H
#define TOOLS_MUX_RUN_PAST_H

#include "tools/farm/run.h"
#include "tools/farm/selection.h"
#include "tools/mux/run_options.h"

/*
 * Fills `past` for all ids; `words` has texts of it, and outlives it. Returns of how many runs, at
 * most, something is known; 0: nothing.
 */
unsigned run_past_recall(const struct run_options *options, const struct ids *ids,
                         struct run_past *past, struct strings *words);

/* --failing: the tests that failed, or never ended, in this run. False after a sentence on stderr.
 */
bool run_past_failing(const struct run_options *options, const char *name, struct ids *ids);

/* --replay, --analyze-isolation: what the slots of that run did. False after a sentence on stderr.
 */
bool run_past_jobs(const struct run_options *options, const char *name, struct past_jobs *jobs);

/* --load-list: a line each. False after a sentence on stderr. */
bool run_past_load_list(const char *path, struct ids *ids);

/* --include-list, --exclude-list: gives each expression of the file to `add`. False: why. */
bool run_past_patterns(const char *path, struct selection *selection,
                       bool (*add)(struct selection *selection, const char *regex, char *why),
                       char why[SELECTION_WHY_BYTES]);

#endif
