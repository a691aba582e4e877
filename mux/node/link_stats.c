/* What a link is doing, for people who ask which one holds the others up. */
#include "mux/node/mux_internal.h"

static enum mux_link_standing standing_of(const struct mux_link *link) {
    if (link->entry == MUX_ENTRY_GIVEN_UP)
        return MUX_STANDING_GIVEN_UP;
    if (link->entry == MUX_ENTRY_AWAY)
        return MUX_STANDING_AWAY;
    if (link->verdict != MUX_VERDICT_KEPT)
        return MUX_STANDING_CLOSING;
    if (link->input != MUX_INPUT_OPEN)
        return MUX_STANDING_ENDED;
    return mux_link_has_started(link) ? MUX_STANDING_OPEN : MUX_STANDING_SILENT;
}

/* No buffer is free to receive into, and what goes up holds some. */
static bool waits_for_buffer(const struct mux_link *link) {
    const struct mux *mux = link->mux;
    return !mux_list_empty(&link->starved_entry) &&
           (mux->fill->held_count || mux->flight->held_count);
}

static enum mux_link_wait wait_of(const struct mux_link *link) {
    if (link->predecessor)
        return MUX_WAIT_PREDECESSOR;
    if (mux_link_waits_for_slot(link))
        return MUX_WAIT_SLOT;
    if (mux_link_has_turn(link))
        return link->mux->sink.state == MUX_SINK_BLOCKED ? MUX_WAIT_SINK : MUX_WAIT_UPSTREAM;
    if (waits_for_buffer(link))
        return MUX_WAIT_UPSTREAM;
    return link->down.bytes ? MUX_WAIT_READER : MUX_WAIT_NOTHING;
}

void mux_link_stats(const struct mux_link *link, struct mux_link_stats *stats) {
    struct mux_progress_name name = {0};
    *stats = (struct mux_link_stats){
        .peer = link->peer,
        .node_name = mux_link_is_node(link) ? link->name : "",
        .standing = standing_of(link),
        .wait = wait_of(link),
        .has_slot = link->slot != NULL,
        .received_bytes = link->received_bytes,
        .received_packets = link->received_packets,
        .sent_down_bytes = link->sent_down_bytes,
        .queued_down_bytes = link->down.bytes,
        .tests = link->tests.count + link->tests.unnamed,
    };
    mux_progress_oldest(&link->mux->tests, &link->tests, &name, &stats->oldest_age_ns);
    stats->oldest_id = name.test_id;
    stats->oldest_route = name.route;
    mux_clock_link_stats(link, &stats->clock);
}

struct mux_link *mux_link_next(const struct mux *mux, const struct mux_link *after) {
    size_t at = after ? (size_t)(after - mux->links) + 1 : 0;
    while (at < mux->links_touched && mux->links[at].entry == MUX_ENTRY_FREE)
        at++;
    return at < mux->links_touched ? &mux->links[at] : NULL;
}
