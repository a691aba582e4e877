#include "tests/farm/plans.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MILLION = 1000000 };

struct plans_event {
    uint64_t at_ns, order;
    uint64_t age;
    uint32_t slot; /* PLAN_NONE: a slot comes */
};

static uint64_t roll(struct plans *farm, uint64_t below) {
    return random_below(&farm->random, below);
}

static bool happens(struct plans *farm, unsigned of_a_million) {
    return roll(farm, MILLION) < of_a_million;
}

static void mix(struct plans *farm, uint64_t value) {
    farm->digest = (farm->digest ^ value) * UINT64_C(0x100000001b3);
}

/* Events: a heap by time, then by the order in which they were made. */

static bool is_before(const struct plans_event *a, const struct plans_event *b) {
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void swap(struct plans_event *a, struct plans_event *b) {
    struct plans_event kept = *a;
    *a = *b;
    *b = kept;
}

static void schedule(struct plans *farm, uint32_t slot, uint64_t in_ns) {
    if (farm->events == farm->event_room) {
        farm->event_room = farm->event_room * 2 + 64;
        farm->heap = realloc(farm->heap, farm->event_room * sizeof *farm->heap);
        assert(farm->heap != NULL);
    }
    size_t at = farm->events++;
    farm->heap[at] = (struct plans_event){farm->now_ns + in_ns, farm->event_count++,
                                          slot == PLAN_NONE ? 0 : farm->slots[slot].age, slot};
    for (; at > 0 && is_before(&farm->heap[at], &farm->heap[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&farm->heap[at], &farm->heap[(at - 1) / 2]);
}

static struct plans_event next_event(struct plans *farm) {
    struct plans_event first = farm->heap[0];
    farm->heap[0] = farm->heap[--farm->events];
    for (size_t at = 0, least;; at = least) {
        least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < farm->events; child++)
            if (is_before(&farm->heap[child], &farm->heap[least]))
                least = child;
        if (least == at)
            return first;
        swap(&farm->heap[at], &farm->heap[least]);
    }
}

/* Jobs. */

static bool is_exclusive(const struct plans *farm, uint32_t test) {
    return (farm->given[test].flags & PLAN_EXCLUSIVE) != 0;
}

/* The tokens of a job: each kind that one of its tests needs, once. */
static uint32_t job_tokens(const struct plans *farm, const struct plans_slot *slot) {
    uint32_t tokens = 0;
    for (uint32_t i = 0; i < slot->count; i++)
        tokens |= farm->given[slot->tests[i]].tokens;
    return tokens;
}

static bool job_is_exclusive(const struct plans *farm, const struct plans_slot *slot) {
    bool exclusive = false;
    for (uint32_t i = 0; i < slot->count; i++)
        exclusive = exclusive || is_exclusive(farm, slot->tests[i]);
    return exclusive;
}

static unsigned copies_of(const struct plans *farm) {
    return farm->config.repeat * (farm->config.dist == PLAN_EACH ? farm->config.slots : 1);
}

/* A test is not out more often than it is due, and not twice in one job. */
static void enter_job(struct plans *farm, struct plans_slot *slot) {
    unsigned copies = copies_of(farm);
    for (uint32_t i = 0; i < slot->count; i++) {
        assert(slot->tests[i] < farm->count);
        assert(++farm->tests[slot->tests[i]].out <= copies);
        farm->tests[slot->tests[i]].given++;
        for (uint32_t j = 0; j < i && slot->count < 50; j++)
            assert(slot->tests[i] != slot->tests[j]);
    }
    for (unsigned i = 0; i < farm->config.token_count; i++) {
        farm->used[i] += job_tokens(farm, slot) >> i & 1;
        assert(farm->used[i] <= farm->tokens[i]);
    }
    farm->out++;
    farm->exclusive_out = farm->exclusive_out || job_is_exclusive(farm, slot);
    assert(!farm->exclusive_out || farm->out == 1);
}

static void leave_job(struct plans *farm, struct plans_slot *slot) {
    for (uint32_t i = 0; i < slot->count; i++)
        farm->tests[slot->tests[i]].out--;
    for (unsigned i = 0; i < farm->config.token_count; i++)
        farm->used[i] -= job_tokens(farm, slot) >> i & 1;
    farm->out--;
    farm->exclusive_out = false;
    slot->count = slot->at = 0;
    slot->began = false;
    slot->age++;
}

static void take_job(struct plans *farm, const struct plan_job *job) {
    struct plans_slot *slot = &farm->slots[job->slot];
    assert(slot->kind == PLANS_SLOT_HERE && slot->count == 0 && job->count > 0);
    assert(job->number == farm->jobs++);
    slot->tests = realloc(slot->tests, job->count * sizeof *slot->tests);
    assert(slot->tests != NULL);
    memcpy(slot->tests, job->tests, job->count * sizeof *slot->tests);
    slot->count = job->count;
    enter_job(farm, slot);
    mix(farm, job->slot);
    for (uint32_t i = 0; i < job->count; i++)
        mix(farm, job->tests[i]);
    if (farm->log != NULL)
        fprintf(farm->log, "%" PRIu64 " job %" PRIu64 " slot %u: %u tests from %u%s\n",
                farm->now_ns, job->number, job->slot, job->count, job->tests[0],
                job->is_fresh ? ", fresh" : "");
    schedule(farm, job->slot, farm->start_ns);
}

/* While a slot is idle, what waits needs a token that is used up, or everything for itself. */
static void check_idle(const struct plans *farm) {
    bool waits = false, waits_alone = false;
    if (farm->out == farm->here || farm->exclusive_out)
        return;
    for (uint32_t i = 0; i < farm->count; i++) {
        if (farm->tests[i].given > 0)
            continue;
        waits_alone = waits_alone || is_exclusive(farm, i);
        waits = waits || !is_exclusive(farm, i);
        assert(is_exclusive(farm, i) ||
               (farm->given[i].tokens != 0 && farm->used[0] == farm->tokens[0]));
    }
    assert(!waits_alone || waits || farm->out > 0);
}

static void hand_out(struct plans *farm) {
    struct plan_job job;
    while (plan_next(farm->plan, farm->now_ns, &job))
        take_job(farm, &job);
    if (farm->is_ideal && farm->config.dist == PLAN_LOAD)
        check_idle(farm);
}

static void end_job(struct plans *farm, uint32_t number, enum plan_end how) {
    struct plan_blame blame;
    if (farm->log != NULL)
        fprintf(farm->log, "%" PRIu64 " slot %u: job ends %d\n", farm->now_ns, number, how);
    leave_job(farm, &farm->slots[number]);
    plan_job_ended(farm->plan, number, how, farm->now_ns, &blame);
    assert(blame.test == PLAN_NONE || blame.test < farm->count);
    mix(farm, blame.test);
}

static void lose(struct plans *farm, uint32_t number) {
    struct plans_slot *slot = &farm->slots[number];
    struct plan_blame blame;
    if (farm->log != NULL)
        fprintf(farm->log, "%" PRIu64 " slot %u: lost\n", farm->now_ns, number);
    leave_job(farm, slot);
    slot->kind = PLANS_SLOT_LOST;
    farm->here--;
    plan_slot_left(farm->plan, number, farm->now_ns, &blame);
    if (roll(farm, 4) > 0)
        schedule(farm, PLAN_NONE, roll(farm, 5000 * NS_PER_MS));
}

static void come(struct plans *farm) {
    if (farm->slot_count == farm->slot_most)
        return;
    unsigned number = farm->slot_count++;
    farm->slots[number] = (struct plans_slot){.kind = PLANS_SLOT_HERE, .slow = 1};
    if (farm->rates.lose > 0 && roll(farm, 8) == 0)
        farm->slots[number].slow = 1 + (unsigned)roll(farm, 20);
    farm->slots[number].is_broken = farm->rates.die > 0 && roll(farm, 20) == 0;
    farm->here++;
    bool has_memory = plan_slot_came(farm->plan, number);
    assert(has_memory);
}

/* Verdicts. */

static enum plan_verdict verdict_of(const struct plans_test *test) {
    switch (test->kind) {
    case PLANS_SKIP:
        return PLAN_SKIP;
    case PLANS_XFAIL:
        return PLAN_XFAIL;
    case PLANS_FAIL:
        return PLAN_FAIL;
    case PLANS_UXSUCCESS:
        return PLAN_UXSUCCESS;
    case PLANS_FLAKY:
        return test->tries == 1 ? PLAN_FAIL : PLAN_PASS;
    default:
        return PLAN_PASS;
    }
}

static void tell(struct plans *farm, uint32_t slot, uint32_t test, enum plan_verdict verdict) {
    bool failed = verdict == PLAN_FAIL || verdict == PLAN_UXSUCCESS;
    enum plan_reception reception = plan_test_ended(farm->plan, slot, test, verdict, farm->now_ns);
    assert((reception == PLAN_STRANGER) == (test >= farm->count));
    if (reception != PLAN_TAKEN)
        return;
    farm->tests[test].passes += !failed;
    farm->tests[test].fails += failed;
}

/* What a lying runner says besides. */
static void lie(struct plans *farm, uint32_t slot, uint32_t test, enum plan_verdict verdict) {
    if (happens(farm, farm->rates.twice))
        tell(farm, slot, test, verdict);
    if (!happens(farm, farm->rates.stray))
        return;
    uint32_t other = (uint32_t)roll(farm, farm->count + 2);
    for (uint32_t i = 0; i < farm->slots[slot].count; i++)
        if (farm->slots[slot].tests[i] == other)
            return;
    plan_test_started(farm->plan, slot, other, farm->now_ns);
    enum plan_reception reception =
        plan_test_ended(farm->plan, slot, other, PLAN_PASS, farm->now_ns);
    assert(reception == (other < farm->count ? PLAN_STRAY : PLAN_STRANGER));
}

static bool is_silent(const struct plans_test *test) {
    return test->kind == PLANS_IGNORED;
}

static void finish_job(struct plans *farm, uint32_t number) {
    struct plans_slot *slot = &farm->slots[number];
    for (uint32_t i = 0; farm->reports_at_end && i < slot->count; i++)
        if (!is_silent(&farm->tests[slot->tests[i]]))
            tell(farm, number, slot->tests[i], verdict_of(&farm->tests[slot->tests[i]]));
    end_job(farm, number, PLAN_END_DONE);
}

static void begin_test(struct plans *farm, uint32_t number) {
    struct plans_slot *slot = &farm->slots[number];
    uint32_t test = slot->tests[slot->at];
    slot->began = true;
    farm->tests[test].tries++;
    if (farm->says_begin && !is_silent(&farm->tests[test]))
        plan_test_started(farm->plan, number, test, farm->now_ns);
    schedule(farm, number, farm->tests[test].takes_ns * slot->slow);
}

static void end_test(struct plans *farm, uint32_t number) {
    struct plans_slot *slot = &farm->slots[number];
    uint32_t test = slot->tests[slot->at];
    enum plan_verdict verdict = verdict_of(&farm->tests[test]);
    slot->began = false;
    if (farm->tests[test].kind == PLANS_KILLER) {
        end_job(farm, number, PLAN_END_DIED);
        return;
    }
    if (farm->tests[test].kind == PLANS_LEAVES) {
        end_job(farm, number, PLAN_END_DONE);
        return;
    }
    if (!farm->reports_at_end && !is_silent(&farm->tests[test])) {
        tell(farm, number, test, verdict);
        lie(farm, number, test, verdict);
    }
    slot->at++;
    schedule(farm, number, 0);
}

/* A slot's next step. */
static void step(struct plans *farm, uint32_t number) {
    struct plans_slot *slot = &farm->slots[number];
    if (slot->began)
        end_test(farm, number);
    else if (happens(farm, farm->rates.lose))
        lose(farm, number);
    else if (slot->is_broken)
        end_job(farm, number, roll(farm, 2) > 0 ? PLAN_END_REFUSED : PLAN_END_DIED);
    else if (happens(farm, farm->rates.die))
        end_job(farm, number, PLAN_END_DIED);
    else if (plan_state(farm->plan) == PLAN_STOPS && roll(farm, 2) > 0)
        end_job(farm, number, PLAN_END_STOPPED);
    else if (slot->at == slot->count)
        finish_job(farm, number);
    else
        begin_test(farm, number);
}

/* Patience: sometimes a slot comes, sometimes nobody waits for one. */
static void feed(struct plans *farm) {
    if (farm->slot_count < farm->slot_most && roll(farm, 4) > 0)
        come(farm);
    else
        plan_stop(farm->plan, PLAN_WHY_NO_SLOTS);
}

static void disturb(struct plans *farm) {
    uint32_t slot = (uint32_t)roll(farm, farm->slot_count + 1);
    if (slot < farm->slot_count && farm->slots[slot].kind == PLANS_SLOT_HERE &&
        happens(farm, farm->rates.drain))
        plan_slot_drains(farm->plan, slot, roll(farm, 2) > 0);
    if (happens(farm, farm->rates.interrupt))
        plan_stop(farm->plan, PLAN_WHY_INTERRUPTED);
}

static void happen(struct plans *farm) {
    struct plans_event event = next_event(farm);
    if (event.slot == PLAN_NONE) {
        farm->now_ns = event.at_ns;
        come(farm);
    } else if (event.age == farm->slots[event.slot].age) {
        farm->now_ns = event.at_ns;
        step(farm, event.slot);
        disturb(farm);
    }
}

/* Drained slots that are the last ones: nobody would wait for ever. */
static void run(struct plans *farm) {
    hand_out(farm);
    while (plan_state(farm->plan) != PLAN_OVER) {
        if (farm->events > 0)
            happen(farm);
        else
            feed(farm);
        hand_out(farm);
        assert(farm->event_count < 20 * MILLION);
    }
    assert(farm->out == 0);
}

/* Ends. */

static bool is_success(enum plan_outcome outcome) {
    return outcome == PLAN_PASSED || outcome == PLAN_SKIPPED || outcome == PLAN_FLAKY;
}

/* What must be true of a test whatever happened. */
static void check_record(const struct plans *farm, const struct plans_test *test,
                         const struct plan_record *record) {
    assert(record->outcome != PLAN_PENDING && record->outcome < PLAN_OUTCOMES);
    assert((record->outcome == PLAN_NEVER) ==
           (record->passes + record->skips + record->fails == 0));
    assert((record->outcome == PLAN_KILLER) == (record->deaths >= PLAN_MOST_DEATHS));
    assert(record->outcome != PLAN_NEVER || record->cause != PLAN_CAUSE_NONE);
    assert(record->passes + record->skips <= test->passes);
    assert(record->fails <= test->fails + record->deaths);
    assert(record->fails == 0 || record->outcome >= PLAN_FAILED);
    assert(record->outcome != PLAN_FLAKY || (farm->config.retry > 0 && record->passes > 0));
    if (test->kind == PLANS_FAIL || test->kind == PLANS_UXSUCCESS || test->kind == PLANS_KILLER)
        assert(!is_success(record->outcome));
    if (test->kind == PLANS_IGNORED)
        assert(!is_success(record->outcome));
    assert(record->losses < PLAN_MOST_LOSSES + copies_of(farm));
    assert(record->ignored <= PLAN_MOST_IGNORED * copies_of(farm));
}

/* What becomes of it if nobody stops the plan, no slot breaks, and it is due once. */
static enum plan_outcome expected(const struct plans *farm, const struct plans_test *test) {
    static const enum plan_outcome outcomes[] = {
        [PLANS_PASS] = PLAN_PASSED,   [PLANS_SKIP] = PLAN_SKIPPED,     [PLANS_XFAIL] = PLAN_PASSED,
        [PLANS_FAIL] = PLAN_FAILED,   [PLANS_UXSUCCESS] = PLAN_FAILED, [PLANS_KILLER] = PLAN_KILLER,
        [PLANS_LEAVES] = PLAN_KILLER, [PLANS_IGNORED] = PLAN_NEVER,
    };
    if (test->kind == PLANS_FLAKY)
        return farm->config.retry > 0 ? PLAN_FLAKY : PLAN_FAILED;
    return outcomes[test->kind];
}

/* Where runners do not say what they begin, the plan may take another test for the killer. */
static bool is_certain(const struct plans *farm) {
    return farm->says_begin && !farm->reports_at_end && farm->rates.lose + farm->rates.die == 0 &&
           farm->config.repeat == 1 && farm->config.dist != PLAN_EACH &&
           plan_why(farm->plan) == PLAN_WHY_DONE;
}

static void check_end(struct plans *farm) {
    struct plan_totals totals = plan_totals(farm->plan);
    uint32_t outcomes[PLAN_OUTCOMES] = {0};
    for (uint32_t i = 0; i < farm->count; i++) {
        struct plan_record record = plan_record(farm->plan, i);
        check_record(farm, &farm->tests[i], &record);
        outcomes[record.outcome]++;
        mix(farm, record.outcome);
        if (is_certain(farm) && record.outcome != expected(farm, &farm->tests[i])) {
            fprintf(stderr, "test %u of kind %d: %d\n", i, farm->tests[i].kind, record.outcome);
            abort();
        }
    }
    assert(memcmp(outcomes, totals.outcomes, sizeof outcomes) == 0);
    assert(totals.done + totals.missing == totals.runs);
    assert(farm->config.maxfail == 0 || plan_why(farm->plan) != PLAN_WHY_DONE ||
           outcomes[PLAN_FAILED] + outcomes[PLAN_KILLER] < farm->config.maxfail);
    assert(plan_left_ns(farm->plan, farm->now_ns) == 0);
}

static void close_farm(struct plans *farm) {
    plan_free(farm->plan);
    for (unsigned i = 0; i < farm->slot_count; i++)
        free(farm->slots[i].tests);
    free(farm->slots);
    free(farm->tests);
    free(farm->given);
    free(farm->heap);
}

static void open_farm(struct plans *farm, uint64_t seed, uint32_t count, unsigned slots) {
    *farm = (struct plans){.random = {seed}, .count = count, .slot_most = slots};
    farm->given = calloc(count + 1, sizeof *farm->given);
    farm->tests = calloc(count + 1, sizeof *farm->tests);
    farm->slots = calloc(slots, sizeof *farm->slots);
    assert(farm->given != NULL && farm->tests != NULL && farm->slots != NULL);
    farm->config.repeat = 1;
}

uint64_t plans_skewed_ns(struct random *random) {
    if (random_below(random, 200) == 0)
        return 2000 * NS_PER_MS;
    uint64_t u = random_below(random, 1001);
    return 50 * NS_PER_MS * u * u * u / 1000000000;
}

static void name_test(struct plans *farm, uint32_t i, unsigned groups) {
    struct plans_test *test = &farm->tests[i];
    struct plan_test *given = &farm->given[i];
    given->id_len = (size_t)snprintf(test->id, sizeof test->id, "test_%u", i);
    given->id = test->id;
    if (groups == 0 || roll(farm, 5) == 0)
        return;
    given->group_len =
        (size_t)snprintf(test->group, sizeof test->group, "group_%u", (unsigned)roll(farm, groups));
    given->group = test->group;
}

static enum plans_kind roll_kind(struct plans *farm, unsigned odd) {
    if (!happens(farm, odd))
        return PLANS_PASS;
    return (enum plans_kind)roll(farm, PLANS_KINDS);
}

static void make_tests(struct plans *farm) {
    unsigned groups = roll(farm, 3) == 0 ? 1 + (unsigned)roll(farm, farm->count + 1) : 0;
    unsigned odd = (unsigned)(roll(farm, 3) * roll(farm, 300000));
    unsigned known = (unsigned)(roll(farm, 3) * MILLION / 2);
    unsigned rare = (unsigned)(roll(farm, 3) / 2 * roll(farm, 100000));
    for (uint32_t i = 0; i < farm->count; i++) {
        name_test(farm, i, groups);
        struct plan_test *given = &farm->given[i];
        farm->tests[i].kind = roll_kind(farm, odd);
        farm->tests[i].takes_ns = plans_skewed_ns(&farm->random);
        given->duration_ns = happens(farm, known) ? farm->tests[i].takes_ns : PLAN_UNKNOWN_NS;
        if (happens(farm, rare))
            given->flags |= PLAN_EXCLUSIVE;
        if (happens(farm, 2 * rare))
            given->flags |= PLAN_FAILED_LAST;
        if (farm->config.token_count > 0 && happens(farm, 100000))
            given->tokens = 1 + (uint32_t)roll(farm, 3);
    }
}

static unsigned rate(struct plans *farm, unsigned most) {
    return roll(farm, 2) == 0 ? 0 : (unsigned)roll(farm, most >> roll(farm, 8));
}

static void make_config(struct plans *farm) {
    struct plan_config *config = &farm->config;
    config->dist = (enum plan_dist)roll(farm, PLAN_REPLAY);
    config->slots = 1 + (unsigned)roll(farm, 20);
    config->repeat = roll(farm, 4) == 0 ? 1 + (unsigned)roll(farm, 4) : 1;
    config->retry = roll(farm, 2) == 0 ? (unsigned)roll(farm, 4) : 0;
    config->maxfail = roll(farm, 6) == 0 ? 1 + (unsigned)roll(farm, 5) : 0;
    config->random = roll(farm, 4) == 0;
    config->seed = roll(farm, MILLION);
    config->job_cost_ns = roll(farm, 2) * roll(farm, 400) * NS_PER_MS;
    farm->tokens[0] = 1 + (uint32_t)roll(farm, 2);
    farm->tokens[1] = 1 + (uint32_t)roll(farm, 4);
    config->tokens = farm->tokens;
    config->token_count = (unsigned)roll(farm, 2) * 2;
}

static void make_rates(struct plans *farm) {
    farm->rates = (struct plans_rates){.lose = rate(farm, 100000),
                                       .die = rate(farm, 100000),
                                       .twice = rate(farm, MILLION),
                                       .stray = rate(farm, MILLION),
                                       .drain = rate(farm, 100000),
                                       .interrupt = roll(farm, 8) == 0 ? 300 : 0};
    farm->says_begin = roll(farm, 3) > 0;
    farm->reports_at_end = roll(farm, 8) == 0;
    farm->start_ns = roll(farm, 2) == 0 ? farm->config.job_cost_ns : roll(farm, 2 * NS_PER_MS);
}

uint64_t plans_run(uint64_t seed, FILE *log, struct plan_totals *totals) {
    struct plans farm;
    struct random random = {seed};
    uint32_t count = (uint32_t)random_below(&random, random_below(&random, 20) == 0 ? 3000 : 300);
    open_farm(&farm, seed, count, 200);
    farm.log = log;
    make_config(&farm);
    make_rates(&farm);
    make_tests(&farm);
    farm.plan = plan_new(&farm.config, farm.given, farm.count);
    assert(farm.plan != NULL);
    for (unsigned i = 0; i < farm.config.slots; i++)
        if (roll(&farm, 4) > 0)
            come(&farm);
        else
            schedule(&farm, PLAN_NONE, roll(&farm, 3000 * NS_PER_MS));
    run(&farm);
    check_end(&farm);
    *totals = plan_totals(farm.plan);
    mix(&farm, plan_why(farm.plan));
    if (log != NULL)
        fprintf(log, "over: %d\n", plan_why(farm.plan));
    close_farm(&farm);
    return farm.digest;
}

/*
 * Nobody is idle while something waits: when the last job begins, all others had been busy. Where
 * starting a runner costs nothing, that job is one test, whether its duration was known or not.
 */
static void check_bound(const struct plans *farm, const struct plans_ideal *ideal) {
    uint64_t work_ns = farm->sum_ns + farm->jobs * ideal->start_ns;
    uint64_t last_ns = farm->longest_ns + 22 * ideal->start_ns;
    bool is_bounded = ideal->is_known || ideal->start_ns == 0;
    assert(ideal->dist != PLAN_LOAD || !is_bounded ||
           farm->now_ns <= work_ns / ideal->slots + last_ns);
}

static void make_ideal_test(struct plans *farm, const struct plans_ideal *ideal, uint32_t i) {
    uint64_t takes_ns = ideal->takes_ns(&farm->random);
    bool is_alone = i < ideal->exclusive;
    name_test(farm, i, 0);
    farm->tests[i].takes_ns = takes_ns;
    farm->given[i].duration_ns = ideal->is_known ? takes_ns : PLAN_UNKNOWN_NS;
    farm->given[i].tokens = ideal->tokens > 0 && i % 10 == 9;
    farm->given[i].flags = is_alone ? PLAN_EXCLUSIVE : 0;
    if (is_alone) {
        farm->alone_ns += takes_ns;
        return;
    }
    farm->sum_ns += takes_ns;
    farm->token_ns += farm->given[i].tokens ? takes_ns : 0;
    if (takes_ns > farm->longest_ns)
        farm->longest_ns = takes_ns;
}

static uint64_t least_possible_ns(const struct plans *farm, const struct plans_ideal *ideal) {
    uint64_t least_ns = farm->sum_ns / ideal->slots;
    if (least_ns < farm->longest_ns)
        least_ns = farm->longest_ns;
    if (ideal->tokens > 0 && least_ns < farm->token_ns / ideal->tokens)
        least_ns = farm->token_ns / ideal->tokens;
    return least_ns + farm->alone_ns;
}

double plans_over_ideal(uint64_t seed, const struct plans_ideal *ideal) {
    struct plans farm;
    open_farm(&farm, seed, ideal->tests, ideal->slots);
    farm.is_ideal = ideal->tests <= 2000; /* it looks at all of them each time */
    farm.config.dist = ideal->dist;
    farm.config.slots = ideal->slots;
    farm.config.job_cost_ns = farm.start_ns = ideal->start_ns;
    farm.says_begin = true;
    farm.tokens[0] = ideal->tokens;
    farm.config.tokens = farm.tokens;
    farm.config.token_count = ideal->tokens > 0;
    for (uint32_t i = 0; i < farm.count; i++)
        make_ideal_test(&farm, ideal, i);
    farm.plan = plan_new(&farm.config, farm.given, farm.count);
    assert(farm.plan != NULL);
    for (unsigned i = 0; i < ideal->slots; i++)
        come(&farm);
    run(&farm);
    check_end(&farm);
    if (ideal->tokens + ideal->exclusive == 0)
        check_bound(&farm, ideal);
    uint64_t least_ns = least_possible_ns(&farm, ideal);
    close_farm(&farm);
    return (double)farm.now_ns / (double)least_ns;
}
