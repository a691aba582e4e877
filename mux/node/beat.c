/*
 * Beats on links with bundles (rules 42 and 43 of the reliable protocol): who lives is heard, so
 * one that has stopped, or whose host has vanished, is left. A node without an upstream is left,
 * too: those below it may have another.
 *
 * Each link with bundles has its own time for its next beat and for the look at its silence, so
 * thousands of them are not all queued at one moment.
 */
#include "mux/node/beat.h"
#include "mux/node/mux_internal.h"

/* When there is no memory for a beat down. */
#define AGAIN_NS UINT64_C(10000000)

static const char no_upstream[] = "this node has no upstream";

static uint64_t longer(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static uint64_t interval_ns(const struct mux *mux) {
    return longer(mux->config.node_grace_ns / MUX_BEATS_IN_GRACE, MUX_BEAT_LEAST_NS);
}

static uint64_t silence_ns(const struct mux *mux) {
    return MUX_BEATS_IN_SILENCE * interval_ns(mux);
}

static uint64_t cutoff_ns(const struct mux *mux) {
    uint64_t of_silence_ns = silence_ns(mux);
    return of_silence_ns < MUX_BEAT_CUTOFF_NS ? of_silence_ns : MUX_BEAT_CUTOFF_NS;
}

void mux_beat_init(struct mux *mux) {
    mux_list_init(&mux->beat.links);
}

void mux_beat_open(struct mux_link *link) {
    struct mux *mux = link->mux;
    link->beat_ns = mux->ran_ns + interval_ns(mux);
    link->unjudged_ns = mux->ran_ns;
    mux_list_append(&mux->beat.links, &link->beat_entry); /* all wait for the same time */
}

/*
 * ---- the upstream ----
 */

void mux_beat_heard(struct mux *mux) {
    mux->beat.heard_ns = mux->ran_ns;
}

void mux_beat_sent(struct mux *mux) {
    mux->beat.sent_ns = mux->ran_ns;
}

static bool is_watched(const struct mux *mux) {
    return mux_is_relay(mux) && mux_handshake_sends_packets(mux);
}

size_t mux_beat_take(struct mux *mux, uint8_t out[MUX_HELLO_PACKET_BYTES]) {
    _Static_assert(MUX_MESSAGE_BEAT_BYTES <= MUX_HELLO_PACKET_BYTES, "a beat is short");
    bool has_more = mux->fill->gather.len_bytes > 0 || mux->flight->gather.len_bytes > 0;
    if (!is_watched(mux) || has_more || mux->ran_ns < mux->beat.sent_ns + interval_ns(mux))
        return 0;
    MUX_COUNT(&mux->counters, beats_sent, 1);
    return mux_beat_write(out);
}

/* While this node does not read what comes down, silence says nothing. */
static void watch_upstream(struct mux *mux) {
    struct mux_beat *beat = &mux->beat;
    if (!is_watched(mux) || !mux_upstream_wants_receive(mux))
        beat->heard_ns = mux->ran_ns;
    else if (mux->ran_ns >= beat->heard_ns + silence_ns(mux))
        mux_handshake_give_up(mux, "it is silent: it has stopped, or cannot be reached");
}

/*
 * ---- links ----
 */

/* False: there is no memory now. One that is behind has other things to read. */
static bool send_down(struct mux_link *link) {
    uint8_t out[MUX_MESSAGE_BEAT_BYTES];
    struct mux_span bytes = mux_span(out, mux_beat_write(out));
    const struct mux_pieces beat = {.piece = {bytes}, .count = 1, .len_bytes = bytes.len};
    if (mux_down_offer(link, &beat))
        MUX_COUNT(&link->mux->counters, beats_sent, 1);
    return link->down.bytes > 0 || link->mux->down.free_count > 0;
}

bool mux_beat_handle(struct mux_link *link, const struct mux_packet *packet) {
    if (!link->has_bundles || packet->route.data || mux_message_kind(packet) != MUX_MESSAGE_BEAT)
        return false;
    const char *why = mux_beat_read(packet);
    if (why)
        mux_link_break_off(link, why);
    return true;
}

static void watch(struct mux_link *link) {
    struct mux *mux = link->mux;
    uint64_t since_ns = longer(link->unjudged_ns, link->received_ns);
    if (!mux_node_is_read_empty(link))
        link->unjudged_ns = mux->ran_ns;
    else if (mux->ran_ns >= since_ns + silence_ns(mux))
        mux_link_break_off(link, "it is silent: it has stopped, or cannot be reached");
}

static void serve_links(struct mux *mux) {
    struct mux_beat *beat = &mux->beat;
    beat->again_ns = 0;
    while (!mux_list_empty(&beat->links)) {
        struct mux_link *link = MUX_LIST_ITEM(beat->links.next, struct mux_link, beat_entry);
        if (link->beat_ns > mux->ran_ns)
            return;
        if (!send_down(link)) {
            beat->again_ns = mux->ran_ns + AGAIN_NS;
            return;
        }
        watch(link);
        link->beat_ns = mux->ran_ns + interval_ns(mux);
        mux_list_append(&beat->links, &link->beat_entry);
    }
}

/*
 * ---- without an upstream ----
 */

static void cut_off(struct mux *mux) {
    mux->beat.is_cut_off = true;
    for (struct mux_list *at = mux->beat.links.next; at != &mux->beat.links; at = at->next)
        mux_link_break_off(MUX_LIST_ITEM(at, struct mux_link, beat_entry), no_upstream);
}

static void watch_way_up(struct mux *mux) {
    struct mux_beat *beat = &mux->beat;
    if (!mux_has_stream(mux) || mux_upstream_accepted(mux)) {
        beat->apart_ns = mux->ran_ns;
        beat->is_cut_off = false;
    } else if (!beat->is_cut_off && mux->ran_ns >= beat->apart_ns + cutoff_ns(mux)) {
        cut_off(mux);
    }
}

const char *mux_beat_refuses(const struct mux_link *link) {
    return link->has_bundles && link->mux->beat.is_cut_off ? no_upstream : NULL;
}

/*
 * ---- time ----
 */

void mux_beat_run(struct mux *mux) {
    if (!mux_takes_bundles(mux))
        return;
    watch_upstream(mux);
    watch_way_up(mux);
    serve_links(mux);
}

void mux_beat_slept(struct mux *mux, uint64_t now_ns) {
    mux->beat.heard_ns = now_ns;
    mux->beat.apart_ns = now_ns;
    for (struct mux_list *at = mux->beat.links.next; at != &mux->beat.links; at = at->next)
        MUX_LIST_ITEM(at, struct mux_link, beat_entry)->unjudged_ns = now_ns;
}

static uint64_t sooner(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

uint64_t mux_beat_deadline_ns(const struct mux *mux) {
    const struct mux_beat *beat = &mux->beat;
    uint64_t deadline_ns = UINT64_MAX;
    if (!mux_takes_bundles(mux))
        return deadline_ns;
    if (is_watched(mux))
        deadline_ns = sooner(beat->heard_ns + silence_ns(mux), beat->sent_ns + interval_ns(mux));
    else if (mux_has_stream(mux) && !beat->is_cut_off && !mux_upstream_accepted(mux))
        deadline_ns = beat->apart_ns + cutoff_ns(mux);
    if (beat->again_ns)
        return sooner(deadline_ns, beat->again_ns);
    if (!mux_list_empty(&beat->links))
        deadline_ns = sooner(deadline_ns,
                             MUX_LIST_ITEM(beat->links.next, struct mux_link, beat_entry)->beat_ns);
    return deadline_ns;
}
