#include "mux/node/below.h"
#include "mux/hash.h"
#include "mux/node/mux_internal.h"

#include <stdlib.h>

/* The share of one link in the nodes further down. */
#define LINK_SHARE 4

bool mux_below_init(struct mux *mux, unsigned links, unsigned further_max) {
    struct mux_below *below = &mux->below;
    below->size = links + further_max;
    below->further_max = further_max;
    below->nodes = calloc(below->size, sizeof *below->nodes);
    below->buckets = calloc(below->size, sizeof *below->buckets);
    mux_list_init(&below->unsaid);
    return below->nodes && below->buckets;
}

void mux_below_fini(struct mux *mux) {
    free(mux->below.nodes);
    free(mux->below.buckets);
}

static struct mux_below_node **bucket_of(struct mux *mux, const char *identity) {
    uint64_t hash = mux_hash(mux->config.hash_key, mux_span_text(identity));
    return &mux->below.buckets[hash % mux->below.size];
}

struct mux_below_node *mux_below_find(struct mux *mux, const char *identity) {
    struct mux_below_node *node = *bucket_of(mux, identity);
    while (node && strcmp(node->identity, identity) != 0)
        node = node->next;
    return node;
}

static struct mux_below_node *take_free(struct mux_below *below) {
    struct mux_below_node *node = below->free_nodes;
    if (node)
        below->free_nodes = node->next;
    else if (below->touched < below->size)
        node = &below->nodes[below->touched++];
    below->count += node != NULL;
    return node;
}

static bool has_room(const struct mux_link *link) {
    const struct mux_below *below = &link->mux->below;
    return below->further_count < below->further_max &&
           link->below_further < below->further_max / LINK_SHARE;
}

/* A node further down is added to the counts (1), or removed from them (-1). */
static void count_further(struct mux_below_node *node, int step) {
    if (node->place.route_len == 0)
        return;
    node->place.link->mux->below.further_count += (unsigned)step;
    node->place.link->below_further += (unsigned)step;
}

bool mux_below_add(struct mux_link *link, const char *identity, struct mux_span route) {
    struct mux *mux = link->mux;
    struct mux_below *below = &mux->below;
    if (route.len > MUX_BELOW_ROUTE_BYTES || (route.len && !has_room(link)))
        return false;
    struct mux_below_node *node = take_free(below);
    if (!node)
        return false;
    struct mux_below_node **bucket = bucket_of(mux, identity);
    *node = (struct mux_below_node){.next = *bucket, .place.link = link};
    *bucket = node;
    memcpy(node->identity, identity, strlen(identity) + 1);
    if (route.len)
        memcpy(node->place.route, route.data, route.len);
    node->place.route_len = (uint16_t)route.len;
    count_further(node, 1);
    mux_list_init(&node->of_link);
    mux_list_init(&node->unsaid);
    mux_list_init(&node->of_lost);
    mux_list_append(&link->below, &node->of_link);
    mux_list_append(&below->unsaid, &node->unsaid);
    mux_below_say(mux); /* in front of what it sends */
    return true;
}

static void forget_lost(struct mux *mux, struct mux_below_node *node) {
    mux->below.lost_count -= node->lost.link != NULL;
    node->lost.link = NULL;
    mux_list_remove(&node->of_lost);
}

void mux_below_forget_lost(struct mux_link *link) {
    while (!mux_list_empty(&link->left_by))
        forget_lost(link->mux, MUX_LIST_ITEM(link->left_by.next, struct mux_below_node, of_lost));
}

void mux_below_remember_lost(struct mux *mux, const char *identity,
                             const struct mux_below_place *lost) {
    struct mux_below_node *node = mux_below_find(mux, identity);
    if (!node || !lost->link)
        return;
    forget_lost(mux, node);
    node->lost = *lost;
    mux->below.lost_count++;
    mux_list_append(&lost->link->left_by, &node->of_lost);
}

static void forget(struct mux *mux, struct mux_below_node *node) {
    struct mux_below *below = &mux->below;
    struct mux_below_node **at = bucket_of(mux, node->identity);
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    forget_lost(mux, node);
    mux_list_remove(&node->of_link);
    mux_list_remove(&node->unsaid);
    count_further(node, -1);
    below->count--;
    node->next = below->free_nodes;
    below->free_nodes = node;
}

/* Is the node at this route, or below it? */
static bool is_under(const struct mux_below_node *node, struct mux_span route) {
    return node->place.route_len >= route.len &&
           memcmp(node->place.route, route.data, route.len) == 0 &&
           (node->place.route_len == route.len || node->place.route[route.len] == '/');
}

void mux_below_remove(struct mux_link *link, struct mux_span route) {
    struct mux_list *next;
    for (struct mux_list *at = link->below.next; at != &link->below; at = next) {
        struct mux_below_node *node = MUX_LIST_ITEM(at, struct mux_below_node, of_link);
        next = at->next;
        if (route.len == 0 || is_under(node, route))
            forget(link->mux, node);
    }
}

void mux_below_clear(struct mux_link *link) {
    mux_below_remove(link, mux_span(NULL, 0));
}

void mux_below_move(struct mux_link *from, struct mux_link *to) {
    while (!mux_list_empty(&from->below)) {
        struct mux_below_node *node =
            MUX_LIST_ITEM(from->below.next, struct mux_below_node, of_link);
        count_further(node, -1);
        node->place.link = to;
        count_further(node, 1);
        mux_list_append(&to->below, &node->of_link);
    }
}

void mux_below_say_again(struct mux *mux) {
    for (unsigned i = 0; i < mux->links_touched; i++) {
        struct mux_link *link = &mux->links[i];
        for (struct mux_list *at = link->below.next; at != &link->below; at = at->next)
            mux_list_append(&mux->below.unsaid,
                            &MUX_LIST_ITEM(at, struct mux_below_node, of_link)->unsaid);
    }
}

void mux_below_say(struct mux *mux) {
    struct mux_list *unsaid = &mux->below.unsaid;
    while (!mux_list_empty(unsaid)) {
        struct mux_below_node *node = MUX_LIST_ITEM(unsaid->next, struct mux_below_node, unsaid);
        struct mux_notice notice = {.here = true};
        memcpy(notice.identity, node->identity, sizeof notice.identity);
        if (!mux_notice_up(node->place.link, &notice, mux_below_route(&node->place)))
            return;
        mux_list_remove(&node->unsaid);
    }
}

/* Is a packet with this route from the node, or from behind it? */
static bool comes_from(const struct mux_below_node *node, struct mux_span route) {
    size_t len = node->place.route_len;
    return len == 0 || (route.len >= len && memcmp(node->place.route, route.data, len) == 0 &&
                        (route.len == len || route.data[len] == '/'));
}

/* The nearest to where it comes from, with a place that was lost. */
static struct mux_below_node *find_lost(struct mux_link *link, struct mux_span route) {
    struct mux_below_node *nearest = NULL;
    for (struct mux_list *at = link->below.next; at != &link->below; at = at->next) {
        struct mux_below_node *node = MUX_LIST_ITEM(at, struct mux_below_node, of_link);
        bool is_nearer = !nearest || node->place.route_len > nearest->place.route_len;
        if (node->lost.link && is_nearer && comes_from(node, route))
            nearest = node;
    }
    return nearest;
}

/* The route as the node itself has sent it; NULL: none, as of a command's packets. */
static struct mux_span route_at_node(const struct mux_below_node *node, struct mux_span route) {
    size_t cut = node->place.route_len;
    if (!route.data || (cut && cut == route.len))
        return mux_span(NULL, 0);
    cut += cut > 0; /* the slash */
    return mux_span(route.data + cut, route.len - cut);
}

/* The same packet's route when the node was still at that place. */
static struct mux_span route_from_place(const struct mux_below_place *place, struct mux_span rest,
                                        char *out) {
    size_t len = place->route_len;
    memcpy(out, place->route, len);
    if (len && rest.data)
        out[len++] = '/';
    if (rest.len)
        memcpy(out + len, rest.data, rest.len);
    return mux_span(place->route_len || rest.data ? out : NULL, len + rest.len);
}

void mux_below_settle(struct mux_link *link, const struct mux_packet *packet) {
    char route[MUX_BELOW_ROUTE_BYTES + 1 + MUX_PROGRESS_ROUTE_BYTES];
    struct mux_below_node *node =
        link->mux->below.lost_count ? find_lost(link, packet->route) : NULL;
    if (!node)
        return;
    const struct mux_below_place *lost = &node->lost;
    struct mux_span rest = route_at_node(node, packet->route);
    if (rest.len > MUX_PROGRESS_ROUTE_BYTES)
        return; /* not remembered */
    struct mux_packet there = {.test_id = packet->test_id,
                               .route = route_from_place(lost, rest, route)};
    mux_progress_settle(&link->mux->tests, &lost->link->tests, &there);
}
