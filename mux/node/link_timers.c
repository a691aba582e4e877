/* What a link's input does by the clock: chatter without a newline, packets that do not go on. */
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

static void look_later(struct mux_link *link, uint64_t from_ns) {
    link->look_at_ns = from_ns + LOOK_AFTER_NS;
    mux_list_append(&link->mux->looks, &link->look_entry);
}

/* True: there are frames to take. */
static bool look_into(struct mux_link *link) {
    if (mux_framer_look_into(&link->framer)) {
        MUX_COUNT(&link->mux->counters, abandoned_packets, 1);
        return true;
    }
    link->look_bytes = 2 * mux_framer_stored(&link->framer);
    return false;
}

/* Only when all that has come is in the store: a link that waits for a slot or a batch has more. */
static void look_into_old(struct mux *mux, uint64_t now_ns) {
    while (!mux_list_empty(&mux->looks)) {
        struct mux_link *link = MUX_LIST_ITEM(mux->looks.next, struct mux_link, look_entry);
        if (link->look_at_ns > now_ns)
            break;
        mux_list_remove(&link->look_entry);
        if (link->turn != MUX_TURN_IDLE)
            look_later(link, now_ns);
        else if (look_into(link))
            mux_link_activate(link);
    }
}

void mux_links_run(struct mux *mux, uint64_t now_ns) {
    flush_chatter(mux, now_ns);
    look_into_old(mux, now_ns);
}

uint64_t mux_links_deadline_ns(const struct mux *mux) {
    uint64_t deadline_ns = UINT64_MAX;
    if (!mux_list_empty(&mux->chatter)) {
        const struct mux_link *link =
            MUX_LIST_ITEM(mux->chatter.next, struct mux_link, chatter_entry);
        deadline_ns = link->received_ns + CHATTER_SILENCE_NS;
    }
    if (!mux_list_empty(&mux->looks)) {
        const struct mux_link *link = MUX_LIST_ITEM(mux->looks.next, struct mux_link, look_entry);
        if (link->look_at_ns < deadline_ns)
            deadline_ns = link->look_at_ns;
    }
    return deadline_ns;
}

void mux_link_progressed(struct mux_link *link) {
    mux_list_remove(&link->look_entry);
    link->look_bytes = 0;
}

bool mux_link_resynchronise(struct mux_link *link) {
    if (link->look_bytes)
        return mux_framer_stored(&link->framer) >= link->look_bytes && look_into(link);
    if (mux_list_empty(&link->look_entry))
        look_later(link, link->received_ns);
    return false;
}
