/* What a job leaves: who is to blame, what is tried again, what is given up. */
#include "tools/farm/plan/plan_internal.h"

/* A job that ends. */
struct ending {
    enum plan_end how;
    uint32_t suspect; /* a run, or PLAN_NONE */
    uint32_t begun;   /* runs that ran */
    uint32_t left;    /* units that are not done */
    bool divides;     /* nobody is suspect: the units come back in smaller jobs */
    bool ignores;     /* ended in peace: what was not reported was ignored */
    struct plan_blame *blame;
};

static bool is_left(const struct plan_run *run) {
    return run->state == PLAN_RUN_OUT || run->state == PLAN_RUN_BEGUN;
}

/* The last run that was begun, or else the first of which nothing was said. */
static void look_at_run(const struct plan *plan, struct ending *ending, uint32_t number) {
    const struct plan_run *run = &plan->runs[number];
    if (!is_left(run))
        return;
    bool begun = run->state == PLAN_RUN_BEGUN;
    if (begun || ending->suspect == PLAN_NONE)
        ending->suspect = number;
    ending->begun += begun;
}

static struct ending look_at(const struct plan *plan, const struct plan_slot *slot) {
    struct ending ending = {.suspect = PLAN_NONE};
    for (uint32_t unit = slot->units; unit != PLAN_NONE; unit = plan->units[unit].next) {
        bool is_open = false;
        for (uint32_t run = plan->units[unit].first; run != PLAN_NONE; run = plan->runs[run].next) {
            is_open = is_open || is_left(&plan->runs[run]);
            look_at_run(plan, &ending, run);
        }
        ending.left += is_open;
    }
    return ending;
}

/*
 * One test ran, or one unit is left: that is it. Otherwise nobody is known. A job that ended in
 * peace in the middle of a test was ended by the test. One that somebody stops while the plan goes
 * on is lost: it may hang again.
 */
static void judge(const struct plan *plan, const struct plan_slot *slot, struct ending *ending) {
    if (ending->how == PLAN_END_DONE && ending->begun > 0)
        ending->how = PLAN_END_DIED;
    if (ending->how == PLAN_END_STOPPED && plan->state == PLAN_RUNS)
        ending->how = PLAN_END_LOST;
    bool is_known = ending->begun == 1 || ending->left == 1;
    bool is_silent = ending->how == PLAN_END_DONE && !slot->heard;
    bool is_fault = ending->how == PLAN_END_DIED || ending->how == PLAN_END_LOST;
    ending->divides = (is_fault || is_silent) && !is_known;
    ending->ignores = ending->how == PLAN_END_DONE && !ending->divides;
    if (!is_fault || !is_known)
        ending->suspect = PLAN_NONE;
}

static enum plan_cause cause_of_stop(const struct plan_run *run) {
    return run->state == PLAN_RUN_BEGUN ? PLAN_CAUSE_CUT : PLAN_CAUSE_STOPPED;
}

/* True: again. */
static bool settle_suspect(struct plan *plan, struct ending *ending, uint32_t run) {
    bool died = ending->how == PLAN_END_DIED;
    bool again = died ? plan_run_died(plan, run) : plan_run_lost(plan, run);
    ending->blame->test = plan->runs[run].test;
    ending->blame->is_killer = died && !again;
    if (again && plan->state == PLAN_RUNS)
        return true;
    if (died)
        plan_run_set(plan, run, PLAN_RUN_DONE);
    else
        plan_run_give_up(plan, run, again ? cause_of_stop(&plan->runs[run]) : PLAN_CAUSE_LOST);
    return false;
}

static bool settle_left(struct plan *plan, struct ending *ending, uint32_t run) {
    if (ending->ignores && !plan_run_ignored(plan, run)) {
        ending->blame->ignored++;
        plan_run_give_up(plan, run, PLAN_CAUSE_IGNORED);
        return false;
    }
    if (plan->state == PLAN_RUNS)
        return true;
    plan_run_give_up(plan, run, cause_of_stop(&plan->runs[run]));
    return false;
}

static bool settle_run(struct plan *plan, struct ending *ending, uint32_t run) {
    if (run == ending->suspect)
        return settle_suspect(plan, ending, run);
    if (is_left(&plan->runs[run]))
        return settle_left(plan, ending, run);
    if (plan->state == PLAN_RUNS && plan_run_tries_again(plan, run)) {
        plan->totals.retries++;
        return true;
    }
    plan_run_set(plan, run, PLAN_RUN_DONE);
    return false;
}

/* To the end of its unit's list, which settle_unit() builds anew. */
static void keep(struct plan *plan, struct plan_unit *unit, uint32_t *last, uint32_t run) {
    uint64_t ns = plan->subjects[plan->runs[run].test].expected_ns;
    plan_run_set(plan, run, PLAN_RUN_WAITS);
    plan->runs[run].next = PLAN_NONE;
    if (*last == PLAN_NONE)
        unit->first = run;
    else
        plan->runs[*last].next = run;
    *last = run;
    unit->count++;
    if (ns == PLAN_UNKNOWN_NS)
        unit->unknown++;
    else
        unit->known_ns += ns;
}

static void settle_unit(struct plan *plan, struct ending *ending, uint32_t number) {
    struct plan_unit *unit = &plan->units[number];
    uint32_t run = unit->first, last = PLAN_NONE;
    unit->first = PLAN_NONE;
    unit->count = unit->unknown = 0;
    unit->known_ns = 0;
    while (run != PLAN_NONE) {
        uint32_t next = plan->runs[run].next;
        bool was_suspect = run == ending->suspect;
        if (settle_run(plan, ending, run)) {
            keep(plan, unit, &last, run);
            unit->most = was_suspect ? 1 : unit->most;
        }
        run = next;
    }
    ending->blame->again += unit->count;
    if (unit->count == 0)
        plan_unit_done(plan, number);
    else
        plan_unit_come_back(plan, number);
}

void plan_settle(struct plan *plan, uint32_t number, enum plan_end how, uint64_t now_ns,
                 struct plan_blame *blame) {
    struct plan_slot *slot = &plan->slots[number];
    struct ending ending = look_at(plan, slot);
    *blame = (struct plan_blame){.test = PLAN_NONE};
    ending.how = how;
    ending.blame = blame;
    judge(plan, slot, &ending);
    plan->totals.losses += how == PLAN_END_LOST;
    if (how == PLAN_END_DONE)
        plan_learn_cost(plan, slot, now_ns);
    plan_lane_leave(plan, &plan->lanes[slot->lane]);
    for (uint32_t unit = slot->units, next; unit != PLAN_NONE; unit = next) {
        next = plan->units[unit].next;
        if (ending.divides && plan->units[unit].most > (ending.left + 1) / 2)
            plan->units[unit].most = (ending.left + 1) / 2;
        settle_unit(plan, &ending, unit);
    }
    slot->units = PLAN_NONE;
}
