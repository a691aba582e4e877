#include "mux/node/spooler_internal.h"
#include "mux/packet/hex.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_BYTES 512

/* Written without waiting for more. */
#define MUCH_BYTES ((uint64_t)MUX_SPOOL_WRITE_BYTES / 4)

/* Files of the own stream: of an eighth of the spool, and what the last ones are short of that. */
#define OWN_FILES_MOST 64

void mux_spooler_say(struct mux_spooler *spooler, const char *format, ...) {
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    spooler->config.say(spooler->config.user, line);
}

static void keep(struct mux_buffer *buffer) {
    (void)buffer;
}

static void spooler_sane(const struct mux_spooler *spooler) {
    assert(spooler->count <= spooler->count_max);
    assert(!spooler->has_current || spooler->count > 0);
    assert(!spooler->is_busy || spooler->op_file < spooler->count);
}

bool mux_spooler_init(struct mux_spooler *spooler, const struct mux_spooler_config *config,
                      struct mux_stream *own) {
    assert(config->memory.len >= MUX_SPOOL_TAPS * MUX_SPOOL_TAP_BYTES);
    *spooler = (struct mux_spooler){.config = *config, .own = own, .due_ns = UINT64_MAX};
    for (size_t i = 0; i < MUX_SPOOL_TAPS; i++)
        spooler->taps[i].buffer = (struct mux_buffer){config->memory.data + i * MUX_SPOOL_TAP_BYTES,
                                                      MUX_SPOOL_TAP_BYTES, 1, keep, NULL};
    spooler->count_max = OWN_FILES_MOST;
    spooler->files = malloc(spooler->count_max * sizeof *spooler->files);
    return spooler->files != NULL;
}

void mux_spooler_fini(struct mux_spooler *spooler) {
    free(spooler->files);
}

void mux_spooler_begin(struct mux_spooler *spooler) {
    assert(!spooler->is_busy && !spooler->has_current);
    spooler->written = 0;
}

/*
 * ---- files ----
 */

static void file_name(const struct mux_spool_file *file, char out[MUX_SPOOL_NAME_BYTES]) {
    struct mux_spool_head head = file->head;
    memcpy(head.stream, file->named, sizeof head.stream);
    mux_spool_name(&head, out);
}

static void put_file(struct mux_spooler *spooler, size_t at, const struct mux_spool_head *head,
                     uint64_t len_bytes) {
    struct mux_spool_file *file = &spooler->files[at];
    memmove(file + 1, file, (spooler->count - at) * sizeof *file);
    *file = (struct mux_spool_file){.head = *head, .len_bytes = len_bytes};
    memcpy(file->named, head->stream, sizeof file->named);
    spooler->count++;
    spooler->bytes += len_bytes;
}

static void drop_file(struct mux_spooler *spooler, size_t at) {
    struct mux_spool_file *file = &spooler->files[at];
    spooler->bytes -= file->len_bytes;
    spooler->count--;
    memmove(file, file + 1, (spooler->count - at) * sizeof *file);
}

/* Behind the last one of its stream that begins before it, or behind all. */
static size_t place_of(const struct mux_spooler *spooler, const struct mux_spool_head *head) {
    size_t place = spooler->count;
    for (size_t i = 0; i < spooler->count; i++) {
        if (!mux_spool_is_of(&spooler->files[i], head->stream))
            continue;
        if (spooler->files[i].head.offset > head->offset)
            return i;
        place = i + 1;
    }
    return place;
}

bool mux_spooler_add_file(struct mux_spooler *spooler, const struct mux_spool_head *head,
                          uint64_t len_bytes) {
    assert(!spooler->has_current && spooler->written == 0);
    size_t most = spooler->count + 1 + OWN_FILES_MOST;
    if (most > spooler->count_max) {
        most *= 2;
        struct mux_spool_file *files = realloc(spooler->files, most * sizeof *files);
        if (!files)
            return false;
        spooler->files = files;
        spooler->count_max = most;
    }
    put_file(spooler, place_of(spooler, head), head, len_bytes);
    return true;
}

void mux_spooler_shorten(struct mux_spooler *spooler, struct mux_spool_file *file,
                         uint64_t len_bytes) {
    assert(len_bytes <= file->len_bytes);
    spooler->bytes -= file->len_bytes - len_bytes;
    file->len_bytes = len_bytes;
    if (spooler->has_current && file == &spooler->files[spooler->count - 1])
        spooler->has_current = false;
}

static bool is_current(const struct mux_spooler *spooler, size_t i) {
    return spooler->has_current && i == spooler->count - 1;
}

static void let_go(struct mux_spooler *spooler, size_t i) {
    if (is_current(spooler, i))
        spooler->has_current = spooler->is_dirty = spooler->is_new = false;
    spooler->files[i].goes = true;
}

/* The stream's next file behind this one; spooler->count: there is none. */
static size_t next_of(const struct mux_spooler *spooler, size_t i) {
    const uint8_t *id = spooler->files[i].head.stream;
    for (i++; i < spooler->count; i++)
        if (mux_spool_is_of(&spooler->files[i], id))
            return i;
    return spooler->count;
}

/* Is all in it safe, and more of the stream to come? */
static bool is_used_up(const struct mux_spooler *spooler, const struct mux_stream *stream,
                       size_t i) {
    size_t next = next_of(spooler, i);
    if (next < spooler->count)
        return spooler->files[next].head.offset <= stream->safe;
    return stream == spooler->own && !is_current(spooler, i) && spooler->written <= stream->safe;
}

void mux_spooler_safe(struct mux_spooler *spooler, struct mux_stream *stream) {
    for (size_t i = 0; i < spooler->count; i++) {
        const struct mux_spool_file *file = &spooler->files[i];
        if (!mux_spool_is_of(file, stream->id))
            continue;
        if (!is_used_up(spooler, stream, i)) {
            if (file->head.offset > stream->base && file->head.offset <= stream->safe)
                mux_stream_rebase(stream, file->head.offset, file->head.crc);
            return;
        }
        let_go(spooler, i);
    }
}

void mux_spooler_forget(struct mux_spooler *spooler, const uint8_t id[MUX_STREAM_ID_BYTES]) {
    for (size_t i = 0; i < spooler->count; i++)
        if (mux_spool_is_of(&spooler->files[i], id))
            let_go(spooler, i);
}

void mux_spooler_rename(struct mux_spooler *spooler, const uint8_t from[MUX_STREAM_ID_BYTES],
                        const uint8_t to[MUX_STREAM_ID_BYTES]) {
    for (size_t i = 0; i < spooler->count; i++)
        if (mux_spool_is_of(&spooler->files[i], from))
            memcpy(spooler->files[i].head.stream, to, MUX_STREAM_ID_BYTES);
}

/*
 * ---- what is to be done ----
 */

void mux_spooler_start(struct mux_spooler *spooler, enum mux_spool_work work, size_t file) {
    assert(!spooler->is_busy);
    spooler->is_busy = true;
    spooler->op = (struct mux_spool_op){.work = work};
    spooler->op_file = file;
    file_name(&spooler->files[file], spooler->op.name);
    spooler_sane(spooler);
}

/* The disk says no: it is said once, and tried again later. */
static void refuse(struct mux_spooler *spooler, const char *why, uint64_t now_ns) {
    spooler->retry_ns = now_ns + MUX_SPOOL_RETRY_NS;
    if (strcmp(spooler->refused, why) == 0)
        return;
    snprintf(spooler->refused, sizeof spooler->refused, "%s", why);
    mux_spooler_say(spooler,
                    "the spool: %s: %s: what comes stays in memory, and when that is full workers "
                    "wait, until it is written",
                    spooler->op.name, why);
}

/* And yes again. */
static void accept(struct mux_spooler *spooler) {
    if (*spooler->refused)
        mux_spooler_say(spooler, "the spool is written again");
    *spooler->refused = '\0';
}

static bool choose_gone(struct mux_spooler *spooler, uint64_t now_ns) {
    for (size_t i = 0; i < spooler->count && now_ns >= spooler->retry_ns; i++)
        if (spooler->files[i].goes) {
            mux_spooler_start(spooler,
                              spooler->files[i].is_bad ? MUX_SPOOL_ASIDE : MUX_SPOOL_REMOVE, i);
            return true;
        }
    return false;
}

static void done_gone(struct mux_spooler *spooler, const char *why, uint64_t now_ns) {
    if (why)
        refuse(spooler, why, now_ns);
    else
        drop_file(spooler, spooler->op_file);
}

static bool choose_rename(struct mux_spooler *spooler, uint64_t now_ns) {
    for (size_t i = 0; i < spooler->count && now_ns >= spooler->retry_ns; i++) {
        const struct mux_spool_file *file = &spooler->files[i];
        if (mux_spool_is_of(file, file->named))
            continue;
        mux_spooler_start(spooler, MUX_SPOOL_RENAME, i);
        mux_spool_head_write(&file->head, spooler->op.head);
        mux_spool_name(&file->head, spooler->op.new_name);
        return true;
    }
    return false;
}

/* It may have got yet another id meanwhile. */
static void done_rename(struct mux_spooler *spooler, const char *why, uint64_t now_ns) {
    struct mux_spool_head head;
    if (why) {
        refuse(spooler, why, now_ns);
        return;
    }
    mux_spool_name_read(spooler->op.new_name, &head);
    memcpy(spooler->files[spooler->op_file].named, head.stream, sizeof head.stream);
}

/*
 * ---- writing ----
 */

static uint64_t file_most_bytes(const struct mux_spooler *spooler) {
    uint64_t share = spooler->config.limits.most_bytes / MUX_SPOOL_FILES_LEAST;
    return share < MUX_SPOOL_FILE_MOST_BYTES ? share : MUX_SPOOL_FILE_MOST_BYTES;
}

static uint64_t cost_of(const struct mux_stream_record *record) {
    return MUX_SPOOL_RECORD_HEAD_BYTES + (uint64_t)record->content.len_bytes;
}

/* Does it fit the file, of this length? A single record always does. */
static bool fits_file(const struct mux_spooler *spooler, uint64_t len_bytes,
                      const struct mux_stream_record *record) {
    return len_bytes <= MUX_SPOOL_HEAD_BYTES ||
           len_bytes + cost_of(record) <= file_most_bytes(spooler);
}

static bool is_sync_wanted(const struct mux_spooler *spooler) {
    return spooler->config.limits.sync != MUX_SPOOL_SYNC_NONE && spooler->is_dirty;
}

static void start_sync(struct mux_spooler *spooler) {
    mux_spooler_start(spooler, MUX_SPOOL_SYNC, spooler->count - 1);
    spooler->op.is_new = spooler->is_new;
}

static void say_full(struct mux_spooler *spooler) {
    if (spooler->is_full)
        return;
    spooler->is_full = true;
    mux_spooler_say(spooler,
                    "the spool is full, with %" PRIu64 " bytes: what comes stays in memory, and "
                    "when that is full workers wait, until the end has taken some of it",
                    spooler->bytes);
}

/* The record's head and content; returns their bytes. */
static uint64_t add_record(struct mux_spooler *spooler, const struct mux_stream_record *record,
                           const struct mux_span spans[2]) {
    struct mux_gather *bytes = &spooler->op.bytes;
    uint8_t *head = spooler->heads[spooler->op_count];
    const struct mux_spool_record written = {record->offset, record->crc, record->content.len_bytes,
                                             record->content.crc};
    mux_spool_record_write(&written, head);
    spooler->spans[bytes->count++] = mux_span(head, MUX_SPOOL_RECORD_HEAD_BYTES);
    for (size_t i = 0; i < 2; i++)
        if (spans[i].len > 0)
            spooler->spans[bytes->count++] = spans[i];
    bytes->len_bytes += cost_of(record);
    spooler->op_records[spooler->op_count++] = *record;
    return cost_of(record);
}

/* The records that follow on this one, while they fit the file, the spool and one write. */
static void add_records(struct mux_spooler *spooler, struct mux_stream_record record) {
    struct mux_span spans[2];
    uint64_t room = spooler->config.limits.most_bytes - spooler->bytes;
    uint64_t file_bytes = spooler->op.at + spooler->op.bytes.len_bytes;
    uint64_t from = record.offset;
    while (spooler->op_count < MUX_SPOOL_WRITE_RECORDS &&
           mux_stream_record(spooler->own, from, &record, spans) &&
           fits_file(spooler, file_bytes, &record) &&
           spooler->op.bytes.len_bytes + cost_of(&record) <= room &&
           (spooler->op_count == 0 || spooler->op.bytes.len_bytes < MUX_SPOOL_WRITE_BYTES)) {
        file_bytes += add_record(spooler, &record, spans);
        from = record.offset + record.content.len_bytes;
    }
    assert(spooler->op_count > 0);
}

static void start_write(struct mux_spooler *spooler, const struct mux_stream_record *record) {
    bool is_new = !spooler->has_current;
    if (is_new) {
        struct mux_spool_head head = {.offset = record->offset, .crc = record->crc};
        memcpy(head.stream, spooler->own->id, sizeof head.stream);
        put_file(spooler, spooler->count, &head, 0);
        spooler->has_current = true;
    }
    mux_spooler_start(spooler, MUX_SPOOL_WRITE, spooler->count - 1);
    spooler->op.is_new = is_new;
    spooler->op.syncs = spooler->config.limits.sync == MUX_SPOOL_SYNC_ALWAYS;
    spooler->op.at = spooler->files[spooler->op_file].len_bytes;
    spooler->op.bytes.spans = spooler->spans;
    spooler->op_count = 0;
    if (is_new) {
        mux_spool_head_write(&spooler->files[spooler->op_file].head, spooler->op.head);
        spooler->spans[0] = mux_span(spooler->op.head, MUX_SPOOL_HEAD_BYTES);
        spooler->op.bytes.count = 1;
        spooler->op.bytes.len_bytes = MUX_SPOOL_HEAD_BYTES;
    }
    add_records(spooler, *record);
    mux_stream_writes(spooler->own, record->offset);
}

/* What waits is to be written now, or there is none. */
static bool is_due(struct mux_spooler *spooler, const struct mux_stream_record *record,
                   bool hurries, uint64_t now_ns) {
    if (spooler->due_ns == UINT64_MAX)
        spooler->due_ns = now_ns + MUX_SPOOL_WRITE_NS;
    bool is_much = spooler->own->len_bytes - record->offset >= MUCH_BYTES;
    return (hurries || is_much || now_ns >= spooler->due_ns) && now_ns >= spooler->retry_ns;
}

/*
 * Rule 11b: with a gap in front all that stands before it is safe, and goes first. A file that is
 * full is synced before the next one is begun.
 */
static bool prepare_file(struct mux_spooler *spooler, const struct mux_stream_record *record,
                         uint64_t now_ns) {
    if (!spooler->has_current)
        return false;
    if (record->offset > spooler->written) {
        let_go(spooler, spooler->count - 1);
        return choose_gone(spooler, now_ns);
    }
    if (fits_file(spooler, spooler->files[spooler->count - 1].len_bytes, record))
        return false;
    if (is_sync_wanted(spooler)) {
        start_sync(spooler);
        return true;
    }
    spooler->has_current = spooler->is_dirty = false;
    return false;
}

static bool has_file_room(const struct mux_spooler *spooler,
                          const struct mux_stream_record *record) {
    uint64_t cost = cost_of(record) + (spooler->has_current ? 0 : MUX_SPOOL_HEAD_BYTES);
    return (spooler->has_current || spooler->count < spooler->count_max) &&
           spooler->bytes + cost <= spooler->config.limits.most_bytes;
}

static bool choose_write(struct mux_spooler *spooler, bool hurries, uint64_t now_ns) {
    struct mux_stream_record record;
    struct mux_span spans[2];
    if (!mux_stream_record(spooler->own, spooler->written, &record, spans)) {
        spooler->due_ns = UINT64_MAX;
        return false;
    }
    if (!is_due(spooler, &record, hurries, now_ns))
        return false;
    if (prepare_file(spooler, &record, now_ns))
        return true;
    if (!has_file_room(spooler, &record)) {
        say_full(spooler);
        return false;
    }
    spooler->is_full = false;
    start_write(spooler, &record);
    return true;
}

/* Of the records, those that are there whole. Returns their bytes, with the file's head. */
static uint64_t take_written(struct mux_spooler *spooler, size_t bytes) {
    uint64_t whole = spooler->op.is_new ? MUX_SPOOL_HEAD_BYTES : 0;
    if (bytes < whole)
        return 0;
    for (size_t i = 0; i < spooler->op_count; i++) {
        const struct mux_stream_record *record = &spooler->op_records[i];
        if (whole + cost_of(record) > bytes)
            break;
        whole += cost_of(record);
        spooler->written = record->offset + record->content.len_bytes;
        spooler->written_bytes += record->content.len_bytes;
    }
    return whole;
}

static void note_spooled(struct mux_spooler *spooler) {
    if (spooler->written > spooler->own->spooled)
        mux_stream_spooled(spooler->own, spooler->written);
}

static void done_write(struct mux_spooler *spooler, size_t bytes, const char *why,
                       uint64_t now_ns) {
    size_t i = spooler->op_file;
    uint64_t whole = take_written(spooler, bytes);
    bool is_synced = spooler->op.syncs && !why && whole == spooler->op.bytes.len_bytes;
    spooler->files[i].len_bytes += whole;
    spooler->bytes += whole;
    spooler->due_ns = UINT64_MAX;
    if (spooler->files[i].len_bytes == 0) {
        drop_file(spooler, i);
        spooler->has_current = false;
    } else if (!spooler->files[i].goes && !is_synced) {
        spooler->dirty_ns = spooler->is_dirty ? spooler->dirty_ns : now_ns;
        spooler->is_dirty = true;
        spooler->is_new = spooler->is_new || spooler->op.is_new;
    }
    mux_stream_writes(spooler->own, UINT64_MAX);
    if (is_synced && !spooler->files[i].goes)
        spooler->is_dirty = spooler->is_new = false;
    if (spooler->config.limits.sync != MUX_SPOOL_SYNC_ALWAYS || is_synced)
        note_spooled(spooler);
    if (why || whole < spooler->op.bytes.len_bytes)
        refuse(spooler, why ? why : "it was not written whole", now_ns);
    else
        accept(spooler);
}

static bool choose_sync(struct mux_spooler *spooler, bool hurries, uint64_t now_ns) {
    bool is_now = spooler->config.limits.sync == MUX_SPOOL_SYNC_ALWAYS || hurries ||
                  now_ns >= spooler->dirty_ns + MUX_SPOOL_SYNC_NS;
    if (!is_sync_wanted(spooler) || !is_now || now_ns < spooler->retry_ns)
        return false;
    start_sync(spooler);
    return true;
}

static void done_sync(struct mux_spooler *spooler, const char *why, uint64_t now_ns) {
    if (why) {
        refuse(spooler, why, now_ns);
        return;
    }
    spooler->is_dirty = spooler->is_new = false;
    note_spooled(spooler);
}

bool mux_spooler_is_settled(const struct mux_spooler *spooler) {
    for (size_t i = 0; i < spooler->count; i++)
        if (spooler->files[i].goes)
            return false;
    return mux_stream_unspooled_bytes(spooler->own) == 0 && !is_sync_wanted(spooler) &&
           !spooler->is_busy;
}

/*
 * ---- operations ----
 */

static bool choose_transfer(struct mux_spooler *spooler, bool hurries, uint64_t now_ns) {
    bool found = spooler->reads_next
                     ? mux_spooler_choose_read(spooler) || choose_write(spooler, hurries, now_ns)
                     : choose_write(spooler, hurries, now_ns) || mux_spooler_choose_read(spooler);
    if (found)
        spooler->reads_next = spooler->op.work != MUX_SPOOL_READ;
    return found;
}

const struct mux_spool_op *mux_spooler_take(struct mux_spooler *spooler, bool hurries,
                                            uint64_t now_ns) {
    if (spooler->is_busy)
        return NULL;
    bool is_always = spooler->config.limits.sync == MUX_SPOOL_SYNC_ALWAYS;
    if (choose_gone(spooler, now_ns) || choose_rename(spooler, now_ns) ||
        (is_always && choose_sync(spooler, hurries, now_ns)) ||
        choose_transfer(spooler, hurries, now_ns) || choose_sync(spooler, hurries, now_ns))
        return &spooler->op;
    return NULL;
}

void mux_spooler_done(struct mux_spooler *spooler, size_t bytes, const char *why, uint64_t now_ns) {
    assert(spooler->is_busy);
    spooler->is_busy = false;
    switch (spooler->op.work) {
    case MUX_SPOOL_WRITE:
        done_write(spooler, bytes, why, now_ns);
        break;
    case MUX_SPOOL_SYNC:
        done_sync(spooler, why, now_ns);
        break;
    case MUX_SPOOL_READ:
        mux_spooler_done_read(spooler, bytes, why);
        break;
    case MUX_SPOOL_REMOVE:
    case MUX_SPOOL_ASIDE:
        done_gone(spooler, why, now_ns);
        break;
    case MUX_SPOOL_RENAME:
        done_rename(spooler, why, now_ns);
        break;
    }
    spooler_sane(spooler);
}

/* Does a file wait to be removed, or to get another name? */
static bool has_file_work(const struct mux_spooler *spooler) {
    for (size_t i = 0; i < spooler->count; i++) {
        const struct mux_spool_file *file = &spooler->files[i];
        if (file->goes || !mux_spool_is_of(file, file->named))
            return true;
    }
    return false;
}

/* What a disk has refused may be safe meanwhile: then there is nothing to try again. */
uint64_t mux_spooler_deadline(const struct mux_spooler *spooler) {
    uint64_t at_ns = spooler->is_full ? UINT64_MAX : spooler->due_ns;
    if (spooler->is_busy)
        return UINT64_MAX;
    if (is_sync_wanted(spooler) && spooler->dirty_ns + MUX_SPOOL_SYNC_NS < at_ns)
        at_ns = spooler->dirty_ns + MUX_SPOOL_SYNC_NS;
    if (*spooler->refused && spooler->retry_ns < at_ns && has_file_work(spooler))
        at_ns = spooler->retry_ns;
    return at_ns < spooler->retry_ns ? spooler->retry_ns : at_ns;
}
