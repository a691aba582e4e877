/* The order in which units are given out, and the lanes and homes that it makes. */
#include "tools/farm/plan/plan_internal.h"

#include <stdlib.h>

static int compare_numbers(uint64_t a, uint64_t b) {
    return (a > b) - (a < b);
}

/* By home, and there by lane: those in need of tokens before the plain one. */
static int compare_lanes(const struct plan_place *a, const struct plan_place *b) {
    int order = compare_numbers(a->home, b->home);
    if (order == 0)
        order = compare_numbers(a->exclusive, b->exclusive);
    return order != 0 ? order : compare_numbers(b->tokens, a->tokens);
}

static int compare(const void *left, const void *right) {
    const struct plan_place *a = left, *b = right;
    int order = compare_lanes(a, b);
    if (order == 0)
        order = compare_numbers(a->round, b->round);
    if (order == 0)
        order = compare_numbers(b->failed_last, a->failed_last);
    if (order == 0)
        order = compare_numbers(a->rank, b->rank);
    return order != 0 ? order : compare_numbers(a->unit, b->unit);
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/*
 * Those that failed last go first if the longest of the others, begun behind them, still ends in
 * time: with the last of the work, if that is in even parts.
 */
static bool failed_may_go_first(const struct plan *plan, const struct plan_place *places) {
    uint64_t failed_ns = 0, sum_ns = 0, longest_ns = 0;
    for (uint32_t i = 0; i < plan->unit_count; i++) {
        uint64_t takes_ns = plan_unit_ns(plan, places[i].unit);
        sum_ns += takes_ns;
        if (places[i].failed_last)
            failed_ns += takes_ns;
        else if (takes_ns > longest_ns)
            longest_ns = takes_ns;
    }
    return failed_ns / plan->config.slots + longest_ns <= sum_ns / plan->config.slots;
}

/* Those of PLAN_EACH, _HASH, _STEAL and _REPLAY stay as they are. */
static void rank(const struct plan *plan, struct plan_place *places) {
    bool slowest_first = plan->config.dist == PLAN_LOAD && !plan->config.random;
    bool failed_first = slowest_first && failed_may_go_first(plan, places);
    uint64_t state = plan->config.seed;
    for (uint32_t i = 0; i < plan->unit_count; i++) {
        struct plan_place *place = &places[i];
        place->failed_last = place->failed_last && failed_first;
        place->rank = slowest_first ? UINT64_MAX - plan_unit_ns(plan, place->unit) : 0;
        if (plan->config.random && plan->config.dist != PLAN_REPLAY)
            place->rank = next_random(&state);
    }
}

static uint32_t count_lanes(const struct plan *plan, const struct plan_place *places) {
    uint32_t lanes = plan->unit_count > 0;
    for (uint32_t i = 1; i < plan->unit_count; i++)
        lanes += compare_lanes(&places[i - 1], &places[i]) != 0;
    return lanes;
}

static void open_lane(struct plan *plan, const struct plan_place *place, uint32_t at) {
    struct plan_home *home = &plan->homes[place->home];
    if (home->count++ == 0)
        home->first = plan->lane_count;
    plan->lanes[plan->lane_count++] = (struct plan_lane){.home = place->home,
                                                         .tokens = place->tokens,
                                                         .exclusive = place->exclusive,
                                                         .start = at,
                                                         .end = at};
}

static void make_lanes(struct plan *plan, const struct plan_place *places) {
    for (uint32_t home = 0; home < plan->home_count; home++)
        plan->homes[home].owner = PLAN_NONE;
    for (uint32_t i = 0; i < plan->unit_count; i++) {
        if (i == 0 || compare_lanes(&places[i - 1], &places[i]) != 0)
            open_lane(plan, &places[i], i);
        plan->units[places[i].unit].lane = plan->lane_count - 1;
        plan->order[i] = places[i].unit;
        plan->lanes[plan->lane_count - 1].end = i + 1;
    }
}

bool plan_put_in_order(struct plan *plan, struct plan_place *places) {
    rank(plan, places);
    qsort(places, plan->unit_count, sizeof *places, compare);
    plan->lanes = calloc(count_lanes(plan, places), sizeof *plan->lanes);
    plan->homes = calloc(plan->home_count, sizeof *plan->homes);
    if (plan->lanes == NULL || plan->homes == NULL)
        return false;
    make_lanes(plan, places);
    return true;
}
