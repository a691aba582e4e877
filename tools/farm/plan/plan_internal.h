/*
 * The plan's tables, shared by its files.
 *
 * A run is one due execution of a test: PLAN_EACH and `repeat` make several of a test. Runs that
 * stay together are a unit: those of a group, of a replayed job, or one. A unit waits in a lane, or
 * is out with a job, or is done. Units of a lane have the same share (`home`), the same tokens, and
 * are exclusive or not; so a lane is open to a slot as a whole. Lists go by numbers, PLAN_NONE
 * ends them.
 */
#ifndef TOOLS_FARM_PLAN_PLAN_INTERNAL_H
#define TOOLS_FARM_PLAN_PLAN_INTERNAL_H

#include "tools/farm/plan/plan.h"

/* No sum of durations overflows: of all runs together, in ns. A century. */
#define PLAN_MOST_SUM_NS (UINT64_C(1) << 61)

enum plan_run_state {
    PLAN_RUN_WAITS, /* in a lane */
    PLAN_RUN_OUT,   /* given to a slot, which said nothing of it */
    PLAN_RUN_BEGUN, /* the slot said that it runs */
    PLAN_RUN_ENDED, /* the slot said how it ended; the job goes on */
    PLAN_RUN_DONE,
    PLAN_RUN_GIVEN_UP,
};

/* A due execution of a test. */
struct plan_run {
    uint32_t test;
    uint32_t unit;
    uint32_t next; /* of the unit */
    uint8_t state; /* enum plan_run_state */
    uint8_t verdict;
    uint8_t tries;   /* failures: it is final behind `retry`; stays at 255 */
    uint8_t ignored; /* how often its runner ended in peace without a word of it */
};

enum plan_unit_state { PLAN_UNIT_DONE, PLAN_UNIT_WAITS, PLAN_UNIT_OUT };

struct plan_unit {
    uint64_t known_ns; /* of the runs in it whose duration is known */
    uint32_t unknown;  /* its other runs */
    uint32_t first;    /* runs that are not done */
    uint32_t count;
    uint32_t next; /* of the lane's list, or of the slot's job */
    uint32_t lane;
    uint32_t slot; /* where it is out */
    uint32_t most; /* units in a job with this one: fewer, the more jobs with it failed */
    uint8_t state; /* enum plan_unit_state */
    bool is_fresh; /* its job needs a new runner */
};

struct plan_subject {
    uint64_t expected_ns; /* or PLAN_UNKNOWN_NS */
    uint32_t stamp;       /* the last job that it was put into: low bits of its number */
    uint32_t passes, skips, fails;
    uint8_t deaths, losses, ignored;
    uint8_t outcome, cause;
    uint8_t is_final;  /* it failed, and no try is left: whatever comes, it failed */
    uint8_t is_failed; /* counted for maxfail */
};

/* Units that wait, with the same share and needs. */
struct plan_lane {
    uint32_t home;
    uint32_t tokens;
    bool exclusive;
    size_t head, tail;    /* in plan->order: those that were never out */
    size_t start, end;    /* ... and all of them */
    uint32_t again, last; /* those that came back: they go first */
    uint32_t waiting;     /* units, of both kinds */
    uint64_t known_ns;    /* of them, and of how many runs nothing is known */
    uint32_t unknown;
};

/* A share: that of one slot, or the pool of all. */
struct plan_home {
    uint32_t first, count; /* lanes */
    uint32_t owner;        /* a slot, or PLAN_NONE */
    uint32_t waiting;      /* units in its lanes */
    uint64_t known_ns;     /* of them, and of how many runs nothing is known */
    uint32_t unknown;
};

enum plan_slot_state {
    PLAN_SLOT_ABSENT, /* a number that did not come yet */
    PLAN_SLOT_IDLE,   /* in the list of idle slots */
    PLAN_SLOT_BUSY,
    PLAN_SLOT_ASIDE, /* no job, and gets none */
    PLAN_SLOT_GONE,
};

struct plan_slot {
    uint8_t state; /* enum plan_slot_state */
    bool drains, benched;
    bool has_worked;  /* it had a job */
    bool needs_fresh; /* its next job is of a share that is not that of its runner */
    bool heard;       /* the job: a verdict that counts, or of a stranger */
    bool timed;       /* the job: it says when tests start, so what it costs beside them is known */
    uint32_t prev, next; /* idle slots */
    uint32_t home;       /* the share that it owns, or PLAN_NONE */
    uint32_t units;      /* the job's */
    uint32_t lane;       /* the job's: its tokens */
    uint32_t count;      /* the job's tests */
    uint32_t cursor;     /* the run that was reported last, or PLAN_NONE */
    uint32_t fruitless;  /* jobs in a row without a word of a test */
    uint64_t given_ns;
    uint64_t mark_ns;   /* the last start or end of a test */
    uint64_t tests_ns;  /* what the job's tests took */
    uint64_t expect_ns; /* of the job's tests that did not end */
};

struct plan {
    struct plan_config config;
    uint32_t capacity[PLAN_MOST_TOKENS], used[PLAN_MOST_TOKENS];
    enum plan_state state;
    enum plan_why why;
    struct plan_totals totals;

    struct plan_subject *subjects;
    uint32_t subject_count;
    struct plan_run *runs;
    uint32_t run_count;
    struct plan_unit *units;
    uint32_t unit_count;
    uint32_t *order; /* units by lane, as they are to be given out */
    struct plan_lane *lanes;
    uint32_t lane_count;
    struct plan_home *homes;
    uint32_t home_count;
    uint32_t *job; /* tests of the job that is handed out */

    struct plan_slot *slots;
    uint32_t slot_room;
    uint32_t idle_first, idle_last;
    uint32_t idle, busy, benched; /* slots */

    uint32_t waiting, exclusive; /* units that wait; the exclusive ones among them */
    uint32_t orphans;            /* units that wait in shares that no slot has */
    bool alone;                  /* an exclusive job is out */
    uint32_t failed;             /* tests, for maxfail */
    uint32_t fruitless;          /* jobs in a row, of all slots */
    uint32_t known;              /* tests whose duration is known */
    bool round_ended;            /* a test did, in this round */
    uint64_t most_ns;            /* a test counts as no longer */
    uint64_t guess_ns;           /* of an unknown test, before one is measured */
    uint64_t measured_ns;        /* unknown tests that ended */
    uint32_t measured;
    uint64_t cost_ns; /* of a job, beside its tests */
};

/* setup.c: runs, units, and by order.c lanes and shares. False: out of memory. */
bool plan_set_up(struct plan *plan, const struct plan_test *tests);

/* Everything waits, as at first. */
void plan_begin_round(struct plan *plan);

/* What order.c sorts units by, and makes lanes of. */
struct plan_place {
    uint64_t rank;
    uint32_t home, tokens, round, unit;
    bool exclusive, failed_last;
};

/* order.c: fills plan->order, lanes and homes; sorts `places`, one a unit. False: out of memory. */
bool plan_put_in_order(struct plan *plan, struct plan_place *places);

/* groups.c: numbers of groups by test, from 0 in order of their first tests. How many; 0: no
 * memory. */
uint32_t plan_number_groups(const struct plan_test *tests, uint32_t count, uint32_t *group_of);

/* share.c: the home of each group, by PLAN_HASH or PLAN_STEAL. False: out of memory. */
bool plan_share_out(const struct plan *plan, const struct plan_test *tests,
                    const uint32_t *group_of, uint32_t groups, uint32_t *home_of);

/* lanes.c: units that wait. */
void plan_unit_come_back(struct plan *plan, uint32_t unit);
void plan_unit_done(struct plan *plan, uint32_t unit);
void plan_lane_refill(struct plan *plan, struct plan_lane *lane);
uint32_t plan_lane_peek(const struct plan *plan, const struct plan_lane *lane, bool from_end);
uint32_t plan_lane_take(struct plan *plan, struct plan_lane *lane, bool from_end);
bool plan_lane_open(const struct plan *plan, const struct plan_lane *lane);
void plan_lane_enter(struct plan *plan, const struct plan_lane *lane);
void plan_lane_leave(struct plan *plan, const struct plan_lane *lane);

/* runs.c: what becomes of a run and of its test. */
void plan_run_set(struct plan *plan, uint32_t run, enum plan_run_state state);
void plan_run_take_verdict(struct plan *plan, uint32_t run, enum plan_verdict verdict);
bool plan_run_tries_again(const struct plan *plan, uint32_t run);
bool plan_run_died(struct plan *plan, uint32_t run);
bool plan_run_lost(struct plan *plan, uint32_t run);
bool plan_run_ignored(struct plan *plan, uint32_t run);
void plan_run_give_up(struct plan *plan, uint32_t run, enum plan_cause cause);
void plan_count_failure(struct plan *plan);
void plan_set_outcome(struct plan *plan, uint32_t test);

/* slots.c */
void plan_slot_set(struct plan *plan, uint32_t slot, enum plan_slot_state state);
void plan_slot_rest(struct plan *plan, uint32_t slot);
void plan_slot_fruitless(struct plan *plan, uint32_t slot);
void plan_slots_return(struct plan *plan);
void plan_home_adopt(struct plan *plan, uint32_t slot);

/* settle.c: the slot's job is over; its state is left to the caller. */
void plan_settle(struct plan *plan, uint32_t slot, enum plan_end how, uint64_t now_ns,
                 struct plan_blame *blame);

/* estimate.c: durations. */
uint64_t plan_expected_ns(const struct plan *plan, uint32_t test);
uint64_t plan_unit_ns(const struct plan *plan, uint32_t unit);
uint64_t plan_waiting_ns(const struct plan *plan, uint64_t known_ns, uint32_t unknown);
uint64_t plan_target_ns(const struct plan *plan, const struct plan_home *home);
void plan_learn_test(struct plan *plan, uint32_t test, uint64_t took_ns);
void plan_learn_cost(struct plan *plan, const struct plan_slot *slot, uint64_t now_ns);

/* plan.c: after an event: is it over? */
void plan_look(struct plan *plan);

/* What must be true between two calls. */
void plan_sane(const struct plan *plan);

#endif
