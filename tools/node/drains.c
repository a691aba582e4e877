#include "tools/node/drains.h"

#include "mux/packet/route.h"

#include <string.h>

static struct mux_span route_at(const struct drains *drains, unsigned i) {
    return mux_span_text(drains->routes[i]);
}

/* Its place; `count`: it is not there. */
static unsigned find(const struct drains *drains, struct mux_span route) {
    unsigned i = 0;
    while (i < drains->count && !mux_span_equal(route, route_at(drains, i)))
        i++;
    return i;
}

/* The last one takes its place. */
static void forget(struct drains *drains, unsigned i) {
    drains->count--;
    if (i < drains->count)
        memcpy(drains->routes[i], drains->routes[drains->count], DRAINS_ROUTE_BYTES);
}

static unsigned below_link(const struct drains *drains, struct mux_span segment) {
    unsigned count = 0;
    for (unsigned i = 0; i < drains->count; i++)
        count += mux_span_equal(segment, mux_route_first(route_at(drains, i)));
    return count;
}

bool drains_has(const struct drains *drains, struct mux_span route) {
    return find(drains, route) < drains->count;
}

bool drains_note(struct drains *drains, struct mux_span route, bool is_draining) {
    unsigned i = find(drains, route);
    bool is_known = i < drains->count;
    if (is_known && !is_draining)
        forget(drains, i);
    if (is_known || !is_draining)
        return true;
    if (drains->count == DRAINS_MAX || route.len >= DRAINS_ROUTE_BYTES ||
        below_link(drains, mux_route_first(route)) >= DRAINS_LINK_MAX)
        return false;
    memcpy(drains->routes[i], route.data, route.len);
    drains->routes[i][route.len] = '\0';
    drains->count++;
    return true;
}

void drains_note_first(struct drains *drains, struct mux_span route) {
    struct mux_span segment = mux_route_first(route);
    unsigned i = 0;
    if (route.len >= DRAINS_ROUTE_BYTES || drains->count == 0)
        return;
    while (i < drains->count && !mux_span_equal(segment, mux_route_first(route_at(drains, i))))
        i++;
    if (i == drains->count)
        i = 0;
    drains->count--; /* those behind it move up: so the oldest is always the first */
    memmove(drains->routes[i], drains->routes[i + 1], (drains->count - i) * DRAINS_ROUTE_BYTES);
    drains_note(drains, route, true);
}

static bool is_below(struct mux_span route, struct mux_span other) {
    return other.len > route.len && other.data[route.len] == '/' &&
           memcmp(other.data, route.data, route.len) == 0;
}

void drains_forget_below(struct drains *drains, struct mux_span route) {
    for (unsigned i = drains->count; i-- > 0;)
        if (is_below(route, route_at(drains, i)))
            forget(drains, i);
}

void drains_sweep(struct drains *drains,
                  bool (*is_there)(const void *user, struct mux_span segment), const void *user) {
    for (unsigned i = drains->count; i-- > 0;)
        if (!is_there(user, mux_route_first(route_at(drains, i))))
            forget(drains, i);
}
