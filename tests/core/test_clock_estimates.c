/* What is known of other clocks: by question and answer, and from the arrival of timestamps. */
#include "tests/unit/check.h"
#include "tests/unit/random.h"

#include "mux/node/offset.h"
#include "mux/node/skew.h"

#define MS_NS INT64_C(1000000)
#define SECOND_NS (1000 * MS_NS)
#define HOUR_NS (3600 * SECOND_NS)
#define EPOCH_NS (1700000000 * SECOND_NS) /* the time of day when the clock of mux_run() is 0 */
#define SEEDS 500

/* ---- question and answer ---- */

/* A reading over a network with these delays; the peer's clock is `ahead_ns` ahead. */
static enum mux_reading read_over(struct mux_offset *offset, uint64_t *now_ns, int64_t ahead_ns,
                                  uint64_t there_ns, uint64_t back_ns) {
    uint64_t asked_ns = *now_ns;
    int64_t said_ns = (int64_t)(asked_ns + there_ns) + ahead_ns;
    *now_ns = asked_ns + there_ns + back_ns;
    return mux_offset_read(offset, asked_ns, *now_ns, said_ns, 0);
}

static bool is_within(const struct mux_offset *offset, int64_t ahead_ns, uint64_t now_ns) {
    int64_t wrong_ns = offset->ahead_ns - ahead_ns;
    return (uint64_t)(wrong_ns < 0 ? -wrong_ns : wrong_ns) <= mux_offset_error_ns(offset, now_ns);
}

/* Whatever the delays are, and while the clocks go apart: the truth lies within the error. */
static void truth_is_within_the_error(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct random random = {seed};
        struct mux_offset offset = {0};
        uint64_t now_ns = random_below(&random, SECOND_NS);
        int64_t ahead_ns = EPOCH_NS + (int64_t)random_below(&random, 2 * HOUR_NS) - HOUR_NS;
        int64_t drift_ppm =
            (int64_t)random_below(&random, 2 * MUX_DRIFT_PPM - 1) - MUX_DRIFT_PPM + 1;
        for (unsigned i = 0; i < 200; i++) {
            uint64_t most_ns = 1 + random_below(&random, i % 5 == 0 ? SECOND_NS : MS_NS);
            uint64_t pause_ns = random_below(&random, 30 * SECOND_NS);
            enum mux_reading reading =
                read_over(&offset, &now_ns, ahead_ns, random_below(&random, most_ns),
                          random_below(&random, most_ns));
            assert_int_not_equal(reading, MUX_READING_STEPPED);
            assert_true(is_within(&offset, ahead_ns, now_ns));
            now_ns += pause_ns;
            ahead_ns += (int64_t)(pause_ns / 1000000) * drift_ppm;
            assert_true(mux_offset_error_ns(&offset, now_ns) + 2 >=
                        (uint64_t)(pause_ns / 1000000) * MUX_DRIFT_PPM);
            assert_true(is_within(&offset, ahead_ns, now_ns));
        }
    }
}

/* The quickest answer counts, until it is old. */
static void quickest_counts(void **state) {
    (void)state;
    struct mux_offset offset = {0};
    uint64_t now_ns = 5;
    assert_int_equal(read_over(&offset, &now_ns, EPOCH_NS, 40 * MS_NS, 2 * MS_NS),
                     MUX_READING_TAKEN);
    assert_true(offset.ahead_ns == EPOCH_NS + 19 * MS_NS && offset.error_ns == 21 * MS_NS);
    assert_int_equal(read_over(&offset, &now_ns, EPOCH_NS, MS_NS, MS_NS), MUX_READING_TAKEN);
    assert_true(offset.ahead_ns == EPOCH_NS && offset.error_ns == MS_NS);
    assert_int_equal(read_over(&offset, &now_ns, EPOCH_NS, 30 * MS_NS, MS_NS), MUX_READING_WORSE);
    assert_true(offset.ahead_ns == EPOCH_NS);
    now_ns += 60 * SECOND_NS;
    assert_int_equal(read_over(&offset, &now_ns, EPOCH_NS, 12 * MS_NS, 10 * MS_NS),
                     MUX_READING_TAKEN);
}

static void peers_clock_is_set(void **state) {
    (void)state;
    struct mux_offset offset = {0};
    uint64_t now_ns = 5;
    read_over(&offset, &now_ns, EPOCH_NS, MS_NS, MS_NS);
    assert_int_equal(read_over(&offset, &now_ns, EPOCH_NS - HOUR_NS, 20 * MS_NS, 40 * MS_NS),
                     MUX_READING_STEPPED);
    assert_true(is_within(&offset, EPOCH_NS - HOUR_NS, now_ns));
}

/* ---- arrival ---- */

/* A worker whose clock is `ahead_ns` ahead sends packets that take up to `delay_most_ns`. */
static void live(struct random *random, struct mux_skew *skew, uint64_t *now_ns, int64_t ahead_ns,
                 uint64_t delay_most_ns, unsigned packets, bool is_held_up) {
    for (unsigned i = 0; i < packets; i++) {
        *now_ns += random_below(random, SECOND_NS);
        uint64_t arrived_ns = *now_ns + random_below(random, delay_most_ns);
        mux_skew_sample(skew, arrived_ns, (int64_t)*now_ns + ahead_ns, is_held_up);
        *now_ns = arrived_ns;
    }
}

static bool is_near(const struct mux_skew *skew, int64_t ahead_ns, int64_t by_ns) {
    int64_t wrong_ns = mux_skew_ahead_ns(skew) - ahead_ns;
    return wrong_ns <= 0 &&
           wrong_ns >= -by_ns; /* a delay makes a clock look as if it were behind */
}

static void live_worker(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct random random = {seed};
        struct mux_skew skew = {0};
        uint64_t now_ns = random_below(&random, HOUR_NS);
        int64_t ahead_ns = EPOCH_NS + (int64_t)random_below(&random, 4 * HOUR_NS) - 2 * HOUR_NS;
        live(&random, &skew, &now_ns, ahead_ns, 100 * MS_NS, 300, false);
        assert_int_equal(skew.state, MUX_SKEW_LIVE);
        assert_true(is_near(&skew, ahead_ns, 100 * MS_NS));
    }
}

/* Hours in which the clocks go apart: the estimate follows. */
static void drift_is_followed(void **state) {
    (void)state;
    struct random random = {1};
    struct mux_skew skew = {0};
    uint64_t now_ns = 0;
    int64_t ahead_ns = EPOCH_NS + HOUR_NS;
    for (unsigned minute = 0; minute < 300; minute++) {
        live(&random, &skew, &now_ns, ahead_ns, 20 * MS_NS, 120, false);
        assert_true(skew.state == MUX_SKEW_LIVE &&
                    is_near(&skew, ahead_ns + 20 * MS_NS, 60 * MS_NS));
        ahead_ns += minute % 100 < 50 ? 6 * MS_NS : -6 * MS_NS; /* 100 millionths */
    }
}

/* Everything is late for minutes, by our own fault: that is no skew. */
static void back_pressure_is_no_skew(void **state) {
    (void)state;
    struct random random = {2};
    struct mux_skew skew = {0};
    uint64_t now_ns = 0;
    live(&random, &skew, &now_ns, EPOCH_NS, 10 * MS_NS, 100, false);
    for (unsigned i = 0; i < 600; i++) {
        now_ns += SECOND_NS;
        mux_skew_sample(&skew, now_ns, (int64_t)now_ns - 30 * SECOND_NS + EPOCH_NS, true);
        assert_true(is_near(&skew, EPOCH_NS, 10 * MS_NS));
    }
    live(&random, &skew, &now_ns, EPOCH_NS, 10 * MS_NS, 300, false);
    assert_true(skew.state == MUX_SKEW_LIVE && is_near(&skew, EPOCH_NS, 10 * MS_NS));
}

/* Two hours of packets in some seconds; then it goes on live. */
static void recording(void **state) {
    (void)state;
    struct random random = {3};
    struct mux_skew skew = {0};
    uint64_t now_ns = 10 * HOUR_NS;
    int64_t stamp_ns = EPOCH_NS;
    for (unsigned i = 0; i < 7200; i++) {
        mux_skew_sample(&skew, now_ns, stamp_ns, false);
        now_ns += MS_NS;
        stamp_ns += SECOND_NS + MS_NS;
        assert_true(i < 2 || skew.state == MUX_SKEW_RECORDED);
    }
    int64_t ahead_ns = stamp_ns - (int64_t)now_ns;
    live(&random, &skew, &now_ns, ahead_ns, 5 * MS_NS, 60, false);
    assert_true(skew.state == MUX_SKEW_LIVE && is_near(&skew, ahead_ns, 5 * MS_NS));
}

/* Packets pile up in a worker's buffer, and come in bursts: the last one of a burst is timely. */
static void bursts(void **state) {
    (void)state;
    struct mux_skew skew = {0};
    uint64_t now_ns = HOUR_NS;
    for (unsigned burst = 0; burst < 5; burst++) {
        now_ns += 20 * SECOND_NS;
        for (int64_t age_s = 20; age_s-- > 0;)
            mux_skew_sample(&skew, now_ns, (int64_t)now_ns - age_s * SECOND_NS + EPOCH_NS, false);
        assert_true(burst < 1 || is_near(&skew, EPOCH_NS, 0));
    }
}

/* Timestamps are a peer's bytes: any of them, at the worst times. */
static void any_timestamps(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct random random = {seed};
        struct mux_skew skew = {0};
        uint64_t now_ns = random_below(&random, (uint64_t)1 << 60);
        for (unsigned i = 0; i < 100; i++) {
            now_ns += random_below(&random, i % 3 ? SECOND_NS : 1 << 20);
            int64_t stamp_ns = (int64_t)random_below(&random, (UINT64_C(1) << 32) * SECOND_NS);
            mux_skew_sample(&skew, now_ns, stamp_ns, random_below(&random, 2));
            assert_true(mux_skew_ahead_ns(&skew) >= stamp_ns - (int64_t)now_ns);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truth_is_within_the_error),
        cmocka_unit_test(quickest_counts),
        cmocka_unit_test(peers_clock_is_set),
        cmocka_unit_test(live_worker),
        cmocka_unit_test(drift_is_followed),
        cmocka_unit_test(back_pressure_is_no_skew),
        cmocka_unit_test(recording),
        cmocka_unit_test(bursts),
        cmocka_unit_test(any_timestamps),
    };
    return cmocka_run_group_tests_name("clock estimates", tests, NULL, NULL);
}
