/*
 * Orders by the control socket: to this node, or down to a place below, whose answer comes up with
 * the order's id and is handed to the client. And which places below take no jobs, as they say.
 */
#include "mux/packet/route.h"
#include "tools/base/random.h"
#include "tools/node/control_internal.h"
#include "tools/node/node_internal.h"
#include "tools/node/route_glob.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* An order's way there and back: a link on the way may be slow to read. */
#define ORDER_WAIT_NS UINT64_C(5000000000)
#define ORDER_WAIT_S 5

#define ROUTE_SHOWN 200

_Static_assert(ORDER_WAIT_NS == ORDER_WAIT_S * UINT64_C(1000000000), "as the message says");

static const char this_node[] = ".";

/*
 * ---- giving one ----
 */

static void draw_id(char id[ORDER_ID_BYTES]) {
    uint64_t random[2];
    random_fill(random, sizeof random);
    snprintf(id, ORDER_ID_BYTES, "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
}

static void answer_order(struct control_client *client) {
    control_begin_answer(client, CONTROL_ORDER);
    client->answer.order = &client->order;
}

static void refuse_order(struct control_client *client, const char *why) {
    struct control_order *order = &client->order;
    snprintf(order->error, sizeof order->error, "%s %.40s: %s", order_verb_name(order->order.verb),
             order->route, why);
    control_refuse(client, order->error);
}

static void log_order(struct control_client *client) {
    char who[CONTROL_PEER_WORDS_BYTES];
    const struct control_order *order = &client->order;
    client->peer = control_peer_of(client->conn);
    node_log(client->control->config.node, "control socket: %s orders: %s %.*s",
             control_peer_words(&client->peer, who), order_verb_name(order->order.verb),
             ROUTE_SHOWN, order->route);
}

/* What this node does itself. */
static void give_here(struct control_client *client, const char *why) {
    client->order.answer.draining = orders_drain(client->control->config.orders);
    if (why)
        refuse_order(client, why);
    else
        answer_order(client);
}

static void send_order(struct control_client *client) {
    struct control_order *order = &client->order;
    struct order_message message;
    struct mux_packet packet;
    order_put(&message, &order->order, &packet);
    packet.route = mux_span_text(order->route);
    order->is_sent = node_add_down(client->control->config.node, &packet);
    if (order->is_sent)
        node_await_answer(client->control->config.node, packet.route);
}

static void give(struct control_client *client) {
    const struct control_config *config = &client->control->config;
    struct control_order *order = &client->order;
    struct mux_span route = mux_span_text(order->route);
    bool is_one_segment = mux_route_first(route).len == route.len;
    const char *why = node_down_obstacle(config->node, route);
    if (strcmp(order->route, this_node) == 0) {
        give_here(client, order->order.verb == ORDER_KICK
                              ? "kick closes a link, and this muxd has none to itself: the node "
                                "above it can close the one that it has"
                              : orders_obey(config->orders, &order->order));
    } else if (order->order.verb == ORDER_KICK && is_one_segment) {
        give_here(client, node_kick(config->node, route));
    } else if (why) {
        give_here(client, why);
    } else {
        draw_id(order->order.id);
        order->until_ns = client->control->now_ns + ORDER_WAIT_NS;
        control_set_state(client, CLIENT_ORDERING);
        send_order(client);
    }
}

bool control_ask_order(struct control_client *client, const char *line) {
    const char *space = strchr(line, ' ');
    size_t len = space ? (size_t)(space - line) : 0;
    struct control_order *order = &client->order;
    *order = (struct control_order){0};
    if (!space || !order_verb_parse(mux_span(line, len), &order->order.verb))
        return false;
    int route_len = snprintf(order->route, sizeof order->route, "%s", space + 1);
    if (route_len < 1 || route_len > VIEW_ROUTE_BYTES) {
        control_refuse(client, "an order needs a route of 1 to 1000 bytes, or . for this node");
        return true;
    }
    if (!route_is_whole(mux_span_text(order->route))) {
        control_refuse(client, ROUTE_NOT_WHOLE);
        return true;
    }
    log_order(client);
    give(client);
    return true;
}

_Static_assert(VIEW_ROUTE_BYTES == 1000, "as the message above says");

/*
 * ---- what comes up ----
 */

/* `route`: of the place that the order went to, or of a node on the way. */
static struct control_client *who_awaits(struct control *control, const char *id,
                                         struct mux_span route) {
    for (unsigned i = 0; *id && control->ordering && i < CONTROL_CONNS_MAX; i++) {
        struct control_client *client = &control->clients[i];
        if (client->state == CLIENT_ORDERING && strcmp(client->order.order.id, id) == 0 &&
            route.len && route_leads_to(route, mux_span_text(client->order.route)))
            return client;
    }
    return NULL;
}

/* Nothing from below may say this. */
static void count_forged(struct control *control, const struct mux_packet *packet,
                         const char *what) {
    struct mux_span route = packet->route;
    NODE_COUNT(control->config.node, orders_forged, 1);
    if (mux_limiter_allow(&control->forgeries, control->now_ns))
        node_log(control->config.node, "%s from below (%.*s): it is not taken", what,
                 (int)(route.len < ROUTE_SHOWN ? route.len : ROUTE_SHOWN),
                 route.data ? (const char *)route.data : "");
}

/*
 * ---- which places drain ----
 */

static bool is_of_a_node(const struct control *control, struct mux_span route) {
    struct mux_link_stats stats = {0};
    const struct mux_link *link =
        route.data ? mux_link_find(control->config.node->mux, mux_route_first(route)) : NULL;
    if (link)
        mux_link_stats(link, &stats);
    return link && *stats.node_name;
}

static bool is_here(const void *user, struct mux_span segment) {
    return mux_link_find(user, segment) != NULL;
}

/* `is_answer`: to an order of this node's socket, for which another place is forgotten. */
static void note(struct control *control, struct mux_span route, bool is_draining, bool is_answer) {
    struct drains *drains = &control->drains;
    if (drains_note(drains, route, is_draining))
        return;
    drains_sweep(drains, is_here, control->config.node->mux);
    if (drains_note(drains, route, is_draining))
        return;
    NODE_COUNT(control->config.node, drains_unseen, 1);
    if (is_answer)
        drains_note_first(drains, route);
}

/* "slots_draining": the segments of an agent's slots. */
static void note_slots(struct control *control, struct mux_span route, const json_t *slots) {
    char full[DRAINS_ROUTE_BYTES];
    size_t i;
    json_t *slot;
    if (json_array_size(slots) > MESSAGE_SLOTS_MAX || route.len > DRAINS_ROUTE_BYTES / 2)
        return;
    json_array_foreach(slots, i, slot) {
        const char *segment = json_string_value(slot);
        if (!segment || strlen(segment) >= DRAINS_ROUTE_BYTES / 2)
            continue;
        int len = snprintf(full, sizeof full, "%.*s/%s", (int)route.len, (const char *)route.data,
                           segment);
        note(control, mux_span(full, (size_t)len), true, false);
    }
}

/* What an agent says: does it drain, and which of its slots do? */
static void hear_want(struct control *control, const struct mux_packet *packet) {
    struct mux_span route = packet->route;
    char why[READ_WHY_BYTES];
    json_t *tree;
    bool is_read = read_message(packet->file_content, &tree, why);
    const json_t *draining = json_object_get(tree, "draining");
    if (is_read && json_is_boolean(draining))
        note(control, route, json_is_true(draining), false);
    if (is_read) {
        drains_forget_below(&control->drains, route);
        note_slots(control, route, json_object_get(tree, "slots_draining"));
    }
    json_decref(tree);
}

/*
 * An answer for which no client waits is for a node above, which gave the order, or too late. It
 * says nothing here: the place also says by news, or by its wants, whether it drains.
 */
static void hear_order(struct control *control, const struct mux_packet *packet) {
    struct order_answer answer;
    char why[READ_WHY_BYTES];
    if (!order_answer_parse(packet->file_content, &answer, why)) {
        count_forged(control, packet, "an order, or what is no answer to one, came");
        return;
    }
    struct control_client *client =
        answer.state == ORDER_NEWS ? NULL : who_awaits(control, answer.id, packet->route);
    if ((client || answer.state == ORDER_NEWS) && is_of_a_node(control, packet->route))
        note(control, packet->route, answer.draining, client != NULL);
    if (!client)
        return;
    client->order.answer = answer;
    if (answer.state == ORDER_DONE)
        answer_order(client);
    else
        refuse_order(client, answer.why);
}

void control_hear(struct control *control, const struct mux_packet *packet) {
    if (mux_span_equal(packet->file_name, mux_span_text(VIEW_LIVE_FILE)))
        count_forged(control, packet, "a muxd.live, which only this socket may say, came");
    else if (mux_span_equal(packet->file_name, mux_span_text(VIEW_WRITER_FILE)))
        count_forged(control, packet, "a muxd.writer, which only this socket may say, came");
    else if (mux_span_equal(packet->file_name, mux_span_text(ORDER_FILE)))
        hear_order(control, packet);
    else if (is_of_a_node(control, packet->route))
        hear_want(control, packet);
}

void control_forget(struct control *control, struct mux_span route) {
    drains_note(&control->drains, route, false);
    drains_forget_below(&control->drains, route);
}

/*
 * ---- time ----
 */

static void look_at(struct control_client *client, uint64_t now_ns) {
    struct control_order *order = &client->order;
    const char *why = node_down_obstacle(client->control->config.node, mux_span_text(order->route));
    if (now_ns >= order->until_ns)
        refuse_order(client, !order->is_sent
                                 ? "the link does not read what is sent to it"
                                 : "no answer within 5 s: what is there does not read, or is no "
                                   "muxd, mux agent or mux exec that knows orders");
    else if (!order->is_sent && why)
        refuse_order(client, why);
    else if (!order->is_sent)
        send_order(client);
}

_Static_assert(ORDER_WAIT_S == 5, "as the message above says");

void control_work_orders(struct control *control) {
    for (unsigned i = 0; control->ordering && i < CONTROL_CONNS_MAX; i++)
        if (control->clients[i].state == CLIENT_ORDERING)
            look_at(&control->clients[i], control->now_ns);
}

uint64_t control_orders_deadline_ns(const struct control *control) {
    uint64_t at_ns = UINT64_MAX;
    for (unsigned i = 0; control->ordering && i < CONTROL_CONNS_MAX; i++) {
        const struct control_client *client = &control->clients[i];
        if (client->state != CLIENT_ORDERING)
            continue;
        uint64_t look_ns =
            client->order.is_sent ? client->order.until_ns : control->now_ns + NODE_RETRY_NS;
        at_ns = look_ns < at_ns ? look_ns : at_ns;
    }
    return at_ns;
}
