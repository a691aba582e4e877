#include "tools/mux/run_perf.h"

#include "tools/base/text.h"
#include "tools/mux/perf_times.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 1024

struct item {
    uint32_t test; /* a number of the run's ids */
    struct perf_times *times;
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
        free(perf->items[i].times);
    free(perf->items);
    free(perf);
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
    *item = (struct item){.test = test, .times = malloc(sizeof *item->times)};
    if (!item->times)
        return NULL;
    perf_times_clear(item->times);
    perf->count++;
    return item;
}

void run_perf_take(struct run_perf *perf, const struct run_ended *ended) {
    struct item *item = item_of(perf, ended->test);
    uint64_t ns = ended->says_ns != UINT64_MAX ? ended->says_ns : ended->took_ns;
    if (!item)
        return;
    if (ended->status == MUX_STATUS_SUCCESS && ns != UINT64_MAX)
        perf_times_add(item->times, (int64_t)(ns / 1000));
    else
        item->times->failed++;
}

static bool judge(const struct run_perf *perf, struct store *store, const struct run *run,
                  int64_t begun_us, struct item *item) {
    char why[STORE_WHY_BYTES];
    double percent;
    if (!perf_times_compare(item->times, store,
                            (const char *)ids_text(run_ids(run), item->test).data, begun_us, why))
        text_complain("mux run: the store: %s", why);
    if (perf->options->perf_drift && perf_times_drift(item->times, &percent))
        item->has_drifted = percent > perf->options->perf_drift;
    return !item->has_drifted;
}

bool run_perf_judge(struct run_perf *perf, const struct run *run, int64_t begun_us) {
    char folder[STORE_PATH_BYTES], why[STORE_WHY_BYTES];
    bool is_fine = true;
    store_place_folder(&perf->options->place, folder, sizeof folder);
    struct store *store = store_open(folder, STORE_READ, why);
    for (uint32_t i = 0; store && i < perf->count; i++)
        is_fine = judge(perf, store, run, begun_us, &perf->items[i]) && is_fine;
    store_close(store);
    return is_fine;
}

static void print_item(const struct run_perf *perf, const struct run *run,
                       const struct item *item) {
    char name[NAME_BYTES];
    text_clean(ids_text(run_ids(run), item->test), false, name, sizeof name);
    printf("%s  %s  ", item->has_drifted ? "SLOWER" : "perf  ", name);
    perf_times_print(item->times);
    if (item->has_drifted)
        printf(", more than --perf-drift %u allows", perf->options->perf_drift);
    putchar('\n');
}

void run_perf_print(const struct run_perf *perf, const struct run *run) {
    for (uint32_t i = 0; i < perf->count; i++)
        print_item(perf, run, &perf->items[i]);
    if (perf->count == 0)
        printf("perf    no test that --perf finds has ended\n");
}
