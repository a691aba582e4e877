/*
 * A run of a test suite: its tests are listed by a job, handed to the slots of agents by a plan,
 * and what becomes of each is told once. It works by packets of the node that it stands on, so it
 * does not know where agents are.
 *
 * One thread. Nothing here blocks.
 */
#ifndef TOOLS_FARM_RUN_H
#define TOOLS_FARM_RUN_H

#include "tools/farm/desk.h"
#include "tools/farm/ids.h"
#include "tools/farm/needs.h"
#include "tools/farm/past_jobs.h"
#include "tools/farm/plan/plan.h"
#include "tools/farm/runner.h"
#include "tools/farm/selection.h"
#include "tools/results/texts.h"

#define RUN_WHY_BYTES 1024

/* How much of it is done. It grows, but a list whose slot is lost begins again. */
enum run_state {
    RUN_WAITS, /* for the first slot */
    RUN_LISTS, /* the runner says which tests there are */
    RUN_WORKS, /* slots run them, or end what they run */
    RUN_ENDS,  /* runners that stay alive were told to end */
    RUN_OVER,  /* nothing runs any more */
};

/* How somebody ends it early. It only grows. */
enum run_ending {
    RUN_GOES_ON,
    RUN_DRAINS,  /* no new jobs; what runs ends by itself */
    RUN_GRACE,   /* no new jobs; what runs has its grace */
    RUN_AT_ONCE, /* what runs is ended now */
};

/* Why it is over; the worst counts. */
enum run_outcome {
    RUN_PASSED,
    RUN_FAILED,
    RUN_INCOMPLETE,     /* tests that were announced never ran */
    RUN_NOTHING,        /* no test ran */
    RUN_INFRASTRUCTURE, /* the machinery failed, not the tests */
    RUN_INTERRUPTED,
};

/* What is known of a test from earlier runs. */
struct run_past {
    uint64_t usual_ns; /* 0: not known */
    unsigned runs;     /* that had it, of the last few */
    bool has_failed;   /* in the last of them */
    const char *since; /* "since run 51aa, 2 days ago", its owner's; NULL: nobody can say */
};

/* How a test ended. */
struct run_ended {
    struct mux_span id;
    uint32_t test; /* RUN_STRANGER: nobody announced it */
    enum mux_status status;
    int slot;             /* -1: it came from none */
    uint64_t took_ns;     /* UINT64_MAX: nobody saw it begin */
    uint64_t says_ns;     /* how long it took, as its runner says; UINT64_MAX: it does not */
    struct mux_span text; /* the tail of what it said; data NULL: nothing */
};
#define RUN_STRANGER UINT32_MAX

static inline bool run_is_bad(enum mux_status status) {
    return status == MUX_STATUS_FAIL || status == MUX_STATUS_UXSUCCESS;
}

struct run;

/* What the run tells its owner. Numbers of tests are those of run_ids(). */
struct run_events {
    /* The list is there, and the selection made: `past[i]` is filled for test i, if it can be. */
    void (*recall)(void *user, const struct ids *ids, struct run_past *past);
    /* It is planned: tests begin. */
    void (*planned)(void *user);
    /* A test has ended. */
    void (*ended)(void *user, const struct run_ended *ended);
    /* A program in this slot waits for a person at a prompt: see run_slot_status(). */
    void (*waits)(void *user, unsigned slot);
    /* A line for people. */
    void (*say)(void *user, const char *line);
    /* It is over: the owner ends the agents. */
    void (*over)(void *user);
};

struct run_config {
    struct node *node;
    struct loop *loop;
    const char *uuid;
    uint64_t hash_key; /* random and secret */
    const struct runner *runner;
    struct selection *selection;
    struct plan_config plan;         /* how; the run adds what it knows */
    const struct grouping *grouping; /* tests that stay together; NULL: as the runner says */
    struct needs *needs;             /* tokens, and who runs alone */
    struct pattern *perf;            /* tests whose times are judged; NULL: none */
    unsigned perf_runs;              /* ... run alone, so often */
    const struct past_jobs *replay;  /* PLAN_REPLAY: these; else NULL */
    const struct strings
        *instances; /* slots take them in turn, for instance_execute; empty: none */
    /* Search which tests of then make those fail that are selected, and pass alone; else NULL. */
    const struct past_jobs *isolate;
    bool fresh;      /* runners do not stay alive between jobs */
    bool debugs;     /* failing tests wait in a debugger: the runner can_debug */
    bool lists_only; /* it is over when the list is there */
    uint64_t timeout_ns, test_timeout_ns, idle_timeout_ns, grace_ns;
    const char *const *masks; /* NULL at the end */
    const char *const *tags;
    const struct run_events *events;
    void *user;
};

/* NULL: out of memory. What the config points at outlives it. */
struct run *run_open(const struct run_config *config);

/* NULL is fine. */
void run_close(struct run *run);

/* What came to the node's sink; the same `segment`. */
void run_take(struct run *run, const char *segment, const struct mux_packet *packet,
              uint64_t now_ns);

/* Before run_take(): how often the test that the packet is of was tried before; 0: it was not. */
unsigned run_tries(const struct run *run, const char *segment, const struct mux_packet *packet);

/* The link of this segment is gone, or the node at that route. */
void run_lose(struct run *run, const char *segment, struct mux_span route);

/* The node at this route has said where it is: what was sent there may be lost. */
void run_send_again(struct run *run, struct mux_span route);

/* To be called in each step of the loop. Returns when it wants to be called again at the latest. */
uint64_t run_work(struct run *run, uint64_t now_ns);

/* Once: no new jobs, and what runs ends within the grace. Twice: it is ended now. */
void run_interrupt(struct run *run, uint64_t now_ns);

/* No new jobs; what runs ends by itself. */
void run_drain(struct run *run);

enum run_ending run_ending(const struct run *run);

/* The machinery has failed: it is over, whatever still runs. */
void run_fail(struct run *run, const char *why);

/*
 * ---- how it stands ----
 */

struct run_totals {
    uint32_t listed, selected;
    uint32_t unfit;                       /* chosen, but their ids cannot be given to the runner */
    uint32_t counts[PLAN_OUTCOMES];       /* of the selected tests */
    uint32_t due, done;                   /* runs of tests */
    uint32_t strangers, strangers_failed; /* results that nobody announced */
    uint32_t runners_failed;              /* ended badly though their tests passed */
    unsigned slots, busy_slots;
};

struct run_slot_status {
    bool is_busy;
    bool has_test;
    const char *prompt; /* that its program waits at; NULL: it does not wait for a person */
    uint32_t test;      /* that runs */
    uint64_t began_ns;  /* it, or the job */
    uint64_t heard_ns;  /* when something came from it; 0: nothing did */
};

enum run_state run_state(const struct run *run);
const struct ids *run_ids(const struct run *run);
const struct run_past *run_past_of(const struct run *run, uint32_t test);
void run_totals(const struct run *run, struct run_totals *totals);

/* NULL before it is planned. Its tests are numbers of run_selected(). */
const struct plan *run_plan(const struct run *run);
uint32_t run_selected(const struct run *run, uint32_t index);
uint32_t run_selected_count(const struct run *run);

/* Of a number of run_ids(): `perf` of the config is found in it. */
bool run_is_perf(const struct run *run, uint32_t test);

unsigned run_slots(const struct run *run);
void run_slot_route(const struct run *run, unsigned slot, char route[DESK_SLOT_ROUTE_BYTES]);
void run_slot_status(const struct run *run, unsigned slot, struct run_slot_status *status);

/* What idle slots wait for, as people say it: "db", the name of a token; NULL: for nothing. */
const char *run_idle_why(const struct run *run);

/* With `isolate`: a line for each test, what makes it fail. */
void run_isolate_tell(const struct run *run, void (*line)(void *user, const char *line),
                      void *user);

/* When it is over. `why`: a clause, or "". */
enum run_outcome run_outcome(const struct run *run, char why[RUN_WHY_BYTES]);

#endif
