#include "tools/node/route_glob.h"

#include "mux/packet/route.h"

#include <string.h>

/* One segment: on a mismatch the last '*' takes one byte more. */
static bool segment_matches(struct mux_span pattern, struct mux_span segment) {
    size_t p = 0, s = 0, star = SIZE_MAX, star_s = 0;
    while (s < segment.len) {
        if (p < pattern.len && pattern.data[p] == '*') {
            star = p++;
            star_s = s;
        } else if (p < pattern.len &&
                   (pattern.data[p] == '?' || pattern.data[p] == segment.data[s])) {
            p++;
            s++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            s = ++star_s;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.data[p] == '*')
        p++;
    return p == pattern.len;
}

/* What follows the first segment and its slash; data == NULL: nothing. */
static struct mux_span after(struct mux_span route, struct mux_span first) {
    if (first.len == route.len)
        return mux_span(NULL, 0);
    return mux_span(route.data + first.len + 1, route.len - first.len - 1);
}

bool route_glob_matches(struct mux_span pattern, struct mux_span route) {
    while (pattern.len) {
        struct mux_span wanted = mux_route_first(pattern), segment = mux_route_first(route);
        if (!route.data || !segment_matches(wanted, segment))
            return false;
        pattern = after(pattern, wanted);
        route = after(route, segment);
    }
    return true;
}

bool route_is_whole(struct mux_span route) {
    while (route.data) {
        struct mux_span segment = mux_route_first(route);
        if (segment.len == 0)
            return false;
        route = after(route, segment);
    }
    return true;
}

bool route_leads_to(struct mux_span above, struct mux_span route) {
    if (above.len == 0)
        return true;
    return above.len <= route.len && memcmp(above.data, route.data, above.len) == 0 &&
           (above.len == route.len || route.data[above.len] == '/');
}
