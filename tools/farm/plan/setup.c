#include "tools/farm/plan/plan_internal.h"
#include "tools/farm/plan/ring.h"

#include <assert.h>
#include <stdlib.h>

/* Of a test of which nothing is known, before one has ended. A job of them is small at first. */
#define GUESS_NS UINT64_C(1000000000)

static int compare_ns(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* The median of those that are known. */
static bool guess_unknown(struct plan *plan) {
    plan->guess_ns = GUESS_NS < plan->most_ns ? GUESS_NS : plan->most_ns;
    if (plan->known == 0)
        return true;
    uint64_t *known = malloc(plan->known * sizeof *known);
    uint32_t found = 0;
    if (known == NULL)
        return false;
    for (uint32_t test = 0; test < plan->subject_count; test++)
        if (plan->subjects[test].expected_ns != PLAN_UNKNOWN_NS)
            known[found++] = plan->subjects[test].expected_ns;
    qsort(known, found, sizeof *known, compare_ns);
    plan->guess_ns = known[found / 2];
    free(known);
    return true;
}

static bool set_up_subjects(struct plan *plan, const struct plan_test *tests) {
    plan->subjects = calloc(plan->subject_count, sizeof *plan->subjects);
    if (plan->subjects == NULL)
        return false;
    plan->most_ns = PLAN_MOST_SUM_NS / plan->run_count;
    for (uint32_t test = 0; test < plan->subject_count; test++) {
        uint64_t ns = tests[test].duration_ns;
        bool is_known = ns != PLAN_UNKNOWN_NS;
        plan->subjects[test].expected_ns = is_known && ns > plan->most_ns ? plan->most_ns : ns;
        plan->known += is_known;
    }
    return guess_unknown(plan);
}

/* With PLAN_EACH a round has a copy of each test for each share. */
static uint64_t copies_wanted(const struct plan_config *config, const struct plan_test *test) {
    uint64_t repeat = test->repeat > 0 ? test->repeat : config->repeat;
    repeat = repeat > 0 ? repeat : 1;
    return config->dist == PLAN_EACH && config->slots > 0 ? repeat * config->slots : repeat;
}

static uint64_t runs_wanted(const struct plan_config *config, const struct plan_test *tests,
                            size_t count) {
    uint64_t wanted = 0;
    if (config->dist == PLAN_REPLAY)
        for (size_t i = 0; i < config->replay_count; i++)
            wanted += config->replay[i].count;
    else
        for (size_t i = 0; i < count; i++)
            wanted += copies_wanted(config, &tests[i]);
    return wanted;
}

bool plan_fits(const struct plan_config *config, const struct plan_test *tests, size_t count) {
    return count <= PLAN_MOST_RUNS && runs_wanted(config, tests, count) <= PLAN_MOST_RUNS;
}

static void place_run(struct plan *plan, const struct plan_test *tests, struct plan_place *place,
                      uint32_t run) {
    const struct plan_test *test = &tests[plan->runs[run].test];
    assert(plan->config.token_count == PLAN_MOST_TOKENS ||
           test->tokens >> plan->config.token_count == 0);
    place->tokens |= test->tokens;
    place->exclusive = place->exclusive || (test->flags & PLAN_EXCLUSIVE) != 0;
    place->failed_last = place->failed_last || (test->flags & PLAN_FAILED_LAST) != 0;
}

/* A job of the earlier run is a unit; a test that it has twice is in it once. */
static void make_replayed(struct plan *plan, const struct plan_test *tests,
                          struct plan_place *places) {
    const struct plan_config *config = &plan->config;
    uint32_t made = 0;
    for (uint32_t unit = 0; unit < plan->unit_count; unit++) {
        const struct plan_replay *job = &config->replay[unit];
        places[unit].unit = unit;
        plan->units[unit].is_fresh = job->is_fresh;
        assert(job->count > 0);
        for (uint32_t i = job->first; i < job->first + job->count; i++) {
            uint32_t test = config->replay_tests[i];
            assert(test < plan->subject_count);
            if (plan->subjects[test].stamp == unit + 1)
                continue;
            plan->subjects[test].stamp = unit + 1;
            plan->runs[made] = (struct plan_run){.test = test, .unit = unit};
            place_run(plan, tests, &places[unit], made++);
        }
    }
    plan->run_count = made;
}

/* The homes of replayed jobs: one for each slot of then, by the order of their first jobs. */
static bool home_replayed(struct plan *plan, struct plan_place *places) {
    const struct plan_config *config = &plan->config;
    unsigned *slots = malloc((config->replay_count + 1) * sizeof *slots);
    uint32_t homes = 0, home = 0;
    if (slots == NULL)
        return false;
    for (uint32_t unit = 0; unit < plan->unit_count; unit++) {
        if (home >= homes || slots[home] != config->replay[unit].slot)
            for (home = 0; home < homes && slots[home] != config->replay[unit].slot;)
                home++;
        if (home == homes)
            slots[homes++] = config->replay[unit].slot;
        places[unit].home = home;
    }
    plan->home_count = homes;
    free(slots);
    return true;
}

/* What make_copies() works on. */
struct copying {
    const struct plan_test *tests;
    const uint32_t *group_of, *home_of;
    uint32_t groups;
    uint32_t *unit_of; /* of a group, in this copy; PLAN_NONE: it has no test in it so far */
    struct plan_place *places;
};

static void make_copy(struct plan *plan, struct copying *copying, uint32_t copy, uint32_t test) {
    uint32_t group = copying->group_of[test];
    bool each = plan->config.dist == PLAN_EACH;
    if (copying->unit_of[group] == PLAN_NONE)
        copying->unit_of[group] = plan->unit_count++;
    uint32_t unit = copying->unit_of[group];
    struct plan_place *place = &copying->places[unit];
    plan->runs[plan->run_count] = (struct plan_run){.test = test, .unit = unit};
    place->unit = unit;
    place->home = each ? copy % plan->home_count : copying->home_of[group];
    place->round = each ? copy / plan->home_count : copy;
    place_run(plan, copying->tests, place, plan->run_count++);
}

/* Copy by copy all tests that have so many. */
static void make_copies(struct plan *plan, struct copying *copying) {
    uint32_t wanted = plan->run_count;
    plan->run_count = plan->unit_count = 0;
    for (uint32_t copy = 0; plan->run_count < wanted; copy++) {
        for (uint32_t group = 0; group < copying->groups; group++)
            copying->unit_of[group] = PLAN_NONE;
        for (uint32_t test = 0; test < plan->subject_count; test++)
            if (copy < copies_wanted(&plan->config, &copying->tests[test]))
                make_copy(plan, copying, copy, test);
    }
}

static uint32_t homes_wanted(const struct plan *plan) {
    switch (plan->config.dist) {
    case PLAN_HASH: /* further slots are for what lost ones leave */
        return plan->config.slots < RING_MOST_NODES ? plan->config.slots : RING_MOST_NODES;
    case PLAN_EACH:
    case PLAN_STEAL:
        return plan->config.slots;
    default:
        return 1;
    }
}

static bool set_up_units(struct plan *plan, uint32_t count) {
    plan->unit_count = count;
    plan->units = calloc(count, sizeof *plan->units);
    plan->order = calloc(count, sizeof *plan->order);
    return plan->units != NULL && plan->order != NULL;
}

static struct plan_place *place_replayed(struct plan *plan, const struct plan_test *tests) {
    if (!set_up_units(plan, (uint32_t)plan->config.replay_count))
        return NULL;
    struct plan_place *places = calloc(plan->unit_count, sizeof *places);
    if (places == NULL || !home_replayed(plan, places)) {
        free(places);
        return NULL;
    }
    make_replayed(plan, tests, places);
    for (uint32_t test = 0; test < plan->subject_count; test++)
        plan->subjects[test].stamp = 0;
    return places;
}

/* `of` has room for three numbers a test. */
static struct plan_place *place_groups(struct plan *plan, const struct plan_test *tests,
                                       uint32_t *of) {
    struct copying copying = {.tests = tests, .group_of = of};
    uint32_t *home_of = of + plan->subject_count;
    copying.groups = plan_number_groups(tests, plan->subject_count, of);
    copying.home_of = home_of;
    copying.unit_of = home_of + plan->subject_count;
    plan->home_count = homes_wanted(plan);
    /* There are no more units than runs. */
    if (copying.groups == 0 || !plan_share_out(plan, tests, of, copying.groups, home_of) ||
        !set_up_units(plan, plan->run_count))
        return NULL;
    copying.places = calloc(plan->unit_count, sizeof *copying.places);
    if (copying.places != NULL)
        make_copies(plan, &copying);
    return copying.places;
}

static struct plan_place *place_units(struct plan *plan, const struct plan_test *tests) {
    if (plan->config.dist == PLAN_REPLAY)
        return place_replayed(plan, tests);
    uint32_t *of = calloc(3, plan->subject_count * sizeof *of);
    struct plan_place *places = of == NULL ? NULL : place_groups(plan, tests, of);
    free(of);
    return places;
}

/* A unit's list of runs is in their order. */
static void fill_units(struct plan *plan) {
    for (uint32_t unit = 0; unit < plan->unit_count; unit++) {
        struct plan_unit *filled = &plan->units[unit];
        *filled = (struct plan_unit){.first = PLAN_NONE,
                                     .next = PLAN_NONE,
                                     .slot = PLAN_NONE,
                                     .lane = filled->lane,
                                     .most = PLAN_NONE,
                                     .is_fresh = filled->is_fresh};
    }
    for (uint32_t run = plan->run_count; run-- > 0;) {
        struct plan_unit *unit = &plan->units[plan->runs[run].unit];
        uint64_t ns = plan->subjects[plan->runs[run].test].expected_ns;
        plan->runs[run].next = unit->first;
        unit->first = run;
        unit->count++;
        if (ns == PLAN_UNKNOWN_NS)
            unit->unknown++;
        else
            unit->known_ns += ns;
    }
}

void plan_begin_round(struct plan *plan) {
    for (uint32_t run = 0; run < plan->run_count; run++)
        if (plan->totals.rounds > 0) {
            plan_run_set(plan, run, PLAN_RUN_WAITS);
            plan->runs[run].tries = plan->runs[run].ignored = 0;
        }
    plan->totals.rounds++;
    plan->totals.done = plan->totals.missing = 0;
    plan->round_ended = false;
    fill_units(plan);
    for (uint32_t lane = 0; lane < plan->lane_count; lane++)
        plan_lane_refill(plan, &plan->lanes[lane]);
}

bool plan_set_up(struct plan *plan, const struct plan_test *tests) {
    assert(plan_fits(&plan->config, tests, plan->subject_count));
    plan->run_count = (uint32_t)runs_wanted(&plan->config, tests, plan->subject_count);
    if (plan->run_count == 0)
        return true;
    plan->runs = calloc(plan->run_count, sizeof *plan->runs);
    plan->job = calloc(plan->subject_count, sizeof *plan->job);
    if (plan->runs == NULL || plan->job == NULL || !set_up_subjects(plan, tests))
        return false;
    struct plan_place *places = place_units(plan, tests);
    if (places == NULL)
        return false;
    plan->totals.runs = plan->run_count;
    fill_units(plan);
    bool is_ordered = plan_put_in_order(plan, places);
    free(places);
    if (is_ordered)
        plan_begin_round(plan);
    return is_ordered;
}
