/* What slots say of tests. */
#include "tools/farm/plan/plan_internal.h"

#include <assert.h>

/* The run behind this one in a slot's job; behind the last comes the first. */
static uint32_t run_behind(const struct plan *plan, const struct plan_slot *slot, uint32_t run) {
    if (plan->runs[run].next != PLAN_NONE)
        return plan->runs[run].next;
    uint32_t unit = plan->units[plan->runs[run].unit].next;
    return plan->units[unit != PLAN_NONE ? unit : slot->units].first;
}

/* Runners report in the order of the job, or nearly: the search begins where it ended. */
static uint32_t search(const struct plan *plan, struct plan_slot *slot, uint32_t test) {
    uint32_t start = slot->cursor;
    if (start == PLAN_NONE)
        start = plan->units[slot->units].first;
    uint32_t run = start;
    do {
        if (plan->runs[run].test == test) {
            slot->cursor = run;
            return run;
        }
        run = run_behind(plan, slot, run);
    } while (run != start);
    return PLAN_NONE;
}

/* The run of this test in the slot's job, or PLAN_NONE. */
static uint32_t find(const struct plan *plan, unsigned number, uint32_t test) {
    if (!plan_slot_busy(plan, number))
        return PLAN_NONE;
    if (plan->run_count > plan->subject_count || plan->config.dist == PLAN_REPLAY)
        return search(plan, &plan->slots[number], test);
    const struct plan_unit *unit = &plan->units[plan->runs[test].unit];
    uint8_t state = plan->runs[test].state;
    bool is_here = unit->slot == number && state != PLAN_RUN_DONE && state != PLAN_RUN_GIVEN_UP;
    return is_here ? test : PLAN_NONE;
}

void plan_test_started(struct plan *plan, unsigned number, uint32_t test, uint64_t now_ns) {
    uint32_t run = test < plan->subject_count ? find(plan, number, test) : PLAN_NONE;
    if (run == PLAN_NONE || plan->runs[run].state != PLAN_RUN_OUT)
        return;
    plan_run_set(plan, run, PLAN_RUN_BEGUN);
    plan->slots[number].mark_ns = now_ns;
    plan->slots[number].timed = true;
}

/* A word of a test: the slot is of use. */
static void hear(struct plan *plan, struct plan_slot *slot) {
    slot->heard = true;
    slot->fruitless = 0;
    plan->fruitless = 0;
}

static void hear_stranger(struct plan *plan, unsigned number, bool failed) {
    plan->totals.strangers++;
    if (plan_slot_busy(plan, number))
        hear(plan, &plan->slots[number]);
    if (!failed)
        return;
    plan->totals.stranger_fails++;
    plan_count_failure(plan);
}

static void measure(struct plan *plan, struct plan_slot *slot, uint32_t test, uint64_t now_ns) {
    uint64_t took_ns = now_ns > slot->mark_ns ? now_ns - slot->mark_ns : 0;
    uint64_t expected_ns = plan_expected_ns(plan, test);
    slot->expect_ns -= expected_ns < slot->expect_ns ? expected_ns : slot->expect_ns;
    slot->tests_ns += took_ns;
    slot->mark_ns = now_ns;
    plan_learn_test(plan, test, took_ns);
}

static enum plan_reception take(struct plan *plan, unsigned number, uint32_t test,
                                enum plan_verdict verdict, uint64_t now_ns) {
    bool failed = verdict == PLAN_FAIL || verdict == PLAN_UXSUCCESS;
    if (test >= plan->subject_count) {
        hear_stranger(plan, number, failed);
        return PLAN_STRANGER;
    }
    uint32_t run = find(plan, number, test);
    if (run == PLAN_NONE) {
        plan->totals.strays++;
        plan->totals.stray_fails += failed;
        return PLAN_STRAY;
    }
    if (plan->runs[run].state != PLAN_RUN_ENDED)
        measure(plan, &plan->slots[number], test, now_ns);
    hear(plan, &plan->slots[number]);
    plan->round_ended = true;
    plan_run_take_verdict(plan, run, verdict);
    return PLAN_TAKEN;
}

enum plan_reception plan_test_ended(struct plan *plan, unsigned number, uint32_t test,
                                    enum plan_verdict verdict, uint64_t now_ns) {
    assert(verdict <= PLAN_UXSUCCESS);
    enum plan_reception reception = take(plan, number, test, verdict, now_ns);
    plan_look(plan);
    return reception;
}

/* Of the only run of a test that was given up for that. */
static bool is_given_up_lost(const struct plan *plan, uint32_t test) {
    return plan->state == PLAN_RUNS && plan->run_count == plan->subject_count &&
           plan->config.dist != PLAN_REPLAY && test < plan->subject_count &&
           plan->runs[test].state == PLAN_RUN_GIVEN_UP &&
           plan->subjects[test].cause == PLAN_CAUSE_LOST;
}

enum plan_reception plan_test_ended_late(struct plan *plan, uint32_t test,
                                         enum plan_verdict verdict) {
    if (!is_given_up_lost(plan, test))
        return PLAN_STRAY;
    plan_run_take_verdict(plan, test, verdict);
    plan_run_set(plan, test, PLAN_RUN_DONE);
    plan_look(plan);
    return PLAN_TAKEN;
}

/* What was final before is not tried again: it runs to tell a killer from a victim. */
unsigned plan_tries(struct plan *plan, unsigned number, uint32_t test) {
    uint32_t run = test < plan->subject_count ? find(plan, number, test) : PLAN_NONE;
    if (run == PLAN_NONE || plan->config.retry == 0 || plan->subjects[test].is_final)
        return 0;
    return plan->runs[run].tries;
}

void plan_job_ended(struct plan *plan, unsigned number, enum plan_end how, uint64_t now_ns,
                    struct plan_blame *blame) {
    *blame = (struct plan_blame){.test = PLAN_NONE};
    if (!plan_slot_busy(plan, number))
        return;
    bool says_nothing = how == PLAN_END_DONE || how == PLAN_END_DIED || how == PLAN_END_REFUSED;
    if (says_nothing && !plan->slots[number].heard)
        plan_slot_fruitless(plan, number);
    plan_settle(plan, number, how, now_ns, blame);
    plan_slot_rest(plan, number);
    plan_look(plan);
}
