/*
 * The upstream as a node: hello, then nothing until it has answered, so that one that refuses us
 * costs no packet; what is above it, so that no loop is entered; goodbye when this node ends in
 * order.
 */
#include "mux/node/mux_internal.h"
#include "mux/packet/report.h"

#include <stdio.h>

/* Who does not answer a hello in this time is no node, or has no use. */
#define ANSWER_WAIT_NS 10000000000u

static const char loop_above[] = "a loop: this node would be above itself";
static const char too_deep[] = "more than 32 nodes would be above each other";
_Static_assert(MUX_NODES_DEEP_MAX == 32, "as too_deep says");

#define BIT(state) (1u << (state))

/* follows[state]: the states that may come next, as bits. From each it may be lost. */
static const unsigned follows[] = {
    [MUX_GREETING_AWAY] = BIT(MUX_GREETING_HELLO),
    [MUX_GREETING_HELLO] = BIT(MUX_GREETING_ASKED),
    [MUX_GREETING_ASKED] = BIT(MUX_GREETING_OPEN) | BIT(MUX_GREETING_REFUSED),
    [MUX_GREETING_OPEN] =
        BIT(MUX_GREETING_SENT_OFF) | BIT(MUX_GREETING_GOODBYE) | BIT(MUX_GREETING_LOOP),
    [MUX_GREETING_SENT_OFF] = 0,
    [MUX_GREETING_GOODBYE] = BIT(MUX_GREETING_LEFT),
    [MUX_GREETING_LEFT] = 0,
    [MUX_GREETING_REFUSED] = 0,
    [MUX_GREETING_LOOP] = 0,
};

static void set_state(struct mux_greeting *greeting, enum mux_greeting_state state) {
    assert((follows[greeting->state] | BIT(MUX_GREETING_AWAY)) & BIT(state));
    greeting->state = state;
}

void mux_greeting_init(struct mux *mux) {
    struct mux_greeting *greeting = &mux->greeting;
    *greeting = (struct mux_greeting){.state = mux->config.upstream_is_node ? MUX_GREETING_AWAY
                                                                            : MUX_GREETING_OPEN};
    greeting->hello = mux->config.hello;
    greeting->hello.proves = true;
    mux_node_secret(mux, "", greeting->identity);
}

void mux_greeting_answer(const struct mux *mux, struct mux_hello *answer) {
    const struct mux_greeting *greeting = &mux->greeting;
    mux_hello_init(answer, greeting->identity, mux->config.hello.name);
    memcpy(answer->path, greeting->path, sizeof answer->path);
}

static void write_word(struct mux_greeting *greeting, size_t len) {
    greeting->span = mux_span(greeting->bytes, len);
}

const struct mux_gather *mux_greeting_take(struct mux *mux) {
    struct mux_greeting *greeting = &mux->greeting;
    if (greeting->state == MUX_GREETING_HELLO)
        write_word(greeting, mux_hello_write(&greeting->hello, greeting->bytes));
    else if (greeting->state == MUX_GREETING_GOODBYE && mux_upstream_pending_bytes(mux) == 0)
        write_word(greeting, mux_goodbye_write(mux->nodes_left, greeting->bytes));
    else
        return NULL;
    set_state(greeting,
              greeting->state == MUX_GREETING_HELLO ? MUX_GREETING_ASKED : MUX_GREETING_LEFT);
    greeting->answer_by_ns = mux->ran_ns + ANSWER_WAIT_NS;
    greeting->gather = (struct mux_gather){&greeting->span, 1, greeting->span.len};
    return &greeting->gather;
}

/* The way above, for those below: a loop is refused where it would close. */
static void tell_path(struct mux *mux) {
    uint8_t out[MUX_HELLO_PACKET_BYTES];
    mux_nodes_tell(mux, mux_span(out, mux_path_write(mux->greeting.path, out)));
}

/* Those below hear in words why nothing goes up. */
static void tell_refusal(struct mux *mux, const char *why) {
    char reason[160];
    uint8_t out[MUX_HELLO_PACKET_BYTES];
    struct mux_pieces pieces;
    snprintf(reason, sizeof reason, "node %s refuses its upstream: %s", mux->config.hello.name,
             why);
    mux_report_message(MUX_STATUS_FAIL, mux_span_text(reason), mux_span(NULL, 0), mux_span(NULL, 0),
                       &pieces);
    mux_pieces_copy(&pieces, out);
    mux_nodes_tell(mux, mux_span(out, pieces.len_bytes));
}

static void refuse(struct mux *mux, const char *why) {
    struct mux_greeting *greeting = &mux->greeting;
    set_state(greeting,
              greeting->state == MUX_GREETING_ASKED ? MUX_GREETING_REFUSED : MUX_GREETING_LOOP);
    greeting->refusal = why;
    if (why != loop_above && why != too_deep)
        return;
    MUX_COUNT(&mux->counters, loops, 1);
    tell_refusal(mux, why);
}

/* The nodes above: the upstream, and those above it. NULL, or why they cannot be there. */
static const char *take_path(struct mux *mux, const char *upstream, const char *above) {
    struct mux_greeting *greeting = &mux->greeting;
    char path[MUX_PATH_BYTES];
    if (strcmp(upstream, greeting->identity) == 0 || mux_path_has(above, greeting->identity))
        return loop_above;
    if (!mux_path_join(path, upstream, above))
        return too_deep;
    if (strcmp(path, greeting->path) == 0)
        return NULL;
    memcpy(greeting->path, path, sizeof path);
    tell_path(mux);
    return NULL;
}

/* It is one that does not know what is in progress below, or which nodes are. */
static void enter_place(struct mux *mux, const struct mux_hello *answer) {
    struct mux_greeting *greeting = &mux->greeting;
    bool is_other = greeting->home[0] && strcmp(greeting->home, answer->identity) != 0;
    greeting->is_other = is_other;
    memcpy(greeting->home, answer->identity, sizeof greeting->home);
    memcpy(greeting->hello.proof, answer->secret, sizeof greeting->hello.proof);
    set_state(greeting, MUX_GREETING_OPEN);
    mux_below_say_again(mux);
    if (is_other)
        mux_retell_begin(mux);
    mux_log(mux, "the upstream is node %s%s", answer->name,
            is_other ? ", another one than before: tests in progress are told to it" : "");
}

static void take_answer(struct mux *mux, const struct mux_packet *packet) {
    struct mux_greeting *greeting = &mux->greeting;
    struct mux_hello answer;
    const char *why = mux_hello_read(packet, &answer);
    bool is_home = !greeting->home[0] || strcmp(greeting->home, answer.identity) == 0;
    if (!why && !is_home && !greeting->may_be_other)
        why = "another node than before answers here, and that one may still be reached";
    if (!why)
        why = take_path(mux, answer.identity, answer.path);
    if (why)
        refuse(mux, why);
    else
        enter_place(mux, &answer);
}

bool mux_greeting_answered(struct mux *mux, const struct mux_packet *packet) {
    struct mux_greeting *greeting = &mux->greeting;
    char above[MUX_PATH_BYTES];
    uint32_t nodes;
    if (greeting->state == MUX_GREETING_ASKED && mux_hello_is(packet)) {
        take_answer(mux, packet);
        return true;
    }
    if (greeting->state != MUX_GREETING_OPEN || !greeting->home[0])
        return false;
    if (mux_goodbye_is(packet, &nodes)) {
        set_state(greeting, MUX_GREETING_SENT_OFF);
        return true;
    }
    if (!mux_path_read(packet, above))
        return false;
    const char *why = take_path(mux, greeting->home, above);
    if (why)
        refuse(mux, why);
    return true;
}

void mux_upstream_connected(struct mux *mux, bool may_be_other) {
    mux->greeting.may_be_other = may_be_other;
    if (mux->config.upstream_is_node)
        set_state(&mux->greeting, MUX_GREETING_HELLO);
}

void mux_greeting_lost(struct mux *mux) {
    mux->greeting.refusal = NULL;
    if (mux->config.upstream_is_node)
        set_state(&mux->greeting, MUX_GREETING_AWAY);
}

bool mux_greeting_sends_packets(const struct mux *mux) {
    enum mux_greeting_state state = mux->greeting.state;
    return state == MUX_GREETING_OPEN || state == MUX_GREETING_GOODBYE;
}

bool mux_upstream_is_other(const struct mux *mux) {
    return mux->greeting.is_other;
}

bool mux_upstream_accepted(const struct mux *mux) {
    enum mux_greeting_state state = mux->greeting.state;
    return state >= MUX_GREETING_OPEN && state != MUX_GREETING_REFUSED;
}

bool mux_upstream_sent_off(const struct mux *mux) {
    return mux->greeting.state == MUX_GREETING_SENT_OFF;
}

const char *mux_upstream_close_reason(const struct mux *mux) {
    const struct mux_greeting *greeting = &mux->greeting;
    if (greeting->state == MUX_GREETING_ASKED && mux->ran_ns >= greeting->answer_by_ns)
        return "it has not answered: is it a muxd?";
    return greeting->refusal;
}

uint64_t mux_greeting_deadline_ns(const struct mux *mux) {
    bool asked = mux->greeting.state == MUX_GREETING_ASKED;
    return asked ? mux->greeting.answer_by_ns : UINT64_MAX;
}

bool mux_upstream_leave(struct mux *mux) {
    struct mux_greeting *greeting = &mux->greeting;
    if (mux->config.upstream_is_node && greeting->state == MUX_GREETING_OPEN)
        set_state(greeting, MUX_GREETING_GOODBYE);
    switch (greeting->state) {
    case MUX_GREETING_HELLO:
    case MUX_GREETING_ASKED:
    case MUX_GREETING_GOODBYE:
    case MUX_GREETING_REFUSED:
    case MUX_GREETING_LOOP:
        return true;
    default:
        return mux->in_flight == MUX_IN_FLIGHT_GREETING;
    }
}
