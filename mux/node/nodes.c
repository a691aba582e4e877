/*
 * Node links. A link that begins with a hello leads to another node. When its connection is lost,
 * the segment and the tests in progress wait for the same identity to return; the tests are
 * reported failed only after the grace period. A node that comes another way is recognised by its
 * identity (below.h): its old place forgets its tests, and the node announces them again.
 */
#include "mux/hash.h"
#include "mux/node/mux_internal.h"
#include "mux/packet/report.h"

#include <inttypes.h>
#include <stdio.h>

/* Most connections of one node that wait for each other: an honest node does not have more. */
#define CONNECTIONS_MAX 8

/* The secret for an identity can be computed only here, so that none needs to be stored. */
void mux_node_secret(const struct mux *mux, const char *identity, char out[MUX_IDENTITY_BYTES]) {
    struct mux_span text = mux_span_text(identity);
    snprintf(out, MUX_IDENTITY_BYTES, "%016" PRIx64 "%016" PRIx64,
             mux_hash(mux->config.secret[0], text), mux_hash(mux->config.secret[1], text));
}

/* In constant time: a peer that guesses learns nothing from how long it takes. */
static bool is_same_secret(const char *a, const char *b) {
    unsigned difference = 0;
    for (size_t i = 0; i < MUX_IDENTITY_BYTES - 1; i++)
        difference |= (unsigned)(a[i] ^ b[i]);
    return difference == 0;
}

static bool is_proven(const struct mux *mux, const struct mux_hello *hello) {
    char secret[MUX_IDENTITY_BYTES];
    mux_node_secret(mux, hello->identity, secret);
    return strlen(hello->proof) == sizeof secret - 1 && is_same_secret(hello->proof, secret);
}

/* The link at whose end the node is; NULL: there is none. */
static struct mux_link *link_of(const struct mux_below_node *node) {
    return node && node->place.route_len == 0 ? node->place.link : NULL;
}

/* The message goes down to it. It is closed when that is sent, or cannot be. */
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
    mux_link_set_verdict(link, MUX_VERDICT_REFUSED);
}

void mux_link_refuse_stranger(struct mux_link *link) {
    refuse(link, "only nodes may connect here, and it did not open with a hello");
}

void mux_link_refuse_loop(struct mux_link *link) {
    MUX_COUNT(&link->mux->counters, loops, 1);
    refuse(link, "a loop: what comes from it has passed this node, or too many others");
}

/*
 * ---- hello ----
 */

/* The old connection has not ended, as far as this node knows: the new one waits for it. */
static void wait_for(struct mux_link *link, struct mux_link *old) {
    old->successor = link;
    link->predecessor = old;
    old->superseded_ns = link->mux->ran_ns;
    mux_list_append(&link->mux->superseded, &old->watch_entry);
}

/* The node sends nothing else before it has this answer. */
static bool answer(struct mux_link *link, bool asks_time) {
    const struct mux *mux = link->mux;
    struct mux_hello hello;
    uint8_t out[MUX_HELLO_PACKET_BYTES];
    mux_handshake_fill_answer(mux, &hello);
    mux_node_secret(mux, link->identity, hello.secret);
    if (asks_time)
        hello.time_ns = mux_clock_told_ns(link, &hello.within_ns);
    struct mux_span bytes = mux_span(out, mux_hello_write(&hello, out));
    return mux_down_queue(
        link, &(struct mux_pieces){.piece = {bytes}, .count = 1, .len_bytes = bytes.len});
}

/*
 * May it go on as this node? With the proof, always. Without, only if neither connection knows of
 * proofs, or the first answer may not have reached it. NULL, or why not.
 */
static const char *why_not_the_same(const struct mux_link *link, const struct mux_link *old) {
    bool is_old_version = !link->proves && !old->proves;
    if (link->is_proven || is_old_version || !old->has_said)
        return NULL;
    return "its identity is in use, and it does not show what only that node was told";
}

static struct mux_link *last_connection(struct mux_link *link, unsigned *count) {
    for (*count = 1; link->successor; ++*count)
        link = link->successor;
    return link;
}

/* Its connection died: an end of a test, taken from below, may not have come this far. */
static bool is_lost(const struct mux_link *link) {
    return link->entry == MUX_ENTRY_AWAY && link->role == MUX_ROLE_NODE &&
           mux_progress_any(&link->tests);
}

/* One that has a stream here is there until that has ended or was lost for the grace. */
static bool has_stream_here(const struct mux_link *link, struct mux_span route) {
    const struct mux_unbundle *unbundle = link->mux->unbundle;
    uint8_t full[MUX_REPORT_ROUTE_MAX_BYTES];
    return unbundle && mux_end_has_pin(&unbundle->end, mux_link_full_route(link, route, full));
}

/* The owner hears that the node at this route, below the link, is no longer there. */
static void tell_gone(struct mux_link *link, struct mux_span route) {
    const struct mux_config *config = &link->mux->config;
    if (config->gone && !has_stream_here(link, route))
        config->gone(config->user, link, route);
}

/*
 * The node at this place has come another way, where it announces everything again. Returns the
 * place if it is lost: then its tests are kept there.
 */
static struct mux_below_place leave_place(struct mux *mux, struct mux_below_node *node) {
    struct mux_below_place place = node->place; /* the node is removed below */
    struct mux_link *link = place.link;
    struct mux_span at = mux_below_route(&place);
    if (!is_lost(link))
        place.link = NULL;
    MUX_COUNT(&mux->counters, nodes_moved, 1);
    mux_log(mux, "a node below link %s%s%.*s comes another way", link->segment, at.len ? "/" : "",
            (int)at.len, (const char *)at.data);
    if (at.len) {
        tell_gone(link, at);
        if (!place.link)
            mux_progress_forget_route(&mux->tests, &link->tests, at);
        mux_below_remove(link, at);
        bool waits_for_those_below =
            link->entry == MUX_ENTRY_AWAY && link->role == MUX_ROLE_LEAVING;
        if (waits_for_those_below && !mux_progress_any(&link->tests))
            mux_link_forget(link); /* none of them is left */
        return place;
    }
    mux_below_clear(link);
    if (place.link)
        return place;
    mux_progress_close(&mux->tests, &link->tests);
    if (mux_link_is_away(link)) {
        mux_link_forget(link);
        return place;
    }
    mux_link_set_role(link, MUX_ROLE_MOVED);
    if (link->input == MUX_INPUT_OPEN && mux_list_empty(&link->watch_entry)) {
        link->superseded_ns = mux->ran_ns;
        mux_list_append(&mux->superseded, &link->watch_entry);
    }
    return place;
}

static void become_node(struct mux_link *link) {
    struct mux *mux = link->mux;
    mux_link_set_role(link, MUX_ROLE_NODE);
    link->framer.trusted = true;
    link->since_ns = mux->ran_ns;
    mux_progress_open(&mux->tests, &link->tests, MUX_PROGRESS_NODE);
    MUX_COUNT(&mux->counters, nodes_connected, 1);
}

static void welcome(struct mux_link *link, bool asks_time) {
    struct mux *mux = link->mux;
    struct mux_below_node *known = mux_below_find(mux, link->identity);
    struct mux_link *old = link_of(known), *last = NULL;
    unsigned connections = 0;
    const char *why = mux_is_leaving(mux) ? "this node ends" : mux_beat_refuses(link);
    if (!why && asks_time)
        why = mux_clock_refuses(link);
    if (!why && old)
        why = why_not_the_same(link, old);
    if (old)
        last = last_connection(old, &connections);
    if (!why && connections >= CONNECTIONS_MAX)
        why = "its earlier connections have not ended";
    if (!why && !answer(link, asks_time))
        why = "there is no memory, or no way, to answer it";
    if (why) {
        refuse(link, why);
        return;
    }
    become_node(link);
    if (link->has_bundles)
        mux_beat_open(link);
    struct mux_below_place lost = {.link = NULL};
    if (known && !old)
        lost = leave_place(mux, known);
    if (!old) {
        mux_below_add(link, link->identity, mux_span(NULL, 0));
        mux_below_remember_lost(mux, link->identity, &lost);
        if (!mux->config.is_quiet)
            mux_log(mux, "link %s is node %s: %s", link->segment, link->name, link->peer);
    } else if (mux_link_is_away(old))
        mux_node_take_over(link, old);
    else
        wait_for(link, last);
}

static void take_hello(struct mux_link *link, const struct mux_packet *packet) {
    struct mux_hello hello;
    const char *why = mux_hello_read(packet, &hello);
    if (!why && strcmp(hello.identity, link->mux->config.hello.identity) == 0)
        why = "it is this node itself: a loop";
    if (why) {
        refuse(link, why);
        return;
    }
    memcpy(link->identity, hello.identity, sizeof link->identity);
    memcpy(link->name, hello.name, sizeof link->name);
    link->proves = hello.proves;
    link->has_bundles = hello.takes_bundles && mux_takes_bundles(link->mux);
    link->is_proven = is_proven(link->mux, &hello);
    welcome(link, hello.asks_time);
}

bool mux_node_may_enter(const struct mux_link *link, const struct mux_packet *packet) {
    struct mux_hello hello;
    return mux_hello_is(packet) && !mux_hello_read(packet, &hello) &&
           link_of(mux_below_find(link->mux, hello.identity));
}

/*
 * ---- later words of a node ----
 */

bool mux_notice_up(struct mux_link *link, const struct mux_notice *notice, struct mux_span route) {
    struct mux *mux = link->mux;
    uint8_t out[MUX_HELLO_PACKET_BYTES];
    char full[MUX_NOTICE_ROUTE_BYTES];
    _Static_assert(MUX_SEGMENT_TEXT_BYTES + MUX_BELOW_ROUTE_BYTES < MUX_NOTICE_ROUTE_BYTES,
                   "a known route with a segment fits a notice");
    if (!mux->config.upstream_is_node)
        return true;
    if (!mux_batch_has_room(mux->fill, sizeof out, 1))
        return false;
    int len = snprintf(full, sizeof full, "%s%s%.*s", link->segment, route.len ? "/" : "",
                       (int)route.len, (const char *)route.data);
    struct mux_span bytes =
        mux_span(out, mux_notice_write(notice, mux_span(full, (size_t)len), out));
    struct mux_pieces pieces = {.piece = {bytes}, .count = 1, .len_bytes = bytes.len};
    mux_batch_add(mux->fill, &pieces, NULL, SIZE_MAX);
    mux_count_forwarded(mux, 1, pieces.len_bytes, 0);
    return true;
}

/* What cannot be told now is known to those above until this node's own link ends. */
void mux_node_say_gone(struct mux_link *link, const char *identity, struct mux_span route) {
    struct mux_notice notice = {.here = false};
    memcpy(notice.identity, identity, sizeof notice.identity);
    mux_notice_up(link, &notice, route);
}

void mux_node_say_ended(struct mux_link *link) {
    const struct mux_below_node *node = mux_below_find(link->mux, link->identity);
    if (link->role == MUX_ROLE_LEAVING && !mux_is_leaving(link->mux) && link_of(node) == link)
        mux_node_say_gone(link, link->identity, mux_span(NULL, 0));
}

static void comes_there(struct mux_link *link, const char *identity, struct mux_span route) {
    struct mux *mux = link->mux;
    struct mux_below_node *node = mux_below_find(mux, identity);
    struct mux_span at = node ? mux_below_route(&node->place) : mux_span(NULL, 0);
    if (node && node->place.link == link && mux_span_equal(at, route)) {
        mux_list_append(&mux->below.unsaid, &node->unsaid); /* it may be for another upstream */
        return;
    }
    struct mux_below_place lost = {.link = NULL};
    if (node)
        lost = leave_place(mux, node);
    if (mux_below_add(link, identity, route)) {
        mux_below_remember_lost(mux, identity, &lost);
        return;
    }
    MUX_COUNT(&mux->counters, nodes_unknown, 1);
    mux_log(mux,
            "a node at %s/%.*s is not remembered: there are too many, or its route is too long",
            link->segment, (int)route.len, (const char *)route.data);
}

static void take_notice(struct mux_link *link, const struct mux_packet *packet) {
    struct mux_notice notice;
    if (!packet->route.data || !mux_notice_read(packet, &notice))
        return;
    struct mux_below_node *node = mux_below_find(link->mux, notice.identity);
    if (notice.here && strcmp(notice.identity, link->mux->config.hello.identity) == 0) {
        mux_link_refuse_loop(link);
    } else if (notice.here) {
        comes_there(link, notice.identity, packet->route);
    } else if (node && node->place.link == link &&
               mux_span_equal(mux_below_route(&node->place), packet->route)) {
        mux_node_say_gone(link, notice.identity, packet->route);
        mux_below_remove(link, packet->route);
        tell_gone(link, packet->route);
    }
}

/* Its own workers have ended. Nodes below it may go on: their tests wait for them. */
static void take_goodbye(struct mux_link *link, uint32_t nodes) {
    if (link->role == MUX_ROLE_NODE)
        mux_link_set_role(link, MUX_ROLE_LEAVING);
    link->nodes_left = nodes;
    snprintf(link->reason, sizeof link->reason, "node %s ended", link->name);
}

bool mux_node_handle_word(struct mux_link *link, const struct mux_packet *packet) {
    uint32_t nodes;
    if (link->role == MUX_ROLE_UNKNOWN) {
        if (!mux_hello_is(packet))
            return false;
        take_hello(link, packet);
        return true;
    }
    link->has_said = true;
    if (packet->test_id.data || !packet->file_name.data)
        return false;
    if (mux_notice_is(packet)) {
        take_notice(link, packet);
        return true;
    }
    if (mux_clock_answer(link, packet) || mux_beat_handle(link, packet))
        return true;
    if (!mux_goodbye_is(packet, &nodes))
        return false;
    take_goodbye(link, nodes);
    return true;
}

void mux_nodes_tell(struct mux *mux, struct mux_span bytes) {
    for (struct mux_list *at = mux->nodes.next; at != &mux->nodes; at = at->next) {
        struct mux_link *link = MUX_LIST_ITEM(at, struct mux_link, node_entry);
        if (link->input == MUX_INPUT_OPEN)
            mux_down_queue(
                link, &(struct mux_pieces){.piece = {bytes}, .count = 1, .len_bytes = bytes.len});
    }
}

bool mux_awaits_nodes(const struct mux *mux) {
    for (const struct mux_list *at = mux->nodes.next; at != &mux->nodes; at = at->next) {
        const struct mux_link *link = MUX_LIST_ITEM(at, struct mux_link, node_entry);
        if (mux_is_leaving(mux) && link->proves &&
            (link->input == MUX_INPUT_OPEN || mux_unbundle_awaits_acks(link)))
            return true;
    }
    return false;
}
