/* What mux run was asked to do. */
#ifndef TOOLS_MUX_RUN_OPTIONS_H
#define TOOLS_MUX_RUN_OPTIONS_H

#include "tools/farm/run_view.h"
#include "tools/mux/store_place.h"

#include <stdint.h>

/* Of each option that may be given more than once. */
#define RUN_PATTERNS_MAX 64

/* A list of values of one option. */
struct run_texts {
    const char *texts[RUN_PATTERNS_MAX];
    unsigned count;
};

struct run_options {
    struct store_place place; /* must be the first */
    bool keeps_nothing;
    unsigned slots;
    bool slots_auto; /* unless the runner says how many */
    const char *runner, *group_regex, *dist, *load_list, *replay, *isolate, *perf, *include_list,
        *exclude_list;
    struct run_texts include, exclude, masks, tags;
    bool detaches, debugs, fresh, lists, only_failing, until_failure, is_random, random_given,
        allows_empty;
    uint64_t seed;
    unsigned max_fail, retries, repeats; /* 0: no limit; none; once */
    unsigned nodes, node_number;         /* nodes 0: this one alone; numbers begin with 1 */
    bool hash_by_class, is_undivided;
    uint64_t timeout_ns, test_timeout_ns, idle_timeout_ns, grace_ns; /* 0: none; of grace 5 s */
    unsigned perf_runs, perf_drift; /* percent; 0: nothing is judged */
    unsigned tail_lines;
    enum run_view_how progress;
    char *const *command; /* NULL at the end; may be empty */
};

/* As option_parse(): OPTION_GO_ON, or the exit code. */
int run_options_parse(struct run_options *options, int argc, char **argv);

#endif
