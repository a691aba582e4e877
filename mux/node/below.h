/*
 * The nodes known to be below this one, by identity: at the other end of a link, or further down
 * behind it, as notices say (hello.h). So a node that comes another way is known again: the place
 * where it was forgets its tests. And all of it is told upwards, anew to each new upstream.
 *
 * One table, made once. A node at the other end of a link always has room; those further down share
 * the rest, of which no link has more than a quarter.
 */
#ifndef MUX_BELOW_H
#define MUX_BELOW_H

#include "mux/list.h"
#include "mux/node/hello.h"

/* A longer route, of a node further down, is not remembered. */
#define MUX_BELOW_ROUTE_BYTES 192

struct mux;
struct mux_link;

struct mux_below_node {
    struct mux_below_node *next; /* in its bucket, or the next free one */
    struct mux_list of_link;     /* in mux_link.below */
    struct mux_list unsaid;      /* in mux_below.unsaid: not told upwards yet */
    struct mux_link *link;
    char identity[MUX_IDENTITY_BYTES];
    uint16_t route_len; /* 0: it is at the link's other end */
    uint8_t route[MUX_BELOW_ROUTE_BYTES];
};

struct mux_below {
    struct mux_below_node *nodes, *free_nodes;
    struct mux_below_node **buckets;
    unsigned size; /* of nodes and buckets */
    unsigned touched, count;
    unsigned further_count, further_max; /* those that are not at a link's end */
    struct mux_list unsaid;
};

/* False: out of memory. */
bool mux_below_init(struct mux *mux, unsigned links, unsigned further_max);
void mux_below_fini(struct mux *mux);

/* NULL: it is not known. */
struct mux_below_node *mux_below_find(struct mux *mux, const char *identity);

/* Remembers that a node is there; it is told upwards. False: there is no room for it. */
bool mux_below_add(struct mux_link *link, const char *identity, struct mux_span route);

/* Forgets a node, and all behind the link whose route begins with its. */
void mux_below_remove(struct mux_link *link, struct mux_span route);

/* Forgets all behind a link; moves all from one to another. */
void mux_below_clear(struct mux_link *link);
void mux_below_move(struct mux_link *from, struct mux_link *to);

/* All is told upwards again: there is another upstream. Writes it as far as the batch has room. */
void mux_below_say_again(struct mux *mux);
void mux_below_say(struct mux *mux);

#endif
