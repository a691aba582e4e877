/*
 * What a leaf has in its spool: its own stream goes on from there when it was away for longer than
 * its memory is large, and streams of earlier lives are sent, one at a time, in turn with its own
 * (rules 11 to 12b of the reliable protocol; spooler.h has the files).
 */
#include "mux/node/mux_internal.h"
#include "mux/packet/crc.h"

#include <stdlib.h>

static void say(void *user, const char *line) {
    struct mux *mux = user;
    mux_log(mux, "%s", line);
}

bool mux_leaf_init_spool(struct mux *mux, struct mux_room memory) {
    const struct mux_spooler_config config = {mux->config.spool, mux, say, memory};
    if (mux->config.spool.most_bytes == 0)
        return true;
    mux->leaf.spooler = calloc(1, sizeof *mux->leaf.spooler);
    return mux->leaf.spooler && mux_spooler_init(mux->leaf.spooler, &config, &mux->leaf.stream);
}

void mux_leaf_fini_spool(struct mux *mux) {
    if (mux->leaf.spooler)
        mux_spooler_fini(mux->leaf.spooler);
    free(mux->leaf.spooler);
}

void mux_leaf_begin_spool(struct mux *mux) {
    if (!mux->leaf.spooler)
        return;
    mux_stream_use_spool(&mux->leaf.stream);
    mux_spooler_begin(mux->leaf.spooler);
}

/*
 * ---- its owner's part ----
 */

bool mux_spool_found(struct mux *mux, const struct mux_spool_head *head, uint64_t len_bytes) {
    return mux_spooler_add_file(mux->leaf.spooler, head, len_bytes);
}

static void count(struct mux *mux) {
    const struct mux_spooler *spooler = mux->leaf.spooler;
    uint64_t *value = mux->counters.value;
    value[MUX_COUNT_spool_bytes] = spooler->bytes;
    value[MUX_COUNT_spool_written_bytes] = spooler->written_bytes;
    value[MUX_COUNT_spool_read_bytes] = spooler->read_bytes;
    value[MUX_COUNT_spool_holes] = spooler->holes;
    value[MUX_COUNT_spool_lost_bytes] = spooler->lost_bytes;
}

const struct mux_spool_op *mux_spool_take(struct mux *mux) {
    if (!mux->leaf.spooler)
        return NULL;
    count(mux);
    return mux_spooler_take(mux->leaf.spooler, mux_is_leaving(mux), mux->ran_ns);
}

void mux_spool_done(struct mux *mux, size_t bytes, const char *why) {
    mux_spooler_done(mux->leaf.spooler, bytes, why, mux->ran_ns);
    mux_leaf_restart(mux);
    mux->is_due = true;
}

bool mux_spool_is_busy(const struct mux *mux) {
    return mux->leaf.spooler && mux->leaf.spooler->is_busy;
}

bool mux_spool_is_settled(const struct mux *mux) {
    return !mux->leaf.spooler || mux_spooler_is_settled(mux->leaf.spooler);
}

uint64_t mux_leaf_spool_deadline_ns(const struct mux *mux) {
    return mux->leaf.spooler ? mux_spooler_deadline(mux->leaf.spooler) : UINT64_MAX;
}

/*
 * ---- sending ----
 */

static struct mux_spool_tap *tap_of(struct mux *mux, const struct mux_stream *stream) {
    bool is_own = stream == &mux->leaf.stream;
    return &mux->leaf.spooler->taps[is_own ? MUX_SPOOL_TAP_OWN : MUX_SPOOL_TAP_EARLIER];
}

static bool send_record(struct mux *mux, struct mux_stream *stream,
                        const struct mux_spool_place *place) {
    struct mux_stream_out out;
    if (!mux_stream_give_spooled(stream, &place->record, mux->ran_ns, &out)) {
        mux_leaf_fork(mux, stream);
        return true;
    }
    out.spans[0] = place->content;
    out.spans[1] = mux_span(place->content.data + place->content.len, 0);
    mux_leaf_send_bundle(mux, &out, &tap_of(mux, stream)->buffer);
    return true;
}

bool mux_leaf_send_spooled(struct mux *mux, struct mux_stream *stream) {
    struct mux_spool_place place;
    switch (mux_spooler_read(mux->leaf.spooler, tap_of(mux, stream), stream, &place)) {
    case MUX_SPOOL_AT_RECORD:
        return send_record(mux, stream, &place);
    case MUX_SPOOL_AT_HOLE:
        return mux_stream_leap(stream, place.to, place.crc);
    case MUX_SPOOL_AT_OTHERS:
        if (!mux_stream_part(stream, place.crc))
            return false;
        mux_leaf_fork(mux, stream);
        return true;
    default:
        return false;
    }
}

/* The upstream takes no bundles: the content is whole packets. */
bool mux_leaf_drain_spooled(struct mux *mux) {
    struct mux_leaf *leaf = &mux->leaf;
    struct mux_stream *stream = &leaf->stream;
    struct mux_spool_place place;
    if (!leaf->spooler || stream->base == mux_stream_memory_from(stream))
        return false;
    mux_stream_rewind(stream);
    switch (mux_spooler_read(leaf->spooler, tap_of(mux, stream), stream, &place)) {
    case MUX_SPOOL_AT_RECORD:
        mux_leaf_send_plain(mux, place.content, &tap_of(mux, stream)->buffer);
        place.to = place.record.offset + place.record.content_len_bytes;
        place.crc = mux_crc_concat(place.record.crc, place.record.content_crc,
                                   place.record.content_len_bytes);
        break;
    case MUX_SPOOL_AT_HOLE:
        break;
    case MUX_SPOOL_AT_OTHERS:
        place.to = stream->position;
        break;
    default:
        return false;
    }
    mux_stream_skip(stream, place.to, place.crc);
    mux_spooler_safe(leaf->spooler, stream);
    return true;
}

/*
 * ---- what becomes of it ----
 */

void mux_leaf_settle(struct mux *mux, struct mux_stream *stream) {
    struct mux_leaf *leaf = &mux->leaf;
    if (!leaf->spooler)
        return;
    mux_spooler_safe(leaf->spooler, stream);
    bool is_drained =
        stream == &leaf->stream && leaf->must_restart && stream->base == stream->len_bytes;
    if (!mux_stream_is_done(stream) && !is_drained)
        return;
    mux_spooler_forget(leaf->spooler, stream->id);
    if (stream != &leaf->earlier)
        return;
    leaf->has_earlier = false;
    leaf->earlier_where_in = NULL;
    mux_spooler_rest(tap_of(mux, stream));
    mux_log(mux,
            "the spool: what an earlier life of this node has left there is acknowledged: %u "
            "earlier lives are left",
            mux_spooler_earlier_count(leaf->spooler));
    mux->is_due = true;
}

void mux_leaf_renamed(struct mux *mux, struct mux_stream *stream,
                      const uint8_t from[MUX_STREAM_ID_BYTES]) {
    if (!mux->leaf.spooler)
        return;
    mux_spooler_rename(mux->leaf.spooler, from, stream->id);
    mux_spooler_rest(tap_of(mux, stream));
}

/* With nothing of it left there is nothing to say. */
void mux_leaf_begin_earlier(struct mux *mux) {
    struct mux_leaf *leaf = &mux->leaf;
    const struct mux_stream_limits limits = mux_leaf_limits(mux);
    uint8_t id[MUX_STREAM_ID_BYTES];
    struct mux_stream_extent extent;
    while (leaf->spooler && !leaf->has_earlier &&
           mux_spooler_earlier(leaf->spooler, id, &extent) == MUX_SPOOL_EARLIER_FOUND) {
        if (extent.base == extent.len_bytes) {
            mux_spooler_forget(leaf->spooler, id);
            continue;
        }
        mux_stream_init_earlier(&leaf->earlier, id, &limits, &extent);
        leaf->has_earlier = true;
    }
}

void mux_leaf_stats(const struct mux *mux, struct mux_leaf_stats *stats) {
    const struct mux_leaf *leaf = &mux->leaf;
    const struct mux_stream *stream = &leaf->stream;
    *stats = (struct mux_leaf_stats){.spool_refusal = ""};
    if (mux->config.window_bytes == 0)
        return;
    stats->window_bytes = mux_stream_unspooled_bytes(stream);
    stats->unsafe_bytes = mux_stream_held_bytes(stream);
    if (stats->unsafe_bytes > 0 && mux->ran_ns > stream->moved_ns && stream->moved_ns > 0)
        stats->oldest_age_ns = mux->ran_ns - stream->moved_ns;
    if (!leaf->spooler)
        return;
    stats->spool_bytes = leaf->spooler->bytes;
    stats->earlier_streams = mux_spooler_earlier_count(leaf->spooler);
    stats->is_spool_full = leaf->spooler->is_full;
    stats->spool_refusal = leaf->spooler->refused;
}
