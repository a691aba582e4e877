/*
 * What an end that writes a file keeps in a journal (journal.h), and how it goes on by one (rules
 * 27, 29, 39, 39b of the reliable protocol).
 */
#include "mux/node/mux_internal.h"

const uint8_t *mux_end_identity(const struct mux *mux) {
    return mux->unbundle->end.config.id;
}

/*
 * ---- what is to be written ----
 */

/* A stream has a number from its first item on. */
static bool add_item(struct mux_unbundle *unbundle, struct mux_journal_writer *writer,
                     struct mux_end_stream *stream, struct mux_journal_item *item) {
    if (!stream)
        return mux_journal_add_item(writer, item);
    item->stream = stream->number;
    if (stream->number == 0) {
        item->stream = unbundle->numbers + 1;
        item->id = mux_span(stream->known.stream, MUX_STREAM_ID_BYTES);
        item->pin = stream->pin;
    }
    if (!mux_journal_add_item(writer, item))
        return false;
    unbundle->numbers += stream->number == 0;
    stream->number = item->stream;
    return true;
}

/* There was no room: those that got a number in this record have none. */
static struct mux_span take_back(struct mux_unbundle *unbundle, uint32_t numbers) {
    for (struct mux_list *at = unbundle->end.streams.next; at != &unbundle->end.streams;
         at = at->next) {
        struct mux_end_stream *stream = MUX_LIST_ITEM(at, struct mux_end_stream, entry);
        if (stream->number > numbers)
            stream->number = 0;
    }
    unbundle->numbers = numbers;
    return mux_span(NULL, 0);
}

static struct mux_batch_items *flight_items(struct mux *mux) {
    return &mux->unbundle->of[mux->flight == &mux->batches[1]];
}

bool mux_flight_is_recorded(struct mux *mux) {
    return mux->in_flight != MUX_IN_FLIGHT_BATCH || flight_items(mux)->is_recorded;
}

struct mux_span mux_flight_record(struct mux *mux, struct mux_room room, uint64_t *output_bytes) {
    struct mux_unbundle *unbundle = mux->unbundle;
    struct mux_batch_items *items = flight_items(mux);
    struct mux_journal_writer writer;
    uint32_t numbers = unbundle->numbers;
    uint64_t end_bytes = *output_bytes;
    mux_journal_begin(&writer, room, MUX_JOURNAL_BATCH, *output_bytes, mux->segments.next);
    for (unsigned i = 0; i < items->count; i++) {
        const struct mux_batch_item *item = &items->item[i];
        struct mux_journal_item entry = {
            .output_bytes = (uint32_t)item->output_bytes, .at = item->at, .crc = item->crc};
        if (!add_item(unbundle, &writer, item->stream, &entry))
            return take_back(unbundle, numbers);
        end_bytes += item->output_bytes;
    }
    items->is_recorded = true;
    *output_bytes = end_bytes;
    return mux_journal_end(&writer);
}

void mux_flight_unrecord(struct mux *mux) {
    flight_items(mux)->is_recorded = false;
}

static bool add_streams(struct mux_unbundle *unbundle, struct mux_journal_writer *writer) {
    for (struct mux_list *at = unbundle->end.streams.next; at != &unbundle->end.streams;
         at = at->next) {
        struct mux_end_stream *stream = MUX_LIST_ITEM(at, struct mux_end_stream, entry);
        struct mux_journal_item item = {.at = stream->known.safe, .crc = stream->safe_crc};
        if (!add_item(unbundle, writer, stream, &item))
            return false;
    }
    return true;
}

/* `link` NULL: the routes are whole. */
static bool add_tests(struct mux_progress *progress, struct mux_progress_list *list,
                      const struct mux_link *link, struct mux_journal_writer *writer) {
    struct mux_progress_name name;
    uint8_t route[MUX_REPORT_ROUTE_MAX_BYTES];
    mux_progress_walk(list);
    while (mux_progress_walk_next(progress, list, &name)) {
        struct mux_span whole = link ? mux_link_full_route(link, name.route, route) : name.route;
        if (!mux_journal_add_test(writer, &(struct mux_journal_test){whole, name.test_id}))
            return false;
    }
    return true;
}

static bool add_all_tests(struct mux *mux, struct mux_journal_writer *writer) {
    struct mux_unbundle *unbundle = mux->unbundle;
    if (!add_tests(&mux->tests, &mux->own_tests, NULL, writer) ||
        !add_tests(&unbundle->tests, &unbundle->orphans, NULL, writer))
        return false;
    for (unsigned i = 0; i < mux->links_touched; i++)
        if (!add_tests(&mux->tests, &mux->links[i].tests, &mux->links[i], writer))
            return false;
    for (struct mux_list *at = unbundle->end.streams.next; at != &unbundle->end.streams;
         at = at->next) {
        struct mux_end_stream *stream = MUX_LIST_ITEM(at, struct mux_end_stream, entry);
        if (!add_tests(&unbundle->tests, &stream->tests, NULL, writer))
            return false;
    }
    return true;
}

struct mux_span mux_state_record(struct mux *mux, struct mux_room room, uint64_t output_bytes) {
    struct mux_unbundle *unbundle = mux->unbundle;
    struct mux_journal_writer writer;
    assert(mux_upstream_pending_bytes(mux) == 0);
    take_back(unbundle, 0);
    mux_journal_begin(&writer, room, MUX_JOURNAL_BATCH, output_bytes, mux->segments.next);
    if (add_streams(unbundle, &writer) && add_all_tests(mux, &writer))
        return mux_journal_end(&writer);
    return take_back(unbundle, 0);
}

/*
 * ---- where the output is ----
 */

void mux_upstream_hold(struct mux *mux, bool holds) {
    mux->unbundle->is_held = holds;
    mux->is_due = true;
}

bool mux_upstream_holds(const struct mux *mux) {
    return mux->unbundle && mux->unbundle->is_held;
}

uint64_t mux_recorded_unsent_bytes(const struct mux *mux) {
    const struct mux_unbundle *unbundle = mux->unbundle;
    const struct mux_batch_items *fill = &unbundle->of[mux->fill == &mux->batches[1]];
    const struct mux_batch_items *flight = &unbundle->of[mux->flight == &mux->batches[1]];
    uint64_t bytes = flight->is_recorded ? mux->flight->gather.len_bytes : 0;
    for (unsigned i = 0; i < fill->count; i++)
        bytes += fill->item[i].output_bytes == 0 ? fill->item[i].bytes : 0;
    if (unbundle->stream && unbundle->is_promised)
        bytes += mux->fill->gather.len_bytes - fill->noted_bytes + mux_unbundle_rest_bytes(mux);
    return bytes;
}

/*
 * ---- going on after a crash ----
 */

void mux_restore_identity(struct mux *mux, const uint8_t id[MUX_STREAM_ID_BYTES]) {
    memcpy(mux->unbundle->end.config.id, id, MUX_STREAM_ID_BYTES);
}

bool mux_restore_stream(struct mux *mux, const uint8_t id[MUX_STREAM_ID_BYTES], struct mux_span pin,
                        uint64_t at, uint32_t crc) {
    return mux_end_restore(&mux->unbundle->end, id, pin, at, crc) != NULL;
}

void mux_restore_packet(struct mux *mux, const struct mux_packet *packet) {
    struct mux_unbundle *unbundle = mux->unbundle;
    struct mux_end_stream *stream = mux_end_find(&unbundle->end, packet->route);
    if (stream)
        mux_end_follow(&unbundle->end, stream, packet);
    else
        mux_progress_update(&unbundle->tests, &unbundle->orphans, packet, true);
}

void mux_restored(struct mux *mux, uint64_t next_segment) {
    if (mux->segments.next < next_segment)
        mux->segments.next = next_segment;
    mux->unbundle->fails_orphans = true;
    mux->is_due = true;
}
