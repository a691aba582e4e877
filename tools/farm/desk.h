/*
 * The desk of a run: it knows the agents below this node by their wants, sends jobs and input to
 * their slots, and reads what becomes of the jobs (docs/protocol.md, "Jobs").
 *
 * Slots are numbered in the order in which they came. A number is never given again: an agent that
 * is lost takes its slots with it, one that comes back later brings new ones.
 *
 * Nothing between here and an agent keeps what goes down: what was sent, and nothing shows yet that
 * the agent has it, is kept here, and sent again when the way there was another meanwhile. An agent
 * knows what it has: a job by its name, input and orders by the job and their place.
 *
 * One thread. Nothing here blocks. Jobs and input are copied into memory that grows with what waits
 * for agents to read it; whoever sends waits for the answers to jobs, which bounds it.
 */
#ifndef TOOLS_FARM_DESK_H
#define TOOLS_FARM_DESK_H

#include "tools/node/answer.h"
#include "tools/node/node.h"

/* An agent's own route code, and that of a slot of it, with NUL. */
#define DESK_AGENT_ROUTE_BYTES 240
#define DESK_SLOT_ROUTE_BYTES (DESK_AGENT_ROUTE_BYTES + 16)

/* What the desk is told. Slots by their numbers; must not call desk_close(). */
struct desk_events {
    /* An agent has a slot that takes jobs. */
    void (*slot_came)(void *user, unsigned slot);
    /* Its agent is lost, or has begun anew. What ran there will not be answered. */
    void (*slot_left)(void *user, unsigned slot);
    /* It takes no new jobs for now (an order), or takes them again. */
    void (*slot_drains)(void *user, unsigned slot, bool drains);
    /* Of a job of this run. `slot`: where it was sent to. */
    void (*answered)(void *user, unsigned slot, uint64_t job, const struct answer *answer);
};

struct desk_config {
    struct node *node;
    const char *run; /* jobs belong to it: answers to others are left alone */
    const struct desk_events *events;
    void *user;
};

struct desk;

/* NULL: out of memory. The node has a sink. */
struct desk *desk_open(const struct desk_config *config);

/* NULL is fine. */
void desk_close(struct desk *desk);

/*
 * A packet that came up to the node's sink; `segment` "": its route is whole, here and below. True:
 * it was a want or an answer, of which the events tell.
 */
bool desk_take(struct desk *desk, const char *segment, const struct mux_packet *packet);

/* All slots behind this link are lost; or those behind that route of it. */
void desk_lose(struct desk *desk, const char *segment, struct mux_span route);

/* The node at this route has said where it is: what was sent there may be lost. */
void desk_send_again(struct desk *desk, struct mux_span route);

/* Which slot a packet came from: -1: none. */
int desk_slot_of(const struct desk *desk, const char *segment, struct mux_span route);

/*
 * Is it from a slot that was lost? Its agent may be back, and go on with the job that it had then,
 * until another one has begun in the slot that it has now.
 */
bool desk_is_late(const struct desk *desk, const char *segment, struct mux_span route);

/* Slots that ever were, and the route code of one of them. */
unsigned desk_slots(const struct desk *desk);
void desk_slot_route(const struct desk *desk, unsigned slot, char route[DESK_SLOT_ROUTE_BYTES]);

/* The object is the job's, but for its version, run and name, which are added. False: out of
 * memory. */
bool desk_send_job(struct desk *desk, unsigned slot, uint64_t job, json_t *object);

/* Input of the command that runs there; `is_end`: nothing comes behind it. False: out of memory. */
bool desk_send_input(struct desk *desk, unsigned slot, struct mux_span bytes, bool is_end);

/* All input that was sent to the slot's command has come there. */
void desk_input_is_read(struct desk *desk, unsigned slot);

/*
 * Ends the job of a slot, as `mux ctl ... stop` does: TERM, the grace, KILL. A second time it is
 * killed.
 */
bool desk_stop(struct desk *desk, unsigned slot);

/* Sends what there is room for. False: something waits; to be called again in NODE_RETRY_NS. */
bool desk_work(struct desk *desk);

#endif
