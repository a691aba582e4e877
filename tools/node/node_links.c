/* A node's links: connections from below and their ends. */
#include "tools/node/node_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void handle_link(struct loop_handler *handler, const struct transport_event *event,
                        uint64_t now_ns);
static void handle_down(struct loop_handler *handler, const struct transport_event *event,
                        uint64_t now_ns);

static struct node_link *take_free(struct node *node) {
    struct node_link *link = node->free_links;
    if (link) {
        node->free_links = link->next_free;
        return link;
    }
    if (node->links_touched == mux_connections_max(node->config.mux.links_max))
        return NULL;
    return &node->links[node->links_touched++];
}

static void put_free(struct node *node, struct node_link *link) {
    link->next_free = node->free_links;
    node->free_links = link;
}

/* A connection that is closed before it was a link: only its last event is awaited. */
static void handle_rejected(struct loop_handler *handler, const struct transport_event *event,
                            uint64_t now_ns) {
    struct node *node = LOOP_OWNER(handler, struct node, rejected);
    (void)now_ns;
    node->events++;
    if (event->kind == TRANSPORT_RECEIVED && event->buffer)
        mux_buffer_release(event->buffer);
    if (event->kind == TRANSPORT_CLOSED)
        node->conn_count--;
}

bool node_links_init(struct node *node) {
    unsigned count = mux_connections_max(node->config.mux.links_max);
    mux_list_init(&node->open_links);
    node->rejected.handle = handle_rejected;
    node->links = calloc(count, sizeof *node->links);
    return node->links != NULL;
}

static void reject(struct node *node, struct transport_conn *conn) {
    loop_own(conn, &node->rejected);
    transport_close(conn);
}

/* All places are taken. */
static void count_over_limit(struct node *node, struct transport_conn *conn) {
    NODE_COUNT(node, connections_over_limit, 1);
    node_log(node, "%s is one more than --max-links %u: closed", conn->peer->text,
             node->config.mux.links_max);
}

/* NULL: there is no room. */
static struct node_link *open_link(struct node *node, const struct node_adoption *adoption) {
    const struct transport_peer *peer = adoption->conn->peer;
    struct node_link *link = take_free(node);
    if (!link)
        return NULL;
    const struct mux_link_config config = {.peer = peer->text,
                                           .host = peer->host,
                                           .way_down = adoption->way_down,
                                           .user = link,
                                           .kind = adoption->kind,
                                           .is_bare = adoption->is_bare,
                                           .is_raw = adoption->is_raw,
                                           .segment = adoption->segment};
    *link = (struct node_link){.base = {handle_link},
                               .node = node,
                               .from_down = {handle_down},
                               .conn = adoption->conn,
                               .down_conn = adoption->down_conn,
                               .state = NODE_CONN_OPEN,
                               .down_state = adoption->down_conn ? NODE_CONN_OPEN : NODE_CONN_NONE,
                               .owner = adoption->owner,
                               .owner_user = adoption->user};
    link->link = mux_link_open(node->mux, &config);
    if (!link->link) {
        put_free(node, link);
        return NULL;
    }
    mux_list_init(&link->open_entry);
    mux_list_append(&node->open_links, &link->open_entry);
    node->open_count++;
    loop_own(link->conn, &link->base);
    if (link->down_conn)
        loop_own(link->down_conn, &link->from_down);
    return link;
}

struct node_link *node_adopt(struct node *node, const struct node_adoption *adoption) {
    struct node_link *link = open_link(node, adoption);
    node->conn_count += 1 + (adoption->down_conn != NULL);
    if (link) {
        link->adopted = true;
        node->has_work = true; /* to receive from it: its owner may work behind the node */
        return link;
    }
    reject(node, adoption->conn);
    if (adoption->down_conn)
        reject(node, adoption->down_conn);
    return NULL;
}

void node_link_accepted(struct node *node, struct transport_conn *conn) {
    const struct transport_peer *peer = conn->peer;
    NODE_COUNT(node, connections_accepted, 1);
    node->conn_count++;
    if (!node->config.allowed(node->config.user, peer)) {
        NODE_COUNT(node, connections_forbidden, 1);
        node_log(node, "%s is not in --allow: closed", peer->text);
        reject(node, conn);
    } else if (!open_link(node, &(struct node_adoption){.conn = conn, .way_down = true})) {
        count_over_limit(node, conn);
        reject(node, conn);
    }
}

/* Whether what sends bundles is gone is not for its connection to say. */
static void show(struct node *node, struct node_link *link, bool came) {
    bool is_said = came || !mux_link_has_bundles(link->link);
    if (node->config.show_link && link->is_shown != came && is_said)
        node->config.show_link(node->config.user, mux_link_segment(link->link),
                               link->conn ? link->conn->peer->text : "", came);
    link->is_shown = came;
}

static void received(struct node *node, struct node_link *link, const struct transport_event *event,
                     uint64_t now_ns) {
    if (!event->buffer) {
        link->receiving = false;
        mux_link_filled(link->link, event->bytes.len, now_ns);
    } else
        mux_link_received(link->link, event->buffer, event->bytes, now_ns);
    show(node, link, true);
}

static void end(struct node_link *link, const char *reason) {
    if (link->input != NODE_INPUT_ENDED)
        mux_link_ended(link->link, reason);
    link->input = NODE_INPUT_ENDED;
}

static void tell_owner(struct node_link *link) {
    if (!link->owner || link->input != NODE_INPUT_OPEN)
        return;
    link->input = NODE_INPUT_OVER;
    link->owner->ended(link->owner_user);
}

static void close_down(struct node_link *link) {
    if (link->down_state != NODE_CONN_OPEN)
        return;
    link->down_state = NODE_CONN_CLOSING;
    transport_close(link->down_conn);
}

/* The reason counts when the connection did not end by itself. */
static void close_conn(struct node_link *link, const char *reason) {
    close_down(link);
    if (link->state != NODE_CONN_OPEN)
        return;
    link->state = NODE_CONN_CLOSING;
    link->close_reason = reason;
    transport_close(link->conn);
}

/* Nothing came by it: a health check, as balancers make them every few seconds. */
static bool is_empty(const struct node_link *link) {
    return !link->adopted && *mux_link_segment(link->link) == '\0';
}

static void log_lost(struct node *node, const struct node_link *link,
                     const struct transport_event *event) {
    const char *segment = mux_link_segment(link->link);
    node_log(node, "%s%s%s%s lost: %s: %s", link->conn->peer->text, *segment ? " (link " : "",
             segment, *segment ? ")" : "", event->operation, strerror(event->error));
}

/* A process has ended and left input unread. What it wrote was received before, see transport.h. */
static bool is_end_of_process(const struct node_link *link, int error) {
    return link->owner && (error == EPIPE || error == ECONNRESET);
}

static void lose(struct node *node, struct node_link *link, const struct transport_event *event) {
    if (!is_empty(link)) {
        NODE_COUNT(node, connections_lost, 1);
        log_lost(node, link, event);
    }
    tell_owner(link);
    link->lost_operation = event->operation;
    link->lost_error = event->error;
    node->input_failed =
        node->input_failed || (link->adopted && !is_end_of_process(link, event->error));
    close_conn(link, NULL);
}

static void release(struct node *node, struct node_link *link) {
    if (link->owner)
        link->owner->gone(link->owner_user);
    mux_link_close(link->link);
    link->link = NULL;
    mux_list_remove(&link->open_entry);
    put_free(node, link);
    node->open_count--;
    node_link_gone(node);
}

static void release_if_over(struct node *node, struct node_link *link) {
    if (!link->conn && !link->down_conn && mux_link_finished(link->link))
        release(node, link);
}

/* Only now has the transport let go of all of the link's memory. */
static void closed(struct node *node, struct node_link *link) {
    char reason[160];
    NODE_COUNT(node, connections_empty,
               is_empty(link) && (link->input == NODE_INPUT_ENDED || link->lost_error));
    show(node, link, false);
    link->conn = NULL;
    link->state = NODE_CONN_NONE;
    node->conn_count--;
    if (link->lost_error)
        snprintf(reason, sizeof reason, "its connection was lost (%s: %s)", link->lost_operation,
                 strerror(link->lost_error));
    else
        snprintf(reason, sizeof reason, "muxd closed its connection (%s)", link->close_reason);
    if (!link->owner || link->close_reason)
        end(link, reason);
    release_if_over(node, link);
}

/* A process's stdin: without it the process goes on. */
static void handle_down(struct loop_handler *handler, const struct transport_event *event,
                        uint64_t now_ns) {
    struct node_link *link = LOOP_OWNER(handler, struct node_link, from_down);
    (void)now_ns;
    link->node->events++;
    if (event->kind == TRANSPORT_SENT)
        mux_link_sent(link->link);
    else if (event->kind == TRANSPORT_LOST)
        close_down(link);
    if (event->kind != TRANSPORT_CLOSED)
        return;
    link->down_conn = NULL;
    link->down_state = NODE_CONN_NONE;
    link->node->conn_count--;
    mux_link_deafen(link->link);
    release_if_over(link->node, link);
}

static void handle_link(struct loop_handler *handler, const struct transport_event *event,
                        uint64_t now_ns) {
    struct node_link *link = (struct node_link *)handler;
    struct node *node = link->node;
    node->events++;
    switch (event->kind) {
    case TRANSPORT_RECEIVED:
        received(node, link, event, now_ns);
        break;
    case TRANSPORT_STARVED:
        mux_link_starved(link->link);
        break;
    case TRANSPORT_ENDED:
        if (!link->owner)
            end(link, "it closed its connection");
        tell_owner(link);
        break;
    case TRANSPORT_SENT:
        mux_link_sent(link->link);
        break;
    case TRANSPORT_LOST:
        lose(node, link, event);
        break;
    case TRANSPORT_CLOSED:
        closed(node, link);
        break;
    default:
        break;
    }
}

static void attend(struct node_link *link) {
    bool receive = mux_link_wants_receive(link->link);
    if (link->state != NODE_CONN_OPEN)
        return;
    if (receive != link->receiving)
        transport_receive(link->conn, receive);
    link->receiving = receive;
    if (receive) {
        struct mux_room room = mux_link_offer(link->link);
        if (room.len)
            transport_receive_into(link->conn, room);
    }
    if (mux_link_input_ended(link->link))
        close_down(link);
    const struct mux_gather *gather =
        link->down_state == NODE_CONN_CLOSING ? NULL : mux_link_take(link->link);
    if (gather)
        transport_send(link->down_conn ? link->down_conn : link->conn, gather);
}

void node_links_attend(struct node *node) {
    struct mux_link *next;
    while ((next = mux_next_attention(node->mux))) {
        struct node_link *link = mux_link_user(next);
        attend(link);
        const char *reason = mux_link_close_reason(next);
        if (reason && link->state == NODE_CONN_OPEN && mux_link_turned_away(next))
            count_over_limit(node, link->conn);
        if (reason)
            close_conn(link, reason);
        if (!mux_link_finished(next) || (link->conn && mux_link_has_last_words(next)))
            continue;
        close_conn(link, "");
        release_if_over(node, link);
    }
}

void node_link_end(struct mux_link *link) {
    close_conn(mux_link_user(link), "muxd ended");
}

const char *node_kick(struct node *node, struct mux_span segment) {
    struct mux_link *found = mux_link_find(node->mux, segment);
    struct node_link *link = found ? mux_link_user(found) : NULL;
    if (!found)
        return "no link has its first segment";
    if (!link || link->state != NODE_CONN_OPEN)
        return "its connection is gone already";
    NODE_COUNT(node, links_kicked, 1);
    node_log(node, "%s (link %s) is closed: an order", link->conn->peer->text,
             mux_link_segment(found));
    close_conn(link, "an order: kick");
    return NULL;
}

static bool is_connected_node(const struct node_link *link) {
    struct mux_link_stats stats;
    mux_link_stats(link->link, &stats);
    return link->state == NODE_CONN_OPEN && *stats.node_name && stats.standing == MUX_STANDING_OPEN;
}

unsigned node_tell_nodes(struct node *node, struct mux_packet *packet, unsigned number,
                         unsigned *behind) {
    unsigned count = 0;
    *behind = 0;
    for (struct mux_list *at = node->open_links.next; at != &node->open_links; at = at->next) {
        struct node_link *link = MUX_LIST_ITEM(at, struct node_link, open_entry);
        if ((number && link->told == number) || !is_connected_node(link))
            continue;
        packet->route = mux_span_text(mux_link_segment(link->link));
        bool is_told = node_add_down(node, packet);
        if (is_told && number)
            link->told = number;
        count += is_told;
        *behind += !is_told;
    }
    return count;
}

unsigned node_links_not_ended(const struct node *node) {
    unsigned count = 0;
    for (const struct mux_list *at = node->open_links.next; at != &node->open_links; at = at->next)
        count += MUX_LIST_ITEM(at, struct node_link, open_entry)->input != NODE_INPUT_ENDED;
    return count;
}

void node_links_close_all(struct node *node) {
    for (struct mux_list *at = node->open_links.next; at != &node->open_links; at = at->next)
        close_conn(MUX_LIST_ITEM(at, struct node_link, open_entry), "muxd ended");
}

void node_end_adopted(struct node_link *link, const char *reason) {
    end(link, reason);
    link->node->has_work = true;
}

void node_link_stats(const struct node_link *link, struct mux_link_stats *stats) {
    mux_link_stats(link->link, stats);
}

bool node_link_unread(const struct node_link *link) {
    return link->conn && transport_unread(link->conn);
}

bool node_add_up(struct node *node, struct node_link *link, const struct mux_packet *packet) {
    node->has_work = true;
    return mux_add_up(node->mux, link ? link->link : NULL, packet);
}

bool node_add_news(struct node *node, const struct mux_packet *packet) {
    node->has_work = true;
    return mux_add_news(node->mux, packet);
}
