/*
 * The states of a node's upstream: four axes and a level of doubt. One function changes each and
 * asserts that the step is legal. node_upstream_sane() asserts how they depend on each other; it
 * runs after each turn of the loop, in every build.
 *
 *              connection   attempts   way up               way down
 *   APART      none         perhaps    IDLE                 PAUSED
 *   GREETING   yes          none       IDLE or SENDING,     any
 *                                      FINISHED at the end
 *   WORKING    yes          none       any                  any
 *   CLOSING    yes          none       any                  any
 *   FAILED     none         none       IDLE                 PAUSED
 */
#ifndef TOOLS_NODE_NODE_UPSTREAM_STATE_H
#define TOOLS_NODE_NODE_UPSTREAM_STATE_H

#include <stdbool.h>

struct node_upstream;

enum node_upstream_state {
    NODE_UPSTREAM_APART,    /* not connected: an attempt or a wait goes on, or it has not begun */
    NODE_UPSTREAM_GREETING, /* connected; a node has not answered our hello */
    NODE_UPSTREAM_WORKING,  /* connected, and it takes packets */
    NODE_UPSTREAM_CLOSING,  /* only the connection's last event is awaited */
    NODE_UPSTREAM_FAILED,   /* lost, and it cannot be had again: the node ends */
};

/* What goes up on this connection. */
enum node_upstream_up {
    NODE_UP_IDLE,
    NODE_UP_SENDING,  /* a batch is in flight */
    NODE_UP_FINISHED, /* the peer was told that nothing more is sent */
};

/* What comes down on this connection. */
enum node_upstream_down {
    NODE_DOWN_PAUSED,
    NODE_DOWN_RECEIVING,
    NODE_DOWN_ENDED, /* nothing more comes (stdin's end); the way up goes on */
};

/* What follows when this connection is closed. */
enum node_upstream_next {
    NODE_NEXT_RETRY,     /* after the back-off */
    NODE_NEXT_ELSEWHERE, /* it was not the node that was wanted: the round's other addresses */
    NODE_NEXT_REOPEN,    /* at once: the file was renamed */
};

/* Bytes that a lost upstream may not have read. It only grows. */
enum node_upstream_doubt {
    NODE_DOUBT_NONE,
    NODE_DOUBT_SOME,
    NODE_DOUBT_AT_THE_END, /* lost while the node was ending: nobody will know */
};

void node_upstream_set_state(struct node_upstream *up, enum node_upstream_state state);
void node_upstream_set_up(struct node_upstream *up, enum node_upstream_up way);
void node_upstream_set_down(struct node_upstream *up, enum node_upstream_down way);
/* Before the connection is closed. */
void node_upstream_set_next(struct node_upstream *up, enum node_upstream_next next);
void node_upstream_raise_doubt(struct node_upstream *up, enum node_upstream_doubt doubt);

/* The connection is gone, and with it the state of both ways. */
void node_upstream_part(struct node_upstream *up);

/* A connection that takes or will take packets. */
bool node_upstream_is_connected(const struct node_upstream *up);

/* Asserts all that must be true between two turns of the loop. In constant time. */
void node_upstream_sane(const struct node_upstream *up);

#endif
