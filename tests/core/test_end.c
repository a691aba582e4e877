/* An end's streams, rule by rule. */
#include "tests/unit/check.h"
#include "tests/unit/random.h"

#include "mux/node/end.h"

#include <stdio.h>

#define MS_NS UINT64_C(1000000)
#define LATE_NS (200 * MS_NS)
#define GRACE_NS (1000 * MS_NS)
#define STREAMS_MAX 8

static struct mux_progress tests;
static struct mux_end end;
static uint64_t unnamed;

static void start_within(uint64_t grace_ns) {
    static const unsigned common[MUX_PROGRESS_KINDS] = {0, 64};
    struct mux_end_config config = {.id = {9},
                                    .streams_max = STREAMS_MAX,
                                    .grace_ns = grace_ns,
                                    .late_ns = LATE_NS,
                                    .hash_key = 5,
                                    .tests = &tests};
    assert_true(mux_progress_init(&tests, STREAMS_MAX, common, 3, &unnamed));
    assert_true(mux_end_init(&end, &config, 0));
}

static void start(void) {
    start_within(GRACE_NS);
}

static void stop(void) {
    mux_end_fini(&end);
    mux_progress_fini(&tests);
}

static struct mux_where where_of(uint8_t id, uint32_t epoch, uint64_t base) {
    return (struct mux_where){.stream = {id}, .epoch = epoch, .base = base, .crc = (uint32_t)base};
}

static struct mux_end_answer say_where(const char *path, const struct mux_where *where,
                                       uint64_t now_ns) {
    return mux_end_where(&end, mux_span_text(path), where, now_ns);
}

/* A stream at 0 that lives. */
static struct mux_end_stream *open_at(const char *path, uint8_t id) {
    struct mux_where where = where_of(id, 1, 0);
    struct mux_end_answer answer = say_where(path, &where, 0);
    assert_int_equal(answer.found, MUX_END_WHERE_OPENED);
    return answer.stream;
}

static void follow(struct mux_end_stream *stream, const char *id, enum mux_status status) {
    struct mux_packet packet = {
        .status = status, .test_id = mux_span_text(id), .route = stream->pin};
    mux_end_follow(&end, stream, &packet);
    mux_end_bundle_done(&end, stream, 0);
}

static enum mux_known_verdict give(struct mux_end_stream *stream, uint32_t len) {
    struct mux_bundle bundle = {
        .epoch = stream->known.epoch, .offset = stream->known.at, .crc = stream->known.crc};
    struct mux_bundle_run run = {len, 7};
    struct mux_end_stream *found;
    memcpy(bundle.stream, stream->known.stream, MUX_STREAM_ID_BYTES);
    enum mux_known_verdict verdict = mux_end_bundle(&end, &bundle, &run, &found, 0);
    assert_ptr_equal(found, stream);
    return verdict;
}

static void make_safe(struct mux_end_stream *stream, uint64_t now_ns) {
    mux_end_safe(&end, stream, stream->known.at, stream->known.crc, now_ns);
}

static bool verdict(struct mux_end_verdict *got) {
    while (mux_end_verdict_next(&end, 0, got))
        if (!got->is_over)
            return true;
    return false;
}

/* Ticks of 200 ms in which the end listens or does not; *now_ns moves. */
static void pass(uint64_t *now_ns, unsigned ticks, bool listens) {
    while (ticks-- > 0)
        mux_end_tick(&end, listens, *now_ns += MUX_END_TICK_NS);
}

static void test_rule_20_only_where_opens(void **state) {
    (void)state;
    struct mux_bundle bundle = {.stream = {1}, .epoch = 1};
    struct mux_bundle_run run = {5, 7};
    struct mux_end_stream *stream;
    start();
    assert_int_equal(mux_end_bundle(&end, &bundle, &run, &stream, 0), MUX_KNOWN_DROPPED_ASK);
    assert_null(stream);
    open_at("0", 1);
    assert_int_equal(mux_end_bundle(&end, &bundle, &run, &stream, 0), MUX_KNOWN_TAKEN);
    assert_int_equal(mux_end_bundle(&end, &bundle, &run, &stream, 0), MUX_KNOWN_DROPPED_ASK);
    assert_int_equal(mux_end_bundle(&end, &bundle, &run, &stream, 0), MUX_KNOWN_DROPPED);
    stop();
}

/* Half of the places below one link; the others for others; and then none. */
static void test_rule_20_bounds(void **state) {
    (void)state;
    char path[8];
    start();
    for (uint8_t i = 1; i <= STREAMS_MAX / 2; i++) {
        snprintf(path, sizeof path, "0/%u", i);
        open_at(path, i);
    }
    struct mux_where where = where_of(20, 1, 0);
    assert_int_equal(say_where("0/20", &where, 0).found, MUX_END_WHERE_FULL);
    for (uint8_t i = 5; i <= STREAMS_MAX; i++) {
        snprintf(path, sizeof path, "%u", i);
        open_at(path, i);
    }
    assert_int_equal(say_where("77", &where, 0).found, MUX_END_WHERE_FULL);
    assert_int_equal(say_where("", &where, 0).found, MUX_END_WHERE_BAD);
    assert_true(end.forgotten == 0);
    stop();
}

static void test_rule_15_late_where(void **state) {
    (void)state;
    start();
    struct mux_end_stream *stream = open_at("0", 1);
    struct mux_where where = where_of(1, 5, 0);
    assert_int_equal(say_where("1", &where, 0).found, MUX_END_WHERE_TAKEN);
    where.epoch = 2;
    struct mux_end_answer answer = say_where("0", &where, 0);
    assert_int_equal(answer.found, MUX_END_WHERE_LATE);
    assert_true(answer.ack.epoch == 5 && answer.ack.end[0] == 9);
    assert_memory_equal(stream->path.data, "1", 1);
    stop();
}

static void test_rule_22_hole(void **state) {
    (void)state;
    struct mux_end_verdict got;
    start();
    struct mux_end_stream *stream = open_at("0", 1);
    follow(stream, "a", MUX_STATUS_INPROGRESS);
    struct mux_where where = where_of(1, 2, 40);
    struct mux_end_answer answer = say_where("0", &where, 0);
    assert_true(answer.hole.from == 0 && answer.hole.to == 40 && answer.ack.at == 40);
    assert_true(answer.ack.safe == 0 && !mux_progress_any(&stream->tests));
    follow(stream, "b", MUX_STATUS_INPROGRESS);
    where = where_of(1, 3, 60);
    where.is_final = true, where.len_bytes = 60;
    say_where("0", &where, 0); /* its tests fail with it, in the hole or not */
    assert_true(verdict(&got) && got.is_final && got.test.test_id.data[0] == 'b');
    assert_false(verdict(&got));
    stop();
}

static void test_rules_23_24_pins(void **state) {
    (void)state;
    start();
    struct mux_end_stream *one = open_at("0/1", 1), *two = open_at("0/1", 2);
    struct mux_end_stream *three = open_at("0/1", 3);
    assert_true(mux_span_equal(one->pin, mux_span_text("0/1")));
    assert_true(mux_span_equal(two->pin, mux_span_text("0/1~2")));
    assert_true(mux_span_equal(three->pin, mux_span_text("0/1~3")));
    struct mux_where where = where_of(1, 2, 0);
    say_where("7/8", &where, 0); /* another way: the pin stays */
    assert_true(mux_span_equal(one->pin, mux_span_text("0/1")));
    stop();
}

/* Also 23b: pins and safe come from the journal. */
static void test_rule_23b_restored(void **state) {
    (void)state;
    start();
    const uint8_t id[MUX_STREAM_ID_BYTES] = {1}, other[MUX_STREAM_ID_BYTES] = {2};
    struct mux_end_stream *stream = mux_end_restore(&end, id, mux_span_text("0/1"), 30, 9);
    assert_non_null(stream);
    assert_null(mux_end_restore(&end, id, mux_span_text("5"), 30, 9));
    assert_null(mux_end_restore(&end, other, mux_span_text("0/1"), 30, 9));
    struct mux_where where = where_of(1, 4, 10);
    struct mux_end_answer answer = say_where("3", &where, 0);
    assert_int_equal(answer.found, MUX_END_WHERE_TAKEN);
    assert_true(answer.ack.at == 30 && answer.ack.safe == 30 && answer.ack.crc == 9);
    assert_true(mux_span_equal(stream->pin, mux_span_text("0/1")));
    stop();
}

/* An ended stream is remembered for a day, then makes room; a lost one with tests does not. */
static void test_rule_25_remembered(void **state) {
    (void)state;
    char path[8];
    start();
    struct mux_where done = where_of(1, 1, 0), other = where_of(99, 1, 0);
    done.is_final = true;
    say_where("0", &done, 0);
    struct mux_end_verdict got;
    assert_false(verdict(&got));
    for (uint8_t i = 2; i <= STREAMS_MAX; i++) {
        snprintf(path, sizeof path, "%u", i);
        follow(open_at(path, i), "t", MUX_STATUS_INPROGRESS);
    }
    mux_end_lost(&end, mux_span_text("5"), 0);
    assert_int_equal(say_where("9", &other, MUX_END_REMEMBERED_NS - 1).found, MUX_END_WHERE_FULL);
    assert_int_equal(say_where("9", &other, MUX_END_REMEMBERED_NS).found, MUX_END_WHERE_OPENED);
    assert_true(end.forgotten == 1 && end.count == STREAMS_MAX);
    stop();
}

/* Something of it is in the sink: it is not forgotten, however long. */
static void test_rule_25_not_in_the_sink(void **state) {
    (void)state;
    uint64_t now_ns = 0;
    start();
    struct mux_end_stream *stream = open_at("0", 1);
    assert_int_equal(give(stream, 10), MUX_KNOWN_TAKEN);
    mux_end_bundle_done(&end, stream, 0);
    mux_end_lost(&end, mux_span_text("0"), 0);
    pass(&now_ns, 1, true);
    mux_end_tick(&end, true, 2 * MUX_END_REMEMBERED_MOST_NS);
    assert_int_equal(end.count, 1);
    make_safe(stream, 2 * MUX_END_REMEMBERED_MOST_NS);
    mux_end_tick(&end, true, 3 * MUX_END_REMEMBERED_MOST_NS);
    assert_int_equal(end.count, 0);
    stop();
}

static void test_rule_26_acks(void **state) {
    (void)state;
    struct mux_ack ack;
    struct mux_span path;
    start();
    struct mux_end_stream *stream = open_at("0/1", 1);
    assert_int_equal(give(stream, 100), MUX_KNOWN_TAKEN);
    assert_false(mux_end_ack_next(&end, UINT64_MAX, &ack, &path)); /* applied is not safe */
    make_safe(stream, 0);
    assert_true(mux_end_deadline(&end) == LATE_NS);
    assert_false(mux_end_ack_next(&end, LATE_NS - 1, &ack, &path));
    assert_true(mux_end_ack_next(&end, LATE_NS, &ack, &path));
    assert_true(ack.safe == 100 && mux_span_equal(path, mux_span_text("0/1")));
    assert_false(mux_end_ack_next(&end, UINT64_MAX, &ack, &path));
    give(stream, 100); /* a little, then much: soon */
    make_safe(stream, LATE_NS);
    give(stream, MUX_END_SOON_BYTES);
    make_safe(stream, LATE_NS);
    assert_false(mux_end_ack_next(&end, LATE_NS + MUX_END_SOON_NS - 1, &ack, &path));
    assert_true(mux_end_ack_next(&end, LATE_NS + MUX_END_SOON_NS, &ack, &path));
    assert_false(mux_end_ack_next(&end, UINT64_MAX, &ack, &path));
    stop();
}

static void test_rule_28_sink_lost(void **state) {
    (void)state;
    start();
    struct mux_end_stream *stream = open_at("0", 1);
    give(stream, 10);
    make_safe(stream, 0);
    uint32_t crc = stream->known.crc;
    give(stream, 20);
    mux_end_sink_lost(&end);
    assert_true(stream->known.at == 10 && stream->known.crc == crc);
    assert_int_equal(give(stream, 20), MUX_KNOWN_TAKEN);
    stop();
}

static void test_rules_32_35_lost(void **state) {
    (void)state;
    struct mux_end_verdict got;
    uint64_t now_ns = 0;
    start();
    struct mux_end_stream *one = open_at("0/1", 1), *two = open_at("0/2", 2);
    struct mux_end_stream *apart = open_at("00", 3);
    follow(one, "a", MUX_STATUS_INPROGRESS);
    follow(two, "b", MUX_STATUS_INPROGRESS);
    follow(apart, "c", MUX_STATUS_INPROGRESS);
    pass(&now_ns, 1, true);
    mux_end_lost(&end, mux_span_text("0"), now_ns); /* 32b: all below it, and nobody else */
    assert_true(apart->life == MUX_END_LIVE && one->life == MUX_END_LOST);
    pass(&now_ns, 4, true);
    struct mux_where where = where_of(2, 2, 0);
    say_where("9/2", &where, now_ns); /* it comes another way */
    assert_false(verdict(&got));
    pass(&now_ns, 1, true);
    assert_true(verdict(&got) && got.stream == one && !got.is_final);
    assert_true(mux_span_equal(got.test.route, mux_span_text("0/1")));
    assert_false(verdict(&got));
    follow(one, "late", MUX_STATUS_INPROGRESS); /* of an old connection */
    pass(&now_ns, 6, true);
    assert_true(verdict(&got) && got.test.test_id.len == 4);
    assert_false(verdict(&got));
    stop();
}

static void test_rule_36_final(void **state) {
    (void)state;
    struct mux_end_verdict got;
    start();
    struct mux_end_stream *stream = open_at("0", 1);
    follow(stream, "a", MUX_STATUS_INPROGRESS);
    struct mux_where where = where_of(1, 2, 0);
    where.is_final = true, where.len_bytes = 10;
    say_where("0", &where, 0);
    assert_false(verdict(&got));
    where = where_of(1, 3, 0);
    say_where("0", &where, 0); /* taken back */
    give(stream, 10);
    mux_end_bundle_done(&end, stream, 0);
    assert_false(verdict(&got));
    where.epoch = 4, where.is_final = true, where.len_bytes = 10;
    say_where("0", &where, 0);
    assert_true(verdict(&got) && got.is_final && got.test.test_id.data[0] == 'a');
    assert_false(verdict(&got));
    stop();
}

/* Neither while it does not listen, nor in one leap. */
static void test_rule_37_listens(void **state) {
    (void)state;
    struct mux_end_verdict got;
    uint64_t now_ns = 0;
    start();
    struct mux_end_stream *stream = open_at("0", 1);
    follow(stream, "a", MUX_STATUS_INPROGRESS);
    mux_end_lost(&end, mux_span_text("0"), 0);
    pass(&now_ns, 100, false);
    pass(&now_ns, 1, true); /* the first moment in which it listens again */
    assert_false(verdict(&got));
    mux_end_tick(&end, true, now_ns += 100 * GRACE_NS);
    assert_false(verdict(&got));
    pass(&now_ns, 3, true);
    assert_false(verdict(&got));
    pass(&now_ns, 1, true);
    assert_true(verdict(&got));
    stop();
}

/* Restored, it has the grace to come; rule 39. */
static void test_rule_39_restored_tests(void **state) {
    (void)state;
    struct mux_end_verdict got;
    uint64_t now_ns = 0;
    start();
    const uint8_t id[MUX_STREAM_ID_BYTES] = {1};
    struct mux_end_stream *stream = mux_end_restore(&end, id, mux_span_text("0"), 30, 9);
    follow(stream, "a", MUX_STATUS_INPROGRESS);
    pass(&now_ns, 5, true);
    assert_false(verdict(&got));
    pass(&now_ns, 1, true);
    assert_true(verdict(&got) && got.stream == stream);
    stop();
}

static void test_rules_40_41_way_down(void **state) {
    (void)state;
    struct mux_span path, rest;
    start();
    open_at("0", 1);
    struct mux_end_stream *two = open_at("0/1", 2);
    struct mux_where where = where_of(2, 2, 0);
    say_where("7/3", &where, 0);
    assert_int_equal(mux_end_way_down(&end, mux_span_text("0/1/4/5"), &path, &rest),
                     MUX_END_WAY_DOWN); /* the longest pin */
    assert_true(mux_span_equal(path, mux_span_text("7/3")));
    assert_true(mux_span_equal(rest, mux_span_text("4/5")));
    assert_int_equal(mux_end_way_down(&end, mux_span_text("0/1"), &path, &rest), MUX_END_WAY_DOWN);
    assert_int_equal(rest.len, 0);
    assert_int_equal(mux_end_way_down(&end, mux_span_text("0/12"), &path, &rest), MUX_END_WAY_DOWN);
    assert_true(mux_span_equal(path, mux_span_text("0")));
    assert_int_equal(mux_end_way_down(&end, mux_span_text("7/3"), &path, &rest), MUX_END_WAY_OTHER);
    where.epoch = 3, where.is_final = true, where.len_bytes = 50;
    say_where("7/3", &where, 0);
    assert_int_equal(mux_end_way_down(&end, mux_span_text("0/1/4"), &path, &rest),
                     MUX_END_WAY_NONE);
    mux_end_lost(&end, mux_span_text("0"), 0);
    assert_int_equal(mux_end_way_down(&end, mux_span_text("0/4"), &path, &rest), MUX_END_WAY_NONE);
    assert_int_equal(two->life, MUX_END_LIVE);
    stop();
}

int main(void) {
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_rule_20_only_where_opens),
        cmocka_unit_test(test_rule_20_bounds),
        cmocka_unit_test(test_rule_15_late_where),
        cmocka_unit_test(test_rule_22_hole),
        cmocka_unit_test(test_rules_23_24_pins),
        cmocka_unit_test(test_rule_23b_restored),
        cmocka_unit_test(test_rule_25_remembered),
        cmocka_unit_test(test_rule_25_not_in_the_sink),
        cmocka_unit_test(test_rule_26_acks),
        cmocka_unit_test(test_rule_28_sink_lost),
        cmocka_unit_test(test_rules_32_35_lost),
        cmocka_unit_test(test_rule_36_final),
        cmocka_unit_test(test_rule_37_listens),
        cmocka_unit_test(test_rule_39_restored_tests),
        cmocka_unit_test(test_rules_40_41_way_down),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
