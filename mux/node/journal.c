#include "mux/node/journal.h"
#include "mux/packet/bytes.h"
#include "mux/packet/crc.h"

static const char magic[8] = "MUXJRNL1";

/* Of the head: where each field lies. */
enum { HEAD_END = 8, HEAD_DEVICE = 24, HEAD_INODE = 32, HEAD_CRC = 60 };

/* Of a record's. The CRC is that of the length and of all behind the CRC. */
enum {
    RECORD_LENGTH = 0, /* of all behind it and the CRC */
    RECORD_CRC = 4,
    RECORD_KIND = 8,
    RECORD_ITEMS = 12,
    RECORD_TESTS = 16,
    RECORD_OUTPUT = 20,
    RECORD_SEGMENT = 28,
};

/* Of an item's, and what a stream's first one has behind it. */
enum { ITEM_STREAM = 0, ITEM_OUTPUT = 4, ITEM_AT = 8, ITEM_CRC = 16, ITEM_BYTES = 20 };
enum { FIRST_PIN_LENGTH = MUX_STREAM_ID_BYTES, FIRST_BYTES = MUX_STREAM_ID_BYTES + 4 };

/* Of a test's. */
enum { TEST_ROUTE_LENGTH = 0, TEST_ID_LENGTH = 4, TEST_BYTES = 8 };
#define NO_ROUTE UINT32_MAX

_Static_assert(HEAD_END + MUX_STREAM_ID_BYTES == HEAD_DEVICE, "fields do not overlap");
_Static_assert(HEAD_CRC + 4 == MUX_JOURNAL_HEAD_BYTES, "the CRC ends the head");
_Static_assert(RECORD_SEGMENT + 8 == MUX_JOURNAL_RECORD_HEAD_BYTES, "the head has nothing more");

void mux_journal_head_write(const struct mux_journal_head *head,
                            uint8_t out[MUX_JOURNAL_HEAD_BYTES]) {
    memset(out, 0, MUX_JOURNAL_HEAD_BYTES);
    memcpy(out, magic, sizeof magic);
    memcpy(out + HEAD_END, head->end, MUX_STREAM_ID_BYTES);
    mux_write_be64(out + HEAD_DEVICE, head->device);
    mux_write_be64(out + HEAD_INODE, head->inode);
    mux_write_be32(out + HEAD_CRC, mux_crc(0, mux_span(out, HEAD_CRC)));
}

const char *mux_journal_head_read(struct mux_span bytes, struct mux_journal_head *head) {
    const uint8_t *at = bytes.data;
    if (bytes.len < sizeof magic || memcmp(at, magic, sizeof magic) != 0)
        return "it is not a journal, or one of another version of muxd";
    if (bytes.len < MUX_JOURNAL_HEAD_BYTES)
        return "its head is cut off";
    if (mux_crc(0, mux_span(at, HEAD_CRC)) != mux_read_be32(at + HEAD_CRC))
        return "its head is damaged";
    memcpy(head->end, at + HEAD_END, MUX_STREAM_ID_BYTES);
    head->device = mux_read_be64(at + HEAD_DEVICE);
    head->inode = mux_read_be64(at + HEAD_INODE);
    return NULL;
}

/*
 * ---- writing ----
 */

void mux_journal_begin(struct mux_journal_writer *writer, struct mux_room room,
                       enum mux_journal_kind kind, uint64_t output_bytes, uint64_t next_segment) {
    assert(room.len >= MUX_JOURNAL_RECORD_HEAD_BYTES);
    *writer = (struct mux_journal_writer){.room = room, .len = MUX_JOURNAL_RECORD_HEAD_BYTES};
    mux_write_be32(room.data + RECORD_KIND, kind);
    mux_write_be64(room.data + RECORD_OUTPUT, output_bytes);
    mux_write_be64(room.data + RECORD_SEGMENT, next_segment);
}

/* NULL: there is no room for so much. */
static uint8_t *take_room(struct mux_journal_writer *writer, size_t len) {
    uint8_t *at = writer->room.data + writer->len;
    if (len > writer->room.len - writer->len || len > UINT32_MAX - writer->len)
        return NULL;
    writer->len += len;
    return at;
}

static void write_text(uint8_t *out, struct mux_span text) {
    if (text.len > 0)
        memcpy(out, text.data, text.len);
}

bool mux_journal_add_item(struct mux_journal_writer *writer, const struct mux_journal_item *item) {
    bool is_first = item->id.data != NULL;
    assert(writer->tests == 0 && (!is_first || item->id.len == MUX_STREAM_ID_BYTES));
    assert(item->pin.len <= MUX_BUNDLE_ROUTE_MAX_BYTES && (is_first || !item->pin.data));
    uint8_t *at = take_room(writer, ITEM_BYTES + (is_first ? FIRST_BYTES + item->pin.len : 0));
    if (!at)
        return false;
    mux_write_be32(at + ITEM_STREAM, item->stream);
    mux_write_be32(at + ITEM_OUTPUT, item->output_bytes);
    mux_write_be64(at + ITEM_AT, item->at);
    mux_write_be32(at + ITEM_CRC, item->crc);
    if (is_first) {
        write_text(at + ITEM_BYTES, item->id);
        mux_write_be32(at + ITEM_BYTES + FIRST_PIN_LENGTH, (uint32_t)item->pin.len);
        write_text(at + ITEM_BYTES + FIRST_BYTES, item->pin);
    }
    writer->items++;
    return true;
}

bool mux_journal_add_test(struct mux_journal_writer *writer, const struct mux_journal_test *test) {
    uint8_t *at = take_room(writer, TEST_BYTES + test->route.len + test->test_id.len);
    if (!at)
        return false;
    mux_write_be32(at + TEST_ROUTE_LENGTH, test->route.data ? (uint32_t)test->route.len : NO_ROUTE);
    mux_write_be32(at + TEST_ID_LENGTH, (uint32_t)test->test_id.len);
    write_text(at + TEST_BYTES, test->route);
    write_text(at + TEST_BYTES + test->route.len, test->test_id);
    writer->tests++;
    return true;
}

/* Of a whole record: its CRC is not its own part. */
static uint32_t crc_of(struct mux_span record) {
    uint32_t crc = mux_crc(0, mux_span(record.data, RECORD_CRC));
    return mux_crc(crc, mux_span(record.data + RECORD_KIND, record.len - RECORD_KIND));
}

struct mux_span mux_journal_end(struct mux_journal_writer *writer) {
    uint8_t *head = writer->room.data;
    mux_write_be32(head + RECORD_LENGTH, (uint32_t)(writer->len - RECORD_KIND));
    mux_write_be32(head + RECORD_ITEMS, writer->items);
    mux_write_be32(head + RECORD_TESTS, writer->tests);
    mux_write_be32(head + RECORD_CRC, crc_of(mux_span(head, writer->len)));
    return mux_span(head, writer->len);
}

bool mux_journal_is_long(uint64_t journal_bytes, uint64_t first_record_bytes,
                         uint64_t output_bytes) {
    return journal_bytes > MUX_JOURNAL_LONG_BYTES + 2 * first_record_bytes ||
           output_bytes > MUX_JOURNAL_OUTPUT_BYTES;
}

/*
 * ---- reading ----
 */

void mux_journal_reader_init(struct mux_journal_reader *reader, struct mux_span file) {
    assert(file.len >= MUX_JOURNAL_HEAD_BYTES);
    *reader = (struct mux_journal_reader){
        .rest = mux_span(file.data + MUX_JOURNAL_HEAD_BYTES, file.len - MUX_JOURNAL_HEAD_BYTES)};
}

/* Takes so much off; data NULL: there is less. */
static struct mux_span take(struct mux_span *from, size_t len) {
    if (len > from->len)
        return mux_span(NULL, 0);
    struct mux_span taken = mux_span(from->data, len);
    *from = mux_span(from->data + len, from->len - len);
    return taken;
}

/* `streams`: that were named before; one more is named here. False: it is malformed. */
static bool read_item(struct mux_span *left, uint32_t *streams, struct mux_journal_item *item) {
    struct mux_span fixed = take(left, ITEM_BYTES);
    if (!fixed.data)
        return false;
    *item = (struct mux_journal_item){.stream = mux_read_be32(fixed.data + ITEM_STREAM),
                                      .output_bytes = mux_read_be32(fixed.data + ITEM_OUTPUT),
                                      .at = mux_read_be64(fixed.data + ITEM_AT),
                                      .crc = mux_read_be32(fixed.data + ITEM_CRC)};
    if (item->at >= MUX_STREAM_BYTES_MAX)
        return false;
    if (item->stream <= *streams)
        return true;
    struct mux_span first = take(left, FIRST_BYTES);
    if (item->stream != *streams + 1 || !first.data)
        return false;
    item->id = mux_span(first.data, MUX_STREAM_ID_BYTES);
    item->pin = take(left, mux_read_be32(first.data + FIRST_PIN_LENGTH));
    ++*streams;
    return item->pin.data && item->pin.len <= MUX_BUNDLE_ROUTE_MAX_BYTES;
}

static bool read_test(struct mux_span *left, struct mux_journal_test *test) {
    struct mux_span fixed = take(left, TEST_BYTES);
    if (!fixed.data)
        return false;
    uint32_t route_len = mux_read_be32(fixed.data + TEST_ROUTE_LENGTH);
    *test = (struct mux_journal_test){.route = mux_span(NULL, 0)};
    if (route_len != NO_ROUTE && !(test->route = take(left, route_len)).data)
        return false;
    test->test_id = take(left, mux_read_be32(fixed.data + TEST_ID_LENGTH));
    return test->test_id.data != NULL;
}

/* All of it, before anything is used. Counts the output's bytes and the streams that it names. */
static bool read_all(struct mux_journal_record *record, uint32_t *streams) {
    struct mux_span left = record->left;
    struct mux_journal_item item;
    struct mux_journal_test test;
    record->output_end_bytes = record->output_bytes;
    for (uint32_t i = 0; i < record->items; i++) {
        if (!read_item(&left, streams, &item))
            return false;
        record->output_end_bytes += item.output_bytes;
    }
    for (uint32_t i = 0; i < record->tests; i++)
        if (!read_test(&left, &test))
            return false;
    return left.len == 0;
}

static bool read_record(struct mux_span bytes, struct mux_journal_record *record) {
    const uint8_t *at = bytes.data;
    if (crc_of(bytes) != mux_read_be32(at + RECORD_CRC))
        return false;
    uint32_t kind = mux_read_be32(at + RECORD_KIND);
    *record =
        (struct mux_journal_record){.kind = (enum mux_journal_kind)kind,
                                    .output_bytes = mux_read_be64(at + RECORD_OUTPUT),
                                    .next_segment = mux_read_be64(at + RECORD_SEGMENT),
                                    .items = mux_read_be32(at + RECORD_ITEMS),
                                    .tests = mux_read_be32(at + RECORD_TESTS),
                                    .left = mux_span(at + MUX_JOURNAL_RECORD_HEAD_BYTES,
                                                     bytes.len - MUX_JOURNAL_RECORD_HEAD_BYTES)};
    return (kind == MUX_JOURNAL_BATCH || kind == MUX_JOURNAL_CLOSED) &&
           record->output_bytes < MUX_STREAM_BYTES_MAX;
}

/* The bytes of the record at the front. data NULL: it is not whole. */
static struct mux_span find_record(struct mux_span rest) {
    if (rest.len < MUX_JOURNAL_RECORD_HEAD_BYTES)
        return mux_span(NULL, 0);
    size_t len = mux_read_be32(rest.data + RECORD_LENGTH);
    bool is_whole =
        len >= MUX_JOURNAL_RECORD_HEAD_BYTES - RECORD_KIND && len <= rest.len - RECORD_KIND;
    return is_whole ? mux_span(rest.data, RECORD_KIND + len) : mux_span(NULL, 0);
}

enum mux_journal_found mux_journal_next(struct mux_journal_reader *reader,
                                        struct mux_journal_record *record) {
    uint32_t streams = reader->streams;
    *record = (struct mux_journal_record){0};
    if (reader->rest.len == 0)
        return MUX_JOURNAL_END;
    struct mux_span bytes = find_record(reader->rest);
    if (!bytes.data || !read_record(bytes, record) || !read_all(record, &streams) ||
        (reader->has_record && record->output_bytes != reader->output_end_bytes))
        return MUX_JOURNAL_TORN;
    take(&reader->rest, bytes.len);
    reader->has_record = true;
    record->streams = reader->streams;
    reader->streams = streams;
    reader->output_end_bytes = record->output_end_bytes;
    return MUX_JOURNAL_RECORD;
}

bool mux_journal_item_next(struct mux_journal_record *record, struct mux_journal_item *item) {
    if (record->items == 0)
        return false;
    record->items--;
    bool fine = read_item(&record->left, &record->streams, item);
    assert(fine);
    return fine;
}

bool mux_journal_test_next(struct mux_journal_record *record, struct mux_journal_test *test) {
    struct mux_journal_item item;
    while (mux_journal_item_next(record, &item))
        ;
    if (record->tests == 0)
        return false;
    record->tests--;
    bool fine = read_test(&record->left, test);
    assert(fine);
    return fine;
}

/*
 * ---- going on after a crash ----
 */

void mux_journal_follow(struct mux_journal_follower *follower, struct mux_span file,
                        bool has_output, uint64_t output_len_bytes) {
    struct mux_journal_record record;
    *follower = (struct mux_journal_follower){
        .has_output = has_output, .output_len_bytes = has_output ? output_len_bytes : 0};
    mux_journal_reader_init(&follower->reader, file);
    while (mux_journal_next(&follower->reader, &record) == MUX_JOURNAL_RECORD) {
        follower->is_closed = record.kind == MUX_JOURNAL_CLOSED;
        follower->records++;
    }
    mux_journal_reader_init(&follower->reader, file);
}

static bool finish(struct mux_journal_follower *follower, enum mux_journal_fate fate) {
    assert(follower->fate == MUX_JOURNAL_FOLLOWING && fate != MUX_JOURNAL_FOLLOWING);
    follower->fate = fate;
    return false;
}

/* All records that hold were read. */
static bool finish_whole(struct mux_journal_follower *follower) {
    uint64_t len = follower->output_len_bytes, keep = follower->keep_bytes;
    if (!follower->has_output && keep > 0)
        return finish(follower, follower->is_closed ? MUX_JOURNAL_NEW : MUX_JOURNAL_GONE);
    if (len != keep)
        return finish(follower, len < keep ? MUX_JOURNAL_SHORTER : MUX_JOURNAL_LONGER);
    return finish(follower, MUX_JOURNAL_WHOLE);
}

/* False: the last batch of an output that is gone is not known to be in it. */
static bool holds_next(const struct mux_journal_follower *follower) {
    bool is_first = !follower->reader.has_record;
    return is_first || follower->has_output || follower->is_closed || follower->records > 1;
}

static bool next_record(struct mux_journal_follower *follower) {
    enum mux_journal_found found = mux_journal_next(&follower->reader, &follower->record);
    follower->is_torn = found == MUX_JOURNAL_TORN;
    if (found != MUX_JOURNAL_RECORD)
        return finish_whole(follower);
    if (follower->record.next_segment > follower->next_segment)
        follower->next_segment = follower->record.next_segment;
    follower->keep_bytes = follower->record.output_bytes;
    follower->records--;
    return true;
}

/* The output ends before what this item says. What an output that is gone had is believed. */
static bool is_missing(const struct mux_journal_follower *follower,
                       const struct mux_journal_item *item) {
    uint64_t end = follower->keep_bytes + item->output_bytes;
    return item->output_bytes > 0 && follower->has_output && !follower->is_closed &&
           end > follower->output_len_bytes;
}

bool mux_journal_follow_next(struct mux_journal_follower *follower, struct mux_journal_item *item) {
    if (follower->fate != MUX_JOURNAL_FOLLOWING)
        return false;
    while (!mux_journal_item_next(&follower->record, item)) {
        if (!holds_next(follower))
            return finish_whole(follower);
        if (!next_record(follower))
            return false;
    }
    if (!is_missing(follower, item)) {
        follower->keep_bytes += item->output_bytes;
        return true;
    }
    if (follower->output_len_bytes < follower->keep_bytes)
        return finish(follower, MUX_JOURNAL_SHORTER);
    return finish(follower, item->stream ? MUX_JOURNAL_CUT : MUX_JOURNAL_PLAIN);
}
