/*
 * The nodes known to be below this one, by identity: at the other end of a link, or further down
 * behind it, as notices say (hello.h). A node that comes another way is recognised: its old place
 * forgets its tests. All entries are announced upwards, again for each new upstream.
 *
 * One table, made at the start. A node at the other end of a link always has room. Nodes further
 * down share the rest, of which no link gets more than a quarter.
 */
#ifndef MUX_BELOW_H
#define MUX_BELOW_H

#include "mux/list.h"
#include "mux/node/hello.h"

/* Nodes further down with a longer route are not remembered. */
#define MUX_BELOW_ROUTE_BYTES 192

struct mux;
struct mux_link;

/* Where a node is: behind a link. An empty route: at the link's other end. */
struct mux_below_place {
    struct mux_link *link;
    uint16_t route_len;
    uint8_t route[MUX_BELOW_ROUTE_BYTES];
};

static inline struct mux_span mux_below_route(const struct mux_below_place *place) {
    return mux_span(place->route, place->route_len);
}

struct mux_below_node {
    struct mux_below_node *next; /* in its bucket, or the next free one */
    struct mux_list of_link;     /* in mux_link.below */
    struct mux_list unsaid;      /* in mux_below.unsaid: not announced upwards yet */
    char identity[MUX_IDENTITY_BYTES];
    struct mux_below_place place;
    struct mux_below_place lost; /* see mux_below_settle(); link NULL: none */
    struct mux_list of_lost;     /* in lost.link's mux_link.left_by */
};

struct mux_below {
    struct mux_below_node *nodes, *free_nodes;
    struct mux_below_node **buckets;
    unsigned size; /* of nodes and buckets */
    unsigned touched, count;
    unsigned further_count, further_max; /* nodes that are not at a link's end */
    unsigned lost_count;                 /* nodes that were at a place that is lost */
    struct mux_list unsaid;
};

/* False: out of memory. */
bool mux_below_init(struct mux *mux, unsigned links, unsigned further_max);
void mux_below_fini(struct mux *mux);

/* NULL: it is not known. */
struct mux_below_node *mux_below_find(struct mux *mux, const char *identity);

/* Adds a node and announces it upwards. False: there is no room for it. */
bool mux_below_add(struct mux_link *link, const char *identity, struct mux_span route);

/*
 * The node was at a place that is lost. An end of a test may have been lost with it, so the tests
 * there wait for the end of that place's link. A test that the node speaks of at its new place is
 * settled at the old one.
 */
void mux_below_remember_lost(struct mux *mux, const char *identity,
                             const struct mux_below_place *lost);
void mux_below_settle(struct mux_link *link, const struct mux_packet *packet);

/* The link is no place any more. */
void mux_below_forget_lost(struct mux_link *link);

/* Removes the node at this route of the link, and all nodes below it. */
void mux_below_remove(struct mux_link *link, struct mux_span route);

/* Removes all nodes behind a link; moves all of them to another link. */
void mux_below_clear(struct mux_link *link);
void mux_below_move(struct mux_link *from, struct mux_link *to);

/*
 * Marks all as not announced, for another upstream. mux_below_say() announces as many as the batch
 * has room for.
 */
void mux_below_say_again(struct mux *mux);
void mux_below_say(struct mux *mux);

#endif
