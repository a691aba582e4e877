/*
 * Nodes whose connection is gone, or was replaced by a newer one: how long their segment and tests
 * wait, and what ends that.
 */
#include "mux/node/mux_internal.h"

#include <inttypes.h>
#include <stdio.h>

/*
 * A node connects again while its old connection still looks alive. The old one is closed when all
 * that our kernel has of it is read and nothing more has come for this long. Bytes that were on
 * their way come first.
 */
#define SUPERSEDED_SILENCE_NS 200000000u

/* The least grace that a node which is away has left when this node runs again. */
#define GRACE_AFTER_SLEEP_NS 2000000000u

#define SECOND_NS 1000000000u

/* The new connection takes over the old one's segment and tests; the old one is forgotten. */
void mux_node_take_over(struct mux_link *link, struct mux_link *old) {
    struct mux *mux = link->mux;
    mux_link_take_segment(link, old);
    if (link->has_bundles) /* the end judges, by what it hears of their streams */
        mux_progress_close(&mux->tests, &old->tests);
    mux_progress_move(&mux->tests, &old->tests, &link->tests);
    mux_below_move(old, link);
    mux_below_forget_lost(old); /* it lives, and settles the tests of those that left it */
    link->has_said = link->has_said || old->has_said;
    link->since_ns = old->since_ns;
    link->received_bytes += old->received_bytes;
    link->received_packets += old->received_packets;
    link->sent_down_bytes += old->sent_down_bytes;
    old->successor = NULL;
    link->predecessor = NULL;
    link->superseded_ns = mux->ran_ns; /* for its own successor, if it has one */
    mux_link_forget(old);
    MUX_COUNT(&mux->counters, nodes_returned, 1);
    mux_log(mux, "node %s (link %s) is back: %s", link->name, link->segment, link->peer);
    mux_link_activate(link);
    mux_link_attend(link);
}

/* The way up reports its tests failed; then it is forgotten. */
static void give_up(struct mux_link *link, const char *why) {
    struct mux *mux = link->mux;
    uint64_t away_ns = mux->ran_ns + mux->config.node_grace_ns - link->away_until_ns;
    mux_link_set_entry(link, MUX_ENTRY_GIVEN_UP);
    MUX_COUNT(&mux->counters, nodes_given_up, 1);
    mux_log(mux, "node %s (link %s) is given up: %s", link->name, link->segment, why);
    if (link->role == MUX_ROLE_LEAVING)
        snprintf(link->reason, sizeof link->reason,
                 "node %s ended, and this worker's own node was not seen again for %" PRIu64 " s",
                 link->name, away_ns / SECOND_NS);
    else
        snprintf(link->reason, sizeof link->reason, "node %s was unreachable for %" PRIu64 " s",
                 link->name, away_ns / SECOND_NS);
    mux_below_clear(link);
    mux_node_say_gone(link, link->identity, mux_span(NULL, 0));
    mux_link_activate(link);
}

/*
 * Strangers that say hello and leave go first: nodes with no tests, then those known for less time.
 */
static bool is_worth_less(const struct mux_link *a, const struct mux_link *b) {
    bool a_waits = mux_progress_any(&a->tests), b_waits = mux_progress_any(&b->tests);
    if (a_waits != b_waits)
        return b_waits;
    return a->lost_ns - a->since_ns < b->lost_ns - b->since_ns;
}

static void make_room(struct mux *mux) {
    struct mux_link *least = MUX_LIST_ITEM(mux->away.next, struct mux_link, watch_entry);
    for (struct mux_list *at = mux->away.next; at != &mux->away; at = at->next) {
        struct mux_link *link = MUX_LIST_ITEM(at, struct mux_link, watch_entry);
        if (is_worth_less(link, least))
            least = link;
    }
    give_up(least, "too many nodes are away, and it was known for the shortest time");
}

static void wait_for_return(struct mux_link *link) {
    struct mux *mux = link->mux;
    mux_link_set_entry(link, MUX_ENTRY_AWAY);
    link->user = NULL;
    link->lost_ns = mux->ran_ns;
    link->away_until_ns = mux->ran_ns + mux->config.node_grace_ns;
    if (mux->away_count > mux->away_max)
        make_room(mux);
}

static void say_unreachable(struct mux_link *link) {
    struct mux *mux = link->mux;
    MUX_COUNT(&mux->counters, nodes_lost, 1);
    mux_message(mux, MUX_STATUS_NONE, mux->ran_ns,
                "node %s (link %s) is unreachable: %s; its tests in progress may go on within "
                "%g s",
                link->name, link->segment, link->reason,
                (double)mux->config.node_grace_ns / SECOND_NS);
}

static void say_left(struct mux_link *link) {
    struct mux *mux = link->mux;
    mux_message(mux, MUX_STATUS_NONE, mux->ran_ns,
                "node %s (link %s) ended; tests in progress of nodes below it may go on within "
                "%g s",
                link->name, link->segment, (double)mux->config.node_grace_ns / SECOND_NS);
}

bool mux_node_went(struct mux_link *link) {
    struct mux *mux = link->mux;
    mux_list_remove(&link->beat_entry);
    bool may_return = link->role == MUX_ROLE_NODE;
    bool has_left_some =
        link->role == MUX_ROLE_LEAVING && link->nodes_left && mux_progress_any(&link->tests);
    if (!mux_link_is_node(link) || link->predecessor)
        return false;
    if (link->successor) {
        MUX_COUNT(&mux->counters, nodes_lost, 1);
        mux_node_take_over(link->successor, link);
        return true;
    }
    if (mux_link_is_rejected(link) || mux_is_leaving(mux) || !(may_return || has_left_some))
        return false;
    wait_for_return(link);
    if (has_left_some)
        say_left(link);
    else
        say_unreachable(link);
    return true;
}

/* Silence means something only while its bytes are being read. */
static bool is_being_read(const struct mux_link *link) {
    return mux_link_wants_receive(link) && link->inputs.count == 0 && !mux_link_has_turn(link);
}

/*
 * A node that has shown the proof has left the old connection for good. Without proof the old one
 * may still be alive.
 */
static uint64_t silent_since_ns(const struct mux_link *link) {
    bool is_abandoned =
        link->role == MUX_ROLE_MOVED || (link->successor && link->successor->is_proven);
    return is_abandoned || link->received_ns < link->superseded_ns ? link->superseded_ns
                                                                   : link->received_ns;
}

static bool kernel_has_more(const struct mux_link *link) {
    const struct mux_config *config = &link->mux->config;
    return config->unread && config->unread(config->user, link->user);
}

/* Is its silence a reason to close it? */
static bool is_judged(const struct mux_link *link) {
    return !link->predecessor && link->verdict == MUX_VERDICT_KEPT && link->input == MUX_INPUT_OPEN;
}

bool mux_node_is_read_empty(const struct mux_link *link) {
    return is_judged(link) && is_being_read(link) && !kernel_has_more(link);
}

static void close_superseded(struct mux *mux, uint64_t now_ns) {
    for (struct mux_list *at = mux->superseded.next; at != &mux->superseded; at = at->next) {
        struct mux_link *link = MUX_LIST_ITEM(at, struct mux_link, watch_entry);
        if (!is_judged(link) || now_ns - silent_since_ns(link) < SUPERSEDED_SILENCE_NS)
            continue;
        link->superseded_ns = now_ns;
        if (!mux_node_is_read_empty(link))
            continue;
        mux_link_set_verdict(link, MUX_VERDICT_REPLACED);
    }
}

void mux_nodes_run(struct mux *mux, uint64_t now_ns) {
    close_superseded(mux, now_ns);
    while (!mux_list_empty(&mux->away) && mux->life != MUX_LIFE_ENDING) {
        struct mux_link *link = MUX_LIST_ITEM(mux->away.next, struct mux_link, watch_entry);
        if (link->away_until_ns > now_ns)
            break;
        give_up(link, "it has not come back");
    }
}

void mux_nodes_slept(struct mux *mux, uint64_t slept_ns, uint64_t now_ns) {
    uint64_t least_ns = mux->config.node_grace_ns < GRACE_AFTER_SLEEP_NS ? mux->config.node_grace_ns
                                                                         : GRACE_AFTER_SLEEP_NS;
    for (struct mux_list *at = mux->away.next; at != &mux->away; at = at->next) {
        struct mux_link *link = MUX_LIST_ITEM(at, struct mux_link, watch_entry);
        link->away_until_ns += slept_ns;
        if (link->away_until_ns < now_ns + least_ns)
            link->away_until_ns = now_ns + least_ns;
    }
    for (struct mux_list *at = mux->superseded.next; at != &mux->superseded; at = at->next)
        MUX_LIST_ITEM(at, struct mux_link, watch_entry)->superseded_ns = now_ns;
    mux_beat_slept(mux, now_ns);
}

void mux_nodes_forget_given_up(struct mux *mux) {
    while (!mux_list_empty(&mux->given_up)) {
        struct mux_link *link = MUX_LIST_ITEM(mux->given_up.next, struct mux_link, watch_entry);
        mux_link_forget(link);
    }
}

uint64_t mux_nodes_deadline_ns(const struct mux *mux) {
    uint64_t deadline_ns = UINT64_MAX;
    if (!mux_list_empty(&mux->away) && mux->life != MUX_LIFE_ENDING)
        deadline_ns = MUX_LIST_ITEM(mux->away.next, struct mux_link, watch_entry)->away_until_ns;
    for (const struct mux_list *at = mux->superseded.next; at != &mux->superseded; at = at->next) {
        const struct mux_link *link = MUX_LIST_ITEM(at, struct mux_link, watch_entry);
        uint64_t at_ns = silent_since_ns(link) + SUPERSEDED_SILENCE_NS;
        if (is_judged(link) && at_ns < deadline_ns)
            deadline_ns = at_ns;
    }
    return deadline_ns;
}
