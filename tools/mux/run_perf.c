#include "tools/mux/run_perf.h"

#include "tools/base/text.h"
#include "tools/store/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Earlier runs that a median is compared with: of so many theirs is taken. */
#define RUNS_COMPARED 5

/* Of a run: so many times of a test are looked at, and so few are no median. */
#define TIMES_MOST 1000
#define TIMES_LEAST 2

/* Of a test's results that are looked at in the store. */
#define RESULTS_MOST 5000

#define NAME_BYTES 1024

/* Times of one test in one run. */
struct times {
    int64_t us[TIMES_MOST];
    unsigned count;
};

struct item {
    uint32_t test; /* a number of the run's ids */
    struct times *now;
    unsigned failed;   /* results that are no times */
    int64_t before_us; /* the median of earlier runs' medians; STORE_NO_TIME: there are none */
    unsigned runs_before;
    bool has_drifted;
};

struct run_perf {
    const struct run_options *options;
    struct item *items;
    uint32_t count, room;
};

struct run_perf *run_perf_open(const struct run_options *options) {
    struct run_perf *perf = calloc(1, sizeof *perf);
    if (perf)
        perf->options = options;
    return perf;
}

void run_perf_close(struct run_perf *perf) {
    if (!perf)
        return;
    for (uint32_t i = 0; i < perf->count; i++)
        free(perf->items[i].now);
    free(perf->items);
    free(perf);
}

/*
 * ---- times ----
 */

static int by_time(const void *x, const void *y) {
    const int64_t *a = x, *b = y;
    return *a < *b ? -1 : *a > *b;
}

/* Sorts them. STORE_NO_TIME: they are too few. */
static int64_t median(int64_t *us, unsigned count, unsigned least) {
    if (count < least)
        return STORE_NO_TIME;
    qsort(us, count, sizeof *us, by_time);
    return count % 2 ? us[count / 2] : (us[count / 2 - 1] + us[count / 2]) / 2;
}

static void add_time(struct times *times, int64_t us) {
    if (times->count < TIMES_MOST)
        times->us[times->count++] = us;
}

/* NULL: out of memory. */
static struct item *item_of(struct run_perf *perf, uint32_t test) {
    for (uint32_t i = 0; i < perf->count; i++)
        if (perf->items[i].test == test)
            return &perf->items[i];
    if (perf->count == perf->room) {
        struct item *items = realloc(perf->items, (2 * perf->room + 16) * sizeof *items);
        if (!items)
            return NULL;
        perf->items = items;
        perf->room = 2 * perf->room + 16;
    }
    struct item *item = &perf->items[perf->count];
    *item = (struct item){.test = test, .before_us = STORE_NO_TIME};
    item->now = calloc(1, sizeof *item->now);
    perf->count += item->now != NULL;
    return item->now ? item : NULL;
}

void run_perf_take(struct run_perf *perf, const struct run_ended *ended) {
    struct item *item = item_of(perf, ended->test);
    uint64_t ns = ended->says_ns != UINT64_MAX ? ended->says_ns : ended->took_ns;
    if (!item)
        return;
    if (ended->status == MUX_STATUS_SUCCESS && ns != UINT64_MAX)
        add_time(item->now, (int64_t)(ns / 1000));
    else
        item->failed++;
}

/*
 * ---- earlier runs ----
 */

/* Of one test: the medians of runs so far, and the times of the run whose rows come. */
struct looking {
    const char *uuid; /* of this run */
    char run[STORE_UUID_BYTES];
    struct times times;
    int64_t medians[RUNS_COMPARED];
    unsigned count;
};

static void end_run(struct looking *looking) {
    int64_t us = median(looking->times.us, looking->times.count, TIMES_LEAST);
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
    if (has_passed && row->took_us != STORE_NO_TIME && strcmp(row->run.uuid, looking->uuid) != 0)
        add_time(&looking->times, row->took_us);
    return looking->count < RUNS_COMPARED;
}

static bool compare(const struct run_perf *perf, struct store *store, const struct run *run,
                    const char *uuid, struct item *item) {
    char why[STORE_WHY_BYTES];
    struct looking *looking = calloc(1, sizeof *looking);
    if (!looking)
        return true;
    looking->uuid = uuid;
    if (!store_history(store, (const char *)ids_text(run_ids(run), item->test).data, RESULTS_MOST,
                       look_at_row, looking, why))
        text_complain("mux run: the store: %s", why);
    end_run(looking);
    item->runs_before = looking->count;
    item->before_us = median(looking->medians, looking->count, 1);
    free(looking);
    int64_t now_us = median(item->now->us, item->now->count, TIMES_LEAST);
    if (now_us != STORE_NO_TIME && item->before_us > 0 && perf->options->perf_drift)
        item->has_drifted =
            (double)now_us > (double)item->before_us * (1 + perf->options->perf_drift / 100.0);
    return !item->has_drifted;
}

bool run_perf_judge(struct run_perf *perf, const struct run *run, const char *uuid) {
    char folder[STORE_PATH_BYTES], why[STORE_WHY_BYTES];
    bool is_fine = true;
    store_place_folder(&perf->options->place, folder, sizeof folder);
    struct store *store = store_open(folder, STORE_READ, why);
    for (uint32_t i = 0; store && i < perf->count; i++)
        is_fine = compare(perf, store, run, uuid, &perf->items[i]) && is_fine;
    store_close(store);
    return is_fine;
}

/*
 * ---- words ----
 */

static void put_ms(int64_t us) {
    printf("%.*f ms", us < 10000 ? 3 : us < 1000000 ? 1 : 0, (double)us / 1000);
}

static void print_change(const struct run_perf *perf, const struct item *item, int64_t now_us) {
    if (item->before_us == STORE_NO_TIME) {
        printf("; no earlier run to compare with");
        return;
    }
    printf("; ");
    put_ms(item->before_us);
    printf(" in %u run%s before", item->runs_before, item->runs_before == 1 ? "" : "s");
    if (item->before_us > 0)
        printf(": %+.1f %%", 100 * ((double)now_us / (double)item->before_us - 1));
    if (item->has_drifted)
        printf(", more than --perf-drift %u allows", perf->options->perf_drift);
}

static void print_item(const struct run_perf *perf, const struct run *run, struct item *item) {
    char name[NAME_BYTES];
    int64_t us = median(item->now->us, item->now->count, TIMES_LEAST);
    text_clean(ids_text(run_ids(run), item->test), false, name, sizeof name);
    printf("%s  %s  ", item->has_drifted ? "SLOWER" : "perf  ", name);
    if (us == STORE_NO_TIME) {
        printf("no median: it passed %u time%s of %u\n", item->now->count,
               item->now->count == 1 ? "" : "s", item->now->count + item->failed);
        return;
    }
    printf("median ");
    put_ms(us);
    printf(" of %u (", item->now->count);
    put_ms(item->now->us[0]);
    printf(" to ");
    put_ms(item->now->us[item->now->count - 1]);
    printf(")");
    print_change(perf, item, us);
    putchar('\n');
}

void run_perf_print(const struct run_perf *perf, const struct run *run) {
    for (uint32_t i = 0; i < perf->count; i++)
        print_item(perf, run, &perf->items[i]);
    if (perf->count == 0)
        printf("perf    no test that --perf finds has ended\n");
}
