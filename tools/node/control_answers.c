/* What the control socket answers: how the node, its upstream and its links stand; views. */
#include "mux/packet/route.h"
#include "tools/node/control_internal.h"
#include "tools/node/metrics.h"
#include "tools/node/node_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Links that are looked at before others have their turn. */
#define WALK_LINKS 256

/* The words of mux/node's enums, as programs read them. */
static const char *const standings[] = {
    [MUX_STANDING_SILENT] = "silent", [MUX_STANDING_OPEN] = "open",
    [MUX_STANDING_ENDED] = "ended",   [MUX_STANDING_CLOSING] = "closing",
    [MUX_STANDING_AWAY] = "away",     [MUX_STANDING_GIVEN_UP] = "given up",
};
static const char *const waits[] = {
    [MUX_WAIT_NOTHING] = "nothing",         [MUX_WAIT_SLOT] = "slot",
    [MUX_WAIT_UPSTREAM] = "upstream",       [MUX_WAIT_SINK] = "sink",
    [MUX_WAIT_PREDECESSOR] = "predecessor", [MUX_WAIT_READER] = "reader",
};
static const char *const phases[] = {
    [NODE_RUNNING] = "running", [NODE_DRAINING] = "draining", [NODE_FLUSHING] = "flushing",
    [NODE_LEAVING] = "leaving", [NODE_CLOSING] = "leaving",   [NODE_ENDED] = "leaving",
};
_Static_assert(sizeof phases / sizeof *phases == NODE_PHASES, "each phase has a word");

static const char *const clock_bases[] = {
    [MUX_CLOCK_UNKNOWN] = NULL,
    [MUX_CLOCK_MEASURED] = "measured",
    [MUX_CLOCK_ESTIMATED] = "estimated",
    [MUX_CLOCK_RECORDED] = "recorded",
};

/* How another clock stands to ours: what is not known is null. */
static void put_clock(struct json *json, const struct mux_clock_stats *clock) {
    bool has_ahead = clock->basis == MUX_CLOCK_MEASURED || clock->basis == MUX_CLOCK_ESTIMATED;
    json_put_key(json, "clock_ahead_s");
    has_ahead ? json_put_signed_seconds(json, clock->ahead_ns) : json_put_null(json);
    json_put_key(json, "clock_error_s");
    clock->basis == MUX_CLOCK_MEASURED ? json_put_signed_seconds(json, (int64_t)clock->error_ns)
                                       : json_put_null(json);
    json_put_key(json, "clock_basis");
    clock_bases[clock->basis] ? json_put_text(json, mux_span_text(clock_bases[clock->basis]))
                              : json_put_null(json);
}

static void put_seconds(struct json *json, const char *key, uint64_t ns) {
    json_put_key(json, key);
    json_put_seconds(json, ns);
}

/* A name; null when there is none. Of a long one the end, from the beginning of a character. */
static void put_name(struct json *json, const char *key, struct mux_span name) {
    json_put_key(json, key);
    if (!name.data) {
        json_put_null(json);
        return;
    }
    if (name.len > CONTROL_NAME_BYTES) {
        size_t cut = name.len - CONTROL_NAME_BYTES;
        while (cut < name.len && (name.data[cut] & 0xC0) == 0x80)
            cut++;
        name = mux_span(name.data + cut, name.len - cut);
    }
    json_put_text(json, name);
}

/*
 * ---- links ----
 */

static void put_link(struct json *json, const struct mux_link *link, const struct drains *drains) {
    struct mux_link_stats stats;
    mux_link_stats(link, &stats);
    json_put_open(json, '{');
    json_put_member_text(json, "segment", mux_link_segment(link));
    put_name(json, "peer", mux_span_text(stats.peer));
    put_name(json, "node", *stats.node_name ? mux_span_text(stats.node_name) : mux_span(NULL, 0));
    json_put_member_text(json, "state", standings[stats.standing]);
    json_put_member_text(json, "waits_for", waits[stats.wait]);
    json_put_member_bool(json, "draining",
                         drains_has(drains, mux_span_text(mux_link_segment(link))));
    json_put_member_bool(json, "has_slot", stats.has_slot);
    json_put_member_number(json, "received_bytes", stats.received_bytes);
    json_put_member_number(json, "received_packets", stats.received_packets);
    json_put_member_number(json, "sent_down_bytes", stats.sent_down_bytes);
    json_put_member_number(json, "queued_down_bytes", stats.queued_down_bytes);
    json_put_member_number(json, "tests", stats.tests);
    put_name(json, "oldest_test", stats.oldest_id);
    put_name(json, "oldest_route", stats.oldest_route);
    json_put_key(json, "oldest_age_s");
    if (stats.oldest_id.data)
        json_put_seconds(json, stats.oldest_age_ns);
    else
        json_put_null(json);
    put_clock(json, &stats.clock);
    json_put_member_bool(json, "clock_shifted", stats.clock.is_shifted);
    json_put_close(json, '}');
}

static bool has_link(const void *user, struct mux_span segment) {
    return mux_link_find(user, segment) != NULL;
}

/* What a leaf keeps until the end of the tree has it. */
static void put_kept(struct json *json, const struct node *node) {
    struct mux_leaf_stats stats;
    mux_leaf_stats(node->mux, &stats);
    json_put_key(json, "kept");
    json_put_open(json, '{');
    json_put_member_number(json, "window_bytes", stats.window_bytes);
    json_put_member_number(json, "window_max_bytes", node->config.mux.window_bytes);
    json_put_member_number(json, "unacknowledged_bytes", stats.unsafe_bytes);
    put_seconds(json, "oldest_age_s", stats.oldest_age_ns);
    json_put_member_number(json, "spool_bytes", stats.spool_bytes);
    json_put_member_number(json, "earlier_streams", stats.earlier_streams);
    put_name(json, "spool_refusal",
             *stats.spool_refusal ? mux_span_text(stats.spool_refusal) : mux_span(NULL, 0));
    json_put_close(json, '}');
}

/* The routes below that take no jobs, behind the links. True: that was all. */
static bool go_on_drains(struct control_answer *answer, struct json *json) {
    while (json_room(json) >= CONTROL_ITEM_BYTES) {
        if (answer->index >= answer->drains->count) {
            json_put_close(json, ']');
            json_put_close(json, '}');
            return true;
        }
        json_put_text(json, mux_span_text(answer->drains->routes[answer->index++]));
    }
    return false;
}

/* False: there are more. */
static bool put_links(struct control_answer *answer, const struct node *node, struct json *json) {
    while (json_room(json) >= CONTROL_ITEM_BYTES) {
        const struct mux_link *link = mux_link_next(node->mux, answer->link);
        if (!link)
            return true;
        put_link(json, link, answer->drains);
        answer->link = link;
    }
    return false;
}

static bool go_on_links(struct control_answer *answer, const struct node *node, struct json *json) {
    if (!answer->has_begun) {
        drains_sweep(answer->drains, has_link, node->mux);
        json_put_open(json, '{');
        put_kept(json, node);
        json_put_key(json, "links");
        json_put_open(json, '[');
        answer->has_begun = true;
    }
    if (!answer->has_links && !put_links(answer, node, json))
        return false;
    if (!answer->has_links) {
        json_put_close(json, ']');
        json_put_key(json, "draining");
        json_put_open(json, '[');
        answer->has_links = true;
    }
    return go_on_drains(answer, json);
}

/*
 * ---- status ----
 */

static void tally_link(struct control_tally *tally, const struct mux_link *link) {
    struct mux_link_stats stats;
    mux_link_stats(link, &stats);
    tally->links++;
    tally->silent += stats.standing == MUX_STANDING_SILENT;
    tally->away += stats.standing == MUX_STANDING_AWAY;
    tally->waiting[stats.wait]++;
    tally->tests += stats.tests;
    if (stats.oldest_age_ns > tally->oldest_age_ns)
        tally->oldest_age_ns = stats.oldest_age_ns;
    if (stats.has_slot && tally->holder_count < CONTROL_HOLDERS_MAX)
        tally->holders[tally->holder_count++] = link;
}

/* True: all have been counted. */
static bool tally_links(struct control_answer *answer, const struct node *node) {
    for (unsigned i = 0; i < WALK_LINKS; i++) {
        const struct mux_link *link = mux_link_next(node->mux, answer->link);
        if (!link)
            return true;
        tally_link(&answer->tally, link);
        answer->link = link;
    }
    return false;
}

static void put_upstream(struct json *json, const struct node *node, uint64_t now_ns) {
    struct node_upstream_status status;
    struct mux_clock_stats clock;
    node_upstream_status(node, now_ns, &status);
    node_upstream_clock(node, &clock);
    json_put_key(json, "upstream");
    json_put_open(json, '{');
    put_name(json, "place", mux_span_text(node->config.upstream_text));
    json_put_member_text(json, "state", status.state);
    put_name(json, "peer", status.peer ? mux_span_text(status.peer) : mux_span(NULL, 0));
    put_seconds(json, "since_s", status.since_ns);
    json_put_member_number(json, "pending_bytes", mux_upstream_pending_bytes(node->mux));
    put_seconds(json, "sending_s", status.sending_ns);
    json_put_member_number(json, "losses", node->own_counters.value[NODE_COUNT_upstream_losses]);
    put_clock(json, &clock);
    json_put_close(json, '}');
}

static void put_holder(struct json *json, const char *who, const char *why, unsigned links) {
    json_put_open(json, '{');
    json_put_member_text(json, "who", who);
    json_put_member_text(json, "why", why);
    json_put_member_number(json, "links", links);
    json_put_close(json, '}');
}

/* A node that ends without links still waits for what it has to be taken. */
static bool upstream_holds_end_up(const struct node *node) {
    return node->phase > NODE_RUNNING && mux_upstream_pending_bytes(node->mux) > 0;
}

/*
 * What keeps links, or the end, from going on, and how many links. A slot that no link holds is
 * that of a packet on its way up.
 */
static void put_held_up(struct json *json, const struct control_tally *tally,
                        const struct node *node, uint64_t now_ns) {
    struct node_upstream_status status;
    char who[MUX_SEGMENT_MAX_BYTES + 16];
    unsigned for_upstream = tally->waiting[MUX_WAIT_UPSTREAM];
    if (tally->holder_count == 0)
        for_upstream += tally->waiting[MUX_WAIT_SLOT];
    node_upstream_status(node, now_ns, &status);
    json_put_key(json, "held_up_by");
    json_put_open(json, '[');
    if (for_upstream || upstream_holds_end_up(node))
        put_holder(json, "upstream", status.why_slow, for_upstream);
    if (tally->waiting[MUX_WAIT_SINK])
        put_holder(json, "sink", "it takes nothing now", tally->waiting[MUX_WAIT_SINK]);
    for (unsigned i = 0; tally->waiting[MUX_WAIT_SLOT] && i < tally->holder_count; i++) {
        snprintf(who, sizeof who, "link %s", mux_link_segment(tally->holders[i]));
        put_holder(json, who, "it holds a slot for a large packet", tally->waiting[MUX_WAIT_SLOT]);
    }
    if (tally->waiting[MUX_WAIT_PREDECESSOR])
        put_holder(json, "older connections", "what came by them goes up first",
                   tally->waiting[MUX_WAIT_PREDECESSOR]);
    if (tally->waiting[MUX_WAIT_READER])
        put_holder(json, "themselves", "they do not read what is sent down to them",
                   tally->waiting[MUX_WAIT_READER]);
    json_put_close(json, ']');
}

static void put_links_in_short(struct json *json, const struct control_tally *tally,
                               const struct node *node) {
    json_put_key(json, "links");
    json_put_open(json, '{');
    json_put_member_number(json, "open", tally->links);
    json_put_member_number(json, "max", node->config.mux.links_max);
    json_put_member_number(json, "silent", tally->silent);
    json_put_member_number(json, "away", tally->away);
    json_put_member_number(json, "tests", tally->tests);
    put_seconds(json, "oldest_age_s", tally->oldest_age_ns);
    json_put_key(json, "waiting");
    json_put_open(json, '{');
    for (unsigned i = MUX_WAIT_NOTHING + 1; i < sizeof waits / sizeof *waits; i++)
        json_put_member_number(json, waits[i], tally->waiting[i]);
    json_put_close(json, '}');
    json_put_close(json, '}');
}

/* A link that was noted may have closed since: its entry is free, its segment empty. */
static bool go_on_status(struct control_answer *answer, const struct control_config *config,
                         struct json *json) {
    const struct node *node = config->node;
    uint64_t now_ns = loop_now_ns(config->loop);
    if (!tally_links(answer, node))
        return false;
    json_put_open(json, '{');
    json_put_member_text(json, "muxd", config->version);
    json_put_member_text(json, "name", node->config.mux.hello.name);
    put_seconds(json, "uptime_s", now_ns - node->begun_ns);
    json_put_member_text(json, "phase", phases[node->phase]);
    json_put_member_bool(json, "takes_jobs", !orders_drain(config->orders));
    put_upstream(json, node, now_ns);
    put_links_in_short(json, &answer->tally, node);
    json_put_member_number(json, "received_bytes", node->counters->value[MUX_COUNT_received_bytes]);
    json_put_member_number(json, "received_packets",
                           node->counters->value[MUX_COUNT_received_packets]);
    json_put_member_number(json, "sent_bytes", node->counters->value[MUX_COUNT_sent_bytes]);
    put_held_up(json, &answer->tally, node, now_ns);
    json_put_close(json, '}');
    return true;
}

/*
 * ---- counters ----
 */

static bool go_on_counters(struct control_answer *answer, const struct control_config *config,
                           struct json *json) {
    struct metrics metrics;
    metrics_take(&metrics, config->node, config->loop);
    if (!answer->has_begun)
        json_put_open(json, '{');
    answer->has_begun = true;
    for (; answer->index < metrics.count; answer->index++) {
        if (json_room(json) < METRICS_ITEM_BYTES)
            return false;
        metrics_put(json, &metrics, answer->index);
    }
    if (json_room(json) < METRICS_ITEM_BYTES) /* the end needs room, too */
        return false;
    json_put_close(json, '}');
    return true;
}

/*
 * ---- all of them ----
 */

void control_answer_begin(struct control_answer *answer, enum control_request request) {
    *answer = (struct control_answer){.request = request};
}

static void put_peer(struct json *json, const char *key, const struct control_peer *peer) {
    json_put_key(json, key);
    if (!peer->is_known) {
        json_put_null(json);
        return;
    }
    json_put_open(json, '{');
    json_put_member_number(json, "pid", peer->pid);
    json_put_member_number(json, "uid", peer->uid);
    json_put_close(json, '}');
}

static bool go_on_view(const struct control_answer *answer, struct json *json) {
    json_put_open(json, '{');
    json_put_member_text(json, "view", answer->view.is_attach ? "attach" : "tail");
    json_put_member_bool(json, "writes", answer->view.writes);
    put_peer(json, "writer", &answer->view.writer);
    json_put_close(json, '}');
    return true;
}

static bool go_on_order(const struct control_answer *answer, struct json *json) {
    const struct control_order *order = answer->order;
    json_put_open(json, '{');
    json_put_member_text(json, "order", order_verb_name(order->order.verb));
    json_put_member_text(json, "route", order->route);
    json_put_member_bool(json, "draining", order->answer.draining);
    json_put_close(json, '}');
    return true;
}

static bool go_on_error(const struct control_answer *answer, struct json *json) {
    json_put_open(json, '{');
    json_put_member_text(json, "error", answer->error);
    json_put_close(json, '}');
    return true;
}

static bool go_on(struct control_answer *answer, const struct control_config *config,
                  struct json *json) {
    switch (answer->request) {
    case CONTROL_STATUS:
        return go_on_status(answer, config, json);
    case CONTROL_LINKS:
        return go_on_links(answer, config->node, json);
    case CONTROL_COUNTERS:
        return go_on_counters(answer, config, json);
    case CONTROL_VIEW:
        return go_on_view(answer, json);
    case CONTROL_ORDER:
        return go_on_order(answer, json);
    case CONTROL_ERROR:
        break;
    }
    return go_on_error(answer, json);
}

bool control_answer_go_on(struct control_answer *answer, const struct control_config *config,
                          struct json *json) {
    bool is_done = go_on(answer, config, json);
    if (is_done)
        json_put_line_end(json);
    assert(!json->full);
    return is_done;
}
