/* A link's timers: chatter without a newline, packets that do not continue. */
#include "mux/node/mux_internal.h"

static void flush_chatter(struct mux *mux, uint64_t now_ns) {
    while (!mux_list_empty(&mux->chatter)) {
        struct mux_link *link = MUX_LIST_ITEM(mux->chatter.next, struct mux_link, chatter_entry);
        if (link->received_ns + CHATTER_SILENCE_NS > now_ns)
            break;
        mux_list_remove(&link->chatter_entry);
        mux_framer_flush(&link->framer);
        mux_link_activate(link);
    }
}

static void resync_later(struct mux_link *link, uint64_t from_ns) {
    link->resync_at_ns = from_ns + RESYNC_AFTER_NS;
    mux_list_append(&link->mux->resyncs, &link->resync_entry);
}

/* True: there are frames to take. */
static bool resync(struct mux_link *link) {
    if (mux_framer_resynchronise(&link->framer)) {
        MUX_COUNT(&link->mux->counters, abandoned_packets, 1);
        return true;
    }
    link->resync_bytes = 2 * mux_framer_stored(&link->framer);
    return false;
}

/*
 * Only when all that was received is in the store: a link that waits for a slot or a batch has
 * more.
 */
static void resync_old(struct mux *mux, uint64_t now_ns) {
    while (!mux_list_empty(&mux->resyncs)) {
        struct mux_link *link = MUX_LIST_ITEM(mux->resyncs.next, struct mux_link, resync_entry);
        if (link->resync_at_ns > now_ns)
            break;
        mux_list_remove(&link->resync_entry);
        if (link->turn != MUX_TURN_IDLE)
            resync_later(link, now_ns);
        else if (resync(link))
            mux_link_activate(link);
    }
}

void mux_links_run(struct mux *mux, uint64_t now_ns) {
    flush_chatter(mux, now_ns);
    resync_old(mux, now_ns);
}

uint64_t mux_links_deadline_ns(const struct mux *mux) {
    uint64_t deadline_ns = UINT64_MAX;
    if (!mux_list_empty(&mux->chatter)) {
        const struct mux_link *link =
            MUX_LIST_ITEM(mux->chatter.next, struct mux_link, chatter_entry);
        deadline_ns = link->received_ns + CHATTER_SILENCE_NS;
    }
    if (!mux_list_empty(&mux->resyncs)) {
        const struct mux_link *link =
            MUX_LIST_ITEM(mux->resyncs.next, struct mux_link, resync_entry);
        if (link->resync_at_ns < deadline_ns)
            deadline_ns = link->resync_at_ns;
    }
    return deadline_ns;
}

void mux_link_progressed(struct mux_link *link) {
    mux_list_remove(&link->resync_entry);
    link->resync_bytes = 0;
}

bool mux_link_resynchronise(struct mux_link *link) {
    if (link->resync_bytes)
        return mux_framer_stored(&link->framer) >= link->resync_bytes && resync(link);
    if (mux_list_empty(&link->resync_entry))
        resync_later(link, link->received_ns);
    return false;
}
