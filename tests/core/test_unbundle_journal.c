/* What an end has for its journal, and how it goes on by one (unbundle_journal.c). */
#include "tests/core/leaf.h"

#include "mux/node/journal.h"

#include <stdio.h>

#define BEFORE_BYTES 1000 /* the output has them already */

static uint8_t file[1 << 16];
static size_t file_bytes;
static struct mux_journal_record record;

/* Behind the records before it. */
static struct mux_room room(size_t len) {
    assert_true(file_bytes + len <= sizeof file);
    return (struct mux_room){file + file_bytes, len};
}

static void begin_file(void) {
    file_bytes = MUX_JOURNAL_HEAD_BYTES;
}

/* The last one that the file has. */
static void read_record(struct mux_span bytes) {
    struct mux_journal_reader reader;
    struct mux_journal_record next;
    enum mux_journal_found found;
    assert_ptr_equal(bytes.data, file + file_bytes);
    file_bytes += bytes.len;
    mux_journal_reader_init(&reader, mux_span(file, file_bytes));
    while ((found = mux_journal_next(&reader, &next)) == MUX_JOURNAL_RECORD)
        record = next;
    assert_int_equal(found, MUX_JOURNAL_END);
}

static int open_end(void **state) {
    begin_file();
    return leaf_open_end(state);
}

static void expect_item(uint32_t stream, size_t output_bytes, bool is_named) {
    struct mux_journal_item item;
    assert_true(mux_journal_item_next(&record, &item));
    assert_int_equal(item.stream, stream);
    assert_int_equal(item.output_bytes, output_bytes);
    if (stream > 0)
        assert_true(item.at == leaf.offset && item.crc == leaf.crc);
    assert_true(!item.id.data == !is_named);
    if (!is_named)
        return;
    assert_true(item.id.len == MUX_STREAM_ID_BYTES && item.id.data[0] == leaf.id);
    assert_true(mux_span_equal(item.pin, mux_span_text("0/3")));
}

static void expect_test(const char *id, const char *route) {
    struct mux_journal_test test;
    assert_true(mux_journal_test_next(&record, &test));
    assert_true(mux_span_equal(test.test_id, mux_span_text(id)));
    assert_true(mux_span_equal(test.route, mux_span_text(route)));
}

static void bundle(unsigned number, enum mux_status status) {
    leaf_add(0, "5", number, status);
    leaf_bundle(&leaf, true);
}

static size_t take(void) {
    const struct mux_gather *gather = mux_upstream_take(mux);
    assert_non_null(gather);
    return gather->len_bytes;
}

static void rule_27_a_batch_is_recorded_once(void **state) {
    (void)state;
    uint64_t output_bytes = BEFORE_BYTES;
    leaf_open_stream();
    struct mux_link *worker = rig_connect();
    bundle(1, MUX_STATUS_INPROGRESS);
    rig_give_status(worker, "w", NULL, MUX_STATUS_INPROGRESS);
    size_t batch_bytes = take();
    assert_false(mux_flight_is_recorded(mux));
    read_record(mux_flight_record(mux, room(8192), &output_bytes));
    assert_true(mux_flight_is_recorded(mux));
    assert_true(output_bytes == BEFORE_BYTES + batch_bytes);
    assert_true(record.kind == MUX_JOURNAL_BATCH && record.output_bytes == BEFORE_BYTES);
    assert_true(record.output_end_bytes == output_bytes && record.next_segment == 2);
    size_t bundle_bytes = batch_bytes;
    struct mux_journal_record copy = record;
    struct mux_journal_item item;
    assert_true(mux_journal_item_next(&copy, &item) && mux_journal_item_next(&copy, &item));
    bundle_bytes -= item.output_bytes;
    expect_item(1, bundle_bytes, true);
    expect_item(0, item.output_bytes, false);
    assert_true(item.output_bytes > 0 && bundle_bytes > 0);
    assert_int_equal(mux_recorded_unsent_bytes(mux), batch_bytes);
    mux_upstream_sent(mux);
    assert_int_equal(mux_recorded_unsent_bytes(mux), 0);
    bundle(1, MUX_STATUS_SUCCESS);
    batch_bytes = take();
    read_record(mux_flight_record(mux, room(8192), &output_bytes));
    expect_item(1, batch_bytes, false); /* its name is known */
    mux_flight_unrecord(mux);
    assert_false(mux_flight_is_recorded(mux));
}

/* Nothing has changed: the stream is named in the record that there is room for. */
static void a_record_without_room(void **state) {
    (void)state;
    leaf_open_stream();
    bundle(1, MUX_STATUS_SUCCESS);
    size_t batch_bytes = take();
    for (size_t len = MUX_JOURNAL_RECORD_HEAD_BYTES;; len++) {
        uint64_t output_bytes = BEFORE_BYTES;
        struct mux_span bytes = mux_flight_record(mux, room(len), &output_bytes);
        assert_true(mux_flight_is_recorded(mux) == (bytes.data != NULL));
        if (!bytes.data) {
            assert_true(output_bytes == BEFORE_BYTES);
            continue;
        }
        assert_int_equal(bytes.len, len);
        read_record(bytes);
        expect_item(1, batch_bytes, true);
        return;
    }
}

/* Rule 39b: the first record of a journal that is begun anew. */
static void rule_39b_all_streams_and_the_tests_in_progress(void **state) {
    (void)state;
    struct mux_journal_test test;
    leaf_open_stream();
    struct mux_link *worker = rig_connect();
    bundle(1, MUX_STATUS_INPROGRESS);
    bundle(2, MUX_STATUS_INPROGRESS);
    bundle(1, MUX_STATUS_SUCCESS);
    rig_give_status(worker, "w", "r", MUX_STATUS_INPROGRESS);
    rig_send_up();
    assert_null(mux_state_record(mux, room(MUX_JOURNAL_RECORD_HEAD_BYTES), BEFORE_BYTES).data);
    for (unsigned times = 0; times < 2; times++) { /* each journal names all of them */
        begin_file();
        read_record(mux_state_record(mux, room(8192), BEFORE_BYTES));
        assert_true(record.output_bytes == BEFORE_BYTES && record.next_segment == 2);
        expect_item(1, 0, true);
        expect_test("w", "1/r");
        expect_test("t2", "0/3/5");
        assert_false(mux_journal_test_next(&record, &test));
    }
}

/* A batch that goes on in the next one: its whole bundle is in the first one's record. */
static void what_is_promised_and_not_sent(void **state) {
    (void)state;
    uint64_t output_bytes = 0;
    static char path[3500];
    memset(path, 'x', sizeof path - 1);
    leaf.path = path;
    leaf_open_stream();
    for (unsigned i = 0; i < 1000; i++)
        leaf_add(0, NULL, i, MUX_STATUS_SUCCESS);
    leaf_bundle(&leaf, true);
    size_t sent_bytes = take();
    read_record(mux_flight_record(mux, room(8192), &output_bytes));
    assert_true(output_bytes > sent_bytes);
    assert_true(mux_recorded_unsent_bytes(mux) == output_bytes);
    while (mux_upstream_pending_bytes(mux) > 0) {
        uint64_t end_bytes = output_bytes;
        mux_upstream_sent(mux);
        rig_run(now_ns);
        assert_true(mux_recorded_unsent_bytes(mux) + sent_bytes == output_bytes);
        if (mux_upstream_pending_bytes(mux) == 0)
            break;
        sent_bytes += take();
        read_record(mux_flight_record(mux, room(8192), &end_bytes));
        assert_true(end_bytes == output_bytes); /* nothing more is promised */
    }
    assert_true(sent_bytes == output_bytes);
}

static void restore_test(const char *id, const char *route) {
    const struct mux_packet packet = {.status = MUX_STATUS_INPROGRESS,
                                      .test_id = mux_span_text(id),
                                      .route = mux_span_text(route)};
    mux_restore_packet(mux, &packet);
}

static bool next_failed(size_t *up_at, struct mux_packet *packet, const char *id,
                        const char *route) {
    rig_send_up();
    return rig_next_up(up_at, packet) && packet->status == MUX_STATUS_FAIL &&
           mux_span_equal(packet->test_id, mux_span_text(id)) &&
           mux_span_equal(packet->route, mux_span_text(route));
}

/* Rules 23b, 29, 39: streams go on under their pins, and what nobody can end fails. */
static void a_restarted_end_goes_on(void **state) {
    (void)state;
    const uint8_t id[MUX_STREAM_ID_BYTES] = {7}, other[MUX_STREAM_ID_BYTES] = {8};
    struct mux_packet packet;
    size_t up_at = 0;
    assert_true(mux_restore_stream(mux, id, mux_span_text("9/1"), 500, 77));
    assert_true(mux_restore_stream(mux, other, mux_span_text("9/2"), 3, 4));
    assert_false(mux_restore_stream(mux, id, mux_span_text("9/3"), 500, 77));
    restore_test("t1", "9/1/5");
    restore_test("gone", "9/2");
    restore_test("w", "4");
    mux_restore_identity(mux, other);
    mux_restored(mux, 11);
    assert_memory_equal(mux_end_identity(mux), other, sizeof other);
    rig_run(now_ns);
    assert_true(next_failed(&up_at, &packet, "w", "4"));
    assert_non_null(
        memmem(packet.file_content.data, packet.file_content.len, "was started again", 17));
    leaf.offset = 500;
    leaf.crc = 77;
    leaf_where(&leaf, 0);
    struct mux_ack ack = leaf_read_ack();
    assert_true(ack.at == 500 && ack.safe == 500 && ack.crc == 77);
    assert_memory_equal(ack.end, other, sizeof other);
    bundle(1, MUX_STATUS_SUCCESS);
    rig_send_up();
    assert_true(rig_next_up(&up_at, &packet));
    assert_true(mux_span_equal(packet.route, mux_span_text("9/1/5")));
    for (unsigned seconds = 0; seconds < 31; seconds++)
        leaf_wait();
    assert_true(next_failed(&up_at, &packet, "gone", "9/2"));
    assert_false(rig_next_up(&up_at, &packet));
    struct mux_link *worker = rig_connect();
    rig_give_status(worker, "v", NULL, MUX_STATUS_SUCCESS);
    rig_send_up();
    assert_true(rig_next_up(&up_at, &packet) && mux_span_equal(packet.route, mux_span_text("11")));
}

#define END_TEST(name) cmocka_unit_test_setup_teardown(name, open_end, rig_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        END_TEST(rule_27_a_batch_is_recorded_once),
        END_TEST(a_record_without_room),
        END_TEST(rule_39b_all_streams_and_the_tests_in_progress),
        END_TEST(what_is_promised_and_not_sent),
        END_TEST(a_restarted_end_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
