#include "tools/farm/plan/plan_internal.h"

#include <assert.h>

static void count_in(struct plan *plan, struct plan_lane *lane, const struct plan_unit *unit) {
    struct plan_home *home = &plan->homes[lane->home];
    lane->waiting++;
    lane->known_ns += unit->known_ns;
    lane->unknown += unit->unknown;
    home->waiting++;
    home->known_ns += unit->known_ns;
    home->unknown += unit->unknown;
    plan->waiting++;
    plan->exclusive += lane->exclusive;
    plan->orphans += home->owner == PLAN_NONE;
}

static void count_out(struct plan *plan, struct plan_lane *lane, const struct plan_unit *unit) {
    struct plan_home *home = &plan->homes[lane->home];
    assert(lane->waiting > 0 && home->waiting > 0 && plan->waiting > 0);
    lane->waiting--;
    lane->known_ns -= unit->known_ns;
    lane->unknown -= unit->unknown;
    home->waiting--;
    home->known_ns -= unit->known_ns;
    home->unknown -= unit->unknown;
    plan->waiting--;
    plan->exclusive -= lane->exclusive;
    plan->orphans -= home->owner == PLAN_NONE;
}

static void set_unit(struct plan_unit *unit, enum plan_unit_state state) {
    static const unsigned follows[] = {
        [PLAN_UNIT_DONE] = 1u << PLAN_UNIT_WAITS,
        [PLAN_UNIT_WAITS] = 1u << PLAN_UNIT_OUT,
        [PLAN_UNIT_OUT] = 1u << PLAN_UNIT_WAITS | 1u << PLAN_UNIT_DONE,
    };
    assert(follows[unit->state] & 1u << state);
    unit->state = (uint8_t)state;
}

void plan_lane_refill(struct plan *plan, struct plan_lane *lane) {
    lane->head = lane->start;
    lane->tail = lane->end;
    lane->again = lane->last = PLAN_NONE;
    for (size_t i = lane->start; i < lane->end; i++) {
        struct plan_unit *unit = &plan->units[plan->order[i]];
        set_unit(unit, PLAN_UNIT_WAITS);
        count_in(plan, lane, unit);
    }
}

void plan_unit_come_back(struct plan *plan, uint32_t number) {
    struct plan_unit *unit = &plan->units[number];
    struct plan_lane *lane = &plan->lanes[unit->lane];
    set_unit(unit, PLAN_UNIT_WAITS);
    unit->slot = unit->next = PLAN_NONE;
    if (lane->again == PLAN_NONE)
        lane->again = number;
    else
        plan->units[lane->last].next = number;
    lane->last = number;
    count_in(plan, lane, unit);
}

void plan_unit_done(struct plan *plan, uint32_t number) {
    struct plan_unit *unit = &plan->units[number];
    assert(unit->first == PLAN_NONE && unit->count == 0);
    set_unit(unit, PLAN_UNIT_DONE);
    unit->slot = unit->next = PLAN_NONE;
}

uint32_t plan_lane_peek(const struct plan *plan, const struct plan_lane *lane, bool from_end) {
    if (from_end && lane->head < lane->tail)
        return plan->order[lane->tail - 1];
    if (lane->again != PLAN_NONE)
        return lane->again;
    return lane->head < lane->tail ? plan->order[lane->head] : PLAN_NONE;
}

uint32_t plan_lane_take(struct plan *plan, struct plan_lane *lane, bool from_end) {
    uint32_t number = plan_lane_peek(plan, lane, from_end);
    assert(number != PLAN_NONE);
    struct plan_unit *unit = &plan->units[number];
    if (number == lane->again)
        lane->again = unit->next;
    else if (from_end)
        lane->tail--;
    else
        lane->head++;
    set_unit(unit, PLAN_UNIT_OUT);
    unit->next = PLAN_NONE;
    count_out(plan, lane, unit);
    return number;
}

/* The first that is not free; PLAN_MOST_TOKENS: all are. */
static unsigned missing_token(const struct plan *plan, uint32_t tokens) {
    unsigned i = 0;
    while (i < PLAN_MOST_TOKENS && !(tokens >> i & 1 && plan->used[i] >= plan->capacity[i]))
        i++;
    return i;
}

bool plan_lane_open(const struct plan *plan, const struct plan_lane *lane) {
    if (lane->waiting == 0 || plan->alone)
        return false;
    if (lane->exclusive)
        return plan->busy == 0 && plan->waiting == plan->exclusive;
    return missing_token(plan, lane->tokens) == PLAN_MOST_TOKENS;
}

enum plan_wait plan_idle_why(const struct plan *plan, unsigned *token) {
    enum plan_wait why = PLAN_WAIT_NOT;
    if (plan->state != PLAN_RUNS || plan->idle == 0 || plan->waiting == 0)
        return PLAN_WAIT_NOT;
    if (plan->alone)
        return PLAN_WAIT_ALONE;
    for (uint32_t i = 0; i < plan->lane_count; i++) {
        const struct plan_lane *lane = &plan->lanes[i];
        if (plan_lane_open(plan, lane))
            return PLAN_WAIT_NOT;
        if (lane->waiting > 0 && lane->exclusive && why == PLAN_WAIT_NOT)
            why = PLAN_WAIT_ALONE;
        if (lane->waiting == 0 || lane->exclusive || why == PLAN_WAIT_TOKEN)
            continue;
        why = PLAN_WAIT_TOKEN;
        *token = missing_token(plan, lane->tokens);
    }
    return why;
}

void plan_lane_enter(struct plan *plan, const struct plan_lane *lane) {
    plan->alone = lane->exclusive;
    for (unsigned i = 0; i < PLAN_MOST_TOKENS; i++)
        plan->used[i] += lane->tokens >> i & 1;
}

void plan_lane_leave(struct plan *plan, const struct plan_lane *lane) {
    plan->alone = false;
    for (unsigned i = 0; i < PLAN_MOST_TOKENS; i++) {
        assert(plan->used[i] >= (lane->tokens >> i & 1));
        plan->used[i] -= lane->tokens >> i & 1;
    }
}
