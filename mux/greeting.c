/*
 * The upstream as a node: hello, then nothing until it has answered, so that one that refuses us
 * costs no packet; goodbye when this node ends in order.
 */
#include "mux/mux_internal.h"

#include <stdio.h>

/* Who does not answer a hello in this time is no node, or has no use. */
#define ANSWER_WAIT_NS 10000000000u

void mux_greeting_init(struct mux_greeting *greeting, const struct mux_config *config) {
    *greeting = (struct mux_greeting){.state = config->upstream_is_node ? MUX_GREETING_AWAY
                                                                        : MUX_GREETING_OPEN};
    greeting->hello =
        mux_span(greeting->hello_bytes, mux_hello_write(&config->hello, greeting->hello_bytes));
    greeting->goodbye =
        mux_span(greeting->goodbye_bytes, mux_goodbye_write(greeting->goodbye_bytes));
}

const struct mux_gather *mux_greeting_take(struct mux *mux) {
    struct mux_greeting *greeting = &mux->greeting;
    if (greeting->state == MUX_GREETING_HELLO)
        greeting->span = greeting->hello;
    else if (greeting->state == MUX_GREETING_GOODBYE && mux_up_pending_bytes(mux) == 0)
        greeting->span = greeting->goodbye;
    else
        return NULL;
    greeting->state++;
    greeting->in_flight = true;
    greeting->answer_by_ns = mux->now_ns + ANSWER_WAIT_NS;
    greeting->gather = (struct mux_gather){&greeting->span, 1, greeting->span.len};
    return &greeting->gather;
}

bool mux_greeting_answered(struct mux *mux, const struct mux_packet *packet) {
    struct mux_greeting *greeting = &mux->greeting;
    struct mux_hello hello;
    if (greeting->state != MUX_GREETING_ASKED || !mux_hello_is(packet))
        return false;
    greeting->refusal = mux_hello_read(packet, &hello);
    if (greeting->refusal)
        return true;
    greeting->state = MUX_GREETING_OPEN;
    mux_log(mux, "the upstream is node %s", hello.name);
    return true;
}

void mux_up_connected(struct mux *mux) {
    if (mux->config.upstream_is_node)
        mux->greeting.state = MUX_GREETING_HELLO;
}

void mux_greeting_lost(struct mux *mux) {
    mux->greeting.in_flight = false;
    mux->greeting.refusal = NULL;
    if (mux->config.upstream_is_node)
        mux->greeting.state = MUX_GREETING_AWAY;
}

bool mux_up_accepted(const struct mux *mux) {
    return mux->greeting.state >= MUX_GREETING_OPEN;
}

const char *mux_up_close_reason(const struct mux *mux) {
    const struct mux_greeting *greeting = &mux->greeting;
    if (greeting->state != MUX_GREETING_ASKED)
        return NULL;
    if (!greeting->refusal && mux->now_ns >= greeting->answer_by_ns)
        return "it has not answered: is it a muxd?";
    return greeting->refusal;
}

uint64_t mux_greeting_deadline_ns(const struct mux *mux) {
    bool asked = mux->greeting.state == MUX_GREETING_ASKED;
    return asked ? mux->greeting.answer_by_ns : UINT64_MAX;
}

bool mux_up_leave(struct mux *mux) {
    struct mux_greeting *greeting = &mux->greeting;
    if (mux->config.upstream_is_node && greeting->state == MUX_GREETING_OPEN)
        greeting->state = MUX_GREETING_GOODBYE;
    bool is_asking = greeting->state == MUX_GREETING_HELLO || greeting->state == MUX_GREETING_ASKED;
    return is_asking || greeting->state == MUX_GREETING_GOODBYE || greeting->in_flight;
}
