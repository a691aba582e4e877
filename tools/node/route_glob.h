/* Which routes a pattern means. */
#ifndef TOOLS_NODE_ROUTE_GLOB_H
#define TOOLS_NODE_ROUTE_GLOB_H

#include "mux/buffer.h"
#include <stdbool.h>

/*
 * Does the pattern match the route, or the first segments of it? So "rack7" matches everything
 * below it. In a segment of the pattern '*' stands for any bytes and '?' for one byte; neither
 * stands for '/'. An empty pattern matches every route. Linear in the pattern for each byte of the
 * route, whatever they are.
 */
bool route_glob_matches(struct mux_span pattern, struct mux_span route);

/* Has it no empty segment? Nothing below a muxd has one: what goes there would only be dropped. */
bool route_is_whole(struct mux_span route);
#define ROUTE_NOT_WHOLE "a segment of the route is empty: expected a route such as 3/0"

/* Is `above` the route itself, or that of a node on the way to it? An empty one is this node. */
bool route_leads_to(struct mux_span above, struct mux_span route);

#endif
