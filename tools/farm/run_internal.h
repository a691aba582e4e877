/* What the files of a run share. */
#ifndef TOOLS_FARM_RUN_INTERNAL_H
#define TOOLS_FARM_RUN_INTERNAL_H

#include "tools/farm/run.h"

/* Of the lister's output, as far as a sentence needs it; and of a list in lines. */
#define RUN_WORDS_BYTES 2048
#define RUN_LINES_MOST_BYTES ((size_t)256 << 20)

/* A slot of an agent, as the run sees it. */
enum run_slot_state {
    RUN_SLOT_IDLE,    /* nothing runs there */
    RUN_SLOT_LISTING, /* the list job was sent to it */
    RUN_SLOT_WORKING, /* a job with ids was sent to it */
    /* Of runners that stay alive: */
    RUN_SLOT_STARTING, /* it was sent to it; a batch, if there is one, waits until it has begun */
    RUN_SLOT_SERVING,  /* it has a batch */
    RUN_SLOT_READY,    /* it waits for one */
    RUN_SLOT_CLOSING,  /* it was told to end; perhaps a batch waits for its successor */
    RUN_SLOT_GONE,     /* the agent is lost */
};

/* Of a prompt, clean, with NUL. */
#define RUN_PROMPT_BYTES 64

/* Why a test failed with its runner, as far as it is kept. */
#define RUN_DEATH_BYTES 512

/* The last that a job's programs printed outside of tests, as far as a sentence needs it. */
#define RUN_SAID_BYTES 256

struct run_slot {
    enum run_slot_state state;
    uint64_t job;      /* that the agent has, by its name */
    uint64_t batch;    /* how many its runner was given */
    uint32_t *waiting; /* a batch; numbers of the plan's tests */
    uint32_t waiting_count, waiting_room;
    bool is_stopped;    /* we end its job */
    bool is_limited;    /* a limit of its job did */
    bool has_died;      /* a test of it failed with its runner */
    uint32_t dead_test; /* the last of them: a number of the ids */
    uint64_t dead_took_ns;
    uint32_t failed;               /* tests in all of the agent's job */
    char prompt[RUN_PROMPT_BYTES]; /* that its program waits at; "": none */
    size_t death_len;
    uint8_t death[RUN_DEATH_BYTES]; /* what was said of it */
    size_t said_len;
    uint8_t said[RUN_SAID_BYTES];
    bool has_test;
    uint32_t test;     /* that runs: a number of the ids */
    uint64_t began_ns; /* it, or the job */
    uint64_t heard_ns; /* when something came from it */
    uint64_t stamp_ns; /* when it began by its runner's clock; 0: that does not say */
};

struct run {
    struct run_config config;
    struct desk *desk;
    enum run_state state;
    enum run_ending ending;
    bool has_failed;
    uint64_t grace_ends_ns; /* UINT64_MAX: not set */
    struct run_slot *slots;
    unsigned slot_count, slot_room;
    uint64_t last_job; /* the name of the last that was sent */

    /* The list. */
    struct ids ids;
    struct need *needs; /* by id: what its tags say; NULL: the list had none that mean something */
    uint32_t needs_room;
    struct ids groups;  /* names that tags say, of GROUPING_TAG */
    uint32_t *group_of; /* by id: number + 1 in `groups`; 0: none. NULL: no tag says one */
    uint32_t group_room;
    char *lines; /* of a list that is text */
    size_t lines_len, lines_room;
    size_t words_len;
    uint8_t words[RUN_WORDS_BYTES]; /* what the lister said beside it: the tail */
    uint32_t *selected;             /* numbers of ids that run here, as the plan numbers them */
    uint32_t selected_count;
    uint32_t repeated;    /* lines of the list with an id that it has already */
    uint32_t unfit_count; /* chosen, and left out: their ids cannot be given to the runner */
    uint32_t *places;     /* of an id in the plan; PLAN_NONE: it does not run here */

    struct run_past *past;       /* by id */
    struct plan *plan;           /* NULL: not yet */
    struct run_isolate *isolate; /* NULL: not asked for, or not yet */
    struct texts texts;
    uint32_t strangers, strangers_failed, runners_failed;
    char why[RUN_WHY_BYTES];
};

/* The one place where a slot's state changes, and where the run's does. */
void run_set_slot(struct run *run, unsigned slot, enum run_slot_state state);
void run_set_state(struct run *run, enum run_state state);

__attribute__((format(printf, 2, 3))) void run_say(struct run *run, const char *format, ...);

/* text_show_tail(): a line that a program said, below what is said of it. `user` is the run. */
void run_say_word(void *user, const char *line);

/* run_list.c: the list job, what comes of it, its end. */
void run_list_begin(struct run *run, unsigned slot, uint64_t now_ns);
void run_list_take(struct run *run, const struct mux_packet *packet);
void run_list_ended(struct run *run, const struct answer *answer, uint64_t now_ns);

/* run_plan.c: the ids are there: selects and plans. */
void run_plan_make(struct run *run, uint64_t now_ns);
/* Another one in its place, which is over. */
void run_plan_again(struct run *run);

/* run_replay.c: is it one of the tests that are run again? */
bool run_replay_takes(const struct run *run, struct mux_span id);
/* Fills config->replay... with the jobs of then, as far as their tests run here; run_replay_free().
 * False: out of memory. */
bool run_replay_fill(struct run *run, struct plan_config *config);
void run_replay_free(struct plan_config *config);

/*
 * run_isolate.c: what was selected is searched; from then on everything is. False: out of memory.
 * As run_replay_fill(), with the next probes. When a plan is over, take() says whether another one
 * is to be made.
 */
bool run_isolate_begin(struct run *run);
void run_isolate_free(struct run_isolate *isolate);
bool run_isolate_fill(struct run *run, struct plan_config *config);
bool run_isolate_take(struct run *run);
enum run_outcome run_isolate_outcome(const struct run_isolate *isolate);

/* Do its runners stay alive from job to job? */
static inline bool run_serves(const struct run *run) {
    return run->config.runner->can_serve && !run->config.fresh && !run->config.debugs;
}

/* run_jobs.c: what slots get, and what comes of it. */
void run_jobs_prepare(struct run *run, uint64_t now_ns);
void run_jobs_give(struct run *run, uint64_t now_ns);
struct run_command {
    struct strings arguments;
    enum runner_ids how;
    const uint32_t *tests; /* numbers of the plan's tests */
    uint32_t count;
    bool has_terminal;
};
bool run_jobs_send(struct run *run, unsigned slot, struct run_command *command);
void run_jobs_batch_ended(struct run *run, unsigned slot, const struct mux_packet *packet,
                          uint64_t now_ns);
void run_jobs_ended(struct run *run, unsigned slot, const struct answer *answer, uint64_t now_ns);
void run_jobs_slot_left(struct run *run, unsigned slot, uint64_t now_ns);
void run_jobs_stop_all(struct run *run);
/* Tells runners that wait for a batch to end. True: none is left. */
bool run_jobs_close(struct run *run);

/* What its programs print outside of tests. */
void run_jobs_said(struct run_slot *at, const struct mux_packet *packet);

/* run_results.c: what tests say. `is_late`: of a slot that was lost; `slot` is -1. */
void run_results_take(struct run *run, int slot, bool is_late, const struct mux_packet *packet,
                      uint64_t now_ns);

#endif
