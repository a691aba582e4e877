/*
 * An upstream other than the previous one does not know which tests are in progress: they are
 * announced to it, as if they began now, in front of what ends them.
 */
#include "mux/node/mux_internal.h"

#include <stdio.h>

void mux_retell_begin(struct mux *mux) {
    mux->retell_at = 0;
    mux_progress_walk(&mux->own_tests);
    for (unsigned i = 0; i < mux->links_touched; i++)
        mux_progress_walk(&mux->links[i].tests);
}

/* `link` NULL: a test of this node's owner. */
static void tell(struct mux *mux, struct mux_link *link, const struct mux_progress_name *name) {
    uint8_t route[MUX_REPORT_ROUTE_MAX_BYTES];
    struct mux_pieces pieces;
    struct mux_packet packet = {
        .status = MUX_STATUS_INPROGRESS,
        .runnable = true,
        .test_id = name->test_id,
        .route = link ? mux_link_full_route(link, name->route, route) : name->route,
    };
    mux_clock_change_own(mux, &packet);
    if (mux_packet_gather(&packet, &pieces))
        return; /* too long with its segment: the packet that began it did not fit either */
    MUX_COUNT(&mux->counters, tests_retold, 1);
    mux_up_add(mux, &pieces);
}

void mux_retell_run(struct mux *mux) {
    struct mux_progress_name name;
    while (mux_up_has_room(mux) && mux_progress_walk_next(&mux->tests, &mux->own_tests, &name))
        tell(mux, NULL, &name);
    while (mux->retell_at < mux->links_touched) {
        struct mux_link *link = &mux->links[mux->retell_at];
        if (!mux_up_has_room(mux))
            return;
        bool tells_itself =
            mux_is_leaving(mux) && mux_link_is_node(link); /* to its own other upstream */
        if (!tells_itself && mux_progress_walk_next(&mux->tests, &link->tests, &name))
            tell(mux, link, &name);
        else
            mux->retell_at++;
    }
}
