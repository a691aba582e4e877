#include "tools/node/node_internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_BYTES 512

/* So many polls in a row that bring nothing mean that there is nothing more right now. */
#define DRAIN_QUIET_POLLS 3

/* How often a drain looks whether the peer has acknowledged. */
#define DRAIN_LOOK_NS 2000000u

/* How often a node that works looks whether the time of day was set. */
#define WALL_LOOK_NS 100000000u

/* Lines about connections that were turned away, which name nobody: the rest are said as a count.
 */
#define TURNED_AWAY_LINES_PER_SECOND 1
#define TURNED_AWAY_LINES_BURST 3

/* Lines about workers that speak like nodes; the rest are counted only. */
#define FORGERY_LINES_PER_SECOND 1
#define FORGERY_LINES_BURST 3

void node_log(struct node *node, const char *format, ...) {
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    node->config.log(node->config.user, line);
}

void node_set_phase(struct node *node, enum node_phase phase) {
    assert(phase > node->phase);
    node->phase = phase;
}

struct mux *node_core(struct node *node) {
    return node->mux;
}

struct mux_counters *node_core_counters(struct node *node) {
    return node->counters;
}

const struct node_counters *node_own_counters(const struct node *node) {
    return &node->own_counters;
}

void node_upstream_clock(const struct node *node, struct mux_clock_stats *clock) {
    mux_upstream_clock(node->mux, clock);
}

/* Bytes that are lost if it ends now. */
static uint64_t unsent_bytes(const struct node *node) {
    uint64_t pending = mux_upstream_pending_bytes(node->mux);
    uint64_t spooled = mux_upstream_spooled_bytes(node->mux);
    if (mux_upstream_pending_is_news(node->mux))
        return 0;
    return pending > spooled ? pending - spooled : 0;
}

bool node_all_sent(const struct node *node) {
    return unsent_bytes(node) == 0 && mux_unframed_bytes(node->mux) == 0 &&
           !node->upstream.unconfirmed && node->upstream.doubt != NODE_DOUBT_AT_THE_END &&
           node->upstream.state != NODE_UPSTREAM_FAILED && !node->cut && !node->input_failed;
}

bool node_in_doubt(const struct node *node) {
    return node->upstream.doubt != NODE_DOUBT_NONE || node->upstream.may_be_dead;
}

void node_cut_links(struct node *node, const char *why) {
    unsigned count = node_links_not_ended(node);
    NODE_COUNT(node, links_cut, count);
    node->cut = node->cut || count > 0;
    if (count)
        node_log(node, "%s: links cut off: %u; what they have sent and was not received is lost",
                 why, count);
}

static void stop_listening(struct node *node) {
    if (node->config.stop_listening)
        node->config.stop_listening(node->config.user);
}

/* No more reading: what has come is forwarded, then the node ends. */
static void begin_flush(struct node *node) {
    if (node->phase >= NODE_FLUSHING)
        return;
    node_set_phase(node, NODE_FLUSHING);
    mux_end(node->mux);
    stop_listening(node);
    node_links_close_all(node);
}

static void begin_drain(struct node *node, uint64_t now_ns, bool limited) {
    if (node->phase >= NODE_DRAINING)
        return;
    node_set_phase(node, NODE_DRAINING);
    /* a worker that never stops must leave time for what it has sent to go out */
    node->drain_until_ns = now_ns + node->config.drain_timeout_ns / 2;
    node->flush_until_ns = limited ? now_ns + node->config.drain_timeout_ns : UINT64_MAX;
    node->quiet_polls = 0;
    mux_send_off(node->mux);
}

void node_terminate(struct node *node, bool at_once) {
    uint64_t now_ns = loop_now_ns(node->config.loop);
    node->has_work = true;
    if (at_once || node->terminating) {
        node->drain_until_ns = node->flush_until_ns = now_ns;
        begin_flush(node);
        if (node->phase < NODE_LEAVING)
            node_set_phase(node, NODE_LEAVING);
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
    struct mux_link *holder = mux_stuck_slot_owner(node->mux);
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
    return !mux_busy(node->mux) || mux_stuck_slot_owner(node->mux);
}

/* Nodes below are told and end by themselves. One that does not is waited for, not cut off. */
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
static void advance_phase(struct node *node, bool is_quiet, uint64_t now_ns) {
    if (enough_ended(node))
        begin_drain(node, now_ns, false);
    if (node->phase == NODE_DRAINING)
        advance_drain(node, is_quiet && has_taken_all(node), now_ns);
    if (node->phase == NODE_FLUSHING) {
        bool out = node->open_count == 0 && node_upstream_flushed(node);
        if (out || now_ns >= node->flush_until_ns)
            node_set_phase(node, NODE_LEAVING);
    }
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* Draining, it polls until nothing more comes. */
static uint64_t deadline_ns(const struct loop_client *client) {
    const struct node *node = LOOP_OWNER(client, struct node, base);
    if (node->phase >= NODE_CLOSING)
        return UINT64_MAX;
    if (node->has_work)
        return 0;
    uint64_t at_ns = least(mux_deadline_ns(node->mux), node_upstream_deadline_ns(node));
    if (node->phase == NODE_DRAINING && has_taken_all(node) && !mux_awaits_nodes(node->mux))
        return 0;
    if (node->phase == NODE_DRAINING)
        at_ns = least(at_ns, node->drain_until_ns);
    if (node->phase == NODE_FLUSHING)
        at_ns = least(at_ns, least(node->flush_until_ns, node->look_at_ns));
    return at_ns;
}

/* There was no descriptor or no memory for a connection, and no peer to name. */
static void turned_away(struct node *node, const struct transport_event *event, uint64_t now_ns) {
    char more[64] = "";
    NODE_COUNT(node, connections_refused, 1);
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

static void handle_listening(struct loop_handler *handler, const struct transport_event *event,
                             uint64_t now_ns) {
    struct node *node = LOOP_OWNER(handler, struct node, listening);
    node->events++;
    if (event->kind == TRANSPORT_ACCEPTED)
        node_link_accepted(node, event->conn);
    else
        turned_away(node, event, now_ns);
}

struct loop_handler *node_listening(struct node *node) {
    return &node->listening;
}

/* One operation at a time; what came of the last one may have brought the next. */
void node_spool_next(struct node *node) {
    const struct mux_spool_op *op = node->config.spool ? mux_spool_take(node->mux) : NULL;
    if (op)
        node->config.spool(node->config.user, op);
}

void node_spool_done(struct node *node, size_t bytes, const char *why) {
    mux_spool_done(node->mux, bytes, why);
    node->events++;
    node->has_work = true;
}

bool node_spool_found(struct node *node, const struct mux_spool_head *head, uint64_t len_bytes) {
    return mux_spool_found(node->mux, head, len_bytes);
}

/* All that can be done without new events. */
static void work(struct node *node, uint64_t now_ns) {
    do {
        mux_run(node->mux, now_ns);
        node_links_attend(node);
    } while (node_upstream_send(node));
    node_upstream_receive(node);
    node_spool_next(node);
}

static void count_unsent(struct node *node) {
    uint64_t bytes = unsent_bytes(node) + mux_unframed_bytes(node->mux);
    uint64_t spooled_bytes = mux_upstream_spooled_bytes(node->mux);
    uint64_t down_bytes = mux_down_pending_bytes(node->mux);
    MUX_COUNT(node->counters, down_undelivered_bytes, down_bytes);
    if (down_bytes)
        node_log(node, "ending with %" PRIu64 " bytes from %s for nobody", down_bytes,
                 node->config.upstream_text);
    node->counters->value[MUX_COUNT_unsent_bytes] = bytes;
    if (bytes)
        node_log(node, "ending with %" PRIu64 " bytes not sent to %s", bytes,
                 node->config.upstream_text);
    if (spooled_bytes)
        node_log(node,
                 "ending with %" PRIu64 " bytes in the spool that the end has not acknowledged: "
                 "they are sent after the next start",
                 spooled_bytes);
}

/* Every connection is closed and its last event awaited, so that no memory is in flight. */
static void leave(struct node *node) {
    stop_listening(node);
    node_links_close_all(node);
    node_upstream_close(node);
    if (node->conn_count > 0 || !node_upstream_is_closed(node) || mux_spool_is_busy(node->mux))
        return;
    if (node->turned_away_unsaid)
        node_log(node, "%" PRIu64 " more connections were turned away", node->turned_away_unsaid);
    count_unsent(node); /* what was in flight is settled */
    node_set_phase(node, NODE_ENDED);
    loop_leave(&node->base);
}

/* It is told the mux before it answers anybody. */
static void look_at_wall(struct node *node, uint64_t now_ns) {
    if (!node->config.wall_ahead_ns || now_ns < node->wall_at_ns)
        return;
    mux_set_wall(node->mux, node->config.wall_ahead_ns(node->config.user));
    node->wall_at_ns = now_ns + WALL_LOOK_NS;
}

static void node_work(struct loop_client *client, uint64_t now_ns) {
    struct node *node = LOOP_OWNER(client, struct node, base);
    bool is_quiet = node->events == 0;
    node->now_ns = now_ns;
    node->events = 0;
    node->has_work = false;
    if (node->phase < NODE_CLOSING) {
        look_at_wall(node, now_ns);
        node_upstream_open(node, now_ns);
        work(node, now_ns);
        advance_phase(node, is_quiet, now_ns);
        node->look_at_ns = now_ns + DRAIN_LOOK_NS;
        if (node->phase == NODE_LEAVING)
            node_set_phase(node, NODE_CLOSING);
    }
    if (node->phase == NODE_CLOSING)
        leave(node);
    node_upstream_sane(&node->upstream);
}

bool node_reaches_upstream(const struct node *node) {
    return node_upstream_is_connected(&node->upstream) && mux_upstream_accepted(node->mux);
}

bool node_has_ended(const struct node *node) {
    return node->phase == NODE_ENDED;
}

/*
 * ---- life ----
 */

static void mux_says(void *user, const char *line) {
    struct node *node = user;
    node->config.log(node->config.user, line);
}

static bool takes(void *user, struct mux_link *link, const struct mux_packet *packet) {
    struct node *node = user;
    return node->config.sink(node->config.user, link ? mux_link_segment(link) : "", packet);
}

static enum mux_taking take(void *user, const struct mux_packet *packet) {
    struct node *node = user;
    return node->config.take(node->config.user, packet);
}

static bool refuses(void *user, struct mux_link *link, const struct mux_packet *packet) {
    return node_refuses(user, link, packet);
}

static void goes(void *user, struct mux_link *link, struct mux_span route) {
    struct node *node = user;
    const char *segment = link ? mux_link_segment(link) : "";
    if (node->gone)
        node->gone(node->gone_user, segment, route);
    if (node->config.gone)
        node->config.gone(node->config.user, segment, route);
}

static void comes(void *user, struct mux_span route) {
    struct node *node = user;
    node->config.came(node->config.user, route);
}

void node_show_gone(struct node *node, node_gone *gone, void *user) {
    node->gone = gone;
    node->gone_user = user;
}

static void shows(void *user, struct mux_link *link, const struct mux_packet *packet) {
    struct node *node = user;
    node->output(node->output_user, link ? mux_link_segment(link) : "", packet);
}

void node_show_output(struct node *node, node_output *output, void *user) {
    node->output = output;
    node->output_user = user;
    mux_show_output(node->mux, output ? shows : NULL);
}

void node_sink_safe(struct node *node) {
    mux_sink_safe(node->mux);
}

bool node_add_down(struct node *node, const struct mux_packet *packet) {
    bool is_taken = mux_add_down(node->mux, packet);
    node->has_work = node->has_work || is_taken; /* room comes with an event */
    return is_taken;
}

const char *node_down_obstacle(const struct node *node, struct mux_span route) {
    return mux_down_obstacle(node->mux, route);
}

bool node_leads_to_worker(const struct node *node, struct mux_span route) {
    return mux_down_is_worker(node->mux, route);
}

static bool is_unread(void *user, void *link_user) {
    const struct node_link *link = link_user;
    (void)user;
    return link->conn && transport_unread(link->conn);
}

/* From now on it has events and works. */
static void join(struct node *node) {
    node->listening.handle = handle_listening;
    node->base = (struct loop_client){.deadline_ns = deadline_ns, .work = node_work};
    node->has_work = true;
    node->begun_ns = node->now_ns = loop_now_ns(node->config.loop);
    loop_join(node->config.loop, &node->base);
}

struct node *node_create(const struct node_config *config) {
    struct node *node = calloc(1, sizeof *node);
    if (!node)
        return NULL;
    node->config = *config;
    const struct transport_caps *caps = config->loop->ops->caps(config->loop->transport);
    struct mux_config mux = config->mux;
    mux.user = node;
    mux.log = mux_says;
    mux.sink = config->sink ? takes : NULL;
    mux.take = config->take ? take : NULL;
    mux.refuse = refuses;
    mux.gone = goes;
    mux.came = config->came ? comes : NULL;
    mux.unread = is_unread;
    mux.gather_max = caps->gather_max;
    mux.inputs_max = caps->lent_max;
    mux.input_bytes_max = caps->lent_bytes_max;
    mux.reference_least_bytes = caps->reference_least_bytes;
    node->mux = mux_create(&mux);
    if (!node->mux || !node_links_init(node)) {
        node_destroy(node);
        return NULL;
    }
    node->counters = mux_counters_of(node->mux);
    node->turned_away_lines =
        mux_limiter_init(TURNED_AWAY_LINES_PER_SECOND, TURNED_AWAY_LINES_BURST);
    node->forgery_lines = mux_limiter_init(FORGERY_LINES_PER_SECOND, FORGERY_LINES_BURST);
    node_upstream_init(node);
    join(node);
    return node;
}

void node_destroy(struct node *node) {
    if (node->mux)
        mux_destroy(node->mux);
    free(node->links);
    free(node);
}
