/*
 * The end of bundles at a node with a sink: their packets are offered to it one by one, under the
 * pins of their streams. A bundle counts as safe when the owner says that it keeps what its sink
 * has taken: mux_sink_safe().
 */
#include "mux/node/mux_internal.h"

/* What the sink has taken, and its owner does not keep yet. */
static struct mux_batch_items *given_of(struct mux *mux) {
    return &mux->unbundle->of[mux->fill == &mux->batches[1]];
}

void mux_unbundle_note_given(struct mux *mux, struct mux_end_stream *stream) {
    struct mux_batch_items *given = given_of(mux);
    bool goes_on = given->count > 0 && given->item[given->count - 1].stream == stream;
    assert(goes_on || given->count < MUX_BATCH_ITEMS);
    given->count += !goes_on;
    given->item[given->count - 1] =
        (struct mux_batch_item){.stream = stream, .at = stream->known.at, .crc = stream->known.crc};
}

void mux_unbundle_given_is_safe(struct mux *mux) {
    struct mux_batch_items *given = given_of(mux);
    for (unsigned i = 0; i < given->count; i++)
        mux_end_safe(&mux->unbundle->end, given->item[i].stream, given->item[i].at,
                     given->item[i].crc, mux->ran_ns);
    mux->is_due = mux->is_due || !mux_unbundle_has_room(mux); /* for want of places, perhaps */
    given->count = 0;
}

static bool give_packet(struct mux *mux, const struct mux_packet *packet, size_t bytes) {
    struct mux_packet routed = *packet;
    routed.route = mux_unbundle_route(mux->unbundle, packet->route);
    if (!mux_sink_offer(mux, NULL, &routed))
        return false;
    mux_count_forwarded(mux, 1, bytes, bytes);
    MUX_COUNT(&mux->counters, unbundled_packets, 1);
    mux_unbundle_follow(mux, packet);
    return true;
}

/* More than one packet, of which the sink may have taken some. */
static bool give_damage(struct mux *mux, struct mux_span bytes, enum mux_error why) {
    struct mux_unbundle *unbundle = mux->unbundle;
    struct mux_packet events[MUX_REPORT_DAMAGE_EVENTS];
    mux_report_damage_events(bytes, why, events);
    for (; unbundle->damage_given < MUX_REPORT_DAMAGE_EVENTS; unbundle->damage_given++) {
        events[unbundle->damage_given].route = unbundle->stream->pin;
        if (!mux_sink_offer(mux, NULL, &events[unbundle->damage_given]))
            return false;
    }
    unbundle->damage_given = 0;
    mux_count_forwarded(mux, MUX_REPORT_DAMAGE_EVENTS, bytes.len, bytes.len);
    mux_unbundle_note_damage(mux, bytes, why);
    return true;
}

bool mux_unbundle_give(struct mux *mux) {
    struct mux_unbundle *unbundle = mux->unbundle;
    struct mux_bundle_item item;
    while (unbundle->left.len > 0) {
        struct mux_span left = unbundle->left;
        if (!mux_sink_takes(mux))
            return false;
        enum mux_error error = mux_bundle_next(&left, &item);
        if (error ? !give_damage(mux, item.bytes, error)
                  : !give_packet(mux, &item.packet, item.bytes.len))
            return false;
        unbundle->left = left;
    }
    return true;
}
