/*
 * The plan of a run: which slot runs which tests next, and what became of each test. `mux run` uses
 * it. Pure: no system call, no clock; the same calls with the same values give the same jobs.
 *
 * Slots come, ask by being idle, and are given jobs: lists of tests for one runner, in order. The
 * owner tells what the runner says of tests, and how the job ended. What a job left undone is given
 * out again, within limits; a test whose runner dies under it twice is a killer. When nothing is
 * left, or the plan was stopped and the last job ended, it is over: then each announced test has
 * exactly one outcome.
 *
 *     plan_slot_came(plan, slot);                   after every event:
 *     plan_test_started/_ended(plan, slot, ...);    while (plan_next(plan, now, &job))
 *     plan_job_ended(plan, slot, how, now, &blame);     send `job` to job.slot
 *     plan_slot_left(plan, slot, now, &blame);      if (plan_state(plan) == PLAN_OVER) report
 *
 * Memory is allocated by plan_new(), and for slots when they come. A call takes time in proportion
 * to the job it is about and, where slots have shares of their own (`dist`), to the slots; the
 * first and the last call look at all tests. One thread.
 */
#ifndef TOOLS_FARM_PLAN_PLAN_H
#define TOOLS_FARM_PLAN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAN_NONE UINT32_MAX

/* Runs of tests in one plan: tests x repeat, and x slots with PLAN_EACH. Memory: 64 bytes each, 40
 * a test. */
#define PLAN_MOST_RUNS 16000000u

/* Kinds of tokens: as bits of a word. */
#define PLAN_MOST_TOKENS 32u

/* Slots that ever come. Memory: 120 bytes each. */
#define PLAN_MOST_SLOTS 1000000u

/* Tests of a job, unless one group has more: 100 KiB of ids at 100 bytes each. */
#define PLAN_MOST_JOB_TESTS 1000u

/* A test's runner died under it so often: it is the killer. */
#define PLAN_MOST_DEATHS 2u

/* A test's slot was lost under it so often: it is not tried again. A machine may break by chance.
 */
#define PLAN_MOST_LOSSES 3u

/* A test was given out so often, and its runner ended in peace without a word of it. */
#define PLAN_MOST_IGNORED 2u

/* Who gets which tests. A test's group is never divided. */
enum plan_dist {
    PLAN_LOAD,   /* whoever is idle, the slowest first */
    PLAN_EACH,   /* every slot all of them, in order */
    PLAN_HASH,   /* by the ring of ring.h; a lost slot's share goes to whoever is idle */
    PLAN_STEAL,  /* a block of neighbours each; who is done takes from the end of the longest */
    PLAN_REPLAY, /* the jobs of `replay`, those of one slot in order on one slot */
};

enum plan_flag {
    PLAN_FAILED_LAST = 1, /* it failed in the last run: first, where that makes the run no longer */
    PLAN_EXCLUSIVE = 2,   /* nothing else runs on the farm meanwhile */
};

#define PLAN_UNKNOWN_NS UINT64_MAX

struct plan_test {
    const char *id; /* read by plan_new() only, and only with PLAN_HASH */
    size_t id_len;
    const char *group; /* NULL: none. Read by plan_new() only */
    size_t group_len;
    uint64_t duration_ns; /* or PLAN_UNKNOWN_NS */
    uint32_t tokens;      /* bits: it needs one of each of these kinds */
    unsigned flags;
    unsigned repeat; /* runs of it; 0: as the config says */
};

/* A job of an earlier run: tests replay_tests[first..first + count), at least one. */
struct plan_replay {
    unsigned slot; /* then; any numbers */
    uint32_t first, count;
    bool is_fresh; /* it needs a new runner, as it had then */
};

struct plan_config {
    enum plan_dist dist;
    unsigned slots;         /* PLAN_EACH, _HASH, _STEAL: how many shares. At least 1 */
    unsigned repeat;        /* runs of each test; 0 is 1 */
    unsigned retry;         /* more runs of one that failed */
    unsigned maxfail;       /* so many tests failed: stop. 0: never */
    bool until_failure;     /* all again and again, until one fails */
    bool random;            /* in an order that is a function of `seed` */
    uint64_t seed;          /* */
    uint64_t job_cost_ns;   /* of starting a runner, at first: the plan measures it then */
    const uint32_t *tokens; /* how many there are of each kind */
    unsigned token_count;   /* kinds, at most PLAN_MOST_TOKENS */
    const struct plan_replay *replay;
    const uint32_t *replay_tests;
    size_t replay_count;
};

enum plan_verdict { PLAN_PASS, PLAN_SKIP, PLAN_XFAIL, PLAN_FAIL, PLAN_UXSUCCESS };

/* How a job ended. */
enum plan_end {
    PLAN_END_DONE,    /* its runner says so, or ended in peace */
    PLAN_END_DIED,    /* its runner died: a signal, an exit code that means it */
    PLAN_END_STOPPED, /* somebody ended it: no test is to blame */
    PLAN_END_LOST,    /* nobody knows: its machine is lost */
    PLAN_END_REFUSED, /* no runner could be started */
};

/* What the end of a job says of tests. */
struct plan_blame {
    uint32_t test;    /* its runner died, or its slot was lost, under it; PLAN_NONE: nobody's */
    bool is_killer;   /* ... for the last time */
    uint32_t ignored; /* tests of the job without a word that will not be tried again */
    uint32_t again;   /* tests of the job that will be given out again */
};

enum plan_outcome {
    PLAN_PENDING, /* until the plan is over */
    PLAN_PASSED,
    PLAN_FAILED,
    PLAN_SKIPPED,
    PLAN_FLAKY,  /* it failed, then passed within `retry` */
    PLAN_KILLER, /* its runner died under it twice: a failure */
    PLAN_NEVER,  /* never ran: see its cause */
    PLAN_OUTCOMES,
};

enum plan_cause {
    PLAN_CAUSE_NONE,
    PLAN_CAUSE_IGNORED, /* it was given to runners that said nothing of it */
    PLAN_CAUSE_LOST,    /* its slots were lost */
    PLAN_CAUSE_STOPPED, /* the plan was stopped before its turn */
    PLAN_CAUSE_CUT,     /* ... in the middle of it, and nobody said how it went */
};

/* Why slots are idle though tests wait. */
enum plan_wait {
    PLAN_WAIT_NOT,   /* they are not, or nothing keeps them so */
    PLAN_WAIT_TOKEN, /* the first tests in question need one that others have */
    PLAN_WAIT_ALONE, /* an exclusive test runs, or is next and waits for what runs */
};

/* A test's runs so far. */
struct plan_record {
    enum plan_outcome outcome;
    enum plan_cause cause;
    unsigned passes, skips, fails; /* xfail is a pass, uxsuccess a fail */
    unsigned deaths, losses, ignored;
};

enum plan_state {
    PLAN_RUNS,
    PLAN_STOPS, /* no new jobs; some are out */
    PLAN_OVER,
};

/* Why a plan stops or is over. */
enum plan_why {
    PLAN_WHY_NOT,
    PLAN_WHY_DONE,
    PLAN_WHY_MAXFAIL,
    PLAN_WHY_FAILURE,    /* until_failure */
    PLAN_WHY_CRASH_LOOP, /* job after job ended, and no test did */
    PLAN_WHY_NO_SLOTS,   /* the owner's patience: plan_starves() */
    PLAN_WHY_INTERRUPTED,
};

struct plan_totals {
    uint32_t outcomes[PLAN_OUTCOMES]; /* tests; their sum is that of all tests */
    uint32_t runs;                /* of tests that are due, in a round: tests x repeat (x slots) */
    uint32_t done;                /* of these, in this round */
    uint32_t missing;             /* of these: given up, or left over at the end */
    uint32_t rounds;              /* until_failure: begun */
    uint64_t jobs;                /* given out */
    uint64_t retries;             /* runs after a failure */
    uint64_t deaths, losses;      /* of runners under a test; of slots under a job */
    uint64_t strays, stray_fails; /* verdicts on announced tests from where they were not due */
    uint64_t strangers, stranger_fails; /* verdicts on tests that nobody announced */
};

/* What plan_next() hands out. */
struct plan_job {
    unsigned slot;
    uint64_t number;       /* 0, 1, ... */
    const uint32_t *tests; /* good until the next plan_next() */
    uint32_t count;
    bool is_fresh; /* it needs a new runner: a test's guilt is in question, or the share is another
                    */
};

/* Whether a verdict counts. */
enum plan_reception {
    PLAN_TAKEN,
    PLAN_STRAY,    /* not due there, or its job is over */
    PLAN_STRANGER, /* nobody announced it */
};

struct plan;

/* They are at most PLAN_MOST_RUNS runs. For a message: plan_new() asserts it. */
bool plan_fits(const struct plan_config *config, const struct plan_test *tests, size_t count);

/*
 * The tests are numbered as they lie there. What the plan needs of
 * `config` and `tests` it copies. NULL: out of memory.
 */
struct plan *plan_new(const struct plan_config *config, const struct plan_test *tests,
                      size_t count);

/* NULL is fine. */
void plan_free(struct plan *plan);

/* Slots by numbers from 0, each new. False: out of memory. */
bool plan_slot_came(struct plan *plan, unsigned slot);

/* It gets no more jobs for now, or does again. What is out goes on. */
void plan_slot_drains(struct plan *plan, unsigned slot, bool drains);

/* With its job, if it has one. Its number may not come again. */
void plan_slot_left(struct plan *plan, unsigned slot, uint64_t now_ns, struct plan_blame *blame);

/* The next job for one of the idle slots. False: none, before something happens. */
bool plan_next(struct plan *plan, uint64_t now_ns, struct plan_job *job);

/* A slot says that a test runs. Numbers from `count` on are strangers. */
void plan_test_started(struct plan *plan, unsigned slot, uint32_t test, uint64_t now_ns);

/* A failure behind another verdict of the same job counts; another verdict behind one does not. */
enum plan_reception plan_test_ended(struct plan *plan, unsigned slot, uint32_t test,
                                    enum plan_verdict verdict, uint64_t now_ns);

/*
 * A slot that was lost still says how a test of it ended. TAKEN: the test had been given up for
 * that, and has this verdict now. STRAY: it runs elsewhere, or has: that counts.
 */
enum plan_reception plan_test_ended_late(struct plan *plan, uint32_t test,
                                         enum plan_verdict verdict);

/*
 * How often this run of the test, which is in the slot's job, has failed before, within `retry`. 0:
 * this is its first time, or it counts by itself.
 */
unsigned plan_tries(struct plan *plan, unsigned slot, uint32_t test);

/* Nothing happens if the slot has no job. */
void plan_job_ended(struct plan *plan, unsigned slot, enum plan_end how, uint64_t now_ns,
                    struct plan_blame *blame);

/* No new jobs. The first reason stays. */
void plan_stop(struct plan *plan, enum plan_why why);

enum plan_state plan_state(const struct plan *plan);
enum plan_why plan_why(const struct plan *plan);

/* Something is left, nothing runs, and no slot that is here may have it. */
bool plan_starves(const struct plan *plan);

/* The slot has a job. */
bool plan_slot_busy(const struct plan *plan, unsigned slot);

/* It is given nothing any more: its jobs end without a test, those of others do not. */
bool plan_slot_benched(const struct plan *plan, unsigned slot);

/* Of all idle slots. *token: a number of plan_config's, of PLAN_WAIT_TOKEN. */
enum plan_wait plan_idle_why(const struct plan *plan, unsigned *token);

/*
 * How long it will take, by what is known of tests. UINT64_MAX: nobody can say, no slot is here.
 * Looks at all slots.
 */
uint64_t plan_left_ns(const struct plan *plan, uint64_t now_ns);

struct plan_totals plan_totals(const struct plan *plan);
struct plan_record plan_record(const struct plan *plan, uint32_t test);

#endif
