/* What earlier runs know of tests, and their jobs. */
#include "tests/store/stores.h"
#include "tools/store/past.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define MANY 3000

#define OK MUX_STATUS_SUCCESS
#define BAD MUX_STATUS_FAIL

static struct store_past past_of(struct store *store, const char *test) {
    char why[STORE_WHY_BYTES];
    struct store_past past;
    struct mux_span span = mux_span_text(test);
    assert_true(store_past_read(store, &span, 1, &past, why));
    return past;
}

static void add_one(struct store *store, const char *test, enum mux_status status,
                    int64_t took_ms) {
    struct store_run run;
    stores_add(store, &(struct stores_result){test, NULL, status, 1000, took_ms}, 1, &run);
}

static void test_never_seen(void **state) {
    struct store_past past = past_of(*state, "a");
    assert_int_equal(past.runs, 0);
    assert_int_equal(past.last, MUX_STATUS_NONE);
    assert_true(past.median_us == STORE_NO_TIME && past.last_us == STORE_NO_TIME);
    add_one(*state, "b", OK, 1);
    assert_int_equal(past_of(*state, "a").runs, 0);
}

static void test_median_of_the_newest(void **state) {
    static const int64_t took[] = {9000, 9000, 10, 70, 30, 20, 50};
    for (size_t i = 0; i < COUNT_OF(took); i++)
        add_one(*state, "a", OK, took[i]);
    struct store_past past = past_of(*state, "a");
    assert_int_equal(past.runs, STORE_PAST_RUNS);
    assert_int_equal(past.median_us, 30000);
    assert_int_equal(past.last_us, 50000);
    add_one(*state, "a", OK, -1); /* without times */
    past = past_of(*state, "a");
    assert_int_equal(past.median_us, 50000); /* of 70 30 20 50 */
    assert_true(past.last_us == STORE_NO_TIME);
}

/* Runs of other tests do not make it forgotten. */
static void test_behind_other_runs(void **state) {
    add_one(*state, "a", BAD, 40);
    for (int i = 0; i < 3 * STORE_PAST_RUNS; i++)
        add_one(*state, "b", OK, 1);
    struct store_past past = past_of(*state, "a");
    assert_int_equal(past.runs, 1);
    assert_int_equal(past.last, BAD);
    assert_int_equal(past.bad_runs, 1);
    assert_int_equal(past.median_us, 40000);
}

static void test_outcomes(void **state) {
    struct store_run run;
    static const struct stores_result results[] = {
        {"flaky", "0", BAD, 0, 1},
        {"flaky", "1", OK, 10, 2},
        {"worse", "0", OK, 20, 1},
        {"worse", "0", BAD, 30, 3},
        {"hung", "0", MUX_STATUS_INPROGRESS, 40, 1},
        {"well", "0", OK, 50, 1},
    };
    stores_add(*state, results, COUNT_OF(results), &run);
    struct store_past past = past_of(*state, "flaky");
    assert_true(past.was_flaky && past.last == OK);
    assert_int_equal(past.flaky_runs, 1);
    assert_int_equal(past.bad_runs, 0);
    assert_int_equal(past.last_us, 2000);
    past = past_of(*state, "worse");
    assert_true(!past.was_flaky && past.last == BAD && past.bad_runs == 1);
    past = past_of(*state, "hung");
    assert_true(past.last == MUX_STATUS_INPROGRESS && past.bad_runs == 1);
    past = past_of(*state, "well");
    assert_true(past.last == OK && past.bad_runs == 0 && past.runs == 1);
    stores_add(*state, &results[5], 1, &run);
    add_one(*state, "flaky", OK, 1);
    past = past_of(*state, "flaky");
    assert_true(!past.was_flaky && past.flaky_runs == 1 && past.runs == 2);
}

/* Any set of the tests that are there, some twice, some unknown: each gets its own. */
static void test_many(void **state) {
    static char names[MANY][16];
    static struct stores_result results[MANY];
    static struct mux_span spans[2 * MANY];
    static struct store_past past[2 * MANY];
    char why[STORE_WHY_BYTES];
    struct store_run run;
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "t%d", i);
        results[i] = (struct stores_result){names[i], NULL, i % 7 ? OK : BAD, 0, i};
    }
    stores_add(*state, results, MANY / 2, &run);
    stores_add(*state, results, MANY, &run);
    for (unsigned step = 1; step < MANY; step *= 3) {
        size_t count = 0;
        for (int i = MANY - 1; i >= 0; i -= (int)step)
            spans[count++] = mux_span_text(names[i]);
        spans[count++] = mux_span_text("unknown");
        spans[count++] = spans[0];
        assert_true(store_past_read(*state, spans, count, past, why));
        for (size_t i = 0; i < count; i++) {
            size_t number = i == count - 1 ? MANY - 1 : MANY - 1 - i * step;
            if (i == count - 2) {
                assert_int_equal(past[i].runs, 0);
                continue;
            }
            assert_int_equal(past[i].runs, number < MANY / 2 ? 2 : 1);
            assert_int_equal(past[i].median_us, number * 1000);
            assert_int_equal(past[i].last, number % 7 ? OK : BAD);
        }
    }
}

static bool add_job(void *user, const struct store_result_row *row) {
    char *text = user;
    size_t len = strlen(text);
    snprintf(text + len, 256 - len, "%s:%s ", row->route, row->test);
    return true;
}

static void test_jobs_of_a_run(void **state) {
    char why[STORE_WHY_BYTES], text[256] = "";
    struct store_run run;
    static const struct stores_result results[] = {
        {"c", "1", OK, 30, 5}, {"a", "0", OK, 40, 1}, {"d", "0", OK, 20, 1},
        {"b", "1", OK, 10, 1}, {"z", "2", OK, 0, -1}, {"y", "2", OK, 0, -1},
    };
    stores_add(*state, results, COUNT_OF(results), &run);
    assert_true(store_results(*state, &run, STORE_BY_SLOT, INT32_MAX, add_job, text, why));
    assert_string_equal(text, "0:d 0:a 1:b 1:c 2:z 2:y ");
}

#define IN_A_STORE(test) cmocka_unit_test_setup_teardown(test, stores_open, stores_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_A_STORE(test_never_seen),
        IN_A_STORE(test_median_of_the_newest),
        IN_A_STORE(test_behind_other_runs),
        IN_A_STORE(test_outcomes),
        IN_A_STORE(test_many),
        IN_A_STORE(test_jobs_of_a_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
