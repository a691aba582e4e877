/* A spool file: what was written is read, and what is torn, flipped or missing is found in its
 * place. */
#include "tests/unit/check.h"
#include "tests/unit/random.h"

#include "mux/node/spool.h"
#include "mux/packet/crc.h"

#define SEEDS 2000
#define RECORDS_MAX 12
#define CONTENT_MOST_BYTES 300
#define FILE_MOST_BYTES \
    (MUX_SPOOL_HEAD_BYTES + RECORDS_MAX * (MUX_SPOOL_RECORD_HEAD_BYTES + CONTENT_MOST_BYTES))

struct file {
    struct mux_spool_head head;
    uint8_t bytes[FILE_MOST_BYTES];
    size_t len;
    unsigned count;
    struct mux_spool_record record[RECORDS_MAX];
    size_t at[RECORDS_MAX + 1]; /* where each begins, and the file's end */
};

static void add_record(struct file *file, struct random *random, uint64_t *offset, uint32_t *crc) {
    struct mux_spool_record *record = &file->record[file->count];
    uint8_t *content = file->bytes + file->len + MUX_SPOOL_RECORD_HEAD_BYTES;
    uint32_t len = 1 + (uint32_t)random_below(random, CONTENT_MOST_BYTES);
    for (uint32_t i = 0; i < len; i++)
        content[i] = random_below(random, 4) ? (uint8_t)random_next(random) : 'M';
    *record = (struct mux_spool_record){*offset, *crc, len, mux_crc(0, mux_span(content, len))};
    mux_spool_record_write(record, file->bytes + file->len);
    file->at[file->count++] = file->len;
    file->len += MUX_SPOOL_RECORD_HEAD_BYTES + len;
    file->at[file->count] = file->len;
    *offset += len;
    *crc = mux_crc(*crc, mux_span(content, len));
}

static void make(struct file *file, struct random *random) {
    memset(file, 0, sizeof *file);
    for (unsigned i = 0; i < MUX_STREAM_ID_BYTES; i++)
        file->head.stream[i] = (uint8_t)random_next(random);
    uint64_t offset = file->head.offset = random_next(random) >> 2;
    uint32_t crc = file->head.crc = (uint32_t)random_next(random);
    mux_spool_head_write(&file->head, file->bytes);
    file->len = MUX_SPOOL_HEAD_BYTES;
    for (size_t count = 1 + random_below(random, RECORDS_MAX); count > 0; count--)
        add_record(file, random, &offset, &crc);
}

/* The next find, the file given in pieces of any size. */
static enum mux_spool_found find(struct mux_spool_reader *reader, const struct file *file,
                                 struct random *random, struct mux_spool_item *item) {
    size_t given = 0;
    for (;;) {
        size_t left = file->len - reader->position;
        given = given < left ? given : left;
        uint8_t *copy = exact_copy(file->bytes + reader->position, given);
        enum mux_spool_found found =
            mux_spool_next(reader, mux_span(copy, given), given == left, item);
        if (found == MUX_SPOOL_RECORD) /* the content outlives the copy */
            item->content =
                mux_span(file->bytes + reader->position - item->content.len, item->content.len);
        free(copy);
        if (found != MUX_SPOOL_MORE)
            return found;
        assert_true(item->want_bytes > 0);
        given = item->want_bytes + random_below(random, 40);
    }
}

static void start(struct mux_spool_reader *reader, const struct file *file) {
    struct mux_spool_head head;
    assert_null(mux_spool_head_read(mux_span(file->bytes, file->len), &head));
    assert_memory_equal(head.stream, file->head.stream, MUX_STREAM_ID_BYTES);
    assert_true(head.offset == file->head.offset && head.crc == file->head.crc);
    mux_spool_reader_init(reader, &head);
}

static void expect_record(const struct mux_spool_item *item, const struct file *file, unsigned i) {
    assert_true(item->record.offset == file->record[i].offset);
    assert_int_equal(item->record.crc, file->record[i].crc);
    assert_true(item->content.data == file->bytes + file->at[i] + MUX_SPOOL_RECORD_HEAD_BYTES);
    assert_int_equal(item->content.len, file->record[i].content_len_bytes);
}

/* The next records are those from `first` on. */
static void expect_records(struct mux_spool_reader *reader, const struct file *file,
                           struct random *random, unsigned first, unsigned end) {
    struct mux_spool_item item;
    for (unsigned i = first; i < end; i++) {
        assert_int_equal(find(reader, file, random, &item), MUX_SPOOL_RECORD);
        expect_record(&item, file, i);
    }
}

static void whole(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct random random = {seed};
        struct file file;
        struct mux_spool_reader reader;
        struct mux_spool_item item;
        make(&file, &random);
        start(&reader, &file);
        expect_records(&reader, &file, &random, 0, file.count);
        for (unsigned again = 0; again < 2; again++)
            assert_int_equal(find(&reader, &file, &random, &item), MUX_SPOOL_END);
    }
}

/* Cut off anywhere in a record: what stands before it is there, and the place to cut is told. */
static void torn(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct random random = {seed};
        struct file file;
        struct mux_spool_reader reader;
        struct mux_spool_item item;
        make(&file, &random);
        unsigned last = file.count - 1;
        file.len = file.at[last] + 1 + random_below(&random, file.len - file.at[last] - 1);
        start(&reader, &file);
        expect_records(&reader, &file, &random, 0, last);
        assert_int_equal(find(&reader, &file, &random, &item), MUX_SPOOL_TORN);
        assert_true(item.cut_at == file.at[last]);
    }
}

/*
 * One bit of record k flipped, in its head or its content: a hole of just that record, or, in the
 * last one's head, the end. The others are there.
 */
static void flipped(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct random random = {seed};
        struct file file;
        struct mux_spool_reader reader;
        struct mux_spool_item item;
        make(&file, &random);
        unsigned k = (unsigned)random_below(&random, file.count);
        size_t at = random_below(&random, file.at[k + 1] - file.at[k]);
        bool is_last_head = k + 1 == file.count && at < MUX_SPOOL_RECORD_HEAD_BYTES;
        file.bytes[file.at[k] + at] ^= (uint8_t)(1U << random_below(&random, 8));
        start(&reader, &file);
        expect_records(&reader, &file, &random, 0, k);
        if (is_last_head) {
            assert_int_equal(find(&reader, &file, &random, &item), MUX_SPOOL_TORN);
            assert_true(item.cut_at == file.at[k]);
        } else {
            assert_int_equal(find(&reader, &file, &random, &item), MUX_SPOOL_HOLE);
            assert_true(item.from == file.record[k].offset);
            assert_true(item.to == item.from + file.record[k].content_len_bytes);
            expect_records(&reader, &file, &random, k + 1, file.count);
        }
        assert_int_equal(find(&reader, &file, &random, &item),
                         is_last_head ? MUX_SPOOL_TORN : MUX_SPOOL_END);
    }
}

/* Record k is not in the file: a hole of its bytes; the last one is missed by nobody here. */
static void missing(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct random random = {seed};
        struct file file;
        struct mux_spool_reader reader;
        struct mux_spool_item item;
        make(&file, &random);
        if (file.count < 2)
            continue;
        unsigned k = (unsigned)random_below(&random, file.count - 1);
        size_t size = file.at[k + 1] - file.at[k];
        memmove(file.bytes + file.at[k], file.bytes + file.at[k + 1], file.len - file.at[k + 1]);
        file.len -= size;
        start(&reader, &file);
        expect_records(&reader, &file, &random, 0, k);
        assert_int_equal(find(&reader, &file, &random, &item), MUX_SPOOL_HOLE);
        assert_true(item.from == file.record[k].offset && item.to == file.record[k + 1].offset);
        for (unsigned i = k + 1; i < file.count; i++) {
            assert_int_equal(find(&reader, &file, &random, &item), MUX_SPOOL_RECORD);
            assert_true(item.record.offset == file.record[i].offset);
        }
        assert_int_equal(find(&reader, &file, &random, &item), MUX_SPOOL_END);
    }
}

/* A record that belongs behind other bytes: a hole of none before it. */
static void other_bytes_before(void **state) {
    (void)state;
    struct random random = {7};
    struct file file;
    struct mux_spool_reader reader;
    struct mux_spool_item item;
    make(&file, &random);
    file.record[0].crc ^= 1;
    mux_spool_record_write(&file.record[0], file.bytes + file.at[0]);
    start(&reader, &file);
    assert_int_equal(find(&reader, &file, &random, &item), MUX_SPOOL_HOLE);
    assert_true(item.from == file.head.offset && item.to == item.from);
    assert_int_equal(find(&reader, &file, &random, &item), MUX_SPOOL_RECORD);
    expect_record(&item, &file, 0);
}

static void heads(void **state) {
    (void)state;
    struct mux_spool_head head = {.stream = "0123456789abcdef", .offset = 12, .crc = 7}, read;
    uint8_t bytes[MUX_SPOOL_HEAD_BYTES];
    mux_spool_head_write(&head, bytes);
    assert_null(mux_spool_head_read(mux_span(bytes, sizeof bytes), &read));
    assert_string_equal(mux_spool_head_read(mux_span(bytes, 63), &read), "its head is cut off");
    assert_string_equal(mux_spool_head_read(mux_span("", 0), &read), "it is not a spool file");
    bytes[20] ^= 1;
    assert_string_equal(mux_spool_head_read(mux_span(bytes, sizeof bytes), &read),
                        "its head is damaged");
    bytes[20] ^= 1;
    bytes[11] = 2;
    uint32_t crc = mux_crc(0, mux_span(bytes, 60));
    for (unsigned i = 0; i < 4; i++)
        bytes[60 + i] = (uint8_t)(crc >> (24 - 8 * i));
    assert_string_equal(mux_spool_head_read(mux_span(bytes, sizeof bytes), &read),
                        "another version of muxd has written it");
}

static void names(void **state) {
    (void)state;
    static const char name[] = "30313233343536373839616263646566-00000000000000ff.spool";
    static const char *const wrong[] = {
        "", "30313233343536373839616263646566-00000000000000ff.spool.bad",
        "30313233343536373839616263646566_00000000000000ff.spool",
        "30313233343536373839616263646566-00000000000000FF.spool",
        "3031323334353637383961626364656-00000000000000ff.spool"};
    struct mux_spool_head head = {.stream = "0123456789abcdef", .offset = 255}, read = {0};
    char out[MUX_SPOOL_NAME_BYTES];
    mux_spool_name(&head, out);
    assert_string_equal(out, name);
    assert_true(mux_spool_name_read(name, &read));
    assert_memory_equal(read.stream, head.stream, MUX_STREAM_ID_BYTES);
    assert_true(read.offset == 255);
    for (unsigned i = 0; i < COUNT(wrong); i++)
        assert_false(mux_spool_name_read(wrong[i], &read));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole),   cmocka_unit_test(torn),  cmocka_unit_test(flipped),
        cmocka_unit_test(missing), cmocka_unit_test(heads), cmocka_unit_test(other_bytes_before),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
