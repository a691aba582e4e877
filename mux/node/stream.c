#include "mux/node/stream.h"
#include "mux/packet/crc.h"

/* The i-th of those that are in memory. No division: it happens for each packet. */
static struct mux_stream_record *record_at(const struct mux_stream *stream, size_t i) {
    assert(i < stream->count && stream->first < stream->records_max);
    size_t at = stream->first + i;
    return &stream->records[at < stream->records_max ? at : at - stream->records_max];
}

static uint64_t end_of(const struct mux_stream_record *record) {
    return record->offset + record->content.len_bytes;
}

static uint32_t crc_behind(const struct mux_stream_record *record) {
    return mux_crc_concat(record->crc, record->content.crc, record->content.len_bytes);
}

static uint64_t lesser(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static inline uint64_t memory_from(const struct mux_stream *stream) {
    return stream->count > 0 ? stream->records[stream->first].offset : stream->len_bytes;
}

uint64_t mux_stream_memory_from(const struct mux_stream *stream) {
    return memory_from(stream);
}

/* Somebody sends or writes from memory behind it. */
static uint64_t used_from(const struct mux_stream *stream) {
    return lesser(stream->lent_from, stream->written_from);
}

/* From the oldest byte whose memory is in use. */
static uint64_t kept_bytes(const struct mux_stream *stream) {
    uint64_t end = stream->len_bytes + stream->cut.len_bytes;
    return end - lesser(used_from(stream), memory_from(stream));
}

static void stream_sane(const struct mux_stream *stream) {
    assert(stream->base <= stream->position && stream->position <= stream->len_bytes);
    assert(kept_bytes(stream) <= stream->ring.len);
    assert(stream->add_at <= stream->ring.len);
    uint64_t from = memory_from(stream);
    assert(stream->base <= stream->safe && stream->safe <= stream->len_bytes);
    assert(stream->base <= from && (stream->has_spool || stream->base == from));
    assert(stream->base == from || from <= stream->spooled);
    assert(!stream->must_compare || stream->state == MUX_STREAM_OPEN);
    assert(stream->epoch != MUX_STREAM_EPOCH_NONE);
    assert(!stream->is_probing || stream->state == MUX_STREAM_OPEN);
    assert(!stream->where_is_due || stream->is_probing || stream->state == MUX_STREAM_ASKING);
    assert(!stream->is_final || stream->cut.len_bytes == 0);
}

/* Every change of state, and of what belongs to it. */
static void set_state(struct mux_stream *stream, enum mux_stream_state state) {
    stream->state = state;
    stream->where_is_due = state == MUX_STREAM_ASKING;
    stream->is_probing = stream->must_compare = false;
    stream_sane(stream);
}

void mux_stream_init(struct mux_stream *stream, const uint8_t id[MUX_STREAM_ID_BYTES],
                     const struct mux_stream_limits *limits, struct mux_room ring,
                     struct mux_stream_record *records) {
    assert(ring.len >= MUX_STREAM_RING_BYTES(limits->window_bytes));
    assert(limits->stall_ns > 0 && limits->stall_ns <= limits->wait_most_ns);
    *stream = (struct mux_stream){
        .limits = *limits,
        .lent_from = UINT64_MAX,
        .written_from = UINT64_MAX,
        .epoch = 1,
        .record_most_bytes = MUX_STREAM_RECORD_LEAST_BYTES,
        .wait_ns = limits->stall_ns,
        .ring = ring,
        .round_bytes =
            limits->saves_memory ? limits->window_bytes + MUX_STREAM_ADD_USUAL_BYTES : ring.len,
        .beside_from = UINT64_MAX,
        .records = records,
        .records_max = MUX_STREAM_RECORDS(limits->window_bytes)};
    memcpy(stream->id, id, MUX_STREAM_ID_BYTES);
    stream_sane(stream);
}

void mux_stream_use_spool(struct mux_stream *stream) {
    assert(stream->len_bytes == 0);
    stream->has_spool = true;
}

void mux_stream_init_earlier(struct mux_stream *stream, const uint8_t id[MUX_STREAM_ID_BYTES],
                             const struct mux_stream_limits *limits,
                             const struct mux_stream_extent *extent) {
    assert(extent->base <= extent->len_bytes);
    *stream = (struct mux_stream){.limits = *limits,
                                  .lent_from = UINT64_MAX,
                                  .written_from = UINT64_MAX,
                                  .epoch = 1,
                                  .wait_ns = limits->stall_ns,
                                  .has_spool = true,
                                  .is_earlier = true,
                                  .is_final = true,
                                  .base = extent->base,
                                  .base_crc = extent->base_crc,
                                  .safe = extent->base,
                                  .position = extent->base,
                                  .len_bytes = extent->len_bytes,
                                  .spooled = extent->len_bytes,
                                  .crc = extent->crc};
    memcpy(stream->id, id, MUX_STREAM_ID_BYTES);
    stream_sane(stream);
}

/*
 * ---- cutting ----
 */

void mux_stream_set_rate(struct mux_stream *stream, size_t bytes_per_10ms) {
    if (bytes_per_10ms < MUX_STREAM_RECORD_LEAST_BYTES)
        stream->record_most_bytes = MUX_STREAM_RECORD_LEAST_BYTES;
    else if (bytes_per_10ms > MUX_STREAM_RECORD_MOST_BYTES)
        stream->record_most_bytes = MUX_STREAM_RECORD_MOST_BYTES;
    else
        stream->record_most_bytes = (uint32_t)bytes_per_10ms;
}

uint64_t mux_stream_held_bytes(const struct mux_stream *stream) {
    return stream->len_bytes - stream->safe + stream->cut.len_bytes;
}

uint64_t mux_stream_unspooled_bytes(const struct mux_stream *stream) {
    uint64_t from = stream->spooled > stream->safe ? stream->spooled : stream->safe;
    return stream->len_bytes - from + stream->cut.len_bytes;
}

/* Counts what its records cost. */
static bool is_full(const struct mux_stream *stream) {
    size_t records = stream->count + (stream->cut.len_bytes > 0);
    uint64_t used = kept_bytes(stream) + records * MUX_STREAM_RECORD_COST_BYTES;
    return used >= stream->limits.window_bytes;
}

static void drop_first(struct mux_stream *stream) {
    stream->first = stream->first + 1 < stream->records_max ? stream->first + 1 : 0;
    stream->count--;
}

/* Full: what the spool has leaves memory, the oldest first, but for what is in use. */
static void trim(struct mux_stream *stream) {
    while (memory_from(stream) < lesser(stream->spooled, used_from(stream))) {
        if (end_of(record_at(stream, 0)) > stream->spooled || !is_full(stream))
            return;
        drop_first(stream);
    }
}

/* An empty ring is filled from its front again: that is in the cache. */
static void begin_round(struct mux_stream *stream) {
    if (kept_bytes(stream) > 0)
        return;
    stream->round_from = stream->len_bytes;
    stream->beside_from = UINT64_MAX;
    stream->add_at = 0;
}

void mux_stream_lend(struct mux_stream *stream, uint64_t from) {
    stream->lent_from = from;
    trim(stream);
    begin_round(stream);
}

void mux_stream_writes(struct mux_stream *stream, uint64_t from) {
    stream->written_from = from;
    trim(stream);
    begin_round(stream);
}

void mux_stream_spooled(struct mux_stream *stream, uint64_t to) {
    assert(stream->has_spool && to >= stream->spooled && to <= stream->len_bytes);
    stream->spooled = to;
    trim(stream);
    stream_sane(stream);
}

static bool is_beside(const struct mux_stream *stream) {
    return stream->beside_from != UINT64_MAX;
}

bool mux_stream_has_room(const struct mux_stream *stream) {
    return !stream->is_final && !is_full(stream) && !is_beside(stream) &&
           stream->len_bytes < MUX_STREAM_BYTES_MAX - 2 * MUX_STREAM_ADD_MOST_BYTES;
}

static bool fits_in_round(const struct mux_stream *stream, size_t len_bytes) {
    return !is_beside(stream) && kept_bytes(stream) + len_bytes <= stream->round_bytes;
}

static bool fits_beside(const struct mux_stream *stream, size_t len_bytes) {
    size_t at = is_beside(stream) ? stream->add_at : stream->round_bytes;
    return len_bytes <= stream->ring.len - at;
}

bool mux_stream_fits(const struct mux_stream *stream, size_t len_bytes) {
    return !stream->is_final && stream->count + 2 <= stream->records_max &&
           len_bytes <= MUX_BUNDLE_CONTENT_MAX_BYTES &&
           (fits_in_round(stream, len_bytes) || fits_beside(stream, len_bytes));
}

static void close_cut(struct mux_stream *stream) {
    assert(stream->cut.len_bytes > 0 && stream->count < stream->records_max);
    stream->count++;
    struct mux_stream_record *record = record_at(stream, stream->count - 1);
    *record = (struct mux_stream_record){stream->len_bytes, stream->crc, stream->cut};
    stream->len_bytes = end_of(record);
    stream->crc = crc_behind(record);
    stream->cut = (struct mux_bundle_run){0};
    stream_sane(stream);
}

/* Where the part that is filled now ends; it goes on at the front, if it is the round one. */
static size_t part_end(const struct mux_stream *stream) {
    return is_beside(stream) ? stream->ring.len : stream->round_bytes;
}

/* A place in the ring so many bytes behind this one. No division: it happens for each packet. */
static size_t behind(const struct mux_stream *stream, size_t at, size_t len) {
    at += len;
    return is_beside(stream) || at < stream->round_bytes ? at : at - stream->round_bytes;
}

/* Copies bytes to this place; returns the one behind them. */
static size_t copy_in(struct mux_stream *stream, size_t at, struct mux_span bytes) {
    size_t left = part_end(stream) - at;
    size_t first = bytes.len < left ? bytes.len : left;
    memcpy(stream->ring.data + at, bytes.data, first);
    memcpy(stream->ring.data, bytes.data + first, bytes.len - first);
    return behind(stream, at, bytes.len);
}

/* A packet's last bytes, which may lie at both ends of the round part, in front of this place. */
static void stored_crc(const struct mux_stream *stream, size_t at, uint8_t crc[MUX_CRC_BYTES]) {
    if (at >= MUX_CRC_BYTES) {
        memcpy(crc, stream->ring.data + at - MUX_CRC_BYTES, MUX_CRC_BYTES);
        return;
    }
    size_t first = MUX_CRC_BYTES - at;
    memcpy(crc, stream->ring.data + stream->round_bytes - first, first);
    memcpy(crc + first, stream->ring.data, at);
}

struct mux_room mux_stream_room(const struct mux_stream *stream) {
    size_t len = part_end(stream) - stream->add_at;
    size_t free_bytes = is_beside(stream) ? len : stream->round_bytes - kept_bytes(stream);
    return (struct mux_room){stream->ring.data + stream->add_at, lesser(len, free_bytes)};
}

/* What does not fit in the round part lies behind it, in a record of its own. */
static void step_beside(struct mux_stream *stream) {
    if (stream->cut.len_bytes > 0)
        close_cut(stream);
    stream->beside_from = stream->len_bytes;
    stream->add_at = stream->round_bytes;
}

void mux_stream_filled(struct mux_stream *stream, size_t len_bytes, uint64_t now_ns) {
    uint8_t crc[MUX_CRC_BYTES];
    assert(mux_stream_fits(stream, len_bytes));
    stream->add_at = behind(stream, stream->add_at, len_bytes);
    stored_crc(stream, stream->add_at, crc);
    if (stream->cut.len_bytes > 0 && stream->cut.len_bytes + len_bytes > stream->record_most_bytes)
        close_cut(stream);
    if (stream->cut.len_bytes == 0)
        stream->cut_ns = now_ns;
    mux_bundle_run_grow(&stream->cut, len_bytes, crc);
    trim(stream);
}

void mux_stream_add(struct mux_stream *stream, const struct mux_pieces *packet, uint64_t now_ns) {
    assert(mux_stream_fits(stream, packet->len_bytes));
    if (!is_beside(stream) && !fits_in_round(stream, packet->len_bytes))
        step_beside(stream);
    size_t at = stream->add_at;
    for (size_t i = 0; i < packet->count; i++)
        at = copy_in(stream, at, packet->piece[i]);
    mux_stream_filled(stream, packet->len_bytes, now_ns);
}

void mux_stream_finish(struct mux_stream *stream) {
    if (stream->cut.len_bytes > 0)
        close_cut(stream);
    stream->is_final = true;
    mux_stream_ask_anew(stream);
}

bool mux_stream_is_done(const struct mux_stream *stream) {
    bool is_told = stream->state == MUX_STREAM_OPEN || stream->len_bytes == 0;
    return stream->is_final && stream->base == stream->len_bytes && is_told;
}

/*
 * ---- epochs ----
 */

/* Asks under the epoch behind this one, or under another id when there is none. */
static void ask_behind(struct mux_stream *stream, uint32_t epoch) {
    stream->wait_ns = stream->limits.stall_ns;
    if (epoch >= MUX_STREAM_EPOCH_NONE - 1) {
        set_state(stream, MUX_STREAM_FORKED);
        return;
    }
    stream->epoch = epoch + 1;
    set_state(stream, MUX_STREAM_NEW);
}

void mux_stream_ask_anew(struct mux_stream *stream) {
    if (stream->state != MUX_STREAM_FORKED)
        ask_behind(stream, stream->epoch);
}

void mux_stream_fork(struct mux_stream *stream, const uint8_t id[MUX_STREAM_ID_BYTES]) {
    assert(stream->state == MUX_STREAM_FORKED);
    memcpy(stream->id, id, MUX_STREAM_ID_BYTES);
    stream->epoch = 1;
    set_state(stream, MUX_STREAM_NEW);
}

/* Says `where` now, or as soon as there is room. */
static void ask(struct mux_stream *stream, uint64_t now_ns) {
    stream->asked_ns = now_ns;
    stream->where_is_due = true;
}

static void double_wait(struct mux_stream *stream) {
    uint64_t most = stream->limits.wait_most_ns;
    stream->wait_ns = stream->wait_ns < most / 2 ? 2 * stream->wait_ns : most;
}

/*
 * ---- acknowledgements ----
 */

/* The first record that does not begin before this offset; stream->count: none. */
static size_t find(const struct mux_stream *stream, uint64_t offset) {
    size_t low = 0, high = stream->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (record_at(stream, middle)->offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/*
 * Does the end have our bytes up to there? What we have forgotten is not compared; what only the
 * spool has is when it is read.
 */
static bool agrees(const struct mux_stream *stream, const struct mux_ack *ack) {
    if (ack->at < stream->base)
        return true;
    if (ack->at == stream->len_bytes)
        return ack->crc == stream->crc;
    if (ack->at < memory_from(stream))
        return ack->at > stream->base || ack->crc == stream->base_crc;
    if (stream->is_earlier)
        return true; /* the end has more than is left of it */
    size_t i = find(stream, ack->at);
    return i < stream->count && record_at(stream, i)->offset == ack->at &&
           record_at(stream, i)->crc == ack->crc;
}

static void bytes_of(const struct mux_stream *stream, const struct mux_stream_record *record,
                     struct mux_span spans[2]) {
    bool lies_beside = record->offset >= stream->beside_from;
    uint64_t round = (record->offset - stream->round_from) % stream->round_bytes;
    size_t at = lies_beside ? stream->round_bytes + (size_t)(record->offset - stream->beside_from)
                            : (size_t)round;
    size_t behind = (lies_beside ? stream->ring.len : stream->round_bytes) - at;
    size_t len = record->content.len_bytes, first = len < behind ? len : behind;
    spans[0] = mux_span(stream->ring.data + at, first);
    spans[1] = mux_span(stream->ring.data, len - first);
}

/* It may begin at this record, before which all is safe. */
static void move_base(struct mux_stream *stream, uint64_t to, uint32_t crc) {
    if (to <= stream->base)
        return;
    stream->base = to;
    stream->base_crc = crc;
    stream->safe = stream->safe > to ? stream->safe : to;
    if (stream->position < to) {
        stream->position = to;
        stream->must_compare = false;
    }
}

static void forget(struct mux_stream *stream, uint64_t safe, uint64_t now_ns) {
    safe = lesser(safe, stream->len_bytes);
    if (safe > stream->safe) {
        stream->safe = safe;
        stream->moved_ns = now_ns;
        stream->wait_ns = stream->limits.stall_ns;
    }
    while (stream->count > 0 && end_of(record_at(stream, 0)) <= safe)
        drop_first(stream);
    if (stream->count > 0 && record_at(stream, 0)->offset <= safe)
        move_base(stream, record_at(stream, 0)->offset, record_at(stream, 0)->crc);
    else if (safe == stream->len_bytes)
        move_base(stream, stream->len_bytes, stream->crc);
    if (!stream->has_spool)
        stream->safe = stream->base;
    begin_round(stream);
    stream_sane(stream);
}

void mux_stream_rebase(struct mux_stream *stream, uint64_t to, uint32_t crc) {
    assert(to <= stream->safe);
    move_base(stream, to, crc);
    stream_sane(stream);
}

bool mux_stream_take_plain(struct mux_stream *stream, struct mux_span spans[2]) {
    if (stream->count == 0 && stream->cut.len_bytes > 0)
        close_cut(stream);
    if (stream->count == 0 || stream->base < memory_from(stream))
        return false;
    bytes_of(stream, record_at(stream, 0), spans);
    forget(stream, end_of(record_at(stream, 0)), 0);
    return true;
}

/* The answer to a question while it was open. What is missing before the note was lost. */
static void probed(struct mux_stream *stream, const struct mux_ack *ack) {
    uint64_t probe = stream->probe;
    stream->is_probing = stream->where_is_due = false;
    if (ack->at < probe)
        mux_stream_ask_anew(stream);
}

static void open_at(struct mux_stream *stream, const struct mux_ack *ack, uint64_t now_ns) {
    uint64_t at = lesser(ack->at, stream->len_bytes);
    stream->moved_ns = now_ns;
    stream->position = at > stream->base ? at : stream->base;
    set_state(stream, MUX_STREAM_OPEN);
    stream->must_compare = at > stream->base && at < memory_from(stream);
    stream->compare_crc = ack->crc;
}

/* All that was sent is safe: in what only the spool has that is a place whose CRC is known. */
static void note_place(struct mux_stream *stream, const struct mux_ack *ack) {
    bool is_place = stream->state == MUX_STREAM_OPEN && ack->epoch == stream->epoch &&
                    ack->at == ack->safe && ack->at <= stream->position && !stream->must_compare;
    if (is_place && ack->at < memory_from(stream))
        move_base(stream, ack->at, ack->crc);
}

void mux_stream_acked(struct mux_stream *stream, const struct mux_ack *ack, uint64_t now_ns) {
    if (stream->state == MUX_STREAM_FORKED)
        return;
    if (ack->epoch > stream->epoch) {
        ask_behind(stream, ack->epoch);
        return;
    }
    if (!agrees(stream, ack)) {
        set_state(stream, MUX_STREAM_FORKED);
        return;
    }
    if (stream->is_probing && ack->epoch == stream->epoch)
        probed(stream, ack);
    forget(stream, ack->safe, now_ns);
    if (stream->state == MUX_STREAM_ASKING && ack->epoch == stream->epoch)
        open_at(stream, ack, now_ns);
    note_place(stream, ack);
    stream_sane(stream);
}

/*
 * ---- time ----
 */

/* Is something on its way of which nothing is heard? */
static bool awaits_safe(const struct mux_stream *stream) {
    return stream->state == MUX_STREAM_OPEN && stream->safe < stream->position;
}

static uint64_t stalled_ns(const struct mux_stream *stream) {
    uint64_t asked_ns = stream->asked_ns, moved_ns = stream->moved_ns;
    return (asked_ns > moved_ns ? asked_ns : moved_ns) + stream->wait_ns;
}

uint64_t mux_stream_deadline(const struct mux_stream *stream) {
    uint64_t wait = UINT64_MAX, flush = UINT64_MAX;
    if (stream->cut.len_bytes > 0)
        flush = stream->cut_ns + MUX_STREAM_FLUSH_NS;
    bool may_ask = !stream->where_is_due && !stream->where_waits;
    if (may_ask && stream->state == MUX_STREAM_ASKING)
        wait = stream->asked_ns + stream->wait_ns;
    else if (may_ask && awaits_safe(stream))
        wait = stalled_ns(stream);
    return wait < flush ? wait : flush;
}

/* Is there what was sent? It goes on sending meanwhile. */
static void look_for(struct mux_stream *stream, uint64_t now_ns) {
    if (!stream->is_probing && stream->epoch + 1 == MUX_STREAM_EPOCH_NONE) {
        set_state(stream, MUX_STREAM_FORKED);
        return;
    }
    if (!stream->is_probing) {
        stream->is_probing = true;
        stream->probe = stream->position;
        stream->epoch++;
    }
    double_wait(stream);
    ask(stream, now_ns);
}

void mux_stream_tick(struct mux_stream *stream, uint64_t now_ns) {
    if (stream->cut.len_bytes > 0 && now_ns >= stream->cut_ns + MUX_STREAM_FLUSH_NS)
        close_cut(stream);
    if (stream->where_is_due || stream->where_waits)
        return;
    if (stream->state == MUX_STREAM_ASKING && now_ns >= stream->asked_ns + stream->wait_ns) {
        double_wait(stream);
        ask(stream, now_ns);
    } else if (awaits_safe(stream) && now_ns >= stalled_ns(stream)) {
        look_for(stream, now_ns);
    }
    stream_sane(stream);
}

/*
 * ---- sending ----
 */

static enum mux_stream_step give_where(struct mux_stream *stream, uint64_t now_ns,
                                       struct mux_where *where) {
    stream->where_is_due = false;
    stream->asked_ns = now_ns;
    *where = (struct mux_where){.epoch = stream->epoch,
                                .base = stream->base,
                                .crc = stream->base_crc,
                                .is_final = stream->is_final,
                                .len_bytes = stream->is_final ? stream->len_bytes : 0};
    memcpy(where->stream, stream->id, MUX_STREAM_ID_BYTES);
    return MUX_STREAM_WHERE;
}

/* All but the spans. */
static void give(struct mux_stream *stream, const struct mux_stream_record *record, uint64_t now_ns,
                 struct mux_stream_out *out) {
    assert(record->offset == stream->position);
    if (stream->position <= stream->safe)
        stream->moved_ns = now_ns;
    stream->position = end_of(record);
    out->bundle =
        (struct mux_bundle){.epoch = stream->epoch, .offset = record->offset, .crc = record->crc};
    memcpy(out->bundle.stream, stream->id, MUX_STREAM_ID_BYTES);
    out->content = record->content;
}

static enum mux_stream_step give_bundle(struct mux_stream *stream, uint64_t now_ns,
                                        struct mux_stream_out *out) {
    const struct mux_stream_record *record = record_at(stream, find(stream, stream->position));
    give(stream, record, now_ns, out);
    bytes_of(stream, record, out->spans);
    return MUX_STREAM_BUNDLE;
}

bool mux_stream_give_spooled(struct mux_stream *stream, const struct mux_spool_record *record,
                             uint64_t now_ns, struct mux_stream_out *out) {
    bool is_ours = record->offset == stream->position &&
                   (!stream->must_compare || record->crc == stream->compare_crc);
    stream->must_compare = false;
    if (!is_ours) {
        set_state(stream, MUX_STREAM_FORKED);
        return false;
    }
    const struct mux_stream_record given = {
        record->offset, record->crc, {record->content_len_bytes, record->content_crc}};
    give(stream, &given, now_ns, out);
    stream_sane(stream);
    return true;
}

bool mux_stream_record(const struct mux_stream *stream, uint64_t from,
                       struct mux_stream_record *record, struct mux_span spans[2]) {
    size_t i = find(stream, from);
    if (i == stream->count)
        return false;
    *record = *record_at(stream, i);
    bytes_of(stream, record, spans);
    return true;
}

void mux_stream_skip(struct mux_stream *stream, uint64_t to, uint32_t crc) {
    assert(to <= memory_from(stream) && to >= stream->position);
    stream->safe = stream->safe > to ? stream->safe : to;
    move_base(stream, to, crc);
    stream->base_crc = to == stream->base ? crc : stream->base_crc;
    stream_sane(stream);
}

void mux_stream_rewind(struct mux_stream *stream) {
    stream->position = stream->base;
    stream->must_compare = false;
}

bool mux_stream_leap(struct mux_stream *stream, uint64_t to, uint32_t crc) {
    if (stream->safe < stream->position)
        return false;
    mux_stream_skip(stream, to, crc);
    mux_stream_ask_anew(stream);
    return true;
}

bool mux_stream_part(struct mux_stream *stream, uint32_t crc) {
    if (stream->safe < stream->position)
        return false;
    move_base(stream, stream->position, crc);
    stream->base_crc = crc;
    set_state(stream, MUX_STREAM_FORKED);
    return true;
}

void mux_stream_where_queued(struct mux_stream *stream) {
    stream->where_waits = true;
}

void mux_stream_where_left(struct mux_stream *stream, uint64_t now_ns) {
    stream->where_waits = false;
    stream->asked_ns = now_ns;
}

bool mux_stream_has_next(const struct mux_stream *stream) {
    bool has_bytes = stream->len_bytes > 0 || stream->cut.len_bytes > 0;
    bool may_ask = stream->where_is_due || (stream->state == MUX_STREAM_NEW && has_bytes);
    return (may_ask && !stream->where_waits) ||
           (stream->state == MUX_STREAM_OPEN && stream->position < stream->len_bytes);
}

enum mux_stream_step mux_stream_next(struct mux_stream *stream, bool is_idle, uint64_t now_ns,
                                     struct mux_stream_out *out) {
    bool has_bytes = stream->len_bytes > 0 || stream->cut.len_bytes > 0;
    if (stream->state == MUX_STREAM_NEW && has_bytes) {
        set_state(stream, MUX_STREAM_ASKING);
        ask(stream, now_ns);
    }
    if (stream->where_is_due && !stream->where_waits)
        return give_where(stream, now_ns, &out->where);
    if (stream->state != MUX_STREAM_OPEN)
        return MUX_STREAM_NOTHING;
    if (stream->position == stream->len_bytes && stream->cut.len_bytes > 0 && is_idle)
        close_cut(stream);
    if (stream->position == stream->len_bytes)
        return MUX_STREAM_NOTHING;
    if (stream->position < memory_from(stream))
        return MUX_STREAM_SPOOLED;
    return give_bundle(stream, now_ns, out);
}
