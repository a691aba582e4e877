/* A run that is recorded while it happens: what the store knows of it then. */
#include "tests/store/stores.h"
#include "tools/store/recorder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct seen {
    enum store_verdict verdict;
    uint64_t passed, damages;
    char source[64], uuid[STORE_UUID_BYTES];
};

static bool see(void *user, const struct store_run_row *row) {
    struct seen *seen = user;
    seen->verdict = row->verdict;
    seen->passed = row->counts[MUX_STATUS_SUCCESS];
    seen->damages = row->damages;
    snprintf(seen->source, sizeof seen->source, "%s", row->source);
    snprintf(seen->uuid, sizeof seen->uuid, "%s", row->run.uuid);
    return true;
}

static void record(enum store_verdict verdict) {
    char why[STORE_WHY_BYTES];
    struct recorder *recorder = recorder_open(stores_folder(), "make check", why);
    struct mux_packet packet = {.test_id = mux_span_text("a"), .status = MUX_STATUS_SUCCESS};
    assert_non_null(recorder);
    for (int i = 0; i < 3; i++)
        assert_true(recorder_put(recorder, "3", &packet));
    if (verdict != STORE_VERDICT_NONE)
        assert_true(recorder_verdict(recorder, verdict));
    assert_true(recorder_finish(recorder, why));
}

static struct seen last_run(struct store *store) {
    char why[STORE_WHY_BYTES];
    struct seen seen;
    assert_true(store_runs(store, 0, 1, see, &seen, why));
    assert_int_equal(seen.passed, 3);
    assert_int_equal(seen.damages, 0);
    assert_string_equal(seen.source, "make check");
    return seen;
}

static void test_verdict(void **state) {
    record(STORE_VERDICT_INCOMPLETE);
    assert_int_equal(last_run(*state).verdict, STORE_VERDICT_INCOMPLETE);
}

static void test_without_one(void **state) {
    record(STORE_VERDICT_NONE);
    assert_int_equal(last_run(*state).verdict, STORE_VERDICT_UNSAID);
}

#define IN_A_STORE(test) cmocka_unit_test_setup_teardown(test, stores_open, stores_close)

int main(void) {
    const struct CMUnitTest tests[] = {IN_A_STORE(test_verdict), IN_A_STORE(test_without_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
