/* --replay: the jobs of an earlier run, as the plan takes them. */
#include "tools/farm/run_internal.h"

#include <stdlib.h>

bool run_replay_takes(const struct run *run, struct mux_span id) {
    return !run->config.replay || ids_find(&run->config.replay->tests, id) != IDS_NONE;
}

/* The plan's number of a test that was begun then; PLAN_NONE: it does not run here. */
static uint32_t place_of(const struct run *run, const struct past_begin *begin) {
    uint32_t number = ids_find(&run->ids, ids_text(&run->config.replay->tests, begin->test));
    return number == IDS_NONE ? PLAN_NONE : run->places[number];
}

/* Jobs and runners that have the same number follow one another. */
static void add_test(struct plan_config *config, struct plan_replay *jobs, uint32_t *tests,
                     const struct past_begin *begin, const struct past_begin *before,
                     uint32_t place) {
    bool is_new_slot = !before || before->slot != begin->slot;
    uint32_t at = 0;
    if (config->replay_count > 0)
        at = jobs[config->replay_count - 1].first + jobs[config->replay_count - 1].count;
    if (is_new_slot || before->job != begin->job)
        jobs[config->replay_count++] = (struct plan_replay){
            .slot = begin->slot,
            .first = at,
            .is_fresh = !is_new_slot && before->runner != begin->runner,
        };
    tests[at] = place;
    jobs[config->replay_count - 1].count++;
}

static void tell(struct run *run, const struct plan_config *config) {
    const struct past_jobs *past = run->config.replay;
    uint32_t gone = 0, fewer = 0;
    for (uint32_t i = 0; i < past->tests.count; i++)
        gone += ids_find(&run->ids, ids_text(&past->tests, i)) == IDS_NONE;
    fewer = run->ids.count - (past->tests.count - gone);
    if (gone)
        run_say(run, "%u of the run's %u tests are not in the list any more", gone,
                past->tests.count);
    if (fewer)
        run_say(run, "%u tests of the list did not run then: they do not run now", fewer);
    if (past->slot_count > config->slots)
        run_say(run, "that run had %u slots, and here are %u: each goes on with what another had",
                past->slot_count, config->slots);
}

bool run_replay_fill(struct run *run, struct plan_config *config) {
    const struct past_jobs *past = run->config.replay;
    const struct past_begin *before = NULL;
    struct plan_replay *jobs = calloc(past->count + 1, sizeof *jobs);
    uint32_t *tests = calloc(past->count + 1, sizeof *tests);
    config->replay = jobs;
    config->replay_tests = tests;
    for (uint32_t i = 0; jobs && tests && i < past->count; i++) {
        uint32_t place = place_of(run, &past->begins[i]);
        if (place == PLAN_NONE)
            continue;
        add_test(config, jobs, tests, &past->begins[i], before, place);
        before = &past->begins[i];
    }
    if (jobs && tests)
        tell(run, config);
    return jobs && tests;
}

void run_replay_free(struct plan_config *config) {
    free((void *)config->replay);
    free((void *)config->replay_tests);
}
