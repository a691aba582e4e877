/*
 * A node's core with a few links, without I/O, for fuzz_core and fuzz_down. Received buffers are
 * exactly as large as their bytes, and freed once released.
 */
#ifndef TESTS_FUZZ_NODE_H
#define TESTS_FUZZ_NODE_H

#include "tests/fuzz/fuzz.h"

#include "mux/node/mux.h"

#define NODE_LINKS 6
#define NODE_INPUTS 16
#define NODE_RESERVE_INPUTS 4  /* for the upstream, as in transports */
#define NODE_INPUT_BYTES 16384 /* the default of node_setup.input_bytes */
#define NODE_IDENTITY "0"
#define NODE_GRACE_NS 1000000000u /* for lost nodes */

struct peer {
    struct mux_link *link; /* NULL: not open */
    struct mux_room offered;
    bool ended, sending;
    struct bytes given; /* to the mux, by its link */
    struct bytes read;  /* the bytes that it was sent */
    char segment[32];
};

/* A link that was finished and closed; its peer may have connected again. */
struct past {
    struct bytes given;
    char segment[32];
};

#define NODE_PASTS_MOST 64

struct node_setup {
    size_t reference_least_bytes;
    unsigned gather_max;
    size_t input_bytes; /* of a received buffer, at most */
    bool upstream_is_node;
    bool offers;    /* asks links for room after each turn, as muxd does */
    bool has_clock; /* it knows the time of day, and changes timestamps */
};

struct node {
    struct node_setup setup;
    struct mux *mux;
    uint64_t now_ns;
    unsigned buffers; /* lent to the mux */
    struct peer peers[NODE_LINKS];
    struct past pasts[NODE_PASTS_MOST];
    unsigned past_count;
    const struct mux_gather *flight;
    bool is_connected; /* to an upstream */
    struct bytes up;   /* whole packets that the upstream has read */
};

void node_open(struct node *node, const struct node_setup *setup);

/* All peers send the rest, read and end; the upstream takes everything. Nothing may be left. */
void node_settle(struct node *node);
void node_close(struct node *node);

void node_connect(struct node *node, struct peer *peer, bool way_down);

/* Bytes reach a link, in the room it offered or in a buffer. False: not now. */
bool node_give(struct node *node, struct peer *peer, struct mux_span bytes);
void node_offer(struct peer *peer);
void node_end(struct peer *peer);

/* The link's connection takes what is queued for it; and has sent it. */
void node_take(struct peer *peer);
void node_sent(struct peer *peer);

/* Bytes come from the upstream. False: not now. */
bool node_give_down(struct node *node, struct mux_span bytes);

void node_up_connected(struct node *node);
void node_up_take(struct node *node);
void node_up_sent(struct node *node);
void node_up_lost(struct node *node, size_t sent_bytes);

void node_run(struct node *node);

uint64_t node_count(const struct node *node, enum mux_counter counter);

#endif
