/* A run's life: slots come, the list is made, tests run, it ends. */
#include "tools/farm/run_internal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 1024

/*
 * "At once" is TERM first, so that the verdict of what is cut is told. What is still there is
 * killed.
 */
#define KILL_AFTER_NS UINT64_C(500000000)

/*
 * ---- states ----
 */

void run_set_state(struct run *run, enum run_state state) {
    assert(run->state != RUN_OVER);
    assert(state > run->state || (state == RUN_WAITS && run->state == RUN_LISTS));
    run->state = state;
    if (state == RUN_OVER)
        run->config.events->over(run->config.user);
}

/* The one function that changes how the run is ended early. */
static void set_ending(struct run *run, enum run_ending ending) {
    assert(ending > run->ending && run->state != RUN_OVER);
    run->ending = ending;
    if (run->plan)
        plan_stop(run->plan, PLAN_WHY_INTERRUPTED);
}

void run_set_slot(struct run *run, unsigned slot, enum run_slot_state state) {
    static const unsigned from[] = {
        [RUN_SLOT_IDLE] = ~0u & ~(1u << RUN_SLOT_GONE),
        [RUN_SLOT_LISTING] = 1u << RUN_SLOT_IDLE,
        [RUN_SLOT_WORKING] = 1u << RUN_SLOT_IDLE,
        [RUN_SLOT_STARTING] = 1u << RUN_SLOT_IDLE,
        [RUN_SLOT_SERVING] = 1u << RUN_SLOT_STARTING | 1u << RUN_SLOT_READY,
        [RUN_SLOT_READY] = 1u << RUN_SLOT_STARTING | 1u << RUN_SLOT_SERVING,
        [RUN_SLOT_CLOSING] = 1u << RUN_SLOT_READY,
        [RUN_SLOT_GONE] = ~0u,
    };
    assert(slot < run->slot_count && (from[state] & 1u << run->slots[slot].state));
    run->slots[slot].state = state;
}

void run_say(struct run *run, const char *format, ...) {
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    run->config.events->say(run->config.user, line);
}

void run_say_word(void *user, const char *line) {
    run_say(user, "  %s", line);
}

void run_fail(struct run *run, const char *why) {
    if (run->has_failed || run->state == RUN_OVER)
        return;
    run->has_failed = true;
    snprintf(run->why, sizeof run->why, "%s", why);
    if (run->plan)
        plan_stop(run->plan, PLAN_WHY_INTERRUPTED);
    run_set_state(run, RUN_OVER);
}

/*
 * ---- what the desk tells ----
 */

static bool add_slot(struct run *run, unsigned slot) {
    unsigned room = run->slot_room ? run->slot_room : 16;
    while (room <= slot)
        room *= 2;
    if (room != run->slot_room) {
        struct run_slot *slots = realloc(run->slots, room * sizeof *slots);
        if (!slots)
            return false;
        run->slots = slots;
        run->slot_room = room;
    }
    for (; run->slot_count <= slot; run->slot_count++)
        run->slots[run->slot_count] = (struct run_slot){.state = RUN_SLOT_IDLE};
    return true;
}

static void slot_came(void *user, unsigned slot) {
    struct run *run = user;
    if (!add_slot(run, slot) || (run->plan && !plan_slot_came(run->plan, slot)))
        run_fail(run, "out of memory for slots");
}

static void slot_left(void *user, unsigned slot) {
    struct run *run = user;
    if (slot < run->slot_count && run->slots[slot].state != RUN_SLOT_GONE)
        run_jobs_slot_left(run, slot, loop_now_ns(run->config.loop));
}

static void slot_drains(void *user, unsigned slot, bool drains) {
    struct run *run = user;
    if (run->plan && slot < run->slot_count)
        plan_slot_drains(run->plan, slot, drains);
}

/* The job's name says which slot it was for: a refusal has no slot. */
static unsigned slot_of_job(const struct run *run, uint64_t job) {
    unsigned slot = 0;
    while (slot < run->slot_count && run->slots[slot].job != job)
        slot++;
    return slot;
}

static void answered(void *user, unsigned slot, uint64_t job, const struct answer *answer) {
    struct run *run = user;
    if (slot >= run->slot_count || run->slots[slot].job != job)
        slot = slot_of_job(run, job);
    if (slot < run->slot_count)
        run_jobs_ended(run, slot, answer, loop_now_ns(run->config.loop));
}

static const struct desk_events events = {
    .slot_came = slot_came,
    .slot_left = slot_left,
    .slot_drains = slot_drains,
    .answered = answered,
};

/*
 * ---- life ----
 */

struct run *run_open(const struct run_config *config) {
    struct run *run = calloc(1, sizeof *run);
    if (!run)
        return NULL;
    run->config = *config;
    run->grace_ends_ns = UINT64_MAX;
    ids_open(&run->ids, config->hash_key);
    ids_open(&run->groups, config->hash_key);
    run->desk = desk_open(&(struct desk_config){
        .node = config->node, .run = config->uuid, .events = &events, .user = run});
    if (!run->desk) {
        run_close(run);
        return NULL;
    }
    return run;
}

void run_close(struct run *run) {
    if (!run)
        return;
    for (unsigned i = 0; i < run->slot_count; i++)
        free(run->slots[i].waiting);
    desk_close(run->desk);
    plan_free(run->plan);
    run_isolate_free(run->isolate);
    ids_close(&run->ids);
    ids_close(&run->groups);
    free(run->slots);
    free(run->needs);
    free(run->group_of);
    free(run->lines);
    free(run->selected);
    free(run->places);
    free(run->past);
    free(run);
}

void run_take(struct run *run, const char *segment, const struct mux_packet *packet,
              uint64_t now_ns) {
    if (run->state == RUN_OVER || desk_take(run->desk, segment, packet))
        return;
    int slot = desk_slot_of(run->desk, segment, packet->route);
    bool is_late = packet->test_id.data && desk_is_late(run->desk, segment, packet->route);
    if (slot >= (int)run->slot_count || is_late)
        slot = -1;
    if (slot >= 0)
        run->slots[slot].heard_ns = now_ns;
    if (slot >= 0 && run->slots[slot].state == RUN_SLOT_LISTING)
        run_list_take(run, packet);
    if (run->plan)
        run_results_take(run, slot, is_late, packet, now_ns);
    if (slot < 0 || !packet->file_name.data || packet->test_id.data)
        return;
    run_jobs_said(&run->slots[slot], packet);
    run_jobs_batch_ended(run, (unsigned)slot, packet, now_ns);
}

unsigned run_tries(const struct run *run, const char *segment, const struct mux_packet *packet) {
    if (!run->plan || !run->config.plan.retry || !packet->test_id.data)
        return 0;
    int slot = desk_slot_of(run->desk, segment, packet->route);
    uint32_t number = ids_find(&run->ids, packet->test_id);
    if (slot < 0 || number == IDS_NONE || run->places[number] == PLAN_NONE)
        return 0;
    return plan_tries(run->plan, (unsigned)slot, run->places[number]);
}

void run_lose(struct run *run, const char *segment, struct mux_span route) {
    desk_lose(run->desk, segment, route);
}

void run_send_again(struct run *run, struct mux_span route) {
    desk_send_again(run->desk, route);
}

/* The first slot that can lists. */
static void begin_list(struct run *run, uint64_t now_ns) {
    for (unsigned i = 0; i < run->slot_count && run->state == RUN_WAITS; i++)
        if (run->slots[i].state == RUN_SLOT_IDLE)
            run_list_begin(run, i, now_ns);
    if (run->state == RUN_WAITS)
        run_jobs_close(
            run); /* the slot that listed is lost: runners that were prepared make room */
}

/* A slot that drains may take jobs again; one that is benched does not. */
static bool has_usable_slot(const struct run *run) {
    for (unsigned i = 0; i < run->slot_count; i++)
        if (run->slots[i].state != RUN_SLOT_GONE && !plan_slot_benched(run->plan, i))
            return true;
    return false;
}

static void look_at_plan(struct run *run, uint64_t now_ns) {
    run_jobs_give(run, now_ns);
    if (plan_starves(run->plan) && !has_usable_slot(run))
        plan_stop(run->plan, PLAN_WHY_NO_SLOTS);
    if (plan_state(run->plan) != PLAN_OVER || run->state != RUN_WORKS)
        return;
    if (!run->isolate || !run_isolate_take(run)) {
        run_set_state(run, RUN_ENDS);
        return;
    }
    run_plan_again(run);
    run_jobs_give(run, now_ns);
}

/* Nothing runs: it is over. */
static bool is_done(struct run *run) {
    bool may_end = run->state == RUN_ENDS || run->ending != RUN_GOES_ON;
    return may_end && run_jobs_close(run);
}

static void keep_grace(struct run *run, uint64_t now_ns) {
    if (now_ns < run->grace_ends_ns)
        return;
    run->grace_ends_ns = run->ending == RUN_AT_ONCE ? now_ns + KILL_AFTER_NS : UINT64_MAX;
    run_jobs_stop_all(run);
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

uint64_t run_work(struct run *run, uint64_t now_ns) {
    if (run->state == RUN_WAITS && run->ending == RUN_GOES_ON)
        begin_list(run, now_ns);
    if (run->state == RUN_LISTS && !run->config.lists_only && run->ending == RUN_GOES_ON)
        run_jobs_prepare(run, now_ns);
    if (run->state == RUN_WORKS)
        look_at_plan(run, now_ns);
    keep_grace(run, now_ns);
    if (run->state != RUN_OVER && is_done(run))
        run_set_state(run, RUN_OVER);
    bool waits = run->state != RUN_OVER && !desk_work(run->desk);
    return least(waits ? now_ns + NODE_RETRY_NS : UINT64_MAX, run->grace_ends_ns);
}

void run_interrupt(struct run *run, uint64_t now_ns) {
    if (run->state == RUN_OVER)
        return;
    if (run->ending < RUN_AT_ONCE)
        set_ending(run, run->ending < RUN_GRACE && run->plan ? RUN_GRACE : RUN_AT_ONCE);
    run->grace_ends_ns = run->ending == RUN_GRACE ? now_ns + run->config.grace_ns : now_ns;
}

/* A list that is being made is nobody's test: it ends now. */
void run_drain(struct run *run) {
    if (run->state == RUN_OVER || run->ending != RUN_GOES_ON)
        return;
    set_ending(run, RUN_DRAINS);
    if (!run->plan)
        run->grace_ends_ns = 0;
}

enum run_ending run_ending(const struct run *run) {
    return run->ending;
}

/*
 * ---- how it stands ----
 */

enum run_state run_state(const struct run *run) {
    return run->state;
}

const struct ids *run_ids(const struct run *run) {
    return &run->ids;
}

const struct run_past *run_past_of(const struct run *run, uint32_t test) {
    return &run->past[test];
}

const struct plan *run_plan(const struct run *run) {
    return run->plan;
}

uint32_t run_selected(const struct run *run, uint32_t index) {
    return run->selected[index];
}

uint32_t run_selected_count(const struct run *run) {
    return run->selected_count;
}

bool run_is_perf(const struct run *run, uint32_t test) {
    return run->config.perf &&
           pattern_search(run->config.perf, ids_text(&run->ids, test)) == PATTERN_YES;
}

unsigned run_slots(const struct run *run) {
    return run->slot_count;
}

void run_slot_route(const struct run *run, unsigned slot, char route[DESK_SLOT_ROUTE_BYTES]) {
    desk_slot_route(run->desk, slot, route);
}

const char *run_idle_why(const struct run *run) {
    unsigned token = 0;
    switch (plan_idle_why(run->plan, &token)) {
    case PLAN_WAIT_TOKEN:
        return needs_token_name(run->config.needs, token);
    case PLAN_WAIT_ALONE:
        return "a test that runs alone";
    default:
        return NULL;
    }
}

void run_slot_status(const struct run *run, unsigned slot, struct run_slot_status *status) {
    const struct run_slot *at = &run->slots[slot];
    *status = (struct run_slot_status){
        .is_busy = at->state != RUN_SLOT_IDLE && at->state != RUN_SLOT_READY &&
                   at->state != RUN_SLOT_GONE &&
                   (at->state != RUN_SLOT_STARTING || at->waiting_count),
        .has_test = at->has_test,
        .prompt = *at->prompt ? at->prompt : NULL,
        .test = at->test,
        .began_ns = at->began_ns,
        .heard_ns = at->heard_ns,
    };
}

void run_totals(const struct run *run, struct run_totals *totals) {
    *totals = (struct run_totals){
        .listed = run->ids.count,
        .selected = run->selected_count,
        .unfit = run->unfit_count,
        .strangers = run->strangers,
        .strangers_failed = run->strangers_failed,
        .runners_failed = run->runners_failed,
    };
    if (run->plan) {
        struct plan_totals plan = plan_totals(run->plan);
        memcpy(totals->counts, plan.outcomes, sizeof totals->counts);
        totals->due = plan.runs;
        totals->done = plan.done;
    }
    for (unsigned i = 0; i < run->slot_count; i++) {
        struct run_slot_status status;
        run_slot_status(run, i, &status);
        totals->slots += run->slots[i].state != RUN_SLOT_GONE;
        totals->busy_slots += status.is_busy;
    }
}

/*
 * ---- the truth at the end ----
 */

static enum run_outcome outcome_of_plan(const struct run_totals *totals, enum plan_why why,
                                        char text[RUN_WHY_BYTES]) {
    const uint32_t *counts = totals->counts;
    uint32_t bad = counts[PLAN_FAILED] + counts[PLAN_KILLER] + totals->strangers_failed +
                   totals->runners_failed;
    uint32_t ran = totals->selected - counts[PLAN_NEVER] - counts[PLAN_PENDING];
    if (why == PLAN_WHY_CRASH_LOOP)
        snprintf(text, RUN_WHY_BYTES, "runner after runner ended and no test did");
    else if (why == PLAN_WHY_NO_SLOTS)
        snprintf(text, RUN_WHY_BYTES, "no slot is left that can run a job");
    if (why == PLAN_WHY_CRASH_LOOP || why == PLAN_WHY_NO_SLOTS)
        return RUN_INFRASTRUCTURE;
    if (ran == 0 && bad == 0)
        return RUN_NOTHING;
    if ((counts[PLAN_NEVER] || totals->unfit) && why == PLAN_WHY_DONE)
        return RUN_INCOMPLETE;
    return bad ? RUN_FAILED : RUN_PASSED;
}

enum run_outcome run_outcome(const struct run *run, char why[RUN_WHY_BYTES]) {
    struct run_totals totals;
    assert(run->state == RUN_OVER);
    run_totals(run, &totals);
    snprintf(why, RUN_WHY_BYTES, "%s", run->why);
    if (run->ending != RUN_GOES_ON)
        return RUN_INTERRUPTED;
    if (run->has_failed)
        return RUN_INFRASTRUCTURE;
    if (!run->plan)
        return run->config.lists_only && run->selected_count ? RUN_PASSED : RUN_NOTHING;
    if (run->isolate && plan_why(run->plan) == PLAN_WHY_DONE)
        return run_isolate_outcome(run->isolate);
    return outcome_of_plan(&totals, plan_why(run->plan), why);
}
