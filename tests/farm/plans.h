/*
 * A farm for the plan (tools/farm/plan), by a seed: tests of many kinds, slots that come, are slow,
 * break and are lost, runners that lie. Time is counted, not waited for. What must be true of every
 * plan is asserted while it runs and at its end.
 */
#ifndef TESTS_FARM_PLANS_H
#define TESTS_FARM_PLANS_H

#include "tests/unit/random.h"
#include "tools/farm/plan/plan.h"

#include <stdio.h>

#define NS_PER_MS UINT64_C(1000000)

/* What a test does, each time. */
enum plans_kind {
    PLANS_PASS,
    PLANS_SKIP,
    PLANS_XFAIL,
    PLANS_FAIL,
    PLANS_UXSUCCESS,
    PLANS_FLAKY,   /* fails the first time */
    PLANS_KILLER,  /* its runner dies */
    PLANS_LEAVES,  /* its runner exits in peace in the middle of it */
    PLANS_IGNORED, /* its runner says nothing of it */
    PLANS_KINDS,
};

struct plans_test {
    enum plans_kind kind;
    uint64_t takes_ns;
    unsigned tries;         /* begun */
    unsigned given;         /* jobs that it was in */
    unsigned out;           /* jobs that it is in */
    unsigned passes, fails; /* verdicts that the plan took */
    char id[24];
    char group[24];
};

enum plans_slot_kind {
    PLANS_SLOT_ABSENT,
    PLANS_SLOT_HERE,
    PLANS_SLOT_LOST,
};

struct plans_slot {
    enum plans_slot_kind kind;
    bool is_broken;     /* no runner can be started, or each dies at once */
    unsigned slow;      /* times as long */
    uint64_t age;       /* of its events: older ones are void */
    uint32_t *tests;    /* the job's */
    uint32_t count, at; /* at == count: its runner ends */
    bool began;         /* the test at `at` runs */
};

/* What may happen, of a million each. */
struct plans_rates {
    unsigned lose;  /* slots, before a test */
    unsigned die;   /* runners, before a test */
    unsigned twice; /* verdicts said twice */
    unsigned stray; /* verdicts on tests of other jobs and unknown ones */
    unsigned drain, interrupt;
};

struct plans {
    struct random random;
    struct plan_config config;
    struct plan_test *given;
    struct plans_test *tests;
    uint32_t count;
    struct plans_slot *slots;
    unsigned slot_count, slot_most, here;
    struct plans_rates rates;
    bool says_begin;     /* runners say when a test begins */
    bool reports_at_end; /* ... and everything only when their job is over */
    uint64_t start_ns;   /* of a runner, for each job */
    uint32_t tokens[2], used[2];
    struct plan *plan;
    uint64_t now_ns, sum_ns, longest_ns, token_ns, alone_ns, digest, jobs;
    bool is_ideal; /* plans_over_ideal(): nobody is idle in vain */
    uint32_t out;  /* jobs */
    bool exclusive_out;
    struct plans_event *heap;
    size_t events, event_room;
    uint64_t event_count;
    FILE *log; /* or NULL */
};

/* A farm with this seed; `log` may be NULL. A number that is the same whenever the seed is. */
uint64_t plans_run(uint64_t seed, FILE *log, struct plan_totals *totals);

/*
 * A farm in which nothing fails, and every test is PLANS_PASS: how long it takes, over
 * max(sum / slots, longest), the sum of those that need a token / tokens; and what runs alone
 * behind that. Nobody is ever idle while a test waits that may run.
 */
struct plans_ideal {
    uint32_t tests;
    unsigned slots;
    bool is_known;
    uint64_t start_ns;
    enum plan_dist dist;
    uint64_t (*takes_ns)(struct random *random);
    uint32_t tokens; /* there are so many of the kind that every tenth test needs; 0: no test needs
                        any */
    uint32_t exclusive; /* so many tests run alone */
};
double plans_over_ideal(uint64_t seed, const struct plans_ideal *ideal);

/* Skewed: 50 ms x u^3, and 2 s for 0.5 % of the tests. */
uint64_t plans_skewed_ns(struct random *random);

#endif
