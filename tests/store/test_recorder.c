/* A run that is recorded while it happens: what the store knows of it then. */
#include "tests/store/stores.h"
#include "tools/store/check.h"
#include "tools/store/recorder.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define KILLS 8

/* Of the run's file, and of the index's. */
#define FULL_BYTES 300000

struct seen {
    enum store_verdict verdict;
    uint64_t passed, damages;
    char source[64];
};

static bool see(void *user, const struct store_run_row *row) {
    struct seen *seen = user;
    seen->verdict = row->verdict;
    seen->passed = row->counts[MUX_STATUS_SUCCESS];
    seen->damages = row->damages;
    snprintf(seen->source, sizeof seen->source, "%s", row->source);
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
        assert_true(recorder_verdict(recorder, verdict, 0));
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

/* ---- ends that nobody wants ---- */

/* A process that records, and says in the pipe how many results it knows to be in the file. */
static pid_t record_forever(int told) {
    char why[STORE_WHY_BYTES], test[32];
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    struct recorder *recorder = recorder_open(stores_folder(), "killed", why);
    for (uint32_t i = 0; recorder; i++) {
        struct mux_packet packet = {.test_id = mux_span_text(test), .status = MUX_STATUS_SUCCESS};
        if (write(told, &i, sizeof i) != sizeof i)
            break;
        snprintf(test, sizeof test, "t%u", i);
        packet.test_id = mux_span_text(test);
        if (!recorder_put(recorder, "", &packet) || !recorder_flush(recorder))
            break;
    }
    _exit(1);
}

static void no_fault(void *user, const char *sentence) {
    print_error("%s\n", sentence);
    ++*(unsigned *)user;
}

static bool see_passed(void *user, const struct store_run_row *row) {
    *(uint64_t *)user = row->counts[MUX_STATUS_SUCCESS];
    return true;
}

/* What was flushed is there, however early or late kill -9 comes. */
static void test_killed(void **state) {
    char why[STORE_WHY_BYTES];
    for (unsigned round = 0; round < KILLS; round++) {
        int told[2], status;
        uint32_t known = 0, at_least = round * round * 50;
        uint64_t passed = 0;
        unsigned faults = 0;
        assert_int_equal(pipe(told), 0);
        pid_t pid = record_forever(told[1]);
        close(told[1]);
        while (known < at_least)
            assert_int_equal(read(told[0], &known, sizeof known), sizeof known);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        while (read(told[0], &known, sizeof known) == sizeof known)
            ;
        close(told[0]);
        assert_true(store_recover(*state, why));
        assert_true(store_runs(*state, 0, 1, see_passed, &passed, why));
        assert_true(passed >= known);
        assert_int_equal(store_check(*state, no_fault, &faults), 0);
    }
}

/* No room for more: every error from then on, a sentence at the end, and what was there is whole.
 */
static void record_into_a_full_disk(void) {
    char why[STORE_WHY_BYTES] = "";
    struct mux_packet packet = {.test_id = mux_span_text("a"), .status = MUX_STATUS_SUCCESS};
    struct recorder *recorder = recorder_open(stores_folder(), "full", why);
    const struct rlimit limit = {FULL_BYTES, FULL_BYTES};
    signal(SIGXFSZ, SIG_IGN);
    bool is_fine = recorder && setrlimit(RLIMIT_FSIZE, &limit) == 0;
    for (unsigned i = 0; is_fine && i < FULL_BYTES; i++)
        is_fine = recorder_put(recorder, "", &packet) && recorder_flush(recorder);
    bool is_said = recorder && !is_fine && errno == EFBIG && !recorder_flush(recorder) &&
                   !recorder_verdict(recorder, STORE_VERDICT_PASSED, 0) &&
                   !recorder_finish(recorder, why) && strstr(why, "the run's file");
    _exit(is_said ? 0 : 1);
}

static void test_full(void **state) {
    char why[STORE_WHY_BYTES];
    struct seen seen;
    unsigned faults = 0;
    int status;
    pid_t pid = fork();
    if (pid == 0)
        record_into_a_full_disk();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(store_recover(*state, why));
    assert_true(store_runs(*state, 0, 1, see, &seen, why));
    assert_true(seen.passed > 0);
    assert_int_equal(seen.damages, 0);
    assert_int_equal(seen.verdict, STORE_VERDICT_UNSAID);
    assert_int_equal(store_check(*state, no_fault, &faults), 0);
}

#define IN_A_STORE(test) cmocka_unit_test_setup_teardown(test, stores_open, stores_close)

int main(void) {
    const struct CMUnitTest tests[] = {IN_A_STORE(test_verdict), IN_A_STORE(test_without_one),
                                       IN_A_STORE(test_killed), IN_A_STORE(test_full)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
