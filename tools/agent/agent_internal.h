/* What the files agent*.c share. */
#ifndef TOOLS_AGENT_AGENT_INTERNAL_H
#define TOOLS_AGENT_AGENT_INTERNAL_H

#include "tools/agent/agent.h"

/* No slot: the agent chooses it; there is none with that segment; or the route goes further. */
#define AGENT_ANY_SLOT (-1)
#define AGENT_NO_SLOT (-2)
#define AGENT_BELOW_SLOT (-3)

struct agent_job {
    struct mux_list entry;
    struct job job;
    int slot;
    size_t bytes;
};

enum agent_answer_kind {
    AGENT_ANSWERS_JOB,
    AGENT_ANSWERS_ORDER,
    AGENT_SAYS, /* `why` is the message */
};

struct agent_answer {
    struct mux_list entry;
    enum agent_answer_kind kind;
    enum answer_state state;
    struct order_answer order;
    char run[ANSWER_NAME_BYTES], name[ANSWER_NAME_BYTES], why[READ_WHY_BYTES],
        slot[AGENT_SEGMENT_BYTES];
    int status, signal;
};

/* agent.c */
/* Ends the slot's job, if it has one. */
void agent_stop_slot(struct agent_slot *slot, enum keeper_why why);

/* agent_report.c */

uint64_t agent_now_ns(const struct agent *agent);
/* May more come down that has to be answered? */
bool agent_has_room_to_answer(const struct agent *agent);
/* Of a job that did not begin. `why` NULL: nothing is to be said. */
void agent_answer_job(struct agent *agent, enum answer_state state, const char *run,
                      const char *name, const char *why);
void agent_refuse(struct agent *agent, const struct job *job, const char *why);
/* Of the job of a slot. NULL: out of memory. */
struct agent_answer *agent_answer_slot(struct agent *agent, const struct agent_slot *slot,
                                       enum answer_state state);
/* `why` NULL: it is done. */
void agent_answer_order(struct agent *agent, int slot, const struct order *order, bool draining,
                        const char *why);
/* To whoever reads upstream, and to the log. */
void agent_message(struct agent *agent, const char *why);
/* Sends what there is room for. */
void agent_send_answers(struct agent *agent, uint64_t at_ns);
void agent_send_want(struct agent *agent, uint64_t at_ns);
bool agent_takes_jobs(const struct agent *agent);
struct want agent_want_of(const struct agent *agent);

/* agent_jobs.c */
enum mux_taking agent_take_job(struct agent *agent, const struct mux_packet *packet);
/* Input; with a test id it is for the job of that name. */
enum mux_taking agent_take_input(struct agent *agent, const struct mux_packet *packet);
/* Is a packet with a test id for the job of this slot, and how much of the same came before? */
bool agent_is_for_job(const struct agent_slot *slot, const struct mux_packet *packet, uint64_t *at);
/* Which slot a route names. */
int agent_slot_of(const struct agent *agent, struct mux_span route);
/* The oldest job that waits and that this slot may run. NULL: there is none. */
struct agent_job *agent_job_for(const struct agent *agent, int slot);
void agent_free_job(struct agent *agent, struct agent_job *job);
/* It did not begin: it may be sent again. */
void agent_forget_job(struct agent *agent, const struct job *job);
/* Those that wait go back to the driver. `slot` AGENT_ANY_SLOT: all. */
void agent_give_back_all(struct agent *agent, int slot, const char *why);
/* The one of this name, if it waits. */
void agent_give_back_job(struct agent *agent, struct mux_span name, const char *why);

/* agent_orders.c */
enum mux_taking agent_take_order(struct agent *agent, const struct mux_packet *packet);

#endif
