/* The plan, driven by hand: which jobs it gives, in which order, and what it makes of their ends.
 */
#include "tests/unit/check.h"
#include "tools/farm/plan/plan.h"

#include <stdio.h>

enum { MS = 1000000, TESTS_MOST = 64 };

static const struct plan_config load = {.dist = PLAN_LOAD, .slots = 2};

/* A plan of tests without names, all of them known. */
static struct plan *plan_of(const struct plan_config *config, const struct plan_test *tests,
                            unsigned count, unsigned slots) {
    struct plan *plan = plan_new(config, tests, count);
    assert_non_null(plan);
    for (unsigned slot = 0; slot < slots; slot++)
        assert_true(plan_slot_came(plan, slot));
    return plan;
}

/* "SLOT: TEST TEST"; "": none. */
static const char *next(struct plan *plan, struct plan_job *job) {
    static char text[1024];
    *text = '\0';
    if (!plan_next(plan, 0, job))
        return text;
    int len = sprintf(text, "%u:", job->slot);
    for (uint32_t i = 0; i < job->count; i++)
        len += sprintf(text + len, " %u", job->tests[i]);
    return text;
}

/* All of its tests end so, and it. */
static void end_all(struct plan *plan, const struct plan_job *job, enum plan_verdict verdict) {
    struct plan_blame blame;
    uint32_t tests[TESTS_MOST], count = job->count;
    memcpy(tests, job->tests, count * sizeof *tests);
    for (uint32_t i = 0; i < count; i++) {
        plan_test_started(plan, job->slot, tests[i], 0);
        assert_int_equal(plan_test_ended(plan, job->slot, tests[i], verdict, 0), PLAN_TAKEN);
    }
    plan_job_ended(plan, job->slot, PLAN_END_DONE, 0, &blame);
    assert_int_equal(blame.test, PLAN_NONE);
}

/*
 * ---- replay ----
 */

static const uint32_t replayed[] = {3, 1, 2, 0, 4, 1, 1};
static const struct plan_replay replay[] = {
    {.slot = 7, .first = 0, .count = 2},                   /* 3 1 */
    {.slot = 7, .first = 2, .count = 1, .is_fresh = true}, /* 2 */
    {.slot = 9, .first = 3, .count = 2},                   /* 0 4 */
    {.slot = 9, .first = 5, .count = 2},                   /* 1 */
};
static const struct plan_test five[5] = {
    {.duration_ns = 9 * MS}, {.duration_ns = 1 * MS},   {.duration_ns = PLAN_UNKNOWN_NS},
    {.duration_ns = 3 * MS}, {.duration_ns = 500 * MS},
};
static const struct plan_config again = {.dist = PLAN_REPLAY,
                                         .slots = 2,
                                         .job_cost_ns = 200 * (uint64_t)MS,
                                         .replay = replay,
                                         .replay_tests = replayed,
                                         .replay_count = COUNT(replay)};

/* Each slot has the jobs of one slot of then, in their order, and a new runner where there was one.
 */
static void same_jobs(void **state) {
    (void)state;
    struct plan_job a, b;
    struct plan *plan = plan_of(&again, five, 5, 2);
    assert_string_equal(next(plan, &a), "0: 3 1");
    assert_false(a.is_fresh);
    assert_string_equal(next(plan, &b), "1: 0 4");
    assert_string_equal(next(plan, &b), "");
    b = (struct plan_job){.slot = 1, .tests = (const uint32_t[]){0, 4}, .count = 2};
    end_all(plan, &b, PLAN_PASS);
    assert_string_equal(next(plan, &b), "1: 1");
    assert_false(b.is_fresh);
    end_all(plan, &b, PLAN_FAIL);
    assert_string_equal(next(plan, &b), "");
    a = (struct plan_job){.slot = 0, .tests = (const uint32_t[]){3, 1}, .count = 2};
    end_all(plan, &a, PLAN_PASS);
    assert_string_equal(next(plan, &a), "0: 2");
    assert_true(a.is_fresh);
    end_all(plan, &a, PLAN_PASS);
    assert_int_equal(plan_state(plan), PLAN_OVER);
    assert_int_equal(plan_totals(plan).runs, 6);
    assert_int_equal(plan_record(plan, 1).outcome, PLAN_FAILED);
    assert_int_equal(plan_record(plan, 3).outcome, PLAN_PASSED);
    plan_free(plan);
}

/* One slot has all of them, the second share behind the first, in a new runner. */
static void fewer_slots(void **state) {
    (void)state;
    static const char *const wanted[] = {"0: 3 1", "0: 2", "0: 0 4", "0: 1"};
    static const bool is_fresh[] = {false, true, true, false};
    struct plan_job job;
    struct plan *plan = plan_of(&again, five, 5, 1);
    for (unsigned i = 0; i < COUNT(wanted); i++) {
        assert_string_equal(next(plan, &job), wanted[i]);
        assert_int_equal(job.is_fresh, is_fresh[i]);
        end_all(plan, &job, PLAN_PASS);
    }
    assert_int_equal(plan_state(plan), PLAN_OVER);
    plan_free(plan);
}

/* More of them are idle. */
static void more_slots(void **state) {
    (void)state;
    struct plan_job job;
    struct plan *plan = plan_of(&again, five, 5, 4);
    assert_string_equal(next(plan, &job), "0: 3 1");
    assert_string_equal(next(plan, &job), "1: 0 4");
    assert_string_equal(next(plan, &job), "");
    plan_free(plan);
}

/*
 * ---- tokens, and tests alone ----
 */

static void tokens(void **state) {
    (void)state;
    static const uint32_t one[] = {1};
    struct plan_config config = {.dist = PLAN_LOAD, .slots = 3, .tokens = one, .token_count = 1};
    static const struct plan_test tests[] = {
        {.duration_ns = 5 * MS, .flags = PLAN_EXCLUSIVE},
        {.duration_ns = 1 * MS, .tokens = 1},
        {.duration_ns = 1 * MS, .tokens = 1},
        {.duration_ns = 1 * MS},
    };
    struct plan_job token, plain, alone;
    struct plan *plan = plan_of(&config, tests, COUNT(tests), 3);
    assert_string_equal(next(plan, &token), "0: 1");
    token.tests = (const uint32_t[]){1};
    assert_string_equal(next(plan, &plain), "1: 3");
    plain.tests = (const uint32_t[]){3};
    assert_string_equal(next(plan, &alone), "");
    end_all(plan, &plain, PLAN_PASS);
    assert_string_equal(next(plan, &alone), "");
    end_all(plan, &token, PLAN_PASS);
    assert_string_equal(next(plan, &token), "2: 2");
    token.tests = (const uint32_t[]){2};
    assert_string_equal(next(plan, &alone), "");
    end_all(plan, &token, PLAN_PASS);
    assert_string_equal(next(plan, &alone), "1: 0");
    alone.tests = (const uint32_t[]){0};
    end_all(plan, &alone, PLAN_PASS);
    assert_int_equal(plan_state(plan), PLAN_OVER);
    plan_free(plan);
}

/* A slot that is lost, and one whose runner dies, give their token back. */
static void tokens_come_back(void **state) {
    (void)state;
    static const uint32_t one[] = {1};
    struct plan_config config = {.dist = PLAN_LOAD, .slots = 2, .tokens = one, .token_count = 1};
    static const struct plan_test tests[] = {{.duration_ns = MS, .tokens = 1},
                                             {.duration_ns = MS, .tokens = 1}};
    struct plan_job job;
    struct plan_blame blame;
    struct plan *plan = plan_of(&config, tests, COUNT(tests), 2);
    assert_string_equal(next(plan, &job), "0: 0");
    plan_slot_left(plan, 0, 0, &blame);
    assert_string_equal(next(plan, &job), "1: 0");
    plan_job_ended(plan, 1, PLAN_END_DIED, 0, &blame);
    assert_int_equal(blame.test, 0);
    assert_false(blame.is_killer);
    assert_string_equal(next(plan, &job), "1: 0");
    assert_true(job.is_fresh);
    plan_job_ended(plan, 1, PLAN_END_DIED, 0, &blame);
    assert_true(blame.is_killer);
    assert_string_equal(next(plan, &job), "1: 1");
    plan_free(plan);
}

/* A test was given up with its slots; one of them says still how it ended. */
static void a_late_verdict(void **state) {
    (void)state;
    struct plan_config config = {.dist = PLAN_LOAD, .slots = 4};
    static const struct plan_test tests[] = {{.duration_ns = 2 * MS}, {.duration_ns = MS}};
    struct plan_job job;
    struct plan_blame blame;
    struct plan *plan = plan_of(&config, tests, COUNT(tests), 4);
    assert_string_equal(next(plan, &job), "0: 0");
    assert_string_equal(next(plan, &job), "1: 1");
    plan_slot_left(plan, 0, 0, &blame);
    assert_string_equal(next(plan, &job), "2: 0");
    assert_int_equal(plan_test_ended_late(plan, 0, PLAN_PASS), PLAN_STRAY); /* it runs again */
    plan_slot_left(plan, 2, 0, &blame);
    assert_string_equal(next(plan, &job), "3: 0");
    plan_slot_left(plan, 3, 0, &blame);
    assert_string_equal(next(plan, &job), "");
    assert_int_equal(plan_totals(plan).missing, 1);
    assert_int_equal(plan_test_ended_late(plan, 0, PLAN_FAIL), PLAN_TAKEN);
    assert_int_equal(plan_test_ended_late(plan, 0, PLAN_PASS), PLAN_STRAY);
    assert_int_equal(plan_test_ended_late(plan, 1, PLAN_PASS), PLAN_STRAY);
    job = (struct plan_job){.slot = 1, .tests = (const uint32_t[]){1}, .count = 1};
    end_all(plan, &job, PLAN_PASS);
    assert_int_equal(plan_state(plan), PLAN_OVER);
    assert_int_equal(plan_totals(plan).missing, 0);
    assert_int_equal(plan_totals(plan).outcomes[PLAN_FAILED], 1);
    assert_int_equal(plan_totals(plan).outcomes[PLAN_PASSED], 1);
    plan_free(plan);
}

/*
 * ---- tries ----
 */

/* Of one of several runs of a test it is known which try it is; the other ones are first tries. */
static void tries(void **state) {
    (void)state;
    struct plan_config config = {.dist = PLAN_EACH, .slots = 2, .retry = 1};
    struct plan_job a, b;
    struct plan *plan = plan_of(&config, five, 1, 2);
    assert_string_equal(next(plan, &a), "0: 0");
    a.tests = (const uint32_t[]){0};
    assert_int_equal(plan_tries(plan, 0, 0), 0);
    end_all(plan, &a, PLAN_FAIL);
    assert_string_equal(next(plan, &b), "1: 0");
    b.tests = (const uint32_t[]){0};
    assert_int_equal(plan_tries(plan, 1, 0), 0);
    assert_int_equal(plan_tries(plan, 0, 0), 0);
    assert_string_equal(next(plan, &a), "0: 0");
    assert_int_equal(plan_tries(plan, 0, 0), 1);
    assert_int_equal(plan_tries(plan, 0, 7), 0);
    end_all(plan, &b, PLAN_PASS);
    end_all(plan, &a, PLAN_FAIL);
    assert_int_equal(plan_record(plan, 0).outcome, PLAN_FAILED);
    assert_int_equal(plan_state(plan), PLAN_OVER);
    plan_free(plan);
}

/* Its runner died: it runs again, which is no try, and passes in vain. */
static void assert_no_try(struct plan *plan) {
    struct plan_job job;
    assert_string_equal(next(plan, &job), "0: 0");
    job.tests = (const uint32_t[]){0};
    assert_int_equal(plan_tries(plan, 0, 0), 0);
    end_all(plan, &job, PLAN_PASS);
    assert_int_equal(plan_record(plan, 0).outcome, PLAN_FAILED);
}

/* One that runs again to tell a killer from a victim is no other try. */
static void no_try(void **state) {
    (void)state;
    struct plan_blame blame;
    struct plan_job job;
    struct plan *plan = plan_of(&load, five, 1, 1);
    assert_string_equal(next(plan, &job), "0: 0");
    plan_test_started(plan, 0, 0, 0);
    plan_job_ended(plan, 0, PLAN_END_DIED, 0, &blame);
    assert_int_equal(blame.test, 0);
    assert_no_try(plan);
    plan_free(plan);
}

/* Its last try died: it failed for good, and what runs to tell a killer from a victim is no try. */
static void no_try_behind_the_last(void **state) {
    (void)state;
    struct plan_config config = {.dist = PLAN_LOAD, .slots = 1, .retry = 1};
    struct plan_blame blame;
    struct plan_job job;
    struct plan *plan = plan_of(&config, five, 1, 1);
    assert_string_equal(next(plan, &job), "0: 0");
    job.tests = (const uint32_t[]){0};
    end_all(plan, &job, PLAN_FAIL);
    assert_string_equal(next(plan, &job), "0: 0");
    assert_int_equal(plan_tries(plan, 0, 0), 1);
    plan_test_started(plan, 0, 0, 0);
    plan_job_ended(plan, 0, PLAN_END_DIED, 0, &blame);
    assert_no_try(plan);
    plan_free(plan);
}

/* A test may have more runs than others: each in a job of its own, and none beside another. */
static void its_own_repeat(void **state) {
    (void)state;
    static const struct plan_test tests[] = {
        {.duration_ns = MS, .group = "g", .group_len = 1},
        {.duration_ns = MS, .flags = PLAN_EXCLUSIVE, .repeat = 3},
        {.duration_ns = MS, .group = "g", .group_len = 1},
    };
    struct plan_job job;
    struct plan *plan = plan_of(&load, tests, COUNT(tests), 2);
    assert_int_equal(plan_totals(plan).runs, 5);
    assert_string_equal(next(plan, &job), "0: 0 2");
    assert_string_equal(next(plan, &(struct plan_job){0}), "");
    job.tests = (const uint32_t[]){0, 2};
    end_all(plan, &job, PLAN_PASS);
    for (unsigned i = 0; i < 3; i++) {
        assert_string_equal(next(plan, &job), i % 2 ? "0: 1" : "1: 1");
        job.tests = (const uint32_t[]){1};
        assert_string_equal(next(plan, &(struct plan_job){0}), "");
        end_all(plan, &job, i == 1 ? PLAN_FAIL : PLAN_PASS);
    }
    assert_int_equal(plan_state(plan), PLAN_OVER);
    assert_int_equal(plan_record(plan, 1).passes, 2);
    assert_int_equal(plan_record(plan, 1).outcome, PLAN_FAILED);
    plan_free(plan);
}

/*
 * ---- order ----
 */

static void slowest_first(void **state) {
    (void)state;
    struct plan_job job;
    struct plan *plan = plan_of(&load, five, 5, 2);
    assert_string_equal(next(plan, &job), "0: 4");
    job.tests = (const uint32_t[]){4};
    assert_string_equal(next(plan, &(struct plan_job){0}), "1: 0");
    end_all(plan, &job, PLAN_PASS);
    assert_string_equal(next(plan, &job), "0: 2");
    plan_free(plan);
}

/* With repeat all tests have run once before one runs again, be it slower than others. */
static void round_by_round(void **state) {
    (void)state;
    static const struct plan_config config = {.dist = PLAN_LOAD, .slots = 1, .repeat = 3};
    struct plan_job job;
    struct plan *plan = plan_of(&config, five, 2, 1);
    for (uint32_t i = 0; i < 6; i++) {
        assert_string_equal(next(plan, &job), i % 2 ? "0: 1" : "0: 0");
        job.tests = (const uint32_t[]){i % 2};
        end_all(plan, &job, PLAN_PASS);
    }
    assert_int_equal(plan_state(plan), PLAN_OVER);
    plan_free(plan);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_jobs),        cmocka_unit_test(fewer_slots),
        cmocka_unit_test(more_slots),       cmocka_unit_test(tokens),
        cmocka_unit_test(tokens_come_back), cmocka_unit_test(a_late_verdict),
        cmocka_unit_test(slowest_first),    cmocka_unit_test(tries),
        cmocka_unit_test(no_try),           cmocka_unit_test(no_try_behind_the_last),
        cmocka_unit_test(round_by_round),   cmocka_unit_test(its_own_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
