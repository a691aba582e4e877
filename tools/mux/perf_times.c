#include "tools/mux/perf_times.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Earlier runs that a median is compared with: of so many theirs is taken. */
#define RUNS_COMPARED 5

/* Of a test's results that are looked at in the store. */
#define RESULTS_MOST 5000

void perf_times_clear(struct perf_times *times) {
    times->count = times->failed = times->runs_before = 0;
    times->before_us = STORE_NO_TIME;
}

void perf_times_add(struct perf_times *times, int64_t us) {
    if (times->count < PERF_TIMES_MOST)
        times->us[times->count++] = us;
}

static int by_time(const void *x, const void *y) {
    const int64_t *a = x, *b = y;
    return *a < *b ? -1 : *a > *b;
}

static int64_t median(int64_t *us, unsigned count, unsigned least) {
    if (count < least)
        return STORE_NO_TIME;
    qsort(us, count, sizeof *us, by_time);
    return count % 2 ? us[count / 2] : (us[count / 2 - 1] + us[count / 2]) / 2;
}

int64_t perf_times_median(struct perf_times *times) {
    return median(times->us, times->count, PERF_TIMES_LEAST);
}

/*
 * ---- earlier runs ----
 */

/* Of one test: the medians of runs so far, and the times of the run whose rows come. */
struct looking {
    int64_t begun_us; /* runs from here on do not count */
    char run[STORE_UUID_BYTES];
    struct perf_times times;
    int64_t medians[RUNS_COMPARED];
    unsigned count;
};

static void end_run(struct looking *looking) {
    int64_t us = perf_times_median(&looking->times);
    if (us != STORE_NO_TIME && looking->count < RUNS_COMPARED)
        looking->medians[looking->count++] = us;
    looking->times.count = 0;
}

static bool look_at_row(void *user, const struct store_result_row *row) {
    struct looking *looking = user;
    bool has_passed = row->status == MUX_STATUS_SUCCESS || row->status == STORE_STATUS_FLAKY;
    if (strcmp(row->run.uuid, looking->run) != 0) {
        end_run(looking);
        memcpy(looking->run, row->run.uuid, sizeof looking->run);
    }
    if (has_passed && row->took_us != STORE_NO_TIME && row->run.begun_us < looking->begun_us)
        perf_times_add(&looking->times, row->took_us);
    return looking->count < RUNS_COMPARED;
}

bool perf_times_compare(struct perf_times *times, struct store *store, const char *test,
                        int64_t begun_us, char why[STORE_WHY_BYTES]) {
    struct looking *looking = calloc(1, sizeof *looking);
    if (!looking)
        return true;
    looking->begun_us = begun_us;
    bool is_fine = store_history(store, test, RESULTS_MOST, look_at_row, looking, why);
    end_run(looking);
    times->runs_before = looking->count;
    times->before_us = median(looking->medians, looking->count, 1);
    free(looking);
    return is_fine;
}

bool perf_times_drift(struct perf_times *times, double *percent) {
    int64_t us = perf_times_median(times);
    if (us == STORE_NO_TIME || times->before_us == STORE_NO_TIME || times->before_us <= 0)
        return false;
    *percent = 100.0 * (double)(us - times->before_us) / (double)times->before_us;
    return true;
}

/*
 * ---- words ----
 */

static void put_ms(int64_t us) {
    printf("%.*f ms", us < 10000 ? 3 : us < 1000000 ? 1 : 0, (double)us / 1000);
}

static void print_change(struct perf_times *times) {
    double percent;
    if (times->before_us == STORE_NO_TIME) {
        printf("; no earlier run to compare with");
        return;
    }
    printf("; ");
    put_ms(times->before_us);
    printf(" in %u run%s before", times->runs_before, times->runs_before == 1 ? "" : "s");
    if (perf_times_drift(times, &percent))
        printf(": %+.1f %%", percent);
}

void perf_times_print(struct perf_times *times) {
    int64_t us = perf_times_median(times);
    if (us == STORE_NO_TIME) {
        printf("no median: it passed %u time%s of %u", times->count, times->count == 1 ? "" : "s",
               times->count + times->failed);
        return;
    }
    printf("median ");
    put_ms(us);
    printf(" of %u (", times->count);
    put_ms(times->us[0]);
    printf(" to ");
    put_ms(times->us[times->count - 1]);
    printf(")");
    print_change(times);
}
