/* Runs that go on are found, by name and the newest first; those whose owner was killed are not. */
#include "stores.h"
#include "tools/store/live.h"
#include "tools/store/store_files.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static int begin(struct store *store, int64_t begun_us, struct store_run *run) {
    char why[STORE_WHY_BYTES];
    snprintf(run->uuid, sizeof run->uuid, "%08d-0000-4000-8000-000000000000", (int)begun_us);
    run->begun_us = begun_us;
    int fd = store_begin_named(store, "a suite", run, why);
    assert_true(fd >= 0);
    return fd;
}

static bool has_file(const struct store_run *run) {
    char path[PATH_MAX];
    store_files_path(stores_folder(), run, STORE_FILES_LIVE, path);
    return access(path, F_OK) == 0;
}

static void test_found(void **state) {
    char why[STORE_WHY_BYTES];
    struct store_run runs[3];
    struct store_live live;
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = begin(*state, i + 1, &runs[i]);
        assert_int_equal(store_live_find(stores_folder(), runs[i].uuid, &live), 0);
        live = (struct store_live){.run = runs[i], .control = "unix:/a \"b\"", .screen = "unix:/s"};
        *live.control = i ? *live.control : '\0';
        assert_true(store_live_write(stores_folder(), &live, why));
    }
    assert_int_equal(store_live_find(stores_folder(), "last", &live), 1);
    assert_string_equal(live.run.uuid, runs[2].uuid);
    assert_int_equal(live.run.begun_us, 3);
    assert_string_equal(live.control, "unix:/a \"b\"");
    assert_string_equal(live.screen, "unix:/s");
    assert_int_equal(live.pid, getpid());
    assert_int_equal(store_live_find(stores_folder(), "0000000", &live), 3);
    assert_int_equal(store_live_find(stores_folder(), "00000001-", &live), 1);
    assert_string_equal(live.control, "");
    assert_int_equal(store_live_find(stores_folder(), "00000004", &live), 0);
    store_live_remove(stores_folder(), &runs[2]);
    assert_int_equal(store_live_find(stores_folder(), "", &live), 1);
    assert_string_equal(live.run.uuid, runs[1].uuid);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

static void test_killed(void **state) {
    char why[STORE_WHY_BYTES];
    struct store_run run;
    struct store_live live;
    int fd = begin(*state, 7, &run);
    live = (struct store_live){.run = run, .control = "unix:/a"};
    assert_true(store_live_write(stores_folder(), &live, why));
    close(fd);
    assert_true(has_file(&run));
    assert_int_equal(store_live_find(stores_folder(), "last", &live), 0);
    assert_true(store_recover(*state, why));
    assert_false(has_file(&run));
}

/* What is no such file, or of a later version, is no run. */
static void test_hostile(void **state) {
    static const char *const contents[] = {"", "{}", "[1]", "{\"v\":2}", "{\"v\":1,\"control\":7}"};
    char path[PATH_MAX];
    struct store_run run;
    struct store_live live;
    int fd = begin(*state, 7, &run);
    store_files_path(stores_folder(), &run, STORE_FILES_LIVE, path);
    for (unsigned i = 0; i < sizeof contents / sizeof *contents; i++) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs(contents[i], file);
        fclose(file);
        assert_int_equal(store_live_find(stores_folder(), "", &live), i == 4);
    }
    assert_string_equal(live.control, "");
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_found, stores_open, stores_close),
        cmocka_unit_test_setup_teardown(test_killed, stores_open, stores_close),
        cmocka_unit_test_setup_teardown(test_hostile, stores_open, stores_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
