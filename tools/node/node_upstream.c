/* A node's upstream: connect, lose, connect again; send batches, receive the way down. */
#include "tools/node/node_internal.h"
#include "transport/socket.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* The first wait after a loss, doubled each time up to the last. */
#define BACKOFF_LEAST_NS 100000000u
#define BACKOFF_MOST_NS 5000000000u

/* So long is waited at the end for an upstream to close, which shows that it has read all. */
#define CLOSE_WAIT_NS UINT64_C(1000000000)

/* A third of a node's grace is left for two more addresses that do not answer. */
#define GRACE_SHARE 3

/* When a batch is not taken for this time, the status says that the upstream does not read. */
#define SLOW_NS UINT64_C(1000000000)

/*
 * An upstream that takes a batch so slowly has megabytes waiting in the kernel, and what comes
 * later waits behind them. Then the kernel keeps less, but not always: at full speed that costs 1
 * to 2 %.
 */
#define LATE_SEND_NS UINT64_C(20000000)
#define UNSENT_MOST_BYTES (256u << 10)

/* Sends in a row that are not late, before the kernel keeps what it likes again. */
#define QUICK_SENDS 16

static void handle_upstream(struct loop_handler *handler, const struct transport_event *event,
                            uint64_t now_ns);

/*
 * ---- attempts ----
 */

static void handle_dialing(struct loop_handler *handler, const struct transport_event *event,
                           uint64_t now_ns) {
    struct node *node = LOOP_OWNER(handler, struct node, upstream.dialing);
    node->events++;
    dialer_handle(&node->upstream.dialer, event, now_ns);
}

static struct transport_conn *begin_connect(void *user, const struct transport_address *address,
                                            void *conn_user, struct transport_failure *failure) {
    struct node *node = user;
    return node->config.connect(node->config.user, address, conn_user, failure);
}

static void say_trying(void *user, const char *addresses) {
    struct node *node = user;
    node_log(node, "upstream %s: trying %s", node->config.upstream_text, addresses);
}

static void say_failed(void *user, const char *address, const struct transport_failure *failure,
                       unsigned told) {
    struct node *node = user;
    const char *text = node->config.upstream_text;
    char place[ENDPOINT_TEXT_BYTES + 4] = "", times[32] = "";
    NODE_COUNT(node, upstream_losses, 1);
    if (!strstr(text, address))
        snprintf(place, sizeof place, " (%s)", address);
    if (told > 1)
        snprintf(times, sizeof times, ", %u times", told);
    if (told)
        node_log(node, "upstream %s not reached: %s: %s%s%s", text, failure->operation,
                 strerror(failure->error), place, times);
}

static uint64_t attempt_most_ns(uint64_t grace_ns) {
    uint64_t share_ns = grace_ns / GRACE_SHARE;
    if (grace_ns == 0 || share_ns > DIALER_ATTEMPT_MOST_NS)
        return DIALER_ATTEMPT_MOST_NS;
    return share_ns > DIALER_STAGGER_NS ? share_ns : DIALER_STAGGER_NS;
}

void node_upstream_init(struct node *node) {
    struct node_upstream *up = &node->upstream;
    const struct dialer_config config = {
        .conn_user = &up->dialing,
        .attempt_most_ns = attempt_most_ns(node->config.mux.node_grace_ns),
        .user = node,
        .connect = begin_connect,
        .trying = say_trying,
        .failed = say_failed,
    };
    dialer_init(&up->dialer, &config);
    up->base.handle = handle_upstream;
    up->dialing.handle = handle_dialing;
    up->retry_at_ns = node->config.sink || node->config.upstream_waits ? UINT64_MAX : 0;
    up->backoff_ns = BACKOFF_LEAST_NS;
    up->random = node->config.seed | 1;
}

void node_begin_upstream(struct node *node) {
    if (!node->config.sink)
        node->upstream.retry_at_ns = 0;
}

/*
 * ---- connected, lost, and again ----
 */

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
        node_upstream_set_state(up, NODE_UPSTREAM_FAILED);
        if (node->phase < NODE_FLUSHING)
            node_cut_links(node, "there is nowhere to send to any more");
        if (node->phase < NODE_LEAVING)
            node_set_phase(node, NODE_LEAVING);
        return;
    }
    up->waited_ns = up->backoff_ns;
    up->retry_at_ns = now_ns + up->backoff_ns + jitter(up, up->backoff_ns);
    up->backoff_ns *= 2;
    if (up->backoff_ns > BACKOFF_MOST_NS)
        up->backoff_ns = BACKOFF_MOST_NS;
}

/*
 * The node that we were with waits for us, for its grace: another one that has our tests meanwhile
 * would contradict it. So this one goes back there, unless nobody listens there any more, or
 * somebody else does. A file has no other. Where bundles are taken only the end judges, and knows
 * our streams by whatever way they come.
 */
static bool may_be_another(const struct node *node) {
    const struct node_upstream *up = &node->upstream;
    return !node->config.upstream_addresses || mux_upstream_takes_bundles(node->mux) ||
           dialer_is_home(&up->dialer) || dialer_home_refused(&up->dialer) ||
           up->connected_ns - up->left_ns >= node->config.mux.node_grace_ns;
}

static void connected(struct node *node) {
    struct node_upstream *up = &node->upstream;
    node_upstream_set_state(up, NODE_UPSTREAM_GREETING);
    up->connected_ns = loop_now_ns(node->config.loop);
    up->keeps_little = false;
    up->quick_sends = 0;
    *up->told_why = '\0';
    mux_upstream_connected(node->mux, may_be_another(node));
    NODE_COUNT(node, upstream_connects, 1);
}

/* The same reason is not told again with each attempt. */
static void say_not_opened(struct node *node, const char *why) {
    char *told = node->upstream.told_why;
    if (strcmp(told, why) == 0)
        return;
    snprintf(told, sizeof node->upstream.told_why, "%s", why);
    node_log(node, "upstream %s: %s", node->config.upstream_text, why);
}

/* There is no upstream now, and it is time to look for one. */
static void not_opened(struct node *node, const char *why, uint64_t now_ns) {
    NODE_COUNT(node, upstream_losses, 1);
    say_not_opened(node, why);
    retry_later(node, now_ns);
}

static void open_file(struct node *node, uint64_t now_ns) {
    struct node_upstream *up = &node->upstream;
    char why[256];
    up->conn = node->config.open_upstream(node->config.user, &up->base, why, sizeof why);
    if (!up->conn) {
        not_opened(node, why, now_ns);
        return;
    }
    connected(node);
    if (node->own_counters.value[NODE_COUNT_upstream_losses])
        node_log(node, "upstream %s: open again", node->config.upstream_text);
}

static void begin_round(struct node *node, uint64_t now_ns) {
    struct transport_address addresses[DIALER_ADDRESSES_MAX];
    char why[256];
    unsigned count = node->config.upstream_addresses(node->config.user, addresses, why, sizeof why);
    if (count > 0)
        dialer_start(&node->upstream.dialer, addresses, count, now_ns);
    else
        not_opened(node, why, now_ns);
}

/* One of the attempts came through. */
static void take(struct node *node) {
    struct node_upstream *up = &node->upstream;
    bool was_told = up->dialer.told_trying || node->own_counters.value[NODE_COUNT_upstream_losses];
    up->conn = dialer_take(&up->dialer, &up->base);
    if (was_told)
        node_log(node, "upstream %s: connected to %s", node->config.upstream_text,
                 up->conn->peer->text);
    connected(node);
}

static void dial(struct node *node, uint64_t now_ns) {
    struct node_upstream *up = &node->upstream;
    dialer_run(&up->dialer, now_ns);
    if (up->dialer.state == DIALER_FAILED) {
        dialer_stop(&up->dialer);
        retry_later(node, now_ns);
    } else if (up->dialer.state == DIALER_CONNECTED) {
        take(node);
    }
}

/* The node that went without a goodbye: is it dead, with what it had not sent on? */
static void judge_silent_end(struct node *node) {
    struct node_upstream *up = &node->upstream;
    if (up->may_be_dead && mux_upstream_is_other(node->mux)) {
        node_upstream_raise_doubt(up, NODE_DOUBT_SOME);
        node_log(node,
                 "upstream %s: the node before has ended without a goodbye: what it had not "
                 "sent on is in doubt",
                 node->config.upstream_text);
    }
    up->may_be_dead = false;
}

/* A plain upstream works when it is connected, a node when it has answered our hello. */
static void note_worked(struct node *node) {
    struct node_upstream *up = &node->upstream;
    if (up->state != NODE_UPSTREAM_GREETING || !mux_upstream_accepted(node->mux))
        return;
    node_upstream_set_state(up, NODE_UPSTREAM_WORKING);
    judge_silent_end(node);
    if (node->config.upstream_addresses)
        dialer_worked(&up->dialer);
}

void node_upstream_open(struct node *node, uint64_t now_ns) {
    struct node_upstream *up = &node->upstream;
    note_worked(node);
    if (up->conn || node->phase == NODE_LEAVING)
        return;
    if (now_ns >= up->retry_at_ns) {
        up->retry_at_ns = UINT64_MAX;
        if (node->config.upstream_addresses)
            begin_round(node, now_ns);
        else
            open_file(node, now_ns);
    }
    dial(node, now_ns);
}

uint64_t node_upstream_deadline_ns(const struct node *node) {
    const struct node_upstream *up = &node->upstream;
    uint64_t dialer_ns = dialer_deadline_ns(&up->dialer);
    return dialer_ns < up->retry_at_ns ? dialer_ns : up->retry_at_ns;
}

/* Connected to, and no node, which would say what it has. */
static bool is_plain_place(const struct node *node) {
    return node->config.upstream_addresses && !node->config.mux.upstream_is_node;
}

static void begin_close(struct node *node) {
    struct node_upstream *up = &node->upstream;
    if (up->state == NODE_UPSTREAM_WORKING)
        up->left_ns = loop_now_ns(node->config.loop);
    node_upstream_set_state(up, NODE_UPSTREAM_CLOSING);
    transport_close(up->conn);
}

/* Ended before the node there has answered: it takes none now, and another one may. */
static bool is_refusal(const struct node *node) {
    return node->config.upstream_addresses && !mux_upstream_accepted(node->mux) &&
           (mux_upstream_takes_bundles(node->mux) || !dialer_has_home(&node->upstream.dialer));
}

static void lost(struct node *node, const char *operation, const char *why) {
    struct node_upstream *up = &node->upstream;
    if (up->state == NODE_UPSTREAM_CLOSING)
        return;
    NODE_COUNT(node, upstream_losses, 1);
    node_log(node, "upstream %s lost: %s: %s", node->config.upstream_text, operation, why);
    begin_close(node);
    if (is_refusal(node))
        node_upstream_set_next(up, NODE_NEXT_ELSEWHERE);
}

void node_upstream_reject(struct node *node, const char *operation, const char *why) {
    lost(node, operation, why);
    if (node->config.upstream_addresses)
        node_upstream_set_next(&node->upstream, NODE_NEXT_ELSEWHERE);
}

/*
 * A connection that became as old as the wait before it was worth that wait. (One who accepts and
 * closes at once, or does not take us in, is not asked ten times a second.)
 */
static bool was_steady(const struct node *node, uint64_t now_ns) {
    const struct node_upstream *up = &node->upstream;
    return mux_upstream_accepted(node->mux) && now_ns - up->connected_ns >= up->waited_ns;
}

static void note_in_doubt(struct node *node, uint64_t bytes) {
    if (bytes == 0)
        return;
    NODE_COUNT(node, in_doubt_bytes, bytes);
    node_log(node, "upstream %s: %" PRIu64 " bytes that it may not have read are in doubt",
             node->config.upstream_text, bytes);
    node_upstream_raise_doubt(&node->upstream, node->phase == NODE_RUNNING ? NODE_DOUBT_SOME
                                                                           : NODE_DOUBT_AT_THE_END);
}

static void go_on(struct node *node, enum node_upstream_next next, uint64_t now_ns) {
    struct node_upstream *up = &node->upstream;
    switch (next) {
    case NODE_NEXT_RETRY:
        retry_later(node, now_ns);
        break;
    case NODE_NEXT_ELSEWHERE:
        dialer_reject(&up->dialer, now_ns);
        break;
    case NODE_NEXT_REOPEN:
        up->retry_at_ns = now_ns;
        break;
    }
}

static void closed(struct node *node, const struct transport_event *event, uint64_t now_ns) {
    struct node_upstream *up = &node->upstream;
    enum node_upstream_next next = up->next;
    if (!mux_upstream_takes_bundles(node->mux))
        note_in_doubt(node, event->in_doubt_bytes);
    if (was_steady(node, now_ns))
        up->backoff_ns = BACKOFF_LEAST_NS;
    else if (is_plain_place(node))
        dialer_shun(&up->dialer);
    mux_upstream_lost(node->mux, up->up == NODE_UP_SENDING ? event->sent_bytes : 0, now_ns);
    node_upstream_part(up);
    if (node->phase < NODE_LEAVING)
        go_on(node, next, now_ns);
}

/*
 * Once this node has sent its last nobody is left below, and an answer could not be sent. An
 * upstream that ends sends what it still has for those below: acknowledgements, for one.
 */
static void received(struct node *node, const struct transport_event *event) {
    if (node->upstream.up != NODE_UP_FINISHED || mux_upstream_sent_off(node->mux)) {
        mux_upstream_received(node->mux, event->buffer, event->bytes);
        return;
    }
    MUX_COUNT(node->counters, down_undelivered_bytes, event->bytes.len);
    mux_buffer_release(event->buffer);
}

/* One that takes bundles leaves nothing in doubt: what is not acknowledged goes again. */
static bool is_node_at_work(const struct node *node) {
    return node->config.mux.upstream_is_node && node->upstream.state == NODE_UPSTREAM_WORKING &&
           !mux_upstream_takes_bundles(node->mux);
}

/*
 * The kernel resets a connection when its process is gone and bytes were unread: how many is not
 * known. A node that lives reads them all the same: there it is the next one that answers who
 * tells.
 */
static void note_reset(struct node *node, int error) {
    struct node_upstream *up = &node->upstream;
    bool is_reset = error == ECONNRESET || error == EPIPE;
    if (!is_reset || !node->config.upstream_addresses || !up->has_sent ||
        up->state == NODE_UPSTREAM_CLOSING)
        return;
    up->may_be_dead = up->may_be_dead || is_node_at_work(node);
    if (error != ECONNRESET || !is_plain_place(node))
        return;
    node_upstream_raise_doubt(up, NODE_DOUBT_SOME);
    node_log(node, "upstream %s: has ended without reading all that was sent: the rest is in doubt",
             node->config.upstream_text);
}

/* A node that lives says goodbye first. One that was killed may have read more than it sent on. */
static void note_end(struct node *node) {
    struct node_upstream *up = &node->upstream;
    bool is_killed = is_node_at_work(node) && up->has_sent && up->up != NODE_UP_FINISHED &&
                     !mux_upstream_sent_off(node->mux);
    up->may_be_dead = up->may_be_dead || is_killed;
}

/* What the disk may not have must not be acknowledged, nor written again: who starts it anew sees.
 */
static bool is_kept(struct node *node) {
    char why[256];
    if (!node->config.sent || node->config.sent(node->config.user, why, sizeof why))
        return true;
    node_log(node, "upstream %s: %s: this node ends", node->config.upstream_text, why);
    node_terminate(node, true);
    return false;
}

static void mind_unsent(struct node_upstream *up, uint64_t now_ns) {
    bool is_late = now_ns - up->sending_since_ns >= LATE_SEND_NS;
    up->quick_sends = is_late ? 0 : up->quick_sends + 1;
    bool little = is_late || (up->keeps_little && up->quick_sends < QUICK_SENDS);
    if (little == up->keeps_little)
        return;
    up->keeps_little = little;
    socket_keep_unsent(transport_descriptor(up->conn), little ? UNSENT_MOST_BYTES : 0);
}

static void sent(struct node *node, uint64_t now_ns) {
    struct node_upstream *up = &node->upstream;
    node_upstream_set_up(up, NODE_UP_IDLE);
    up->has_sent = true;
    mind_unsent(up, now_ns);
    if (is_kept(node))
        mux_upstream_sent(node->mux);
}

static void handle_upstream(struct loop_handler *handler, const struct transport_event *event,
                            uint64_t now_ns) {
    struct node *node = LOOP_OWNER(handler, struct node, upstream.base);
    struct node_upstream *up = &node->upstream;
    node->events++;
    switch (event->kind) {
    case TRANSPORT_RECEIVED:
        received(node, event);
        break;
    case TRANSPORT_SENT:
        sent(node, now_ns);
        break;
    case TRANSPORT_ENDED:
        node_upstream_set_down(up, NODE_DOWN_ENDED);
        note_end(node);
        if (mux_upstream_sent_off(node->mux))
            lost(node, "receive", "that node has ended");
        else if (node->config.upstream_retry && up->up != NODE_UP_FINISHED)
            lost(node, "receive", "the other side closed the connection");
        else if (node->config.down_ended)
            node->config.down_ended(node->config.user);
        break;
    case TRANSPORT_LOST:
        note_reset(node, event->error);
        lost(node, event->operation, strerror(event->error));
        break;
    case TRANSPORT_CLOSED:
        closed(node, event, now_ns);
        break;
    default:
        break;
    }
}

/* With a journal one file is complete before another is opened. */
static bool may_reopen(struct node *node) {
    if (!node->config.record)
        return true;
    mux_upstream_hold(node->mux, true);
    return mux_upstream_pending_bytes(node->mux) == 0;
}

static void journal_failed(struct node *node, const char *why) {
    lost(node, "journal", why);
}

/* All is sent, and nothing more was taken until now. */
static bool rest(struct node *node) {
    char why[256];
    if (!node->config.rest || !mux_upstream_holds(node->mux) ||
        mux_upstream_pending_bytes(node->mux) > 0)
        return false;
    if (node->config.rest(node->config.user, why, sizeof why))
        return true;
    journal_failed(node, why);
    return false;
}

static bool is_recorded(struct node *node) {
    char why[256];
    if (!node->config.record || node->config.record(node->config.user, why, sizeof why))
        return true;
    journal_failed(node, why);
    return false;
}

bool node_upstream_send(struct node *node) {
    struct node_upstream *up = &node->upstream;
    if (!node_upstream_is_connected(up) || up->up == NODE_UP_SENDING)
        return false;
    if (up->next == NODE_NEXT_REOPEN && may_reopen(node)) {
        begin_close(node);
        return false;
    }
    const struct mux_gather *gather = mux_upstream_take(node->mux);
    if (!gather)
        return rest(node);
    if (!is_recorded(node))
        return false;
    node_upstream_set_up(up, NODE_UP_SENDING);
    up->sending_since_ns = node->now_ns;
    transport_send(up->conn, gather);
    return true;
}

void node_reopen_upstream(struct node *node) {
    struct node_upstream *up = &node->upstream;
    if (node->phase != NODE_RUNNING)
        return;
    node_log(node, "upstream %s: opening it again", node->config.upstream_text);
    if (up->conn)
        node_upstream_set_next(up, NODE_NEXT_REOPEN);
    else
        up->retry_at_ns = 0;
    *up->told_why = '\0';
}

static void finish(struct node *node) {
    node_upstream_set_up(&node->upstream, NODE_UP_FINISHED);
    node->upstream.finished_ns = loop_now_ns(node->config.loop);
    transport_finish(node->upstream.conn);
}

/* It ends, and takes what was sent: nothing more is, and it sees that. */
static void go_off(struct node *node) {
    struct node_upstream *up = &node->upstream;
    if (!mux_upstream_sent_off(node->mux) || up->up != NODE_UP_IDLE)
        return;
    node_log(node, "upstream %s ends: what comes now waits for the next one",
             node->config.upstream_text);
    finish(node);
}

void node_upstream_receive(struct node *node) {
    struct node_upstream *up = &node->upstream;
    if (!node_upstream_is_connected(up) || up->down == NODE_DOWN_ENDED)
        return;
    go_off(node);
    const char *reason = mux_upstream_close_reason(node->mux);
    if (reason) {
        const char *operation = mux_upstream_accepted(node->mux) ? "receive" : "hello";
        node_upstream_reject(node, operation, reason);
        return;
    }
    bool receive = mux_upstream_wants_receive(node->mux);
    if (receive == (up->down == NODE_DOWN_RECEIVING))
        return;
    transport_receive(up->conn, receive);
    node_upstream_set_down(up, receive ? NODE_DOWN_RECEIVING : NODE_DOWN_PAUSED);
}

/*
 * A plain upstream's kernel has all, but has it been read? One that reads to the end closes then;
 * one that goes without having read sends a reset.
 */
static bool may_hear_of_reset(const struct node *node) {
    const struct node_upstream *up = &node->upstream;
    uint64_t now_ns = loop_now_ns(node->config.loop);
    return is_plain_place(node) && up->has_sent && up->down != NODE_DOWN_ENDED &&
           now_ns - up->finished_ns < CLOSE_WAIT_NS;
}

/* Nobody takes it now, but the spool has it, or nobody else would need it. */
static bool may_be_left(const struct node *node) {
    bool is_spooled =
        mux_upstream_spooled_bytes(node->mux) == mux_upstream_pending_bytes(node->mux);
    return !node_reaches_upstream(node) && (is_spooled || mux_upstream_pending_is_news(node->mux));
}

bool node_upstream_flushed(struct node *node) {
    struct node_upstream *up = &node->upstream;
    if (mux_busy(node->mux) || !mux_spool_is_settled(node->mux))
        return false;
    if (mux_upstream_pending_bytes(node->mux))
        return may_be_left(node);
    if (!node_upstream_is_connected(up))
        return true;
    if (up->up != NODE_UP_FINISHED) {
        if (mux_upstream_leave(node->mux))
            return false;
        finish(node);
    }
    up->unconfirmed = transport_unacknowledged(up->conn) > 0;
    return !up->unconfirmed && !may_hear_of_reset(node);
}

void node_upstream_close(struct node *node) {
    struct node_upstream *up = &node->upstream;
    if (node_upstream_is_connected(up))
        begin_close(node);
    dialer_stop(&up->dialer);
}

bool node_upstream_is_closed(const struct node *node) {
    return !node->upstream.conn && dialer_is_quiet(&node->upstream.dialer);
}

static const char *state_of(const struct node *node) {
    const struct node_upstream *up = &node->upstream;
    switch (up->state) {
    case NODE_UPSTREAM_GREETING:
    case NODE_UPSTREAM_WORKING: /* the node notes it at its next turn */
        return mux_upstream_accepted(node->mux) ? "connected" : "greeting";
    case NODE_UPSTREAM_CLOSING:
        return "closing";
    default:
        if (node->config.sink)
            return "none";
        return up->dialer.state == DIALER_TRYING ? "connecting" : "waiting";
    }
}

/* The state goes before: one that is not there cannot read. */
static const char *why_slow(const struct node *node, const struct node_upstream_status *status) {
    if (!node->upstream.conn)
        return "it is not connected";
    if (strcmp(status->state, "connected") != 0)
        return "it has not answered the hello";
    return status->sending_ns >= SLOW_NS ? "it does not read"
                                         : "it reads more slowly than they send";
}

void node_upstream_status(const struct node *node, uint64_t now_ns,
                          struct node_upstream_status *status) {
    const struct node_upstream *up = &node->upstream;
    *status = (struct node_upstream_status){.state = state_of(node)};
    if (up->conn) {
        status->peer = up->conn->peer->text;
        status->since_ns = now_ns - up->connected_ns;
    }
    if (up->up == NODE_UP_SENDING)
        status->sending_ns = now_ns - up->sending_since_ns;
    status->why_slow = why_slow(node, status);
}
