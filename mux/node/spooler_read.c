/* What a spool has at a place of a stream. */
#include "mux/node/spooler_internal.h"
#include "mux/packet/crc.h"

#include <inttypes.h>

void mux_spooler_rest(struct mux_spool_tap *tap) {
    tap->has_file = tap->has_item = false;
    tap->from = tap->to = tap->want_bytes = 0;
    tap->said_to = 0;
}

static bool is_same(const struct mux_spool_head *a, const struct mux_spool_head *b) {
    return a->offset == b->offset && memcmp(a->stream, b->stream, sizeof a->stream) == 0;
}

/* The file that it reads; spooler->count: it is gone, or there is none. */
static size_t file_of(const struct mux_spooler *spooler, const struct mux_spool_tap *tap) {
    size_t i = 0;
    while (i < spooler->count && !(tap->has_file && !spooler->files[i].goes &&
                                   is_same(&spooler->files[i].head, &tap->head)))
        i++;
    return i;
}

static void open_file(struct mux_spool_tap *tap, const struct mux_spool_file *file) {
    tap->has_file = true;
    tap->has_item = false;
    tap->head = file->head;
    tap->from = tap->to = tap->want_bytes = 0;
    mux_spool_reader_init(&tap->reader, &file->head);
}

/*
 * ---- bytes ----
 */

/* What is in the buffer may be moved: nobody sends from it. */
static bool may_read(const struct mux_spool_tap *tap) {
    return tap->want_bytes > 0 && tap->buffer.holders == 1;
}

static void start_read(struct mux_spooler *spooler, struct mux_spool_tap *tap, size_t file) {
    size_t have = tap->to - tap->from;
    uint64_t at = tap->reader.position + have, left = spooler->files[file].len_bytes - at;
    size_t most =
        tap->want_bytes > MUX_SPOOL_READ_BYTES ? tap->want_bytes - have : MUX_SPOOL_READ_BYTES;
    memmove(tap->buffer.data, tap->buffer.data + tap->from, have);
    tap->from = 0;
    tap->to = have;
    assert(have + most <= tap->buffer.size_bytes);
    mux_spooler_start(spooler, MUX_SPOOL_READ, file);
    spooler->op.at = at;
    spooler->op.room =
        (struct mux_room){tap->buffer.data + have, left < most ? (size_t)left : most};
    spooler->op_tap = tap;
}

bool mux_spooler_choose_read(struct mux_spooler *spooler) {
    for (size_t i = 0; i < MUX_SPOOL_TAPS; i++) {
        struct mux_spool_tap *tap = &spooler->taps[i];
        size_t file = may_read(tap) ? file_of(spooler, tap) : spooler->count;
        if (file == spooler->count)
            continue;
        start_read(spooler, tap, file);
        return true;
    }
    return false;
}

/* What cannot be read is not there: the rest goes on. */
void mux_spooler_done_read(struct mux_spooler *spooler, size_t bytes, const char *why) {
    struct mux_spool_tap *tap = spooler->op_tap;
    struct mux_spool_file *file = &spooler->files[spooler->op_file];
    spooler->read_bytes += bytes;
    if (bytes == 0) {
        mux_spooler_say(spooler, "the spool: %s: byte %" PRIu64 ": %s", spooler->op.name,
                        spooler->op.at, why ? why : "the file is cut off");
        file->is_bad = true;
        mux_spooler_shorten(spooler, file, spooler->op.at);
    }
    if (!tap->has_file || !is_same(&file->head, &tap->head))
        return;
    tap->to += bytes;
    if (bytes == 0 || tap->to - tap->from >= tap->want_bytes)
        tap->want_bytes = 0;
}

/* The next thing in the file, if its bytes are there. */
static enum mux_spool_found find_next(struct mux_spool_tap *tap,
                                      const struct mux_spool_file *file) {
    struct mux_span bytes = mux_span(tap->buffer.data + tap->from, tap->to - tap->from);
    uint64_t before = tap->reader.position;
    bool is_all = before + bytes.len >= file->len_bytes;
    tap->found = mux_spool_next(&tap->reader, bytes, is_all, &tap->item);
    tap->from += (size_t)(tap->reader.position - before);
    tap->want_bytes = tap->found == MUX_SPOOL_MORE ? tap->item.want_bytes : 0;
    tap->has_item = tap->found == MUX_SPOOL_RECORD || tap->found == MUX_SPOOL_HOLE;
    return tap->found;
}

/*
 * ---- what is at a place ----
 */

/* Said once, by offset; an operator finds the file under its name and ".bad". */
static void say_hole(struct mux_spooler *spooler, struct mux_spool_tap *tap, uint64_t from,
                     uint64_t to) {
    char name[MUX_SPOOL_NAME_BYTES];
    if (to <= tap->said_to)
        return;
    mux_spool_name(&tap->head, name);
    tap->said_to = to;
    spooler->holes++;
    spooler->lost_bytes += to - from;
    mux_spooler_say(spooler,
                    "the spool: %s: bytes %" PRIu64 " to %" PRIu64
                    " of its stream are damaged or missing: the rest goes on",
                    name, from, to);
}

static enum mux_spool_at hole_to(struct mux_spool_place *place, uint64_t to, uint32_t crc) {
    place->to = to;
    place->crc = crc;
    return MUX_SPOOL_AT_HOLE;
}

/* Others' bytes follow, unless the stream was begun with them. */
static bool are_others(const struct mux_stream *stream, uint32_t crc,
                       struct mux_spool_place *place) {
    place->crc = crc;
    return stream->base != stream->position || stream->base_crc != crc;
}

static uint64_t end_of(const struct mux_spool_record *record) {
    return record->offset + record->content_len_bytes;
}

/* False: it stands before the place, and is passed; or behind it, as the stream has gone back. */
static bool look_at_record(struct mux_spooler *spooler, struct mux_spool_tap *tap,
                           uint64_t position, struct mux_spool_place *place,
                           enum mux_spool_at *at) {
    const struct mux_spool_record *record = &tap->item.record;
    if (end_of(record) <= position || record->offset > position)
        return false;
    place->record = *record;
    place->content = tap->item.content;
    *at = MUX_SPOOL_AT_RECORD;
    if (record->content_len_bytes > MUX_BUNDLE_CONTENT_MAX_BYTES) {
        say_hole(spooler, tap, position, end_of(record));
        *at = hole_to(place, end_of(record),
                      mux_crc_concat(record->crc, record->content_crc, record->content_len_bytes));
    }
    return true;
}

static bool look_at_hole(struct mux_spooler *spooler, struct mux_spool_tap *tap,
                         const struct mux_stream *stream, struct mux_spool_place *place,
                         enum mux_spool_at *at) {
    const struct mux_spool_item *item = &tap->item;
    if (item->from == item->to && item->to == stream->position) {
        *at = MUX_SPOOL_AT_OTHERS;
        return are_others(stream, tap->reader.crc, place);
    }
    if (item->to <= stream->position || item->from > stream->position)
        return false;
    say_hole(spooler, tap, item->from, item->to);
    *at = hole_to(place, item->to, tap->reader.crc);
    return true;
}

static bool look_at_item(struct mux_spooler *spooler, struct mux_spool_tap *tap,
                         const struct mux_stream *stream, struct mux_spool_place *place,
                         enum mux_spool_at *at) {
    return tap->found == MUX_SPOOL_RECORD
               ? look_at_record(spooler, tap, stream->position, place, at)
               : look_at_hole(spooler, tap, stream, place, at);
}

/* Nothing more of the stream is in files: it goes on in memory, if at all. */
static enum mux_spool_at behind_files(struct mux_spooler *spooler, struct mux_spool_tap *tap,
                                      const struct mux_stream *stream,
                                      struct mux_spool_place *place) {
    struct mux_stream_record record;
    struct mux_span spans[2];
    uint64_t to = mux_stream_memory_from(stream);
    bool is_there = mux_stream_record(stream, to, &record, spans);
    say_hole(spooler, tap, stream->position, to);
    return hole_to(place, to, is_there ? record.crc : stream->crc);
}

/* The last file that begins at the place or before it; `next`: the one behind it. */
static size_t find_file(const struct mux_spooler *spooler, const struct mux_stream *stream,
                        size_t *next) {
    size_t found = spooler->count;
    for (*next = 0; *next < spooler->count; ++*next) {
        const struct mux_spool_file *file = &spooler->files[*next];
        if (!mux_spool_is_of(file, stream->id))
            continue;
        if (file->head.offset > stream->position)
            break;
        found = *next;
    }
    return found;
}

/* Does the file go on where the tap has come to, but behind other bytes? */
static bool follows_others(const struct mux_spool_tap *tap, const struct mux_stream *stream,
                           const struct mux_spool_head *head) {
    return tap->has_file && memcmp(tap->head.stream, head->stream, sizeof head->stream) == 0 &&
           tap->reader.offset == stream->position && head->offset == stream->position &&
           head->crc != tap->reader.crc;
}

/* No file has the place: what does the spool go on with? */
static enum mux_spool_at behind(struct mux_spooler *spooler, struct mux_spool_tap *tap,
                                const struct mux_stream *stream, size_t next,
                                struct mux_spool_place *place) {
    if (next == spooler->count)
        return behind_files(spooler, tap, stream, place);
    const struct mux_spool_head *head = &spooler->files[next].head;
    say_hole(spooler, tap, stream->position, head->offset);
    return hole_to(place, head->offset, head->crc);
}

/* Begins the file that may have the place. True: none has, or it is others', and *at says so. */
static bool begin_file(struct mux_spooler *spooler, struct mux_spool_tap *tap,
                       const struct mux_stream *stream, size_t file, size_t next,
                       struct mux_spool_place *place, enum mux_spool_at *at) {
    if (file == spooler->count) {
        memcpy(tap->head.stream, stream->id, sizeof tap->head.stream);
        tap->head.offset = stream->position;
        *at = behind(spooler, tap, stream, next, place);
        return true;
    }
    const struct mux_spool_head *head = &spooler->files[file].head;
    *at = MUX_SPOOL_AT_OTHERS;
    if (follows_others(tap, stream, head) && are_others(stream, head->crc, place))
        return true;
    open_file(tap, &spooler->files[file]);
    return false;
}

/* One step. True: *at is known. */
static bool look(struct mux_spooler *spooler, struct mux_spool_tap *tap,
                 const struct mux_stream *stream, struct mux_spool_place *place,
                 enum mux_spool_at *at) {
    if (tap->has_item) {
        if (look_at_item(spooler, tap, stream, place, at))
            return true;
        tap->has_item = false;
    }
    size_t next, file = find_file(spooler, stream, &next);
    bool is_behind = tap->reader.offset > stream->position;
    if (file == spooler->count || file != file_of(spooler, tap) || is_behind)
        return begin_file(spooler, tap, stream, file, next, place, at);
    switch (find_next(tap, &spooler->files[file])) {
    case MUX_SPOOL_MORE:
        *at = MUX_SPOOL_AT_WAITS;
        return true;
    case MUX_SPOOL_TORN:
        spooler->files[file].is_bad = true;
        *at = behind(spooler, tap, stream, next, place);
        return true;
    case MUX_SPOOL_END:
        *at = behind(spooler, tap, stream, next, place);
        return true;
    case MUX_SPOOL_HOLE:
        spooler->files[file].is_bad = true;
        return false;
    default:
        return false;
    }
}

/* A read is underway: nothing of the buffer is looked at. */
static bool is_being_read(const struct mux_spooler *spooler, const struct mux_spool_tap *tap) {
    return spooler->is_busy && spooler->op.work == MUX_SPOOL_READ && spooler->op_tap == tap;
}

enum mux_spool_at mux_spooler_read(struct mux_spooler *spooler, struct mux_spool_tap *tap,
                                   const struct mux_stream *stream, struct mux_spool_place *place) {
    enum mux_spool_at at = MUX_SPOOL_AT_WAITS;
    assert(stream->position < mux_stream_memory_from(stream));
    while (!is_being_read(spooler, tap) && !look(spooler, tap, stream, place, &at))
        ;
    return at;
}

/*
 * ---- earlier lives ----
 */

static bool is_earlier(const struct mux_spooler *spooler, size_t i) {
    return !spooler->files[i].goes && !mux_spool_is_of(&spooler->files[i], spooler->own->id);
}

unsigned mux_spooler_earlier_count(const struct mux_spooler *spooler) {
    const struct mux_spool_file *before = NULL;
    unsigned count = 0;
    for (size_t i = 0; i < spooler->count; i++) {
        const struct mux_spool_file *file = &spooler->files[i];
        if (!is_earlier(spooler, i))
            continue;
        count += !before || !mux_spool_is_of(before, file->head.stream);
        before = file;
    }
    return count;
}

/* The stream's extent, when its last file was read to its end. */
static void take_extent(struct mux_spooler *spooler, struct mux_spool_tap *tap,
                        const struct mux_spool_file *first, struct mux_spool_file *last,
                        struct mux_stream_extent *extent) {
    char name[MUX_SPOOL_NAME_BYTES];
    *extent = (struct mux_stream_extent){.base = first->head.offset,
                                         .base_crc = first->head.crc,
                                         .len_bytes = tap->reader.offset,
                                         .crc = tap->reader.crc};
    if (tap->found == MUX_SPOOL_TORN) {
        mux_spool_name(&last->head, name);
        last->is_bad = true;
        spooler->holes++;
        mux_spooler_say(spooler,
                        "the spool: %s: it is torn at its byte %" PRIu64
                        ": what its stream has from byte %" PRIu64 " on is not there",
                        name, tap->item.cut_at, tap->reader.offset);
        mux_spooler_shorten(spooler, last, tap->item.cut_at);
    }
}

enum mux_spool_earlier mux_spooler_earlier(struct mux_spooler *spooler,
                                           uint8_t id[MUX_STREAM_ID_BYTES],
                                           struct mux_stream_extent *extent) {
    struct mux_spool_tap *tap = &spooler->taps[MUX_SPOOL_TAP_EARLIER];
    size_t first = 0, last;
    while (first < spooler->count && !is_earlier(spooler, first))
        first++;
    if (first == spooler->count)
        return MUX_SPOOL_EARLIER_NONE;
    memcpy(id, spooler->files[first].head.stream, MUX_STREAM_ID_BYTES);
    for (size_t i = last = first; i < spooler->count; i++)
        last = mux_spool_is_of(&spooler->files[i], id) ? i : last;
    if (is_being_read(spooler, tap) || tap->buffer.holders > 1)
        return MUX_SPOOL_EARLIER_WAITS;
    if (file_of(spooler, tap) != last)
        open_file(tap, &spooler->files[last]);
    do
        find_next(tap, &spooler->files[last]);
    while (tap->has_item);
    if (tap->found == MUX_SPOOL_MORE)
        return MUX_SPOOL_EARLIER_WAITS;
    take_extent(spooler, tap, &spooler->files[first], &spooler->files[last], extent);
    mux_spooler_rest(tap);
    return MUX_SPOOL_EARLIER_FOUND;
}
