/* Who a node is, drawn anew at each start, and where its time of day comes from. */
#ifndef TOOLS_NODE_IDENTITY_H
#define TOOLS_NODE_IDENTITY_H

#include "tools/node/node.h"

/*
 * Fills in what must be random: an identity that no other node has, nor this one when it is started
 * again, with this name (NULL: this host's); the keys of tables and proofs; the seed. And how it
 * reads the time of day.
 */
void identity_draw(struct node_config *config, const char *name);

#endif
