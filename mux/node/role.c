/*
 * The role of a node that takes bundles: a relay of bundles, and a leaf for its own workers, while
 * its upstream takes them, too (rules 2 to 4 of the reliable protocol). A node or a program that
 * knows nothing of bundles is met by plain packets. A node whose upstream is a file or a program,
 * or that has a sink, is the end of the bundles below it. Before its upstream has answered, a node
 * tells those below that it takes bundles, and none of what they send is taken.
 */
#include "mux/node/mux_internal.h"

void mux_role_init(struct mux *mux) {
    const struct mux_config *config = &mux->config;
    if (config->window_bytes == 0)
        mux->role = MUX_IS_PLAIN;
    else
        mux->role = config->upstream_is_node ? MUX_IS_UNDECIDED : MUX_IS_END;
}

bool mux_upstream_takes_bundles(const struct mux *mux) {
    return mux_is_relay(mux);
}

/*
 * Links with bundles have nobody above them who understands these. Their nodes connect again, are
 * answered without bundles, and still have all that was not acknowledged.
 */
static void part_with_bundles(struct mux *mux) {
    for (struct mux_list *at = mux->nodes.next; at != &mux->nodes; at = at->next) {
        struct mux_link *link = MUX_LIST_ITEM(at, struct mux_link, node_entry);
        if (link->has_bundles && !mux_link_is_away(link))
            mux_link_break_off(link, "the node above takes no bundles any more");
    }
}

bool mux_role_take(struct mux *mux, const struct mux_hello *answer) {
    enum mux_role before = mux->role;
    if (mux->config.window_bytes == 0)
        return false;
    mux->role = answer->takes_bundles ? MUX_IS_RELAY : MUX_IS_PLAIN;
    if (before != MUX_IS_PLAIN && mux->role == MUX_IS_PLAIN)
        part_with_bundles(mux);
    return before != MUX_IS_UNDECIDED && before != mux->role;
}
