#include "tools/mux/show_perf.h"

#include "tools/mux/perf_times.h"
#include "tools/mux/store_words.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Results come by name: one test after the other. */
struct perf {
    struct store *store;
    const struct store_run *run;
    bool json, is_wrong;
    char *why;
    char *test; /* whose results come; NULL: out of memory, or none has come */
    struct perf_times times;
};

static json_t *seconds(int64_t us) {
    return us == STORE_NO_TIME ? json_null() : json_real((double)us / 1e6);
}

static void print_json(struct perf *perf) {
    struct perf_times *times = &perf->times;
    double percent;
    int64_t median_us = perf_times_median(times);
    int64_t least_us = times->count ? times->us[0] : STORE_NO_TIME;
    int64_t most_us = times->count ? times->us[times->count - 1] : STORE_NO_TIME;
    json_t *drift = perf_times_drift(times, &percent) ? json_real(percent) : json_null();
    json_t *object = json_pack(
        "{s:s, s:s, s:i, s:i, s:o, s:o, s:o, s:o, s:i, s:o}", "run", perf->run->uuid, "test_id",
        perf->test, "passed", (int)times->count, "failed", (int)times->failed, "median_s",
        seconds(median_us), "least_s", seconds(least_us), "most_s", seconds(most_us), "before_s",
        seconds(times->before_us), "runs_before", (int)times->runs_before, "drift_percent", drift);
    if (object)
        json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(object);
}

static void end_test(struct perf *perf) {
    if (!perf->test || perf->times.count + perf->times.failed < PERF_TIMES_LEAST)
        return;
    if (!perf_times_compare(&perf->times, perf->store, perf->test, perf->run->begun_us,
                            perf->why)) {
        perf->is_wrong = true;
    } else if (perf->json) {
        print_json(perf);
    } else {
        store_words_text(perf->test);
        fputs("  ", stdout);
        perf_times_print(&perf->times);
        putchar('\n');
    }
}

static bool take(void *user, const struct store_result_row *row) {
    struct perf *perf = user;
    bool is_same = perf->test && strcmp(perf->test, row->test) == 0;
    if (!is_same) {
        end_test(perf);
        free(perf->test);
        perf->test = strdup(row->test);
        perf_times_clear(&perf->times);
    }
    bool has_passed = row->status == MUX_STATUS_SUCCESS || row->status == STORE_STATUS_FLAKY;
    if (has_passed && row->took_us != STORE_NO_TIME)
        perf_times_add(&perf->times, row->took_us);
    else if (row->status != STORE_STATUS_RETRIED)
        perf->times.failed++;
    return !perf->is_wrong;
}

bool show_perf(struct store *store, const struct store_run *run, bool json,
               char why[STORE_WHY_BYTES]) {
    struct perf *perf = calloc(1, sizeof *perf);
    if (!perf)
        return snprintf(why, STORE_WHY_BYTES, "out of memory") < 0;
    *perf = (struct perf){.store = store, .run = run, .json = json, .why = why};
    perf_times_clear(&perf->times);
    bool is_fine = store_results(store, run, STORE_ALL, INT32_MAX, take, perf, why);
    if (is_fine && !perf->is_wrong)
        end_test(perf);
    is_fine = is_fine && !perf->is_wrong;
    free(perf->test);
    free(perf);
    return is_fine;
}
