/* An end's journal: what was written is read, and what is torn or flipped ends it; an output of any
 * length is followed to its last bundle. */
#include "tests/unit/check.h"
#include "tests/unit/random.h"

#include "mux/node/journal.h"

#define SEEDS 300
#define STREAMS 4
#define ITEMS_MAX 64
#define RECORDS_MAX 8
#define FILE_MOST_BYTES 8192

struct file {
    uint8_t bytes[FILE_MOST_BYTES];
    size_t len;
    unsigned records, items;
    size_t end_of[RECORDS_MAX + 1];      /* where each ends; that of the head first */
    unsigned items_to[RECORDS_MAX + 1];  /* behind each */
    uint64_t output_to[RECORDS_MAX + 1]; /* behind each */
    struct mux_journal_item item[ITEMS_MAX];
    uint64_t output_end[ITEMS_MAX];
    uint32_t streams;
    bool named[STREAMS + 1];
    uint64_t output_bytes;
};

static const uint8_t ids[STREAMS + 1][MUX_STREAM_ID_BYTES] = {{0}, {1}, {2}, {3}, {4}};
static const struct mux_journal_head head = {{7}, 11, 12};
static const struct mux_journal_test test_a = {{(const uint8_t *)"0/1", 3},
                                               {(const uint8_t *)"a", 1}};
static const struct mux_journal_test test_b = {{NULL, 0}, {(const uint8_t *)"", 0}};

static struct mux_journal_writer begin(struct file *file, enum mux_journal_kind kind) {
    struct mux_journal_writer writer;
    struct mux_room room = {file->bytes + file->len, FILE_MOST_BYTES - file->len};
    mux_journal_begin(&writer, room, kind, file->output_bytes, file->records + 5);
    return writer;
}

static void end(struct file *file, struct mux_journal_writer *writer) {
    file->len += mux_journal_end(writer).len;
    file->end_of[++file->records] = file->len;
    file->items_to[file->records] = file->items;
    file->output_to[file->records] = file->output_bytes;
}

static void add(struct file *file, struct mux_journal_writer *writer, uint32_t stream,
                uint32_t output_bytes) {
    struct mux_journal_item item = {.stream = stream, .output_bytes = output_bytes};
    if (stream) {
        item.at = file->items * 10 + 1;
        item.crc = file->items + 77;
    }
    if (stream > file->streams) {
        item.id = mux_span(ids[stream], MUX_STREAM_ID_BYTES);
        item.pin = mux_span("0/1/2/3", 2 * stream - 1);
        file->streams = stream;
    }
    assert_true(mux_journal_add_item(writer, &item));
    file->output_bytes += output_bytes;
    file->output_end[file->items] = file->output_bytes;
    file->item[file->items++] = item;
}

/* The first record has all streams and tests, the others batches of some bundles. */
static void make(struct file *file, struct random *random, bool is_closed) {
    memset(file, 0, sizeof *file);
    mux_journal_head_write(&head, file->bytes);
    file->len = file->end_of[0] = MUX_JOURNAL_HEAD_BYTES;
    file->output_bytes = file->output_to[0] = random_below(random, 2) * 1000;
    struct mux_journal_writer writer = begin(file, MUX_JOURNAL_BATCH);
    for (size_t count = random_below(random, 3); count > 0; count--)
        add(file, &writer, file->streams + 1, 0);
    assert_true(mux_journal_add_test(&writer, &test_a) && mux_journal_add_test(&writer, &test_b));
    end(file, &writer);
    for (size_t records = random_below(random, RECORDS_MAX - 2); records > 0; records--) {
        writer = begin(file, MUX_JOURNAL_BATCH);
        for (size_t count = 1 + random_below(random, 5); count > 0; count--) {
            uint32_t most = file->streams < STREAMS ? file->streams + 1 : STREAMS;
            add(file, &writer, (uint32_t)random_below(random, most + 1),
                1 + (uint32_t)random_below(random, 90));
        }
        end(file, &writer);
    }
    if (is_closed) {
        writer = begin(file, MUX_JOURNAL_CLOSED);
        end(file, &writer);
    }
}

static void expect_item(const struct mux_journal_item *item, const struct mux_journal_item *want) {
    assert_true(item->stream == want->stream && item->output_bytes == want->output_bytes);
    assert_true(item->at == want->at && item->crc == want->crc);
    assert_same_field(item->id, want->id);
    assert_same_field(item->pin, want->pin);
}

/* Reads records as they were written; returns how many. */
static unsigned read_records(const struct file *file, struct mux_span bytes, bool *is_torn) {
    struct mux_journal_reader reader;
    struct mux_journal_record record;
    struct mux_journal_item item;
    struct mux_journal_test test;
    enum mux_journal_found found;
    unsigned records = 0, items = 0;
    mux_journal_reader_init(&reader, bytes);
    while ((found = mux_journal_next(&reader, &record)) == MUX_JOURNAL_RECORD) {
        assert_true(records < file->records && record.output_bytes == file->output_to[records] &&
                    record.output_end_bytes == file->output_to[records + 1]);
        assert_true(record.next_segment == records + 5);
        while (mux_journal_item_next(&record, &item))
            expect_item(&item, &file->item[items++]);
        assert_int_equal(items, file->items_to[records + 1]);
        if (records++ == 0) {
            assert_true(mux_journal_test_next(&record, &test));
            assert_same_field(test.route, test_a.route);
            assert_same_field(test.test_id, test_a.test_id);
            assert_true(mux_journal_test_next(&record, &test));
            assert_same_field(test.route, test_b.route);
            assert_same_field(test.test_id, test_b.test_id);
        }
        assert_false(mux_journal_test_next(&record, &test));
    }
    *is_torn = found == MUX_JOURNAL_TORN;
    assert_int_equal(mux_journal_next(&reader, &record), found);
    return records;
}

/* Cut off at every byte: the records before it are there. */
static void test_cut(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct random random = {seed};
        struct file file;
        struct mux_journal_head read;
        unsigned want = 0;
        bool is_torn;
        make(&file, &random, seed % 2);
        for (size_t len = MUX_JOURNAL_HEAD_BYTES; len <= file.len; len++) {
            uint8_t *copy = exact_copy(file.bytes, len);
            assert_null(mux_journal_head_read(mux_span(copy, len), &read));
            assert_true(read.end[0] == 7 && read.device == 11 && read.inode == 12);
            want += want < file.records && len == file.end_of[want + 1];
            assert_int_equal(read_records(&file, mux_span(copy, len), &is_torn), want);
            assert_int_equal(is_torn, len != file.end_of[want]);
            free(copy);
        }
    }
}

/* Every bit flipped: the record that has it, and what follows, is not there. */
static void test_flipped(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS / 20; seed++) {
        struct random random = {seed};
        struct file file;
        unsigned hit = 0;
        bool is_torn;
        make(&file, &random, seed % 2);
        for (size_t bit = 8 * MUX_JOURNAL_HEAD_BYTES; bit < 8 * file.len; bit++) {
            uint8_t *copy = exact_copy(file.bytes, file.len);
            copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
            hit += bit / 8 >= file.end_of[hit + 1];
            assert_int_equal(read_records(&file, mux_span(copy, file.len), &is_torn), hit);
            assert_true(is_torn);
            free(copy);
        }
    }
}

static void test_heads(void **state) {
    (void)state;
    uint8_t bytes[MUX_JOURNAL_HEAD_BYTES];
    struct mux_journal_head read;
    mux_journal_head_write(&head, bytes);
    for (size_t len = 0; len < sizeof bytes; len++) {
        uint8_t *copy = exact_copy(bytes, len);
        assert_non_null(mux_journal_head_read(mux_span(copy, len), &read));
        free(copy);
    }
    for (unsigned bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_non_null(mux_journal_head_read(mux_span(bytes, sizeof bytes), &read));
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

/* Follows an output of this length; items before `want` hold. */
static struct mux_journal_follower follow(const struct file *file, bool has_output, uint64_t len,
                                          unsigned want) {
    struct mux_journal_follower follower;
    struct mux_journal_item item;
    unsigned items = 0;
    mux_journal_follow(&follower, mux_span(file->bytes, file->len), has_output, len);
    while (mux_journal_follow_next(&follower, &item))
        expect_item(&item, &file->item[items++]);
    assert_int_equal(items, want);
    assert_false(mux_journal_follow_next(&follower, &item));
    return follower;
}

/* Rules 27 and 27b: an output that ends anywhere behind the first record. */
static void test_follows(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct random random = {seed};
        struct file file;
        make(&file, &random, false);
        unsigned want = file.items_to[1];
        for (uint64_t len = file.output_to[1]; len <= file.output_bytes; len++) {
            while (want < file.items && file.output_end[want] <= len)
                want++;
            uint64_t keep = want ? file.output_end[want - 1] : file.output_to[1];
            struct mux_journal_follower follower = follow(&file, true, len, want);
            assert_true(follower.keep_bytes == keep);
            if (want == file.items)
                assert_int_equal(follower.fate, MUX_JOURNAL_WHOLE);
            else
                assert_int_equal(follower.fate,
                                 file.item[want].stream ? MUX_JOURNAL_CUT : MUX_JOURNAL_PLAIN);
        }
        assert_int_equal(follow(&file, true, file.output_bytes + 1, file.items).fate,
                         MUX_JOURNAL_LONGER);
    }
}

/* Rule 29: of the records that the output goes to. */
static void test_next_segment(void **state) {
    (void)state;
    struct random random = {3};
    struct file file;
    make(&file, &random, false);
    struct mux_journal_follower follower = follow(&file, true, file.output_bytes, file.items);
    assert_true(follower.next_segment == file.records + 4 && !follower.is_torn);
}

/* Shorter than the first record says: what that has holds, and nothing behind it. */
static void test_shorter(void **state) {
    (void)state;
    unsigned seen = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct random random = {seed};
        struct file file;
        make(&file, &random, false);
        if (file.output_to[1] == 0)
            continue;
        assert_int_equal(follow(&file, true, file.output_to[1] - 1, file.items_to[1]).fate,
                         MUX_JOURNAL_SHORTER);
        seen++;
    }
    assert_true(seen > SEEDS / 4);
}

/* Rule 39b: a closed journal goes on beside an output of its own length, or none. */
static void test_closed(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct random random = {seed};
        struct file file;
        make(&file, &random, true);
        uint64_t len = file.output_bytes;
        assert_int_equal(follow(&file, true, len, file.items).fate, MUX_JOURNAL_WHOLE);
        assert_int_equal(follow(&file, true, len + 1, file.items).fate, MUX_JOURNAL_LONGER);
        assert_int_equal(follow(&file, false, 0, file.items).fate,
                         len > 0 ? MUX_JOURNAL_NEW : MUX_JOURNAL_WHOLE);
        if (len > 0)
            assert_int_equal(follow(&file, true, len - 1, file.items).fate, MUX_JOURNAL_SHORTER);
    }
}

/* Rule 39b: not closed, and the output is gone: all but the last record hold. */
static void test_gone(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct random random = {seed};
        struct file file;
        make(&file, &random, false);
        unsigned held = file.records > 1 ? file.records - 1 : 1;
        struct mux_journal_follower follower = follow(&file, false, 0, file.items_to[held]);
        assert_true(follower.keep_bytes == file.output_to[held]);
        assert_int_equal(follower.fate,
                         file.output_to[held] > 0 ? MUX_JOURNAL_GONE : MUX_JOURNAL_WHOLE);
    }
}

/* Without room nothing is written, and in more room it goes on. */
static void test_room(void **state) {
    (void)state;
    uint8_t bytes[200], more[200];
    struct mux_journal_writer writer;
    struct mux_journal_item item = {
        .stream = 1, .at = 4, .id = mux_span(ids[1], MUX_STREAM_ID_BYTES), .pin = mux_span("0", 1)};
    for (size_t len = MUX_JOURNAL_RECORD_HEAD_BYTES; len < sizeof bytes; len++) {
        uint8_t *small = exact_copy(bytes, len);
        mux_journal_begin(&writer, (struct mux_room){small, len}, MUX_JOURNAL_BATCH, 0, 0);
        if (!mux_journal_add_item(&writer, &item)) {
            memcpy(more, small, writer.len);
            writer.room = (struct mux_room){more, sizeof more};
            assert_true(mux_journal_add_item(&writer, &item));
        }
        assert_int_equal(mux_journal_end(&writer).len, MUX_JOURNAL_RECORD_HEAD_BYTES + 20 + 21);
        free(small);
    }
    assert_false(mux_journal_is_long(MUX_JOURNAL_LONG_BYTES + 200, 100, MUX_JOURNAL_OUTPUT_BYTES));
    assert_true(mux_journal_is_long(MUX_JOURNAL_LONG_BYTES + 201, 100, 0));
    assert_true(mux_journal_is_long(0, 100, MUX_JOURNAL_OUTPUT_BYTES + 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),     cmocka_unit_test(test_flipped),
        cmocka_unit_test(test_heads),   cmocka_unit_test(test_follows),
        cmocka_unit_test(test_shorter), cmocka_unit_test(test_next_segment),
        cmocka_unit_test(test_closed),  cmocka_unit_test(test_gone),
        cmocka_unit_test(test_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
