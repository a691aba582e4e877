#include "tools/farm/plan/plan_internal.h"

/* A job takes at most so many times what starting it costs: that is then 5 % of it. */
enum { JOB_COSTS = 20 };

/* A job is at most this part of what is left for each slot, so that all end at about the same time.
 */
enum { JOBS_LEFT = 2 };

/* What one job says of the cost of the next counts for this part. */
enum { COST_PART = 8 };

/* The guess counts as so many measured tests: the first that end are often the shortest. */
enum { GUESS_WEIGHT = 8 };

static uint64_t unknown_ns(const struct plan *plan) {
    uint64_t tests = (uint64_t)plan->measured + GUESS_WEIGHT;
    return plan->measured_ns / tests + plan->guess_ns / tests * GUESS_WEIGHT;
}

uint64_t plan_expected_ns(const struct plan *plan, uint32_t test) {
    uint64_t ns = plan->subjects[test].expected_ns;
    return ns == PLAN_UNKNOWN_NS ? unknown_ns(plan) : ns;
}

uint64_t plan_waiting_ns(const struct plan *plan, uint64_t known_ns, uint32_t unknown) {
    return known_ns + unknown * unknown_ns(plan);
}

uint64_t plan_unit_ns(const struct plan *plan, uint32_t number) {
    const struct plan_unit *unit = &plan->units[number];
    return plan_waiting_ns(plan, unit->known_ns, unit->unknown);
}

uint64_t plan_target_ns(const struct plan *plan, const struct plan_home *home) {
    uint64_t sharers = plan->config.dist == PLAN_LOAD ? plan->idle + plan->busy : 1;
    uint64_t left_ns = plan_waiting_ns(plan, home->known_ns, home->unknown);
    uint64_t share_ns = left_ns / (JOBS_LEFT * sharers);
    uint64_t most_ns = JOB_COSTS * plan->cost_ns;
    if (share_ns < plan->cost_ns)
        return plan->cost_ns;
    return share_ns < most_ns ? share_ns : most_ns;
}

/* The older half weighs half as much once the numbers are great: until_failure may take weeks. */
void plan_learn_test(struct plan *plan, uint32_t test, uint64_t took_ns) {
    if (plan->subjects[test].expected_ns != PLAN_UNKNOWN_NS)
        return;
    plan->measured_ns += took_ns < plan->most_ns ? took_ns : plan->most_ns;
    plan->measured++;
    if (plan->measured < PLAN_MOST_RUNS && plan->measured_ns < PLAN_MOST_SUM_NS)
        return;
    plan->measured_ns /= 2;
    plan->measured = plan->measured / 2 + 1;
}

void plan_learn_cost(struct plan *plan, const struct plan_slot *slot, uint64_t now_ns) {
    uint64_t took_ns = now_ns > slot->given_ns ? now_ns - slot->given_ns : 0;
    if (!slot->timed || took_ns < slot->tests_ns)
        return;
    uint64_t cost_ns = took_ns - slot->tests_ns;
    if (cost_ns > plan->most_ns)
        cost_ns = plan->most_ns;
    plan->cost_ns = plan->cost_ns - plan->cost_ns / COST_PART + cost_ns / COST_PART;
}

static uint64_t greater(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* Of a slot's job, without its test that runs; and of that at least nothing. */
static uint64_t job_left_ns(const struct plan_slot *slot, uint64_t now_ns) {
    uint64_t since_ns = now_ns > slot->mark_ns ? now_ns - slot->mark_ns : 0;
    return slot->expect_ns > since_ns ? slot->expect_ns - since_ns : 0;
}

/* Units are in the order in which they are given out: the first is the longest, if any is. */
static uint64_t longest_waiting_ns(const struct plan *plan) {
    uint64_t longest_ns = 0;
    for (uint32_t i = 0; i < plan->lane_count; i++) {
        uint32_t unit = plan_lane_peek(plan, &plan->lanes[i], false);
        if (unit != PLAN_NONE)
            longest_ns = greater(longest_ns, plan_unit_ns(plan, unit));
    }
    return longest_ns;
}

/* The longest share, too, where slots have shares of their own. */
static uint64_t waiting_ns(const struct plan *plan, uint64_t *longest_ns) {
    uint64_t sum_ns = 0;
    bool are_own = plan->config.dist != PLAN_LOAD && plan->config.dist != PLAN_STEAL;
    for (uint32_t i = 0; i < plan->home_count; i++) {
        const struct plan_home *home = &plan->homes[i];
        uint64_t home_ns = plan_waiting_ns(plan, home->known_ns, home->unknown);
        sum_ns += home_ns;
        if (are_own)
            *longest_ns = greater(*longest_ns, home_ns);
    }
    return sum_ns;
}

uint64_t plan_left_ns(const struct plan *plan, uint64_t now_ns) {
    uint64_t slots = plan->idle + plan->busy;
    bool goes_on = plan->state == PLAN_RUNS;
    uint64_t longest_ns = goes_on ? longest_waiting_ns(plan) : 0;
    uint64_t sum_ns = goes_on ? waiting_ns(plan, &longest_ns) : 0;
    if (plan->state == PLAN_OVER)
        return 0;
    if (slots == 0)
        return UINT64_MAX;
    for (uint32_t i = 0; i < plan->slot_room; i++) {
        if (plan->slots[i].state != PLAN_SLOT_BUSY)
            continue;
        uint64_t left_ns = job_left_ns(&plan->slots[i], now_ns);
        longest_ns = greater(longest_ns, left_ns);
        sum_ns += left_ns;
    }
    return greater(longest_ns, sum_ns / slots);
}
