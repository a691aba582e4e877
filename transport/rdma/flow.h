/*
 * Flow control: which side may send when, so that a message never meets an empty receive queue.
 * Pure bookkeeping of one side of a connection.
 *
 * A message of the stream needs a credit: the peer has posted a receive slot for it. The receiver
 * grants a new credit for every slot that is free again, in the head of any message that goes the
 * other way.
 *
 * If no message goes the other way a control does, which needs a slot, too. These slots are always
 * posted: FLOW_CONTROLS_MAX each way, reused as soon as the control has been handled. The sender
 * counts controls that the peer has not yet acknowledged; the head of the next message acknowledges
 * them. A side that has taken FLOW_CONTROLS_ANSWER of them and has nothing to send sends a control
 * for just that; the last slot is reserved for it. So there is no deadlock: if both sides have used
 * up their slots, both owe that message and both may send it. And they do not answer each other
 * without end: one message acknowledges two.
 */
#ifndef TRANSPORT_RDMA_FLOW_H
#define TRANSPORT_RDMA_FLOW_H

#include "transport/rdma/wire.h"

#define FLOW_CONTROLS_MAX 3
#define FLOW_CONTROLS_ANSWER 2

/* Most credits a peer can hold: a higher claim is false. */
#define FLOW_CREDITS_MAX 1024

struct flow {
    /* What this side may send. */
    unsigned credits;
    unsigned controls_out; /* sent, and not acknowledged */

    /* What the peer may send. */
    unsigned granted;     /* credits that it has, or will get with the next message */
    unsigned owed;        /* of them: not yet announced to it */
    unsigned controls_in; /* taken, and not yet acknowledged */
};

/* `credits` from the peer's hello, `granted` in ours. */
static inline void rdma_flow_init(struct flow *flow, unsigned credits, unsigned granted) {
    *flow = (struct flow){.credits = credits, .granted = granted};
}

/* Another slot is posted for the peer. */
static inline void rdma_flow_grant(struct flow *flow) {
    flow->granted++;
    flow->owed++;
}

/*
 * Are the owed credits worth a control? When the peer has none, or they are a good part of the
 * window.
 */
static inline bool rdma_flow_owes_credits(const struct flow *flow, unsigned window) {
    return flow->owed > 0 && (flow->owed == flow->granted || flow->owed * 4 >= window);
}

/* Is a control due, if only to acknowledge the peer's controls? */
static inline bool rdma_flow_owes_answer(const struct flow *flow) {
    return flow->controls_in >= FLOW_CONTROLS_ANSWER;
}

static inline bool rdma_flow_may_send_stream(const struct flow *flow) {
    return flow->credits > 0;
}

static inline bool rdma_flow_may_send_control(const struct flow *flow) {
    return flow->controls_out + (rdma_flow_owes_answer(flow) ? 0 : 1) < FLOW_CONTROLS_MAX;
}

/* A message is sent: fills in credits and controls in its head. */
static inline void rdma_flow_send(struct flow *flow, struct wire_head *head) {
    if (head->flags & WIRE_STREAM)
        flow->credits--;
    else
        flow->controls_out++;
    head->credits = (uint16_t)flow->owed;
    head->controls = (uint8_t)flow->controls_in;
    flow->owed = flow->controls_in = 0;
}

/* A message arrived. False: the peer broke the rules. */
static inline bool rdma_flow_receive(struct flow *flow, const struct wire_head *head) {
    bool stream = head->flags & WIRE_STREAM;
    if (stream ? flow->granted == flow->owed : flow->controls_in == FLOW_CONTROLS_MAX)
        return false;
    if (head->controls > flow->controls_out || flow->credits + head->credits > FLOW_CREDITS_MAX)
        return false;
    if (stream)
        flow->granted--;
    else
        flow->controls_in++;
    flow->controls_out -= head->controls;
    flow->credits += head->credits;
    return true;
}

#endif
