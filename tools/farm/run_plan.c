/* From the list to the plan: what runs here, what is known of it, what stays together. */
#include "tools/farm/run_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What starting a runner costs, before the plan has measured it: one that stays alive answers a
 * batch within a millisecond, python with a suite takes two tenths of a second. */
#define SERVE_COST_NS 1000000
#define START_COST_NS 200000000

/*
 * ---- what runs here ----
 */

/* With a line's end in it, for a command that takes an id a line: other tests would run. */
static bool is_unfit(const struct run *run, struct mux_span id) {
    enum runner_ids how = run->config.runner->ids;
    bool is_by_lines = !run_serves(run) && (how == RUNNER_IDS_FILE || how == RUNNER_IDS_STDIN);
    return is_by_lines && (memchr(id.data, '\n', id.len) || memchr(id.data, '\r', id.len));
}

static void tell_selected(struct run *run, uint32_t gave_up) {
    if (gave_up)
        run_say(run, "%u ids were too much for a regular expression: these tests do not run",
                gave_up);
    if (run->repeated)
        run_say(run, "the list repeats ids (%u in all): each is one test here", run->repeated);
    if (run->unfit_count)
        run_say(
            run,
            "%u test%s left out: a line's end is in %s id, and the runner %s takes an id a line",
            run->unfit_count, run->unfit_count == 1 ? " is" : "s are",
            run->unfit_count == 1 ? "its" : "each", run->config.runner->name);
}

static bool select_tests(struct run *run) {
    uint32_t count = run->ids.count, gave_up = 0;
    run->selected = malloc((count + 1) * sizeof *run->selected);
    run->places = malloc((count + 1) * sizeof *run->places);
    if (!run->selected || !run->places)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        enum selection_result result =
            selection_takes(run->config.selection, ids_text(&run->ids, i));
        if (!run_replay_takes(run, ids_text(&run->ids, i)))
            result = SELECTION_NO;
        gave_up += result == SELECTION_FAILED;
        if (result == SELECTION_YES && is_unfit(run, ids_text(&run->ids, i))) {
            run->unfit_count++;
            result = SELECTION_NO;
        }
        run->places[i] = result == SELECTION_YES ? run->selected_count : PLAN_NONE;
        if (result == SELECTION_YES)
            run->selected[run->selected_count++] = i;
    }
    tell_selected(run, gave_up);
    return true;
}

/*
 * ---- what stays together ----
 */

/* By the list's tags. */
static void set_tagged_groups(const struct run *run, struct plan_test *tests) {
    for (uint32_t i = 0; i < run->selected_count; i++) {
        uint32_t number = run->selected[i];
        uint32_t group = number < run->group_room ? run->group_of[number] : 0;
        if (!group)
            continue;
        struct mux_span name = ids_text(&run->groups, group - 1);
        tests[i].group = (const char *)name.data;
        tests[i].group_len = name.len;
    }
}

/* The names lie in the ids, which stay as they are from now on. */
static void set_groups(struct run *run, struct plan_test *tests) {
    const struct grouping *grouping =
        run->config.grouping ? run->config.grouping : &run->config.runner->grouping;
    uint32_t gave_up = 0;
    for (uint32_t i = 0; i < run->selected_count; i++) {
        struct mux_span group;
        struct mux_span id = ids_text(&run->ids, run->selected[i]);
        enum pattern_result result = grouping_of(grouping, id, &group);
        gave_up += result == PATTERN_FAILED;
        if (result != PATTERN_YES)
            continue;
        tests[i].group = (const char *)group.data;
        tests[i].group_len = group.len;
    }
    if (gave_up)
        run_say(run, "%u ids were too much for the expression of groups: each is alone", gave_up);
}

/*
 * ---- what they need ----
 */

static void tell_needs(struct run *run, uint32_t gave_up) {
    const char *unused;
    for (unsigned i = 0; (unused = needs_unused(run->config.needs, &i)) != NULL; i++)
        run_say(run, "%s: no test here needs %s", NEEDS_FILE, unused);
    if (gave_up)
        run_say(run, "%u ids were too much for an expression of %s: it counts as not found there",
                gave_up, NEEDS_FILE);
}

static void set_needs(struct run *run, struct plan_test *tests) {
    uint32_t gave_up = 0;
    for (uint32_t i = 0; i < run->selected_count; i++) {
        uint32_t number = run->selected[i];
        struct need need = number < run->needs_room ? run->needs[number] : (struct need){0};
        gave_up += !needs_of_id(run->config.needs, ids_text(&run->ids, number), &need);
        tests[i].tokens = need.tokens;
        tests[i].flags |= need.exclusive ? PLAN_EXCLUSIVE : 0;
    }
    if (!run->plan) /* the first */
        tell_needs(run, gave_up);
}

/* They run alone, so that nothing else is in their times, and so often. */
static void set_perf(const struct run *run, struct plan_test *tests) {
    for (uint32_t i = 0; run->config.perf && i < run->selected_count; i++) {
        if (!run_is_perf(run, run->selected[i]))
            continue;
        tests[i].flags |= PLAN_EXCLUSIVE;
        tests[i].repeat = run->config.perf_runs;
    }
}

/*
 * ---- the plan ----
 */

static void describe(const struct run *run, struct plan_test *tests) {
    for (uint32_t i = 0; i < run->selected_count; i++) {
        uint32_t number = run->selected[i];
        struct mux_span id = ids_text(&run->ids, number);
        const struct run_past *past = &run->past[number];
        tests[i] = (struct plan_test){
            .id = (const char *)id.data,
            .id_len = id.len,
            .duration_ns = past->usual_ns ? past->usual_ns : PLAN_UNKNOWN_NS,
            .flags = past->has_failed ? PLAN_FAILED_LAST : 0,
        };
    }
}

/* False: out of memory. */
static bool fill(struct run *run, struct plan_config *config) {
    if (run->isolate)
        return run_isolate_fill(run, config);
    return !run->config.replay || run_replay_fill(run, config);
}

static struct plan *make_plan(struct run *run) {
    struct plan_test *tests = calloc(run->selected_count + 1, sizeof *tests);
    struct plan_config config = run->config.plan;
    config.job_cost_ns = run_serves(run) ? SERVE_COST_NS : START_COST_NS;
    struct plan *plan = NULL;
    if (!tests)
        return NULL;
    describe(run, tests);
    set_tagged_groups(run, tests);
    set_groups(run, tests);
    set_needs(run, tests);
    set_perf(run, tests);
    config.tokens = needs_tokens(run->config.needs, &config.token_count);
    if (fill(run, &config) && plan_fits(&config, tests, run->selected_count))
        plan = plan_new(&config, tests, run->selected_count);
    run_replay_free(&config);
    free(tests);
    return plan;
}

static bool add_slots(struct run *run) {
    for (unsigned i = 0; i < run->slot_count; i++)
        if (run->slots[i].state != RUN_SLOT_GONE && !plan_slot_came(run->plan, i))
            return false;
    return true;
}

/* Why nothing runs, as far as a count can tell. */
static void explain_nothing(struct run *run) {
    if (run->ids.count == 0)
        snprintf(run->why, sizeof run->why, "the list of tests is empty");
    else if (run->config.isolate)
        snprintf(run->why, sizeof run->why,
                 "none of the %u tests in the list failed in that run, of those that are selected",
                 run->ids.count);
    else if (run->config.replay)
        snprintf(run->why, sizeof run->why,
                 "of %u tests in the list none is among the %u of the run that is to be replayed",
                 run->ids.count, run->config.replay->tests.count);
    else
        snprintf(run->why, sizeof run->why, "of %u tests in the list none was selected",
                 run->ids.count);
}

void run_plan_make(struct run *run, uint64_t now_ns) {
    run->past = calloc(run->ids.count + 1, sizeof *run->past);
    if (!run->past || !select_tests(run)) {
        run_fail(run, "out of memory for the tests");
        return;
    }
    if (run->selected_count == 0)
        explain_nothing(run);
    if (run->selected_count == 0 || run->config.lists_only) {
        run_set_state(run, RUN_ENDS);
        return;
    }
    if (run->config.isolate && !run_isolate_begin(run)) {
        run_fail(run, "out of memory for the tests that are searched");
        return;
    }
    run->config.events->recall(run->config.user, &run->ids, run->past);
    run->plan = make_plan(run);
    if (!run->plan || !add_slots(run)) {
        run_fail(run, "out of memory for the plan, or more than 16000000 runs of tests");
        return;
    }
    run_set_state(run, RUN_WORKS);
    run->config.events->planned(run->config.user);
    run_jobs_give(run, now_ns);
}

void run_plan_again(struct run *run) {
    struct plan *plan = make_plan(run);
    if (!plan) {
        run_fail(run, "out of memory for the plan");
        return;
    }
    plan_free(run->plan);
    run->plan = plan;
    if (!add_slots(run))
        run_fail(run, "out of memory for the plan");
}
