/* The upstream of a node as people write it: ENDPOINT, or mux:ENDPOINT when it is a node, too. */
#ifndef TOOLS_NODE_PLACE_H
#define TOOLS_NODE_PLACE_H

#include "transport/endpoint.h"

/* Prefix of the endpoint of an upstream that is a node. */
#define PLACE_NODE_PREFIX "mux:"

/* Of the sentence for people. */
#define PLACE_WHY_BYTES (2 * ENDPOINT_TEXT_BYTES + 256)

/* More than one node that can stand in for another is rare, and each is looked up by a thread. */
#define PLACE_SPARES_MAX 7

struct place {
    struct endpoint endpoint;
    bool is_node;
    unsigned spare_count;
    struct endpoint spares[PLACE_SPARES_MAX]; /* nodes, in this order when it does not answer */
};

/* False, and one sentence in `why`: it is none, and what was expected. */
bool place_parse(const char *text, struct place *place, char *why, size_t why_bytes);

/* One more node that can stand in for it. False as above; the place is as it was. */
bool place_add_spare(struct place *place, const char *text, char *why, size_t why_bytes);

#define PLACE_TEXT_BYTES (ENDPOINT_TEXT_BYTES * 2)

/* Endpoint and spares, for people: "a:7533 or b:7533"; what is longer is cut. */
void place_text(const struct place *place, char text[PLACE_TEXT_BYTES]);

/*
 * Only who has the right to that file of this machine answers there: a unix socket. Elsewhere
 * anybody on the network could, and send keyboards, jobs and orders, which are a shell on this
 * machine.
 */
bool place_is_private(const struct place *place);

#endif
