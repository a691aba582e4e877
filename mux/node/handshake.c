/*
 * The handshake with an upstream that is a node: hello, then nothing until it has answered, so that
 * an upstream that refuses this node costs no packet; the path above, so that no loop is entered;
 * goodbye when this node ends in order.
 */
#include "mux/node/mux_internal.h"
#include "mux/packet/report.h"

#include <stdio.h>

/* A peer that does not answer a hello in this time is not a node, or is of no use. */
#define ANSWER_WAIT_NS 10000000000u

static const char loop_above[] = "a loop: this node would be above itself";
static const char too_deep[] = "more than 32 nodes would be above each other";
_Static_assert(MUX_NODES_DEEP_MAX == 32, "as too_deep says");

#define BIT(state) (1u << (state))

/* follows[state]: the states that may come next, as bits. AWAY may follow each of them. */
static const unsigned follows[] = {
    [MUX_HANDSHAKE_AWAY] = BIT(MUX_HANDSHAKE_HELLO),
    [MUX_HANDSHAKE_HELLO] = BIT(MUX_HANDSHAKE_ASKED),
    [MUX_HANDSHAKE_ASKED] = BIT(MUX_HANDSHAKE_OPEN) | BIT(MUX_HANDSHAKE_REFUSED),
    [MUX_HANDSHAKE_OPEN] =
        BIT(MUX_HANDSHAKE_SENT_OFF) | BIT(MUX_HANDSHAKE_GOODBYE) | BIT(MUX_HANDSHAKE_GIVEN_UP),
    [MUX_HANDSHAKE_SENT_OFF] = 0,
    [MUX_HANDSHAKE_GOODBYE] = BIT(MUX_HANDSHAKE_LEFT),
    [MUX_HANDSHAKE_LEFT] = 0,
    [MUX_HANDSHAKE_REFUSED] = 0,
    [MUX_HANDSHAKE_GIVEN_UP] = 0,
};

static void set_state(struct mux_handshake *handshake, enum mux_handshake_state state) {
    assert((follows[handshake->state] | BIT(MUX_HANDSHAKE_AWAY)) & BIT(state));
    handshake->state = state;
}

void mux_handshake_init(struct mux *mux) {
    struct mux_handshake *handshake = &mux->handshake;
    *handshake = (struct mux_handshake){.state = mux->config.upstream_is_node ? MUX_HANDSHAKE_AWAY
                                                                              : MUX_HANDSHAKE_OPEN};
    handshake->hello = mux->config.hello;
    handshake->hello.proves = true;
    handshake->hello.takes_bundles = mux->config.window_bytes > 0;
    mux_node_secret(mux, "", handshake->identity);
}

void mux_handshake_fill_answer(const struct mux *mux, struct mux_hello *answer) {
    const struct mux_handshake *handshake = &mux->handshake;
    mux_hello_init(answer, handshake->identity, mux->config.hello.name);
    memcpy(answer->path, handshake->path, sizeof answer->path);
    answer->takes_bundles = mux_takes_bundles(mux);
}

static size_t begin_hello(struct mux *mux) {
    struct mux_handshake *handshake = &mux->handshake;
    set_state(handshake, MUX_HANDSHAKE_ASKED);
    handshake->answer_by_ns = mux->ran_ns + ANSWER_WAIT_NS;
    mux_clock_ask_by_hello(mux);
    return mux_hello_write(&handshake->hello, handshake->bytes);
}

static size_t begin_goodbye(struct mux *mux) {
    set_state(&mux->handshake, MUX_HANDSHAKE_LEFT);
    return mux_goodbye_write(mux->nodes_left, mux->handshake.bytes);
}

const struct mux_gather *mux_handshake_take(struct mux *mux) {
    struct mux_handshake *handshake = &mux->handshake;
    size_t len = 0;
    if (handshake->state == MUX_HANDSHAKE_HELLO)
        len = begin_hello(mux);
    else if (handshake->state == MUX_HANDSHAKE_GOODBYE && mux_upstream_pending_bytes(mux) == 0)
        len = begin_goodbye(mux);
    else if (handshake->state == MUX_HANDSHAKE_OPEN)
        len = mux_clock_take(mux, handshake->bytes);
    if (len == 0)
        len = mux_beat_take(mux, handshake->bytes);
    if (len == 0)
        return NULL;
    handshake->span = mux_span(handshake->bytes, len);
    handshake->gather = (struct mux_gather){&handshake->span, 1, handshake->span.len};
    return &handshake->gather;
}

/* Tells the nodes below the path above: a loop is refused where it would close. */
static void tell_path(struct mux *mux) {
    uint8_t out[MUX_HELLO_PACKET_BYTES];
    mux_nodes_tell(mux, mux_span(out, mux_path_write(mux->handshake.path, out)));
}

/* Tells the nodes below in a message why nothing goes up. */
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
    struct mux_handshake *handshake = &mux->handshake;
    set_state(handshake, handshake->state == MUX_HANDSHAKE_ASKED ? MUX_HANDSHAKE_REFUSED
                                                                 : MUX_HANDSHAKE_GIVEN_UP);
    handshake->refusal = why;
    if (why != loop_above && why != too_deep)
        return;
    MUX_COUNT(&mux->counters, loops, 1);
    tell_refusal(mux, why);
}

void mux_handshake_give_up(struct mux *mux, const char *why) {
    if (mux->handshake.state == MUX_HANDSHAKE_OPEN)
        refuse(mux, why);
}

/* The nodes above are the upstream and those that it names. NULL, or why that cannot be. */
static const char *take_path(struct mux *mux, const char *upstream, const char *above) {
    struct mux_handshake *handshake = &mux->handshake;
    char path[MUX_PATH_BYTES];
    if (strcmp(upstream, handshake->identity) == 0 || mux_path_has(above, handshake->identity))
        return loop_above;
    if (!mux_path_join(path, upstream, above))
        return too_deep;
    if (strcmp(path, handshake->path) == 0)
        return NULL;
    memcpy(handshake->path, path, sizeof path);
    tell_path(mux);
    return NULL;
}

/*
 * The upstream is accepted. Another one than before does not know which tests and nodes are below;
 * nor do those above one whose role is another than before. An end learns of tests by bundles.
 */
static void enter_place(struct mux *mux, const struct mux_hello *answer) {
    struct mux_handshake *handshake = &mux->handshake;
    bool is_other = handshake->home[0] && strcmp(handshake->home, answer->identity) != 0;
    memcpy(handshake->home, answer->identity, sizeof handshake->home);
    memcpy(handshake->hello.proof, answer->secret, sizeof handshake->hello.proof);
    set_state(handshake, MUX_HANDSHAKE_OPEN);
    bool was_relay = mux->role == MUX_IS_RELAY;
    bool is_news = mux_role_take(mux, answer) || is_other;
    /* of bundles nothing is in doubt */
    handshake->is_other = is_other && !(was_relay && mux_is_relay(mux));
    bool must_retell = is_news && !(was_relay && mux->role == MUX_IS_RELAY);
    mux_below_say_again(mux);
    if (mux_is_relay(mux)) {
        mux_leaf_ask_anew(mux);
        mux_relay_ask_below(mux);
    }
    if (must_retell)
        mux_retell_begin(mux);
    if (is_other || !mux->config.is_quiet)
        mux_log(mux, "the upstream is node %s%s%s", answer->name,
                is_other ? ", another one than before" : "",
                must_retell ? ": tests in progress are told to it" : "");
    mux_clock_meet(mux, answer, is_other);
}

static void take_answer(struct mux *mux, const struct mux_packet *packet) {
    struct mux_handshake *handshake = &mux->handshake;
    struct mux_hello answer;
    const char *why = mux_hello_read(packet, &answer);
    bool is_home = !handshake->home[0] || strcmp(handshake->home, answer.identity) == 0;
    if (!why && !is_home && !handshake->may_be_other)
        why = "another node than before answers here, and that one may still be reached";
    if (!why)
        why = take_path(mux, answer.identity, answer.path);
    if (why)
        refuse(mux, why);
    else
        enter_place(mux, &answer);
}

bool mux_handshake_handle(struct mux *mux, const struct mux_packet *packet) {
    struct mux_handshake *handshake = &mux->handshake;
    char above[MUX_PATH_BYTES];
    uint32_t nodes;
    if (handshake->state == MUX_HANDSHAKE_ASKED && mux_hello_is(packet)) {
        take_answer(mux, packet);
        return true;
    }
    if (handshake->state != MUX_HANDSHAKE_OPEN || !handshake->home[0])
        return false;
    if (mux_goodbye_is(packet, &nodes)) {
        set_state(handshake, MUX_HANDSHAKE_SENT_OFF);
        return true;
    }
    if (mux_clock_handle(mux, packet))
        return true;
    if (!mux_path_read(packet, above))
        return false;
    const char *why = take_path(mux, handshake->home, above);
    if (why)
        refuse(mux, why);
    return true;
}

void mux_upstream_connected(struct mux *mux, bool may_be_other) {
    mux->handshake.may_be_other = may_be_other;
    if (mux->config.upstream_is_node)
        set_state(&mux->handshake, MUX_HANDSHAKE_HELLO);
}

void mux_handshake_lost(struct mux *mux) {
    mux->handshake.refusal = NULL;
    mux_clock_part(mux);
    if (mux->config.upstream_is_node)
        set_state(&mux->handshake, MUX_HANDSHAKE_AWAY);
}

bool mux_handshake_sends_packets(const struct mux *mux) {
    enum mux_handshake_state state = mux->handshake.state;
    return state == MUX_HANDSHAKE_OPEN || state == MUX_HANDSHAKE_GOODBYE;
}

bool mux_upstream_is_other(const struct mux *mux) {
    return mux->handshake.is_other;
}

bool mux_upstream_accepted(const struct mux *mux) {
    enum mux_handshake_state state = mux->handshake.state;
    return state >= MUX_HANDSHAKE_OPEN && state != MUX_HANDSHAKE_REFUSED;
}

bool mux_upstream_sent_off(const struct mux *mux) {
    return mux->handshake.state == MUX_HANDSHAKE_SENT_OFF;
}

const char *mux_upstream_close_reason(const struct mux *mux) {
    const struct mux_handshake *handshake = &mux->handshake;
    if (handshake->state == MUX_HANDSHAKE_ASKED && mux->ran_ns >= handshake->answer_by_ns)
        return "it has not answered: is it a muxd?";
    return handshake->refusal;
}

uint64_t mux_handshake_deadline_ns(const struct mux *mux) {
    bool asked = mux->handshake.state == MUX_HANDSHAKE_ASKED;
    return asked ? mux->handshake.answer_by_ns : UINT64_MAX;
}

bool mux_upstream_leave(struct mux *mux) {
    struct mux_handshake *handshake = &mux->handshake;
    if (mux_leaf_leaves(mux))
        return true;
    if (mux->config.upstream_is_node && handshake->state == MUX_HANDSHAKE_OPEN)
        set_state(handshake, MUX_HANDSHAKE_GOODBYE);
    switch (handshake->state) {
    case MUX_HANDSHAKE_HELLO:
    case MUX_HANDSHAKE_ASKED:
    case MUX_HANDSHAKE_GOODBYE:
    case MUX_HANDSHAKE_REFUSED:
    case MUX_HANDSHAKE_GIVEN_UP:
        return true;
    default:
        return mux->in_flight == MUX_IN_FLIGHT_HANDSHAKE;
    }
}
