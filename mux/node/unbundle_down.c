/*
 * The way down at the end of bundles: what is for a worker below has its stream's pin in front, and
 * gets the path by which the stream comes now (rules 40 and 41 of the reliable protocol).
 */
#include "mux/node/mux_internal.h"

/* The path without its first segment, which names the link, and the rest. False: too long. */
static bool join(struct mux_unbundle *unbundle, struct mux_span path, struct mux_span first,
                 struct mux_span rest, struct mux_span *route) {
    const struct mux_room out = {unbundle->route, sizeof unbundle->route};
    size_t len = first.len < path.len ? path.len - first.len - 1 : 0;
    const struct mux_span front = mux_span(path.data + path.len - len, len);
    if (!rest.len)
        rest = mux_span(NULL, 0);
    if (mux_route_joined_bytes(front, rest) > out.len)
        return false;
    *route = mux_route_join(front, rest, out);
    return true;
}

enum mux_end_way mux_unbundle_way_down(struct mux *mux, const struct mux_packet *packet,
                                       struct mux_link **link, struct mux_pieces *pieces) {
    struct mux_packet rerouted = *packet;
    struct mux_span path, rest, first;
    if (!mux->unbundle || !packet->route.data)
        return MUX_END_WAY_OTHER;
    enum mux_end_way way = mux_end_way_down(&mux->unbundle->end, packet->route, &path, &rest);
    if (way != MUX_END_WAY_DOWN)
        return way;
    first = mux_route_first(path);
    *link = mux_link_find(mux, first);
    if (!*link || !join(mux->unbundle, path, first, rest, &rerouted.route))
        return MUX_END_WAY_NONE;
    return mux_packet_gather(&rerouted, pieces) ? MUX_END_WAY_NONE : MUX_END_WAY_DOWN;
}
