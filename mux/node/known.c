#include "mux/node/known.h"
#include "mux/packet/crc.h"

static void take_where(struct mux_known *known, const struct mux_where *where) {
    known->epoch = where->epoch;
    known->is_final = where->is_final;
    known->len_bytes = where->len_bytes;
    known->has_asked = false;
}

void mux_known_open(struct mux_known *known, const struct mux_where *where) {
    *known = (struct mux_known){.at = where->base, .crc = where->crc, .safe = where->base};
    memcpy(known->stream, where->stream, MUX_STREAM_ID_BYTES);
    take_where(known, where);
}

bool mux_known_where(struct mux_known *known, const struct mux_where *where,
                     struct mux_known_hole *hole) {
    *hole = (struct mux_known_hole){known->at, known->at};
    if (where->epoch < known->epoch)
        return false;
    take_where(known, where);
    if (where->base > known->at) {
        hole->to = known->at = where->base;
        known->crc = where->crc;
    }
    return true;
}

enum mux_known_verdict mux_known_bundle(struct mux_known *known, const struct mux_bundle *bundle,
                                        const struct mux_bundle_run *content) {
    if (bundle->epoch < known->epoch)
        return MUX_KNOWN_LATE;
    if (bundle->epoch == known->epoch && bundle->offset == known->at && bundle->crc == known->crc) {
        known->at += content->len_bytes;
        known->crc = mux_crc_concat(known->crc, content->crc, content->len_bytes);
        return MUX_KNOWN_TAKEN;
    }
    if (known->has_asked)
        return MUX_KNOWN_DROPPED;
    known->has_asked = true;
    return MUX_KNOWN_DROPPED_ASK;
}

void mux_known_safe(struct mux_known *known, uint64_t safe) {
    assert(safe <= known->at);
    if (safe > known->safe)
        known->safe = safe;
}

bool mux_known_is_done(const struct mux_known *known) {
    return known->is_final && known->at >= known->len_bytes;
}

struct mux_ack mux_known_ack(const struct mux_known *known,
                             const uint8_t end[MUX_STREAM_ID_BYTES]) {
    struct mux_ack ack = {
        .epoch = known->epoch, .at = known->at, .safe = known->safe, .crc = known->crc};
    memcpy(ack.stream, known->stream, MUX_STREAM_ID_BYTES);
    memcpy(ack.end, end, MUX_STREAM_ID_BYTES);
    return ack;
}
