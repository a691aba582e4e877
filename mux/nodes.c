/*
 * Node links. A link that opens with a hello leads to another node: when it is lost only the way to
 * that node is. Its segment and its tests in progress wait for the same identity to come back; only
 * after the grace period are the tests reported failed.
 */
#include "mux/mux_internal.h"
#include "mux/report.h"

#include <inttypes.h>
#include <stdio.h>

/*
 * A node that connects anew while its old connection still looks alive: that one is closed when
 * nothing has come on it for so long; what was on its way on it goes first.
 */
#define SUPERSEDED_SILENCE_NS 200000000u

#define SECOND_NS 1000000000u

/* Whose tests are already being reported failed is not found any more. */
static struct mux_link *find_identity(struct mux *mux, const struct mux_link *but) {
    for (struct mux_list *at = mux->nodes.next; at != &mux->nodes; at = at->next) {
        struct mux_link *link = MUX_LIST_ITEM(at, struct mux_link, node_node);
        if (link != but && !link->is_given_up &&
            strcmp(link->hello.identity, but->hello.identity) == 0)
            return link;
    }
    return NULL;
}

/* The words go down to it; when they are sent, or cannot be, it is closed. */
static void refuse(struct mux_link *link, const char *why) {
    struct mux *mux = link->mux;
    char reason[REASON_BYTES];
    struct mux_pieces pieces;
    MUX_COUNT(&mux->counters, nodes_refused, 1);
    mux_log(mux, "%s (link %s) is refused as a node: %s", link->peer, link->segment, why);
    snprintf(reason, sizeof reason, "this node link is refused: %s", why);
    mux_report_message(MUX_STATUS_FAIL, mux_span_text(reason), mux_span(NULL, 0), mux_span(NULL, 0),
                       &pieces);
    mux_down_queue(link, &pieces);
    link->refused = true;
    link->close_reason = "it was refused as a node";
    mux_link_attend(link);
}

/* The new connection goes on with the old one's segment and tests; the old one is gone. */
static void take_over(struct mux_link *link, struct mux_link *old) {
    struct mux *mux = link->mux;
    mux_link_take_segment(link, old);
    mux_progress_move(&mux->tests, &old->tests, &link->tests);
    mux_list_remove(&old->node_node);
    mux_list_remove(&old->away_node);
    old->successor = NULL;
    link->predecessor = NULL;
    mux_link_forget(old);
    MUX_COUNT(&mux->counters, nodes_returned, 1);
    mux_log(mux, "node %s (link %s) is back: %s", link->hello.name, link->segment, link->peer);
    mux_link_activate(link);
    mux_link_attend(link);
}

/* Its old connection has not ended, as far as we know. */
static void wait_for(struct mux_link *link, struct mux_link *old, uint64_t now_ns) {
    old->successor = link;
    link->predecessor = old;
    old->superseded_ns = now_ns;
    mux_list_append(&link->mux->superseded, &old->away_node);
}

/* Only then does it send more. */
static bool answer(struct mux_link *link) {
    struct mux_span hello = link->mux->greeting.hello;
    return mux_down_queue(
        link, &(struct mux_pieces){.piece = {hello}, .count = 1, .len_bytes = hello.len});
}

static void welcome(struct mux_link *link) {
    struct mux *mux = link->mux;
    struct mux_link *old = find_identity(mux, link);
    if (old && old->successor) {
        refuse(link, "its identity is in use twice"); /* no node: it is not waited for */
        return;
    }
    if (!answer(link)) {
        refuse(link, "there is no memory, or no way, to answer it");
        return;
    }
    link->is_node = true;
    link->framer.trusted = true;
    mux_progress_open(&mux->tests, &link->tests, MUX_PROGRESS_NODE);
    mux_list_append(&mux->nodes, &link->node_node);
    MUX_COUNT(&mux->counters, nodes_connected, 1);
    if (!old)
        mux_log(mux, "link %s is node %s: %s", link->segment, link->hello.name, link->peer);
    else if (old->is_away)
        take_over(link, old);
    else
        wait_for(link, old, mux->now_ns);
}

/* It has ended in order, and all that was below it: nothing is waited for. */
static bool leaves(struct mux_link *link, const struct mux_packet *packet) {
    if (!link->is_node || !mux_goodbye_is(packet))
        return false;
    link->is_leaving = true;
    snprintf(link->reason, sizeof link->reason, "node %s ended", link->hello.name);
    return true;
}

bool mux_node_says(struct mux_link *link, const struct mux_packet *packet) {
    if (link->has_frames)
        return leaves(link, packet);
    if (!mux_hello_is(packet))
        return false;
    const char *why = mux_hello_read(packet, &link->hello);
    if (!why && strcmp(link->hello.identity, link->mux->config.hello.identity) == 0)
        why = "it is this node itself: a loop";
    if (why)
        refuse(link, why);
    else
        welcome(link);
    return true;
}

/*
 * ---- away ----
 */

void mux_node_went(struct mux_link *link) {
    struct mux *mux = link->mux;
    if (!mux_list_empty(&link->away_node)) /* superseded */
        mux_list_remove(&link->away_node);
    link->is_away = true;
    link->user = NULL;
    MUX_COUNT(&mux->counters, nodes_lost, 1);
    if (link->successor) {
        take_over(link->successor, link);
        return;
    }
    link->away_until_ns = mux->now_ns + mux->config.node_grace_ns;
    mux_list_append(&mux->away, &link->away_node);
    mux_message(mux, MUX_STATUS_NONE, mux->now_ns,
                "node %s (link %s) is unreachable: %s; its tests in progress may go on within "
                "%g s",
                link->hello.name, link->segment, link->reason,
                (double)mux->config.node_grace_ns / SECOND_NS);
}

/* Its tests are reported failed by the way up, which then buries it. */
static void give_up(struct mux_link *link, const char *why) {
    struct mux *mux = link->mux;
    uint64_t away_ns = mux->now_ns + mux->config.node_grace_ns - link->away_until_ns;
    mux_list_remove(&link->away_node);
    link->is_given_up = true;
    MUX_COUNT(&mux->counters, nodes_given_up, 1);
    mux_log(mux, "node %s (link %s) is given up: %s", link->hello.name, link->segment, why);
    snprintf(link->reason, sizeof link->reason, "node %s was unreachable for %" PRIu64 " s",
             link->hello.name, away_ns / SECOND_NS);
    mux_link_activate(link);
}

void mux_nodes_make_room(struct mux *mux) {
    if (!mux_list_empty(&mux->away))
        give_up(MUX_LIST_ITEM(mux->away.next, struct mux_link, away_node), "all links are in use");
}

static bool is_silent(const struct mux_link *link, uint64_t now_ns) {
    uint64_t since_ns =
        link->received_ns > link->superseded_ns ? link->received_ns : link->superseded_ns;
    return now_ns - since_ns >= SUPERSEDED_SILENCE_NS;
}

static void close_superseded(struct mux *mux, uint64_t now_ns) {
    struct mux_list *next;
    for (struct mux_list *at = mux->superseded.next; at != &mux->superseded; at = next) {
        struct mux_link *link = MUX_LIST_ITEM(at, struct mux_link, away_node);
        next = at->next;
        if (!is_silent(link, now_ns) || link->close_reason)
            continue;
        link->close_reason = "its node has connected anew";
        mux_link_attend(link);
    }
}

void mux_nodes_run(struct mux *mux, uint64_t now_ns) {
    close_superseded(mux, now_ns);
    while (!mux_list_empty(&mux->away) && !mux->ending) {
        struct mux_link *link = MUX_LIST_ITEM(mux->away.next, struct mux_link, away_node);
        if (link->away_until_ns > now_ns)
            break;
        give_up(link, "it has not come back");
    }
}

void mux_nodes_bury(struct mux *mux) {
    while (!mux_list_empty(&mux->buried)) {
        struct mux_link *link = MUX_LIST_ITEM(mux->buried.next, struct mux_link, away_node);
        mux_list_remove(&link->away_node);
        mux_list_remove(&link->node_node);
        mux_link_forget(link);
    }
}

uint64_t mux_nodes_deadline_ns(const struct mux *mux) {
    uint64_t deadline_ns = UINT64_MAX;
    if (!mux_list_empty(&mux->away) && !mux->ending)
        deadline_ns = MUX_LIST_ITEM(mux->away.next, struct mux_link, away_node)->away_until_ns;
    for (const struct mux_list *at = mux->superseded.next; at != &mux->superseded; at = at->next) {
        const struct mux_link *link = MUX_LIST_ITEM(at, struct mux_link, away_node);
        uint64_t since_ns =
            link->received_ns > link->superseded_ns ? link->received_ns : link->superseded_ns;
        if (!link->close_reason && since_ns + SUPERSEDED_SILENCE_NS < deadline_ns)
            deadline_ns = since_ns + SUPERSEDED_SILENCE_NS;
    }
    return deadline_ns;
}
