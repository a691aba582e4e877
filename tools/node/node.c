#include "tools/node/node_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_BYTES 512

/* Events taken from the transport at a time. */
#define EVENTS_MAX 256

/* So many polls in a row that bring nothing mean that there is nothing more right now. */
#define DRAIN_QUIET_POLLS 3

/* How often a drain looks whether the peer has acknowledged. */
#define DRAIN_LOOK_NS 2000000u

/* Lines about connections that were turned away, which name nobody: the rest are said as a count.
 */
#define TURNED_AWAY_LINES_PER_SECOND 1
#define TURNED_AWAY_LINES_BURST 3

void node_log(struct node *node, const char *format, ...) {
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    node->config.log(node->config.user, line);
}

static void mux_says(void *user, const char *line) {
    struct node *node = user;
    node->config.log(node->config.user, line);
}

static bool is_unread(void *user, void *link_user) {
    const struct node_link *link = link_user;
    (void)user;
    return link->conn && transport_unread(link->conn);
}

static bool make_links(struct node *node) {
    unsigned count = mux_connections_max(node->config.mux.links_max);
    node->links = calloc(count, sizeof *node->links);
    if (!node->links)
        return false;
    mux_list_init(&node->open_links);
    return true;
}

struct node *node_create(const struct node_config *config) {
    struct node *node = calloc(1, sizeof *node);
    if (!node)
        return NULL;
    node->config = *config;
    node->ops = config->ops;
    const struct transport_caps *caps = node->ops->caps(config->transport);
    node->receive_into = caps->receive_into;
    struct mux_config mux = config->mux;
    mux.user = node;
    mux.log = mux_says;
    mux.unread = is_unread;
    mux.gather_max = caps->gather_max;
    mux.inputs_max = caps->lent_max;
    mux.input_bytes_max = caps->lent_bytes_max;
    mux.reference_least_bytes = caps->reference_least_bytes;
    node->mux = mux_create(&mux);
    if (!node->mux || !make_links(node)) {
        node_destroy(node);
        return NULL;
    }
    node->counters = mux_counters_of(node->mux);
    node->tick_at_ns = config->tick ? 0 : UINT64_MAX;
    node->turned_away_lines = (struct mux_limiter){
        TURNED_AWAY_LINES_PER_SECOND, TURNED_AWAY_LINES_BURST, TURNED_AWAY_LINES_BURST, 0};
    node_upstream_init(node);
    return node;
}

void node_destroy(struct node *node) {
    if (node->mux)
        mux_destroy(node->mux);
    free(node->links);
    free(node);
}

struct mux_counters *node_counters(struct node *node) {
    return node->counters;
}

bool node_all_sent(const struct node *node) {
    return mux_upstream_pending_bytes(node->mux) == 0 && mux_unframed_bytes(node->mux) == 0 &&
           !node->upstream.unconfirmed && !node->upstream.in_doubt && !node->upstream.failed &&
           !node->cut && !node->input_failed;
}

bool node_in_doubt(const struct node *node) {
    return node->upstream.in_doubt || node->upstream.doubted || node->upstream.was_reset;
}

void node_cut_links(struct node *node, const char *why) {
    unsigned count = node_links_not_ended(node);
    MUX_COUNT(node->counters, links_cut, count);
    node->cut = node->cut || count > 0;
    if (count)
        node_log(node, "%s: links cut off: %u; what they have sent and was not received is lost",
                 why, count);
}

/* No more reading: what has come is forwarded, then the node ends. */
static void begin_flush(struct node *node) {
    if (node->phase >= NODE_FLUSHING)
        return;
    node->phase = NODE_FLUSHING;
    mux_end(node->mux);
    node->config.stop_listening(node->config.user);
    node_links_close_all(node);
}

static void begin_drain(struct node *node, uint64_t now_ns, bool limited) {
    if (node->phase >= NODE_DRAINING)
        return;
    node->phase = NODE_DRAINING;
    /* a worker that never stops must leave time for what it has sent to go out */
    node->drain_until_ns = now_ns + node->config.drain_timeout_ns / 2;
    node->flush_until_ns = limited ? now_ns + node->config.drain_timeout_ns : UINT64_MAX;
    node->quiet_polls = 0;
    mux_send_off(node->mux);
}

void node_terminate(struct node *node, bool at_once) {
    uint64_t now_ns = node->ops->now_ns(node->config.transport);
    if (at_once || node->terminating) {
        node->drain_until_ns = node->flush_until_ns = now_ns;
        begin_flush(node);
        node->phase = NODE_LEAVING;
    } else if (node->phase < NODE_DRAINING) {
        begin_drain(node, now_ns, true);
    } else {
        node->flush_until_ns = now_ns + node->config.drain_timeout_ns;
    }
    node->terminating = true;
}

void node_link_gone(struct node *node) {
    if (node->config.exit_when_idle && node->open_count == 0 && node->phase < NODE_FLUSHING) {
        if (!node->terminating) /* TERM's limit stays */
            node->flush_until_ns = UINT64_MAX;
        begin_flush(node);
    }
}

/*
 * Nothing more comes right now. A link with half a large packet does not hold up those that wait
 * for its slot: it ends, and they go on.
 */
static void drained(struct node *node) {
    struct mux_link *holder = mux_stuck_holder(node->mux);
    node->quiet_polls = 0;
    if (holder)
        node_link_end(holder);
    else
        begin_flush(node);
}

/* A node's link goes on with the next connection. */
static bool enough_ended(const struct node *node) {
    uint64_t ended = node->counters->value[MUX_COUNT_links_ended] -
                     node->counters->value[MUX_COUNT_nodes_returned];
    return node->config.exit_after_links && ended >= node->config.exit_after_links;
}

static bool has_taken_all(const struct node *node) {
    return !mux_busy(node->mux) || mux_stuck_holder(node->mux);
}

/* Nodes below are told, and end of themselves: one that does not is waited for in vain, not cut. */
static void advance_drain(struct node *node, bool quiet, uint64_t now_ns) {
    node->quiet_polls = quiet ? node->quiet_polls + 1 : 0;
    bool is_over = now_ns >= node->drain_until_ns;
    if (is_over && !quiet) {
        node_cut_links(node, "the time to read is over");
        begin_flush(node);
    } else if (is_over || (node->quiet_polls >= DRAIN_QUIET_POLLS && !mux_awaits_nodes(node->mux)))
        drained(node);
}

/* Draining ends when nothing more comes; flushing when all is out. */
static void advance_phase(struct node *node, unsigned events, uint64_t now_ns) {
    if (enough_ended(node))
        begin_drain(node, now_ns, false);
    if (node->phase == NODE_DRAINING)
        advance_drain(node, events == 0 && has_taken_all(node), now_ns);
    if (node->phase == NODE_FLUSHING) {
        bool out = node->open_count == 0 && node_upstream_flushed(node);
        if (out || now_ns >= node->flush_until_ns)
            node->phase = NODE_LEAVING;
    }
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t poll_deadline(const struct node *node, uint64_t now_ns) {
    uint64_t deadline_ns = least(mux_deadline_ns(node->mux), node_upstream_deadline_ns(node));
    deadline_ns = least(deadline_ns, node->tick_at_ns);
    if (node->phase == NODE_DRAINING && has_taken_all(node) && !mux_awaits_nodes(node->mux))
        return 0;
    if (node->phase == NODE_DRAINING)
        deadline_ns = least(deadline_ns, node->drain_until_ns);
    if (node->phase == NODE_FLUSHING)
        deadline_ns = least(deadline_ns, least(node->flush_until_ns, now_ns + DRAIN_LOOK_NS));
    return deadline_ns;
}

/* There was no descriptor or no memory for a connection, and no peer to name. */
static void turned_away(struct node *node, const struct transport_event *event, uint64_t now_ns) {
    char more[64] = "";
    MUX_COUNT(node->counters, connections_refused, 1);
    if (!mux_limiter_allow(&node->turned_away_lines, now_ns)) {
        node->turned_away_unsaid++;
        return;
    }
    if (node->turned_away_unsaid)
        snprintf(more, sizeof more, " (and %" PRIu64 " more before it)", node->turned_away_unsaid);
    node_log(node, "a connection was turned away: %s: %s%s", event->operation,
             strerror(event->error), more);
    node->turned_away_unsaid = 0;
}

static void handle(struct node *node, const struct transport_event *event, uint64_t now_ns) {
    if (event->kind == TRANSPORT_ACCEPTED) {
        node_link_accepted(node, event->conn);
    } else if (event->kind == TRANSPORT_REFUSED) {
        turned_away(node, event, now_ns);
    } else {
        struct node_conn *conn = event->conn->user;
        conn->handle(node, conn, event, now_ns);
    }
}

/* All that can be done without new events. */
static void work(struct node *node, uint64_t now_ns) {
    do {
        mux_run(node->mux, now_ns);
        node_links_attend(node);
    } while (node_upstream_send(node));
    node_upstream_receive(node);
}

static void count_unsent(struct node *node) {
    uint64_t bytes = mux_upstream_pending_bytes(node->mux) + mux_unframed_bytes(node->mux);
    uint64_t down_bytes = mux_down_pending_bytes(node->mux);
    MUX_COUNT(node->counters, down_undelivered_bytes, down_bytes);
    if (down_bytes)
        node_log(node, "ending with %" PRIu64 " bytes from %s for nobody", down_bytes,
                 node->config.upstream_text);
    node->counters->value[MUX_COUNT_unsent_bytes] = bytes;
    if (bytes)
        node_log(node, "ending with %" PRIu64 " bytes not sent to %s", bytes,
                 node->config.upstream_text);
}

/* Leaving: every connection is closed and its last event awaited, so that no memory is in flight.
 */
static bool leave(struct node *node) {
    struct transport_event events[EVENTS_MAX];
    node->config.stop_listening(node->config.user);
    node_links_close_all(node);
    node_upstream_close(node);
    uint64_t now_ns = node->ops->now_ns(node->config.transport);
    if (node->conn_count == 0 && node_upstream_is_closed(node)) {
        if (node->turned_away_unsaid)
            node_log(node, "%" PRIu64 " more connections were turned away",
                     node->turned_away_unsaid);
        count_unsent(node); /* what was in flight is settled */
        return false;
    }
    unsigned count = node->ops->poll(node->config.transport, UINT64_MAX, events, EVENTS_MAX);
    for (unsigned i = 0; i < count; i++)
        handle(node, &events[i], now_ns);
    return true;
}

bool node_step(struct node *node) {
    struct transport_event events[EVENTS_MAX];
    if (node->phase == NODE_LEAVING)
        return leave(node);
    uint64_t now_ns = node->ops->now_ns(node->config.transport);
    unsigned count =
        node->ops->poll(node->config.transport, poll_deadline(node, now_ns), events, EVENTS_MAX);
    now_ns = node->ops->now_ns(node->config.transport);
    for (unsigned i = 0; i < count; i++)
        handle(node, &events[i], now_ns);
    node_upstream_open(node, now_ns);
    work(node, now_ns);
    advance_phase(node, count, now_ns);
    if (node->config.tick)
        node->tick_at_ns = node->config.tick(node->config.user, now_ns);
    return true;
}
