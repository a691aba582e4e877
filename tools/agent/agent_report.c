/* What an agent says upwards: what became of jobs, and what it wants. */
#include "mux/packet/report.h"
#include "tools/agent/agent_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define NS_PER_MS UINT64_C(1000000)

/* A want that says nothing new: a driver that comes later hears of the agent. */
#define WANT_EVERY_NS (10000 * NS_PER_MS)

/* Of answers that wait; with more, the way down waits. The slots' own come on top. */
#define ANSWERS_MOST 256

uint64_t agent_now_ns(const struct agent *agent) {
    return loop_now_ns(agent->config.loop);
}

/*
 * ---- answers ----
 */

static struct agent_answer *new_answer(struct agent *agent) {
    struct agent_answer *answer = calloc(1, sizeof *answer);
    if (!answer) {
        node_log(agent->config.node, "out of memory: an answer is lost");
        return NULL;
    }
    mux_list_init(&answer->entry);
    mux_list_append(&agent->answers, &answer->entry);
    agent->answer_count++;
    return answer;
}

/* Of a job that did not begin. `why` NULL: nothing is to be said. */
void agent_answer_job(struct agent *agent, enum answer_state state, const char *run,
                      const char *name, const char *why) {
    struct agent_answer *answer = new_answer(agent);
    if (!answer)
        return;
    answer->state = state;
    snprintf(answer->run, sizeof answer->run, "%s", run);
    snprintf(answer->name, sizeof answer->name, "%s", name);
    snprintf(answer->why, sizeof answer->why, "%s", why ? why : "");
    if (state == ANSWER_REFUSED)
        node_log(agent->config.node, "job %s is refused: %s", name, why);
}

void agent_refuse(struct agent *agent, const struct job *job, const char *why) {
    agent_answer_job(agent, ANSWER_REFUSED, job->run, job->name, why);
}

/* Of the job of a slot. */
struct agent_answer *agent_answer_slot(struct agent *agent, const struct agent_slot *slot,
                                       enum answer_state state) {
    struct agent_answer *answer = new_answer(agent);
    if (!answer)
        return NULL;
    answer->state = state;
    memcpy(answer->run, slot->run, sizeof answer->run);
    memcpy(answer->name, slot->name, sizeof answer->name);
    memcpy(answer->why, slot->why, sizeof answer->why);
    memcpy(answer->slot, slot->segment, sizeof answer->slot);
    return answer;
}

void agent_message(struct agent *agent, const char *why) {
    struct agent_answer *answer = new_answer(agent);
    node_log(agent->config.node, "%s", why);
    if (!answer)
        return;
    answer->kind = AGENT_SAYS;
    snprintf(answer->why, sizeof answer->why, "%s", why);
}

void agent_answer_order(struct agent *agent, int slot, const struct order *order, bool draining,
                        const char *why) {
    struct agent_answer *answer = new_answer(agent);
    if (!answer)
        return;
    answer->kind = AGENT_ANSWERS_ORDER;
    order_answer_make(&answer->order, order, draining, why);
    if (slot >= 0)
        memcpy(answer->slot, agent->slots[slot].segment, sizeof answer->slot);
    node_log(agent->config.node, "an order for %s%s: %s%s%s",
             slot >= 0                ? "slot "
             : slot == AGENT_ANY_SLOT ? "all slots"
                                      : "an unknown slot",
             answer->slot, order_verb_name(order->verb), why ? ": refused: " : "", why ? why : "");
}

static bool send_job_answer(struct agent *agent, const struct agent_answer *answer) {
    const struct answer fields = {
        .state = answer->state,
        .run = answer->run,
        .name = answer->name,
        .slot = *answer->slot ? answer->slot : NULL,
        .status = answer->status,
        .signal = answer->signal,
        .why = *answer->why ? answer->why : NULL,
    };
    struct answer_message room;
    struct mux_packet packet;
    answer_put(&room, &fields, &packet);
    return node_add_up(agent->config.node, NULL, &packet);
}

static bool send_order_answer(struct agent *agent, const struct agent_answer *answer) {
    struct order_message room;
    struct mux_packet packet;
    order_answer_put(&room, &answer->order, &packet);
    if (*answer->slot)
        packet.route = mux_span_text(answer->slot);
    return node_add_up(agent->config.node, NULL, &packet);
}

static bool send_message(struct agent *agent, const struct agent_answer *answer) {
    struct mux_packet packet;
    mux_report_message_event(MUX_STATUS_FAIL, mux_span_text(answer->why), mux_span(NULL, 0),
                             mux_span(NULL, 0), &packet);
    return node_add_up(agent->config.node, NULL, &packet);
}

static bool send_answer(struct agent *agent, const struct agent_answer *answer) {
    switch (answer->kind) {
    case AGENT_ANSWERS_JOB:
        return send_job_answer(agent, answer);
    case AGENT_ANSWERS_ORDER:
        return send_order_answer(agent, answer);
    case AGENT_SAYS:
        break;
    }
    return send_message(agent, answer);
}

bool agent_has_room_to_answer(const struct agent *agent) {
    return agent->answer_count < ANSWERS_MOST + 2 * agent->config.slots;
}

/* In order. */
void agent_send_answers(struct agent *agent, uint64_t at_ns) {
    while (!mux_list_empty(&agent->answers)) {
        struct agent_answer *answer =
            MUX_LIST_ITEM(agent->answers.next, struct agent_answer, entry);
        if (!send_answer(agent, answer)) {
            agent->retry_ns = at_ns + (agent->is_reached ? NODE_RETRY_NS : NODE_RETRY_AWAY_NS);
            return;
        }
        mux_list_remove(&answer->entry);
        free(answer);
        agent->answer_count--;
    }
}

/*
 * ---- wants ----
 */

bool agent_takes_jobs(const struct agent *agent) {
    return agent->life == AGENT_LIVES && !agent->draining && !agent->draining_above;
}

struct want agent_want_of(const struct agent *agent) {
    struct want want = {.slots = agent->config.slots,
                        .ahead = agent->ahead_count,
                        .taken = agent->taken,
                        .draining = !agent_takes_jobs(agent)};
    uint64_t open = 0, open_free = 0;
    for (unsigned i = 0; i < agent->config.slots; i++) {
        const struct agent_slot *slot = &agent->slots[i];
        want.free += slot->state == AGENT_SLOT_FREE;
        open += !slot->draining;
        want.slot_drains[i] = slot->draining;
        open_free += !slot->draining && slot->state == AGENT_SLOT_FREE;
    }
    if (agent_takes_jobs(agent) && open + open_free > agent->ahead_count)
        want.room = open + open_free - agent->ahead_count;
    return want;
}

/* Only while somebody listens: it is made anew then. */
void agent_send_want(struct agent *agent, uint64_t at_ns) {
    const struct want want = agent_want_of(agent);
    struct want_message room;
    struct mux_packet packet;
    if (!agent->is_reached || (!agent->want_is_due && at_ns < agent->want_ns))
        return;
    want_put(&room, &want, &packet);
    if (!node_add_news(agent->config.node, &packet)) {
        agent->retry_ns = at_ns + NODE_RETRY_NS;
        return;
    }
    agent->want_is_due = false;
    agent->want_ns = at_ns + WANT_EVERY_NS;
}
