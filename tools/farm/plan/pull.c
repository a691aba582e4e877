/* Jobs for idle slots. */
#include "tools/farm/plan/plan_internal.h"

#include <assert.h>

/* Where a slot may take units from. */
struct source {
    struct plan_lane *lane;
    bool from_end; /* it is somebody else's share */
};

/*
 * How long a lane takes at least, once it is begun: a plain one as long as its next unit; one that
 * waits for tokens as long as all that the scarcest of them lets through.
 */
static uint64_t urgency_ns(const struct plan *plan, const struct plan_lane *lane) {
    if (lane->tokens == 0)
        return plan_unit_ns(plan, plan_lane_peek(plan, lane, false));
    uint32_t fewest = UINT32_MAX;
    for (unsigned i = 0; i < PLAN_MOST_TOKENS; i++)
        if (lane->tokens >> i & 1 && plan->capacity[i] < fewest)
            fewest = plan->capacity[i];
    return plan_waiting_ns(plan, lane->known_ns, lane->unknown) / fewest;
}

/* The most urgent open lane of a share, or NULL. */
static struct plan_lane *best_lane(const struct plan *plan, uint32_t home) {
    struct plan_lane *best = NULL;
    uint64_t best_ns = 0;
    const struct plan_home *from = &plan->homes[home];
    for (uint32_t i = from->first; from->waiting > 0 && i < from->first + from->count; i++) {
        struct plan_lane *lane = &plan->lanes[i];
        if (!plan_lane_open(plan, lane))
            continue;
        uint64_t ns = urgency_ns(plan, lane);
        if (best == NULL || ns > best_ns) {
            best = lane;
            best_ns = ns;
        }
    }
    return best;
}

/* PLAN_HASH: what lost slots left. PLAN_STEAL: the end of the longest share. */
static struct source foreign_source(const struct plan *plan) {
    struct source source = {NULL, plan->config.dist == PLAN_STEAL};
    uint64_t longest_ns = 0;
    for (uint32_t home = 0; home < plan->home_count; home++) {
        const struct plan_home *from = &plan->homes[home];
        uint64_t ns = plan_waiting_ns(plan, from->known_ns, from->unknown);
        bool is_open = from->owner == PLAN_NONE || source.from_end;
        if (from->waiting == 0 || !is_open || (source.lane != NULL && ns <= longest_ns))
            continue;
        struct plan_lane *lane = best_lane(plan, home);
        if (lane == NULL)
            continue;
        source.lane = lane;
        longest_ns = ns;
    }
    return source;
}

static struct source source_for(struct plan *plan, uint32_t number) {
    struct plan_slot *slot = &plan->slots[number];
    enum plan_dist dist = plan->config.dist;
    if (dist == PLAN_LOAD)
        return (struct source){best_lane(plan, 0), false};
    bool is_done = slot->home == PLAN_NONE || plan->homes[slot->home].waiting == 0;
    if (plan->orphans > 0 && is_done && (slot->home == PLAN_NONE || dist == PLAN_REPLAY))
        plan_home_adopt(plan, number);
    struct source own = {NULL, false};
    if (slot->home != PLAN_NONE)
        own.lane = best_lane(plan, slot->home);
    bool is_all = dist == PLAN_HASH && plan->orphans == 0;
    if (own.lane != NULL || is_all || dist == PLAN_EACH || dist == PLAN_REPLAY)
        return own;
    return foreign_source(plan);
}

static bool is_in_job(const struct plan *plan, const struct plan_unit *unit) {
    for (uint32_t run = unit->first; run != PLAN_NONE; run = plan->runs[run].next)
        if (plan->subjects[plan->runs[run].test].stamp == (uint32_t)(plan->totals.jobs + 1))
            return true;
    return false;
}

static void add_unit(struct plan *plan, struct plan_job *job, uint32_t number) {
    struct plan_unit *unit = &plan->units[number];
    unit->slot = job->slot;
    for (uint32_t run = unit->first; run != PLAN_NONE; run = plan->runs[run].next) {
        uint32_t test = plan->runs[run].test;
        plan_run_set(plan, run, PLAN_RUN_OUT);
        plan->subjects[test].stamp = (uint32_t)(plan->totals.jobs + 1);
        plan->job[job->count++] = test;
    }
}

/* The lane's next unit, if it still fits. A unit that is in question goes with few others. */
static uint32_t next_fitting(const struct plan *plan, struct source source,
                             const struct plan_job *job, uint32_t units, uint64_t room_ns) {
    uint32_t number = plan_lane_peek(plan, source.lane, source.from_end);
    if (number == PLAN_NONE)
        return PLAN_NONE;
    const struct plan_unit *unit = &plan->units[number];
    bool fits = units < unit->most && room_ns > 0 && plan_unit_ns(plan, number) <= room_ns &&
                job->count + unit->count <= PLAN_MOST_JOB_TESTS && !is_in_job(plan, unit);
    return fits ? number : PLAN_NONE;
}

/* Takes units until the job is long enough. */
static void fill(struct plan *plan, struct source source, struct plan_job *job) {
    struct plan_slot *slot = &plan->slots[job->slot];
    const struct plan_home *home = &plan->homes[source.lane->home];
    uint64_t room_ns = plan_target_ns(plan, home);
    uint32_t most = plan->config.dist == PLAN_REPLAY ? 1 : PLAN_NONE, units = 0;
    uint32_t *link = &slot->units, number = plan_lane_peek(plan, source.lane, source.from_end);
    while (number != PLAN_NONE && units < most) {
        uint64_t ns = plan_unit_ns(plan, number);
        plan_lane_take(plan, source.lane, source.from_end);
        add_unit(plan, job, number);
        *link = number;
        link = &plan->units[number].next;
        units++;
        most = plan->units[number].most < most ? plan->units[number].most : most;
        slot->expect_ns += ns;
        room_ns -= ns < room_ns ? ns : room_ns;
        number = next_fitting(plan, source, job, units, room_ns);
    }
    const struct plan_unit *first = &plan->units[slot->units];
    job->is_fresh = slot->needs_fresh || first->is_fresh || first->most == 1;
}

static void give(struct plan *plan, struct source source, uint64_t now_ns, struct plan_job *job) {
    struct plan_slot *slot = &plan->slots[job->slot];
    slot->expect_ns = slot->tests_ns = 0;
    slot->heard = slot->timed = false;
    slot->given_ns = slot->mark_ns = now_ns;
    slot->cursor = PLAN_NONE;
    slot->lane = (uint32_t)(source.lane - plan->lanes);
    fill(plan, source, job);
    slot->needs_fresh = false;
    slot->has_worked = true;
    plan_slot_set(plan, job->slot, PLAN_SLOT_BUSY);
    plan_lane_enter(plan, source.lane);
    plan->totals.jobs++;
}

bool plan_next(struct plan *plan, uint64_t now_ns, struct plan_job *job) {
    if (plan->state != PLAN_RUNS || plan->waiting == 0 || plan->alone)
        return false;
    if (plan->idle + plan->busy == 0 && plan->benched > 0)
        plan_slots_return(plan);
    for (uint32_t slot = plan->idle_first; slot != PLAN_NONE; slot = plan->slots[slot].next) {
        struct source source = source_for(plan, slot);
        if (source.lane == NULL)
            continue;
        *job = (struct plan_job){.slot = slot, .number = plan->totals.jobs, .tests = plan->job};
        give(plan, source, now_ns, job);
        plan_sane(plan);
        return true;
    }
    return false;
}

bool plan_starves(const struct plan *plan) {
    return plan->state == PLAN_RUNS && plan->busy == 0 && plan->waiting > 0 &&
           (plan->idle + plan->benched == 0 || plan->config.dist == PLAN_EACH);
}
