/* The upstream of a node as people write it: ENDPOINT, or mux:ENDPOINT when it is a node, too. */
#ifndef TOOLS_NODE_PLACE_H
#define TOOLS_NODE_PLACE_H

#include "transport/endpoint.h"

/* Prefix of the endpoint of an upstream that is a node. */
#define PLACE_NODE_PREFIX "mux:"

/* Of the sentence for people. */
#define PLACE_WHY_BYTES (2 * ENDPOINT_TEXT_BYTES + 256)

struct place {
    struct endpoint endpoint;
    bool is_node;
};

/* False, and one sentence in `why`: it is none, and what was expected. */
bool place_parse(const char *text, struct place *place, char *why, size_t why_bytes);

/*
 * Only who has the right to that file of this machine answers there: a unix socket. Elsewhere
 * anybody on the network could, and send keyboards, jobs and orders, which are a shell on this
 * machine.
 */
static inline bool place_is_private(const struct endpoint *endpoint) {
    return endpoint->kind == ENDPOINT_UNIX;
}

#endif
