/* A node's upstream: connect, lose, connect again; send batches, receive the way down. */
#include "tools/muxd/node_internal.h"

#include <inttypes.h>

/* The first wait after a loss, doubled each time up to the last. */
#define BACKOFF_LEAST_NS 100000000u
#define BACKOFF_MOST_NS 5000000000u

static void handle_upstream(struct node *node, struct node_conn *conn,
                            const struct transport_event *event, uint64_t now_ns);

void node_upstream_init(struct node *node) {
    struct node_upstream *up = &node->upstream;
    up->base.handle = handle_upstream;
    up->retry_at_ns = node->config.show ? UINT64_MAX : 0;
    up->backoff_ns = BACKOFF_LEAST_NS;
    up->random = node->config.seed | 1;
}

/* Up to a quarter more, so that a thousand leaves do not come back in one instant (xorshift64). */
static uint64_t jitter(struct node_upstream *up, uint64_t span_ns) {
    up->random ^= up->random << 13;
    up->random ^= up->random >> 7;
    up->random ^= up->random << 17;
    return up->random % (span_ns / 4);
}

static void retry_later(struct node *node, uint64_t now_ns) {
    struct node_upstream *up = &node->upstream;
    if (!node->config.upstream_retry) {
        up->retry_at_ns = UINT64_MAX;
        up->failed = true;
        node->phase = NODE_LEAVING;
        return;
    }
    up->waited_ns = up->backoff_ns;
    up->retry_at_ns = now_ns + up->backoff_ns + jitter(up, up->backoff_ns);
    up->backoff_ns *= 2;
    if (up->backoff_ns > BACKOFF_MOST_NS)
        up->backoff_ns = BACKOFF_MOST_NS;
}

static void connected(struct node *node) {
    struct node_upstream *up = &node->upstream;
    up->connected = true;
    up->connected_ns = node->ops->now_ns(node->config.transport);
    mux_up_connected(node->mux);
    MUX_COUNT(node->counters, upstream_connects, 1);
    if (node->counters->value[MUX_COUNT_upstream_losses])
        node_log(node, "upstream %s: connected", node->config.upstream_text);
}

void node_upstream_open(struct node *node, uint64_t now_ns) {
    struct node_upstream *up = &node->upstream;
    char why[256];
    if (up->conn || now_ns < up->retry_at_ns || node->phase == NODE_LEAVING)
        return;
    up->retry_at_ns = UINT64_MAX;
    bool at_once = false;
    up->conn = node->config.open_upstream(node->config.user, &up->base, &at_once, why, sizeof why);
    if (up->conn) {
        if (at_once)
            connected(node);
        return;
    }
    MUX_COUNT(node->counters, upstream_losses, 1);
    node_log(node, "upstream %s: %s", node->config.upstream_text, why);
    retry_later(node, now_ns);
}

static void lost(struct node *node, const char *operation, const char *why) {
    struct node_upstream *up = &node->upstream;
    if (up->closing)
        return;
    MUX_COUNT(node->counters, upstream_losses, 1);
    node_log(node, "upstream %s %s: %s: %s", node->config.upstream_text,
             up->connected ? "lost" : "not reached", operation, why);
    up->closing = true;
    node->ops->close(up->conn);
}

/*
 * A connection that became as old as the wait before it was worth that wait. (One who accepts and
 * closes at once, or does not take us in, is not asked ten times a second.)
 */
static bool was_steady(const struct node *node, uint64_t now_ns) {
    const struct node_upstream *up = &node->upstream;
    return up->connected && mux_up_accepted(node->mux) &&
           now_ns - up->connected_ns >= up->waited_ns;
}

static void closed(struct node *node, const struct transport_event *event, uint64_t now_ns) {
    struct node_upstream *up = &node->upstream;
    MUX_COUNT(node->counters, in_doubt_bytes, event->in_doubt_bytes);
    if (event->in_doubt_bytes)
        node_log(node, "upstream %s: %" PRIu64 " bytes that it may not have read are in doubt",
                 node->config.upstream_text, event->in_doubt_bytes);
    if (event->in_doubt_bytes && node->phase != NODE_RUNNING)
        up->in_doubt = true;
    if (was_steady(node, now_ns))
        up->backoff_ns = BACKOFF_LEAST_NS;
    mux_up_lost(node->mux, up->sending ? event->sent_bytes : 0, now_ns);
    up->conn = NULL;
    up->connected = up->receiving = up->closing = up->sending = up->half_closed = false;
    up->finished = false;
    if (node->phase != NODE_LEAVING)
        retry_later(node, now_ns);
}

/* Once nothing more is sent up nobody is left below, and an answer could not be sent. */
static void received(struct node *node, const struct transport_event *event) {
    if (!node->upstream.finished) {
        mux_up_received(node->mux, event->buffer, event->bytes);
        return;
    }
    MUX_COUNT(node->counters, down_undelivered_bytes, event->bytes.len);
    mux_buffer_release(event->buffer);
}

static void handle_upstream(struct node *node, struct node_conn *conn,
                            const struct transport_event *event, uint64_t now_ns) {
    struct node_upstream *up = (struct node_upstream *)conn;
    switch (event->kind) {
    case TRANSPORT_CONNECTED:
        connected(node);
        break;
    case TRANSPORT_RECEIVED:
        received(node, event);
        break;
    case TRANSPORT_SENT:
        up->sending = false;
        mux_up_sent(node->mux);
        break;
    case TRANSPORT_ENDED:
        up->half_closed = true;
        if (node->config.upstream_retry && !up->finished)
            lost(node, "receive", "the other side closed the connection");
        break;
    case TRANSPORT_LOST:
        lost(node, event->operation, strerror(event->error));
        break;
    case TRANSPORT_CLOSED:
        closed(node, event, now_ns);
        break;
    default:
        break;
    }
}

static bool show(struct node *node) {
    const struct mux_gather *gather = mux_up_take(node->mux);
    if (!gather)
        return false;
    node->config.show(node->config.user, gather);
    mux_up_sent(node->mux);
    return true;
}

bool node_upstream_send(struct node *node) {
    struct node_upstream *up = &node->upstream;
    if (node->config.show)
        return show(node);
    if (!up->connected || up->closing || up->sending)
        return false;
    const struct mux_gather *gather = mux_up_take(node->mux);
    if (!gather)
        return false;
    up->sending = true;
    node->ops->send(up->conn, gather);
    return true;
}

void node_upstream_receive(struct node *node) {
    struct node_upstream *up = &node->upstream;
    if (!up->connected || up->closing || up->half_closed)
        return;
    const char *reason = mux_up_close_reason(node->mux);
    if (reason) {
        lost(node, "hello", reason);
        return;
    }
    bool receive = mux_up_wants_receive(node->mux);
    if (receive != up->receiving)
        node->ops->receive(up->conn, receive);
    up->receiving = receive;
}

bool node_upstream_flushed(struct node *node) {
    struct node_upstream *up = &node->upstream;
    if (mux_up_pending_bytes(node->mux) || mux_busy(node->mux))
        return false;
    if (!up->connected || up->closing)
        return true;
    if (!up->finished && mux_up_leave(node->mux))
        return false;
    if (!up->finished)
        node->ops->finish(up->conn);
    up->finished = true;
    up->unconfirmed = node->ops->unacknowledged(up->conn) > 0;
    return !up->unconfirmed;
}

void node_upstream_close(struct node *node) {
    struct node_upstream *up = &node->upstream;
    if (up->conn && !up->closing)
        node->ops->close(up->conn);
    up->closing = true;
}
