#include "tools/farm/plan/plan_internal.h"

#include <assert.h>

#define BIT(state) (1u << (state))

static const unsigned run_follows[] = {
    [PLAN_RUN_WAITS] = BIT(PLAN_RUN_OUT) | BIT(PLAN_RUN_GIVEN_UP),
    [PLAN_RUN_OUT] = BIT(PLAN_RUN_BEGUN) | BIT(PLAN_RUN_ENDED) | BIT(PLAN_RUN_WAITS) |
                     BIT(PLAN_RUN_DONE) | BIT(PLAN_RUN_GIVEN_UP),
    [PLAN_RUN_BEGUN] =
        BIT(PLAN_RUN_ENDED) | BIT(PLAN_RUN_WAITS) | BIT(PLAN_RUN_DONE) | BIT(PLAN_RUN_GIVEN_UP),
    [PLAN_RUN_ENDED] = BIT(PLAN_RUN_DONE) | BIT(PLAN_RUN_WAITS),
    [PLAN_RUN_DONE] = BIT(PLAN_RUN_WAITS),
    [PLAN_RUN_GIVEN_UP] = BIT(PLAN_RUN_WAITS) | BIT(PLAN_RUN_ENDED), /* late */
};

void plan_run_set(struct plan *plan, uint32_t run, enum plan_run_state state) {
    struct plan_run *changed = &plan->runs[run];
    assert(run_follows[changed->state] & BIT(state));
    plan->totals.missing -= state == PLAN_RUN_ENDED && changed->state == PLAN_RUN_GIVEN_UP;
    changed->state = (uint8_t)state;
    plan->totals.done += state == PLAN_RUN_DONE;
    plan->totals.missing += state == PLAN_RUN_GIVEN_UP;
}

static void count_up(uint8_t *count) {
    if (*count < UINT8_MAX)
        (*count)++;
}

static bool is_failure(enum plan_verdict verdict) {
    return verdict == PLAN_FAIL || verdict == PLAN_UXSUCCESS;
}

static enum plan_outcome failed_outcome(const struct plan *plan, const struct plan_subject *test) {
    if (test->deaths >= PLAN_MOST_DEATHS)
        return PLAN_KILLER;
    if (test->is_final || plan->state == PLAN_OVER)
        return !test->is_final && test->passes > 0 ? PLAN_FLAKY : PLAN_FAILED;
    return test->passes > 0 ? PLAN_FLAKY : PLAN_PENDING;
}

static enum plan_outcome outcome(const struct plan *plan, const struct plan_subject *test) {
    if (test->fails > 0)
        return failed_outcome(plan, test);
    if (test->passes > 0)
        return PLAN_PASSED;
    if (test->skips > 0)
        return PLAN_SKIPPED;
    return plan->state == PLAN_OVER ? PLAN_NEVER : PLAN_PENDING;
}

void plan_set_outcome(struct plan *plan, uint32_t number) {
    struct plan_subject *test = &plan->subjects[number];
    enum plan_outcome becomes = outcome(plan, test);
    plan->totals.outcomes[test->outcome]--;
    plan->totals.outcomes[becomes]++;
    test->outcome = (uint8_t)becomes;
}

void plan_count_failure(struct plan *plan) {
    plan->failed++;
    if (plan->config.until_failure)
        plan_stop(plan, PLAN_WHY_FAILURE);
    else if (plan->config.maxfail > 0 && plan->failed >= plan->config.maxfail)
        plan_stop(plan, PLAN_WHY_MAXFAIL);
}

/* A try of this run failed; behind the last one the test did. */
static void fail(struct plan *plan, struct plan_run *run, bool is_final) {
    struct plan_subject *test = &plan->subjects[run->test];
    test->fails++;
    count_up(&run->tries);
    if (!is_final || test->is_final)
        return;
    test->is_final = true;
    plan_count_failure(plan);
}

bool plan_run_tries_again(const struct plan *plan, uint32_t number) {
    const struct plan_run *run = &plan->runs[number];
    return is_failure(run->verdict) && run->tries <= plan->config.retry;
}

static bool is_last_try(const struct plan *plan, const struct plan_run *run) {
    return run->tries >= plan->config.retry;
}

void plan_run_take_verdict(struct plan *plan, uint32_t number, enum plan_verdict verdict) {
    struct plan_run *run = &plan->runs[number];
    struct plan_subject *test = &plan->subjects[run->test];
    bool is_second = run->state == PLAN_RUN_ENDED;
    if (is_second && (is_failure(run->verdict) || !is_failure(verdict)))
        return;
    if (is_second)
        *(run->verdict == PLAN_SKIP ? &test->skips : &test->passes) -= 1;
    else
        plan_run_set(plan, number, PLAN_RUN_ENDED);
    run->verdict = (uint8_t)verdict;
    if (is_failure(verdict))
        fail(plan, run, is_last_try(plan, run));
    else
        *(verdict == PLAN_SKIP ? &test->skips : &test->passes) += 1;
    plan_set_outcome(plan, run->test);
}

/*
 * The first time it is tried again even without `retry`, to tell a killer from a victim; that it
 * failed stays.
 */
bool plan_run_died(struct plan *plan, uint32_t number) {
    struct plan_run *run = &plan->runs[number];
    struct plan_subject *test = &plan->subjects[run->test];
    count_up(&test->deaths);
    plan->totals.deaths++;
    fail(plan, run, test->deaths >= PLAN_MOST_DEATHS || is_last_try(plan, run));
    plan_set_outcome(plan, run->test);
    return test->deaths < PLAN_MOST_DEATHS;
}

bool plan_run_lost(struct plan *plan, uint32_t number) {
    struct plan_subject *test = &plan->subjects[plan->runs[number].test];
    count_up(&test->losses);
    return test->losses < PLAN_MOST_LOSSES;
}

bool plan_run_ignored(struct plan *plan, uint32_t number) {
    struct plan_run *run = &plan->runs[number];
    count_up(&run->ignored);
    count_up(&plan->subjects[run->test].ignored);
    return run->ignored < PLAN_MOST_IGNORED;
}

/* One that failed and will not get its other try failed for good. */
void plan_run_give_up(struct plan *plan, uint32_t number, enum plan_cause cause) {
    struct plan_run *run = &plan->runs[number];
    struct plan_subject *test = &plan->subjects[run->test];
    plan_run_set(plan, number, PLAN_RUN_GIVEN_UP);
    test->cause = (uint8_t)cause;
    if (run->tries == 0 || test->is_final)
        return;
    test->is_final = true;
    plan_count_failure(plan);
    plan_set_outcome(plan, run->test);
}
