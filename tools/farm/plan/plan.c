#include "tools/farm/plan/plan_internal.h"

#include <assert.h>
#include <stdlib.h>

/* Jobs in a row without a word of a test, before it is a crash loop: some, and some of each slot.
 */
enum { FRUITLESS_JOBS = 8, FRUITLESS_JOBS_A_SLOT = 3 };

static const unsigned state_follows[] = {
    [PLAN_RUNS] = 1u << PLAN_STOPS,
    [PLAN_STOPS] = 1u << PLAN_OVER,
    [PLAN_OVER] = 0,
};

static void set_state(struct plan *plan, enum plan_state state) {
    assert(state_follows[plan->state] & 1u << state);
    plan->state = state;
}

static void take_config(struct plan *plan, const struct plan_config *config, size_t count) {
    assert(count <= PLAN_MOST_RUNS && config->token_count <= PLAN_MOST_TOKENS);
    plan->config = *config;
    plan->config.slots = config->slots > 0 ? config->slots : 1;
    plan->config.repeat = config->repeat > 0 ? config->repeat : 1;
    for (unsigned i = 0; i < config->token_count; i++)
        plan->capacity[i] = config->tokens[i] > 0 ? config->tokens[i] : 1;
    for (unsigned i = config->token_count; i < PLAN_MOST_TOKENS; i++)
        plan->capacity[i] = 1;
    plan->subject_count = (uint32_t)count;
    plan->totals.outcomes[PLAN_PENDING] = (uint32_t)count;
    plan->cost_ns = config->job_cost_ns;
    plan->idle_first = plan->idle_last = PLAN_NONE;
}

struct plan *plan_new(const struct plan_config *config, const struct plan_test *tests,
                      size_t count) {
    struct plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return NULL;
    take_config(plan, config, count);
    if (!plan_set_up(plan, tests)) {
        plan_free(plan);
        return NULL;
    }
    plan->config.tokens = NULL;
    plan->config.replay = NULL;
    plan->config.replay_tests = NULL;
    plan_look(plan);
    return plan;
}

void plan_free(struct plan *plan) {
    if (plan == NULL)
        return;
    free(plan->subjects);
    free(plan->runs);
    free(plan->units);
    free(plan->order);
    free(plan->lanes);
    free(plan->homes);
    free(plan->job);
    free(plan->slots);
    free(plan);
}

/* Whatever waits will not run. */
static void finish(struct plan *plan) {
    for (uint32_t run = 0; run < plan->run_count; run++)
        if (plan->runs[run].state == PLAN_RUN_WAITS)
            plan_run_give_up(plan, run, PLAN_CAUSE_STOPPED);
    set_state(plan, PLAN_OVER);
    for (uint32_t test = 0; test < plan->subject_count; test++)
        plan_set_outcome(plan, test);
}

static bool crash_loops(const struct plan *plan) {
    return plan->fruitless >= FRUITLESS_JOBS + FRUITLESS_JOBS_A_SLOT * (plan->idle + plan->busy);
}

/* A round in which nothing ended would be followed by others like it. */
static bool goes_round(const struct plan *plan) {
    return plan->config.until_failure && plan->round_ended;
}

void plan_look(struct plan *plan) {
    if (plan->state == PLAN_RUNS && plan->waiting + plan->busy == 0) {
        if (goes_round(plan))
            plan_begin_round(plan);
        else
            plan_stop(plan, PLAN_WHY_DONE);
    }
    if (plan->state == PLAN_RUNS && crash_loops(plan))
        plan_stop(plan, PLAN_WHY_CRASH_LOOP);
    if (plan->state == PLAN_STOPS && plan->busy == 0)
        finish(plan);
    plan_sane(plan);
}

void plan_stop(struct plan *plan, enum plan_why why) {
    if (plan->state != PLAN_RUNS)
        return;
    set_state(plan, PLAN_STOPS);
    plan->why = why;
    if (plan->busy == 0)
        finish(plan);
}

enum plan_state plan_state(const struct plan *plan) {
    return plan->state;
}

enum plan_why plan_why(const struct plan *plan) {
    return plan->why;
}

struct plan_totals plan_totals(const struct plan *plan) {
    return plan->totals;
}

struct plan_record plan_record(const struct plan *plan, uint32_t test) {
    assert(test < plan->subject_count);
    const struct plan_subject *subject = &plan->subjects[test];
    return (struct plan_record){.outcome = subject->outcome,
                                .cause = subject->cause,
                                .passes = subject->passes,
                                .skips = subject->skips,
                                .fails = subject->fails,
                                .deaths = subject->deaths,
                                .losses = subject->losses,
                                .ignored = subject->ignored};
}

void plan_sane(const struct plan *plan) {
    const struct plan_totals *totals = &plan->totals;
    uint32_t tests = 0;
    for (unsigned i = 0; i < PLAN_OUTCOMES; i++)
        tests += totals->outcomes[i];
    assert(tests == plan->subject_count);
    assert(totals->done + totals->missing <= plan->run_count);
    assert(plan->orphans <= plan->waiting);
    assert(plan->exclusive <= plan->waiting && plan->waiting <= plan->unit_count);
    assert(!plan->alone || plan->busy == 1);
    assert((plan->idle == 0) == (plan->idle_first == PLAN_NONE));
    assert((plan->state == PLAN_RUNS) == (plan->why == PLAN_WHY_NOT));
    if (plan->state == PLAN_OVER) {
        assert(plan->busy == 0 && totals->outcomes[PLAN_PENDING] == 0);
        assert(totals->done + totals->missing == plan->run_count);
    }
}
