#include "tools/node/orders.h"

#include "mux/packet/report.h"
#include "mux/packet/route.h"
#include "tools/node/node_internal.h"

#include <stdio.h>

#define NS_PER_MS UINT64_C(1000000)

/* Who watches a node further up may have been started meanwhile. */
#define NEWS_EVERY_NS (10000 * NS_PER_MS)

/* What is said of refused jobs and orders, upwards and in the log. */
#define REFUSALS_PER_SECOND 1
#define REFUSALS_BURST 3

#define ROUTE_SHOWN 200

bool orders_drain(const struct orders *orders) {
    return orders->drains || orders->drains_above;
}

/*
 * ---- carrying out ----
 */

/* Nodes below are to know it, and whoever looks from above. */
static void set_drains(struct orders *orders, bool *which, bool drains) {
    bool before = orders_drain(orders);
    *which = drains;
    if (orders_drain(orders) == before)
        return;
    orders->told++;
    orders->is_telling = orders->is_news_due = true;
    orders->retry_ns = 0;
    node_log(orders->config.node,
             drains ? "it drains: nodes and agents below take no new jobs"
                    : "it drains no more: nodes and agents below take jobs again");
}

/* Once: those that come later have not been meant. */
static const char *stop_all(struct orders *orders) {
    const struct order order = {.verb = ORDER_STOP};
    struct order_message message;
    struct mux_packet packet;
    unsigned behind;
    order_put(&message, &order, &packet);
    unsigned count = node_tell_nodes(orders->config.node, &packet, 0, &behind);
    node_log(orders->config.node, "an order: stop is passed on to %u %s below", count,
             count == 1 ? "node or agent" : "nodes and agents");
    if (behind)
        return "some of the nodes below have no room for the order: give it again";
    return count ? NULL : "no node and no agent is below it";
}

const char *orders_obey(struct orders *orders, const struct order *order) {
    switch (order->verb) {
    case ORDER_DRAIN:
    case ORDER_UNDRAIN:
        set_drains(orders, order->is_from_above ? &orders->drains_above : &orders->drains,
                   order->verb == ORDER_DRAIN);
        return order->verb == ORDER_UNDRAIN && orders->drains_above
                   ? "the node above it drains: it takes no jobs as long as that does"
                   : NULL;
    case ORDER_STOP:
        return stop_all(orders);
    case ORDER_KICK:
    case ORDER_VERBS:
        break;
    }
    return ORDER_NO_KICK;
}

static bool is_one_segment(struct mux_span route) {
    return mux_route_first(route).len == route.len;
}

/* NULL: it goes its way, or it was carried out: *is_here. */
static const char *try_here(struct orders *orders, const struct order *order, struct mux_span route,
                            bool *is_here) {
    struct node *node = orders->config.node;
    *is_here = true;
    if (!route.data)
        return orders_obey(orders, order);
    if (order->verb == ORDER_KICK && is_one_segment(route))
        return node_kick(node, route);
    *is_here = false;
    return node_down_obstacle(node, route);
}

/*
 * ---- what comes from above ----
 */

static void answer(struct orders *orders, const struct order *order, const char *why) {
    struct orders_answer *answer = &orders->answers[orders->answer_count];
    if (!*order->id)
        return;
    answer->is_job = false;
    order_answer_make(&answer->order, order, orders_drain(orders), why);
    orders->answer_count++;
    orders->retry_ns = 0;
}

/* What has no id is not answered: a message says it, as far as those may be sent. */
static void refuse(struct orders *orders, const char *what, const char *why, bool is_answered) {
    uint64_t now_ns = loop_now_ns(orders->config.loop);
    NODE_COUNT(orders->config.node, orders_refused, 1);
    if (mux_limiter_allow(&orders->lines, now_ns))
        node_log(orders->config.node, "%s is refused: %s", what, why);
    if (is_answered || !mux_limiter_allow(&orders->messages, now_ns))
        return;
    snprintf(orders->refusal, sizeof orders->refusal, "%s is refused: %s", what, why);
    orders->has_refusal = true;
    orders->retry_ns = 0;
}

/* A stop is carried out when the core has done its turn: it goes down to others. */
static bool is_put_off(struct orders *orders, const struct order *order, struct mux_span route) {
    if (order->verb != ORDER_STOP || route.data || orders->config.distrust)
        return false;
    orders->stop = *order;
    orders->has_stop = true;
    orders->retry_ns = 0;
    return true;
}

static enum mux_taking take_order(struct orders *orders, const struct mux_packet *packet) {
    struct order order;
    char text[READ_WHY_BYTES];
    const char *why = NULL;
    bool is_here = true;
    if (orders->answer_count == ORDERS_ANSWERS_MAX || orders->has_stop)
        return MUX_TAKES_LATER;
    if (!order_parse(packet->file_content, &order, text))
        why = text;
    else if (orders->config.distrust)
        why = orders->config.distrust;
    else if (is_put_off(orders, &order, packet->route))
        return MUX_TAKES;
    else
        why = try_here(orders, &order, packet->route, &is_here);
    if (!why && !is_here) {
        if (*order.id)
            node_await_answer(orders->config.node, packet->route);
        return MUX_TAKES_NOT;
    }
    if (!why && packet->route.data)
        node_log(orders->config.node, "an order from above: %s %.*s", order_verb_name(order.verb),
                 (int)(packet->route.len < ROUTE_SHOWN ? packet->route.len : ROUTE_SHOWN),
                 (const char *)packet->route.data);
    if (why)
        refuse(orders, "an order", why, *order.id);
    answer(orders, &order, why);
    return MUX_TAKES;
}

/* NULL: it may go its way, to an agent. */
static const char *job_obstacle(const struct orders *orders, struct mux_span route) {
    if (orders->config.distrust)
        return orders->config.distrust;
    if (!route.data)
        return "it has no route code, which would name an agent below this node";
    return node_leads_to_worker(orders->config.node, route)
               ? "a worker is there, and jobs go to agents (which connect by mux:)"
               : NULL;
}

static void answer_job(struct orders *orders, const struct mux_packet *packet, const char *why) {
    struct orders_answer *answer = &orders->answers[orders->answer_count];
    if (!answer_names_of(packet, &answer->names))
        return;
    answer->is_job = true;
    answer->why = why;
    orders->answer_count++;
    orders->retry_ns = 0;
}

static enum mux_taking take_job(struct orders *orders, const struct mux_packet *packet) {
    const char *why = job_obstacle(orders, packet->route);
    if (!why)
        return MUX_TAKES_NOT;
    if (orders->answer_count == ORDERS_ANSWERS_MAX)
        return MUX_TAKES_LATER;
    refuse(orders, "a job", why, true);
    answer_job(orders, packet, why);
    return MUX_TAKES;
}

enum mux_taking orders_take(struct orders *orders, const struct mux_packet *packet) {
    if (mux_span_equal(packet->file_name, mux_span_text(ORDER_FILE)))
        return take_order(orders, packet);
    if (mux_span_equal(packet->file_name, mux_span_text(MESSAGE_JOB_FILE)))
        return take_job(orders, packet);
    return MUX_TAKES_NOT;
}

/*
 * ---- up and down, as there is room ----
 */

/* As an agent says it. */
static bool send_job_answer(struct orders *orders, const struct orders_answer *answer) {
    struct answer_message message;
    struct mux_packet packet;
    answer_put_refusal(&message, &answer->names, answer->why, &packet);
    return node_add_up(orders->config.node, NULL, &packet);
}

static bool send_order_answer(struct orders *orders, const struct orders_answer *answer) {
    struct order_message message;
    struct mux_packet packet;
    order_answer_put(&message, &answer->order, &packet);
    return node_add_up(orders->config.node, NULL, &packet);
}

static bool send_answers(struct orders *orders) {
    while (orders->answer_count) {
        const struct orders_answer *first = &orders->answers[0];
        if (!(first->is_job ? send_job_answer : send_order_answer)(orders, first))
            return false;
        orders->answer_count--;
        memmove(orders->answers, orders->answers + 1,
                orders->answer_count * sizeof *orders->answers);
    }
    return true;
}

static bool send_refusal(struct orders *orders) {
    struct mux_packet packet;
    if (!orders->has_refusal)
        return true;
    mux_report_message_event(MUX_STATUS_FAIL, mux_span_text(orders->refusal), mux_span(NULL, 0),
                             mux_span(NULL, 0), &packet);
    orders->has_refusal = !node_add_up(orders->config.node, NULL, &packet);
    return !orders->has_refusal;
}

static bool send_news(struct orders *orders, uint64_t now_ns) {
    const struct order_answer news = {.state = ORDER_NEWS, .draining = orders_drain(orders)};
    struct order_message message;
    struct mux_packet packet;
    if (!orders->is_reached || (!orders->is_news_due && now_ns < orders->news_ns))
        return true;
    order_answer_put(&message, &news, &packet);
    if (!node_add_news(orders->config.node, &packet))
        return false;
    orders->is_news_due = false;
    orders->news_ns = news.draining ? now_ns + NEWS_EVERY_NS : UINT64_MAX;
    return true;
}

/* False: some have no room for it now. */
static bool tell_nodes(struct orders *orders) {
    const struct order order = {.verb = orders_drain(orders) ? ORDER_DRAIN : ORDER_UNDRAIN,
                                .is_from_above = true};
    uint64_t connected = orders->config.node->counters->value[MUX_COUNT_nodes_connected];
    struct order_message message;
    struct mux_packet packet;
    unsigned behind;
    if (!orders->told || (!orders->is_telling && connected == orders->connected))
        return true;
    order_put(&message, &order, &packet);
    node_tell_nodes(orders->config.node, &packet, orders->told, &behind);
    orders->connected = connected;
    orders->is_telling = behind > 0;
    return behind == 0;
}

/* What the node above said of itself holds as long as the connection. */
static void look_at_upstream(struct orders *orders) {
    bool is_reached = node_reaches_upstream(orders->config.node);
    if (is_reached == orders->is_reached)
        return;
    orders->is_reached = is_reached;
    if (!is_reached)
        set_drains(orders, &orders->drains_above, false);
    orders->is_news_due = orders_drain(orders);
    orders->retry_ns = 0;
}

static void look_at_stop(struct orders *orders) {
    if (!orders->has_stop)
        return;
    orders->has_stop = false;
    answer(orders, &orders->stop, orders_obey(orders, &orders->stop));
}

static void work(struct loop_client *client, uint64_t now_ns) {
    struct orders *orders = LOOP_OWNER(client, struct orders, base);
    look_at_upstream(orders);
    look_at_stop(orders);
    if (!tell_nodes(orders) || !send_answers(orders) || !send_refusal(orders) ||
        !send_news(orders, now_ns))
        orders->retry_ns = now_ns + (orders->is_reached ? NODE_RETRY_NS : NODE_RETRY_AWAY_NS);
    else
        orders->retry_ns = UINT64_MAX;
    if (node_has_ended(orders->config.node))
        loop_leave(&orders->base);
}

static uint64_t deadline_ns(const struct loop_client *client) {
    const struct orders *orders = LOOP_OWNER(client, struct orders, base);
    uint64_t news_ns = orders->is_reached ? orders->news_ns : UINT64_MAX;
    return orders->retry_ns < news_ns ? orders->retry_ns : news_ns;
}

/*
 * ---- life ----
 */

void orders_init(struct orders *orders, const struct orders_config *config) {
    *orders = (struct orders){.base = {.deadline_ns = deadline_ns, .work = work},
                              .config = *config,
                              .news_ns = UINT64_MAX,
                              .retry_ns = UINT64_MAX,
                              .lines = mux_limiter_init(REFUSALS_PER_SECOND, REFUSALS_BURST),
                              .messages = mux_limiter_init(REFUSALS_PER_SECOND, REFUSALS_BURST)};
}

void orders_open(struct orders *orders, struct node *node) {
    orders->config.node = node;
    loop_join(orders->config.loop, &orders->base);
}
