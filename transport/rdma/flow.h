/*
 * Who may send when, so that a message never meets an empty receive queue. Pure bookkeeping of one
 * side of a connection.
 *
 * A message of the stream needs a credit: the peer has posted a receive slot for it. The receiver
 * grants a credit anew for every slot that is free again, in the head of whatever message goes the
 * other way.
 *
 * Where nothing goes the other way a control does, and it needs a slot too. These are posted for
 * ever: FLOW_CONTROLS_MAX each way, used again as soon as the control has been looked at. The
 * sender counts those that the peer has not yet said it has taken, and that is said in the head of
 * the next message. Who has taken FLOW_CONTROLS_ANSWER of them without anything to say sends a
 * control for just that; the last place is kept for it. So neither side can be stuck: if both have
 * used up their places, both owe that message and both may send it. And the two do not answer each
 * other for ever: one message tells of two.
 */
#ifndef TRANSPORT_RDMA_FLOW_H
#define TRANSPORT_RDMA_FLOW_H

#include "transport/rdma/wire.h"

#define FLOW_CONTROLS_MAX 3
#define FLOW_CONTROLS_ANSWER 2

/* Most credits a peer can hold: what it claims beyond is a lie. */
#define FLOW_CREDITS_MAX 1024

struct flow {
    /* What I may send. */
    unsigned credits;
    unsigned controls_out; /* sent, and not yet told to be taken */

    /* What the peer may send. */
    unsigned granted;     /* credits that it has, or will have been told of */
    unsigned owed;        /* of them: not yet told */
    unsigned controls_in; /* taken, and not yet told */
};

/* `credits` from the peer's hello, `granted` in mine. */
static inline void rdma_flow_init(struct flow *flow, unsigned credits, unsigned granted) {
    *flow = (struct flow){.credits = credits, .granted = granted};
}

/* Another slot is posted for the peer. */
static inline void rdma_flow_grant(struct flow *flow) {
    flow->granted++;
    flow->owed++;
}

/* Credits are worth a control when the peer has none, or a good part of the window. */
static inline bool rdma_flow_owes_credits(const struct flow *flow, unsigned window) {
    return flow->owed > 0 && (flow->owed == flow->granted || flow->owed * 4 >= window);
}

/* A control is due, if for nothing else, to tell that the peer's have been taken. */
static inline bool rdma_flow_owes_answer(const struct flow *flow) {
    return flow->controls_in >= FLOW_CONTROLS_ANSWER;
}

static inline bool rdma_flow_may_send_stream(const struct flow *flow) {
    return flow->credits > 0;
}

static inline bool rdma_flow_may_send_control(const struct flow *flow) {
    return flow->controls_out + (rdma_flow_owes_answer(flow) ? 0 : 1) < FLOW_CONTROLS_MAX;
}

/* A message goes: what its head tells the peer about credits and controls. */
static inline void rdma_flow_send(struct flow *flow, struct wire_head *head) {
    if (head->flags & WIRE_STREAM)
        flow->credits--;
    else
        flow->controls_out++;
    head->credits = (uint16_t)flow->owed;
    head->controls = (uint8_t)flow->controls_in;
    flow->owed = flow->controls_in = 0;
}

/* A message came. False: the peer broke the rules. */
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
