/* The connection to the upstream: what is in flight on it, and what comes from it. */
#include "mux/node/mux_internal.h"

/* The memory of what was in flight is free again. */
static void clear_flight(struct mux *mux, size_t sent_bytes) {
    mux_batch_clear(mux->flight);
    mux_unbundle_clear(mux, mux->flight);
    mux_leaf_batch_is_back(mux, mux->flight, sent_bytes);
    while (!mux_list_empty(&mux->pinned))
        mux_link_set_turn(MUX_LIST_ITEM(mux->pinned.next, struct mux_link, turn_entry),
                          MUX_TURN_ACTIVE);
}

/*
 * Rule 31: leaves have all of it still, this node's own stream too. What waits here of one that
 * dies meanwhile would bring it back to life.
 */
static void drop_queue(struct mux *mux) {
    clear_flight(mux, 0);
    mux_batch_clear(mux->fill);
    mux_leaf_batch_is_back(mux, mux->fill, 0);
}

static const struct mux_gather *take(struct mux *mux) {
    const struct mux_gather *handshake = mux_handshake_take(mux);
    if (handshake) {
        mux->in_flight = MUX_IN_FLIGHT_HANDSHAKE;
        return handshake;
    }
    if (!mux_handshake_sends_packets(mux))
        return NULL;
    if (mux->flight->gather.len_bytes == 0) {
        if (mux->fill->gather.len_bytes == 0)
            return NULL;
        mux_unbundle_seal(mux);
        struct mux_batch *empty = mux->flight;
        mux->flight = mux->fill;
        mux->fill = empty;
    }
    mux->in_flight = MUX_IN_FLIGHT_BATCH;
    return &mux->flight->gather;
}

const struct mux_gather *mux_upstream_take(struct mux *mux) {
    if (mux->in_flight != MUX_IN_FLIGHT_NOTHING)
        return NULL;
    const struct mux_gather *gather = take(mux);
    if (gather)
        mux_beat_sent(mux);
    return gather;
}

void mux_upstream_sent(struct mux *mux) {
    assert(mux->in_flight != MUX_IN_FLIGHT_NOTHING);
    if (mux->in_flight == MUX_IN_FLIGHT_BATCH) {
        size_t sent_bytes = mux->flight->gather.len_bytes;
        MUX_COUNT(&mux->counters, sent_bytes, sent_bytes);
        mux_unbundle_sent(mux);
        clear_flight(mux, sent_bytes);
    }
    mux->in_flight = MUX_IN_FLIGHT_NOTHING;
    mux_sane(mux);
}

void mux_upstream_lost(struct mux *mux, uint64_t sent_bytes, uint64_t now_ns) {
    if (mux->in_flight == MUX_IN_FLIGHT_BATCH) {
        size_t before = mux->flight->gather.len_bytes;
        if (mux_batch_drop_sent(mux->flight, sent_bytes))
            MUX_COUNT(&mux->counters, resent_packets, 1);
        MUX_COUNT(&mux->counters, sent_bytes, before - mux->flight->gather.len_bytes);
        if (mux->flight->gather.len_bytes == 0) {
            mux_unbundle_sent(mux);
            clear_flight(mux, 0);
        }
    }
    mux->in_flight = MUX_IN_FLIGHT_NOTHING;
    if (mux_is_relay(mux))
        drop_queue(mux);
    mux_handshake_lost(mux);
    mux_down_cut(mux, now_ns);
    mux_leaf_ask_anew(mux);
    mux_sane(mux);
}

uint64_t mux_upstream_pending_bytes(const struct mux *mux) {
    return mux->flight->gather.len_bytes + mux->fill->gather.len_bytes + mux->sink.bytes +
           mux_leaf_pending_bytes(mux) + mux_unbundle_pending_bytes(mux);
}

bool mux_upstream_pending_is_news(const struct mux *mux) {
    return mux_leaf_is_news(mux) && mux_upstream_pending_bytes(mux) == mux_leaf_pending_bytes(mux);
}

/* What is in batches on its way from a stream, or from one below, is kept there, too. */
uint64_t mux_upstream_spooled_bytes(const struct mux *mux) {
    const struct mux_stream *stream = &mux->leaf.stream;
    if (!mux->leaf.spooler)
        return 0;
    uint64_t batches = mux->flight->gather.len_bytes + mux->fill->gather.len_bytes;
    return mux_stream_held_bytes(stream) - mux_stream_unspooled_bytes(stream) +
           (mux_has_stream(mux) ? batches : 0);
}

void mux_upstream_received(struct mux *mux, struct mux_buffer *buffer, struct mux_span bytes) {
    MUX_COUNT(&mux->counters, down_received_bytes, bytes.len);
    mux_beat_heard(mux);
    mux_input_append(mux, &mux->down.inputs, buffer, bytes);
}

bool mux_upstream_wants_receive(const struct mux *mux) {
    return mux->down.state == MUX_DOWN_READS;
}
