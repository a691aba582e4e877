#include "tools/farm/plan/plan_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BIT(state) (1u << (state))

/* A slot whose jobs end so often in a row without a word of a test, while those of others do not.
 */
enum { BENCHED_AFTER = 4 };

static const unsigned slot_follows[] = {
    [PLAN_SLOT_ABSENT] = BIT(PLAN_SLOT_IDLE),
    [PLAN_SLOT_IDLE] = BIT(PLAN_SLOT_BUSY) | BIT(PLAN_SLOT_ASIDE) | BIT(PLAN_SLOT_GONE),
    [PLAN_SLOT_BUSY] = BIT(PLAN_SLOT_IDLE) | BIT(PLAN_SLOT_ASIDE) | BIT(PLAN_SLOT_GONE),
    [PLAN_SLOT_ASIDE] = BIT(PLAN_SLOT_IDLE) | BIT(PLAN_SLOT_GONE),
    [PLAN_SLOT_GONE] = 0,
};

/* To the end of the idle ones. */
static void link_idle(struct plan *plan, uint32_t number) {
    struct plan_slot *slot = &plan->slots[number];
    slot->prev = plan->idle_last;
    slot->next = PLAN_NONE;
    if (plan->idle_last == PLAN_NONE)
        plan->idle_first = number;
    else
        plan->slots[plan->idle_last].next = number;
    plan->idle_last = number;
    plan->idle++;
}

static void unlink_idle(struct plan *plan, uint32_t number) {
    struct plan_slot *slot = &plan->slots[number];
    *(slot->prev == PLAN_NONE ? &plan->idle_first : &plan->slots[slot->prev].next) = slot->next;
    *(slot->next == PLAN_NONE ? &plan->idle_last : &plan->slots[slot->next].prev) = slot->prev;
    slot->prev = slot->next = PLAN_NONE;
    plan->idle--;
}

void plan_slot_set(struct plan *plan, uint32_t number, enum plan_slot_state state) {
    struct plan_slot *slot = &plan->slots[number];
    assert(slot_follows[slot->state] & BIT(state));
    if (slot->state == PLAN_SLOT_IDLE)
        unlink_idle(plan, number);
    plan->busy -= slot->state == PLAN_SLOT_BUSY;
    plan->busy += state == PLAN_SLOT_BUSY;
    slot->state = (uint8_t)state;
    if (state == PLAN_SLOT_IDLE)
        link_idle(plan, number);
    assert((state == PLAN_SLOT_BUSY) == (slot->units != PLAN_NONE));
}

static void set_owner(struct plan *plan, struct plan_home *home, uint32_t owner) {
    plan->orphans -= home->owner == PLAN_NONE ? home->waiting : 0;
    plan->orphans += owner == PLAN_NONE ? home->waiting : 0;
    home->owner = owner;
}

static void free_home(struct plan *plan, struct plan_slot *slot) {
    if (slot->home != PLAN_NONE)
        set_owner(plan, &plan->homes[slot->home], PLAN_NONE);
    slot->home = PLAN_NONE;
}

/* The first share that waits and nobody has. */
void plan_home_adopt(struct plan *plan, uint32_t number) {
    struct plan_slot *slot = &plan->slots[number];
    for (uint32_t home = 0; home < plan->home_count; home++) {
        if (plan->homes[home].owner != PLAN_NONE || plan->homes[home].waiting == 0)
            continue;
        free_home(plan, slot);
        slot->home = home;
        slot->needs_fresh = slot->has_worked;
        set_owner(plan, &plan->homes[home], number);
        return;
    }
}

/* Without a job, it is idle, or aside and without a share. */
void plan_slot_rest(struct plan *plan, uint32_t number) {
    struct plan_slot *slot = &plan->slots[number];
    if (slot->drains || slot->benched)
        free_home(plan, slot);
    plan_slot_set(plan, number, slot->drains || slot->benched ? PLAN_SLOT_ASIDE : PLAN_SLOT_IDLE);
}

static bool make_room(struct plan *plan, uint32_t number) {
    uint32_t room = plan->slot_room > 0 ? plan->slot_room : 16;
    while (room <= number)
        room *= 2;
    if (room == plan->slot_room)
        return true;
    struct plan_slot *slots = realloc(plan->slots, room * sizeof *slots);
    if (slots == NULL)
        return false;
    memset(slots + plan->slot_room, 0, (room - plan->slot_room) * sizeof *slots);
    plan->slots = slots;
    plan->slot_room = room;
    return true;
}

bool plan_slot_came(struct plan *plan, unsigned number) {
    assert(number < PLAN_MOST_SLOTS);
    if (!make_room(plan, number))
        return false;
    struct plan_slot *slot = &plan->slots[number];
    slot->prev = slot->next = slot->home = slot->units = slot->lane = PLAN_NONE;
    plan_slot_set(plan, number, PLAN_SLOT_IDLE);
    if (plan->config.dist != PLAN_LOAD)
        plan_home_adopt(plan, number);
    plan_look(plan);
    return true;
}

static struct plan_slot *here(const struct plan *plan, unsigned number) {
    assert(number < plan->slot_room);
    struct plan_slot *slot = &plan->slots[number];
    assert(slot->state != PLAN_SLOT_ABSENT && slot->state != PLAN_SLOT_GONE);
    return slot;
}

void plan_slot_drains(struct plan *plan, unsigned number, bool drains) {
    struct plan_slot *slot = here(plan, number);
    if (slot->drains == drains)
        return;
    slot->drains = drains;
    if (slot->state == PLAN_SLOT_IDLE || (slot->state == PLAN_SLOT_ASIDE && !slot->benched))
        plan_slot_rest(plan, number);
    plan_look(plan);
}

void plan_slot_left(struct plan *plan, unsigned number, uint64_t now_ns, struct plan_blame *blame) {
    struct plan_slot *slot = here(plan, number);
    *blame = (struct plan_blame){.test = PLAN_NONE};
    if (slot->state == PLAN_SLOT_BUSY)
        plan_settle(plan, number, PLAN_END_LOST, now_ns, blame);
    free_home(plan, slot);
    plan->benched -= slot->benched;
    slot->benched = false;
    plan_slot_set(plan, number, PLAN_SLOT_GONE);
    plan_look(plan);
}

void plan_slot_fruitless(struct plan *plan, uint32_t number) {
    struct plan_slot *slot = &plan->slots[number];
    slot->fruitless++;
    plan->fruitless++;
    bool others_work = plan->fruitless < slot->fruitless;
    if (slot->fruitless < BENCHED_AFTER || !others_work || plan->idle + plan->busy < 2)
        return;
    slot->benched = true;
    plan->benched++;
}

/* Better those than none. */
void plan_slots_return(struct plan *plan) {
    for (uint32_t number = 0; number < plan->slot_room && plan->benched > 0; number++) {
        struct plan_slot *slot = &plan->slots[number];
        if (!slot->benched)
            continue;
        slot->benched = false;
        slot->fruitless = 0;
        plan->benched--;
        if (!slot->drains)
            plan_slot_rest(plan, number);
    }
}

bool plan_slot_busy(const struct plan *plan, unsigned number) {
    return number < plan->slot_room && plan->slots[number].state == PLAN_SLOT_BUSY;
}

bool plan_slot_benched(const struct plan *plan, unsigned number) {
    return number < plan->slot_room && plan->slots[number].benched;
}
