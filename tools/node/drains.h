/*
 * Places below a node that take no jobs now, as they have said themselves: agents by their wants,
 * nodes by their news. To show them, nothing else. Each link may fill a part of the table only.
 *
 * No clock, no system call, no allocation.
 */
#ifndef TOOLS_NODE_DRAINS_H
#define TOOLS_NODE_DRAINS_H

#include "mux/buffer.h"

#include <stdbool.h>

/* A farm's agents, while it is being drained. */
#define DRAINS_MAX 1024

/* Of them below one link: no stranger keeps the others out. */
#define DRAINS_LINK_MAX 256

/* Longest route, with the 0 at the end. */
#define DRAINS_ROUTE_BYTES 256

struct drains {
    unsigned count;
    char routes[DRAINS_MAX][DRAINS_ROUTE_BYTES];
};

bool drains_has(const struct drains *drains, struct mux_span route);

/* False: it takes no jobs, but there is no room to remember that. */
bool drains_note(struct drains *drains, struct mux_span route, bool is_draining);

/* For one that found no room: the oldest one is forgotten for it, of the same link if there is one.
 */
void drains_note_first(struct drains *drains, struct mux_span route);

/* Forgets all that is below a route, but not the route itself. */
void drains_forget_below(struct drains *drains, struct mux_span route);

/* Forgets those whose link is no more. */
void drains_sweep(struct drains *drains,
                  bool (*is_there)(const void *user, struct mux_span segment), const void *user);

#endif
