/* mux history: a test in all runs of the store. */
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/mux/perf_times.h"
#include "tools/mux/store_place.h"
#include "tools/mux/store_subcommands.h"
#include "tools/mux/store_words.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <unistd.h>

#define BAR_WIDTH 20

/* A test has become slower when its newest runs took so many times its median, and so much more. */
#define SLOWER_TIMES 1.5
#define SLOWER_US 100000

/* Ids that a word may mean, of which people choose. */
#define LISTED_MOST 20

static const char intro[] =
    "usage: mux history [OPTION...] TEST\n"
    "\n"
    "How a test went in each run of the store, the newest first, and how long "
    "it takes.\n"
    "TEST is its id, the end of its id, or a pattern with * and ? for several "
    "tests.\n"
    "\n"
    "  mux history pkg.test_net.TestRetry.test_backoff\n"
    "  mux history test_backoff\n";

static const char outro[] =
    "Exit codes: 0 it was found; 1 there is no store, or no such test in it, or several end so; 2 "
    "wrong\nusage.\n";

struct row {
    char run[STORE_UUID_BYTES];
    unsigned status;
    int64_t run_begun_us, took_us;
    char *route;      /* NULL: out of memory, or several */
    unsigned results; /* of a run in which it passed several times: took_us is their median */
    int64_t least_us, most_us; /* of those */
};

struct rows {
    struct row *of;
    size_t count, capacity;
};

struct history {
    struct store_place place;
    struct rows rows; /* of one test */
    const char *word; /* TEST */
    bool is_pattern;
    char **tests; /* that it means */
    size_t test_count, test_capacity;
    bool is_full; /* out of memory */
};

static const struct option_row rows[] = {
    STORE_PLACE_FOLDER_ROW,
    STORE_PLACE_JSON_ROW,
    STORE_PLACE_PAGER_ROW,
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {"mux history", NULL, intro,
                                            outro,         rows, sizeof rows / sizeof *rows};

/* ---- one test ---- */

static bool add_row(void *user, const struct store_result_row *result) {
    struct history *history = user;
    struct rows *list = &history->rows;
    if (history->place.json) {
        store_words_result_json(result);
        list->count++;
        return true;
    }
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        struct row *more = realloc(list->of, capacity * sizeof *more);
        history->is_full = !more;
        if (!more)
            return false;
        list->of = more;
        list->capacity = capacity;
    }
    struct row *row = &list->of[list->count++];
    *row = (struct row){.status = result->status,
                        .run_begun_us = result->run.begun_us,
                        .took_us = result->took_us,
                        .route = strdup(result->route),
                        .results = 1};
    snprintf(row->run, sizeof row->run, "%s", result->run.uuid);
    return true;
}

static void forget_rows(struct rows *list) {
    for (size_t i = 0; list->of && i < list->count; i++)
        free(list->of[i].route);
    free(list->of);
    *list = (struct rows){0};
}

static void print_row(const struct row *row, int64_t longest_us) {
    int width = row->took_us > 0 && longest_us > 0
                    ? (int)((double)BAR_WIDTH * (double)row->took_us / (double)longest_us + 0.5)
                    : 0;
    const char *bar = "####################";
    printf("%.*s  %-11s  %-6s  %8s  %.*s", STORE_WORDS_RUN_DIGITS, row->run,
           store_words_age(row->run_begun_us), store_words_status(row->status),
           store_words_took(row->took_us), width, bar);
    if (row->route && *row->route) {
        printf("%*s  ", BAR_WIDTH - width, "");
        store_words_text(row->route);
    }
    if (row->results > 1)
        printf("%*s  median of %u, %s to %s", BAR_WIDTH - width, "", row->results,
               store_words_took(row->least_us), store_words_took(row->most_us));
    putchar('\n');
}

static int by_time(const void *x, const void *y) {
    const int64_t *a = x, *b = y;
    return *a < *b ? -1 : *a > *b;
}

/* How many rows from here on are those of one run in which it passed each time. */
static size_t passes_from(const struct rows *list, size_t from) {
    size_t to = from;
    bool has_passed = true;
    for (; to < list->count && strcmp(list->of[to].run, list->of[from].run) == 0; to++)
        has_passed = has_passed && list->of[to].status == MUX_STATUS_SUCCESS &&
                     list->of[to].took_us != STORE_NO_TIME;
    return has_passed ? to - from : 1;
}

static int by_took(const void *x, const void *y) {
    const struct row *a = x, *b = y;
    return a->took_us < b->took_us ? -1 : a->took_us > b->took_us;
}

/* One row for several of a run, whose routes are freed. */
static struct row merged(struct row *of, size_t count) {
    struct row row = of[0];
    qsort(of, count, sizeof *of, by_took);
    for (size_t i = 0; i < count; i++)
        free(of[i].route);
    row.route = NULL;
    row.results = (unsigned)count;
    row.least_us = of[0].took_us;
    row.most_us = of[count - 1].took_us;
    row.took_us = of[count / 2].took_us;
    if (count % 2 == 0)
        row.took_us = (row.took_us + of[count / 2 - 1].took_us) / 2;
    return row;
}

/* Of runs in which it passed several times (mux run --perf, --repeat) people see the median. */
static void merge_runs(struct rows *list) {
    size_t kept = 0;
    for (size_t i = 0, len; i < list->count; i += len) {
        len = passes_from(list, i);
        list->of[kept++] = len > 1 ? merged(&list->of[i], len) : list->of[i];
    }
    list->count = kept;
}

/* The times that are known, in order. Returns their number. */
static size_t sorted_times(const struct rows *list, int64_t *times) {
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        if (list->of[i].took_us != STORE_NO_TIME)
            times[count++] = list->of[i].took_us;
    qsort(times, count, sizeof *times, by_time);
    return count;
}

/* The oldest of the newest runs that were all slow; NULL: it is not slower, or always was. */
static const struct row *slower_since(const struct rows *list, int64_t median_us) {
    size_t slow = 0;
    while (slow < list->count && list->of[slow].took_us != STORE_NO_TIME &&
           (double)list->of[slow].took_us > SLOWER_TIMES * (double)median_us &&
           list->of[slow].took_us - median_us > SLOWER_US)
        slow++;
    return slow > 0 && slow < list->count ? &list->of[slow - 1] : NULL;
}

static void print_times(const struct rows *list, const int64_t *times, size_t count) {
    int64_t median_us = times[count / 2];
    const struct row *slower = slower_since(list, median_us);
    printf("; median %s, usual %s to %s", store_words_took(median_us),
           store_words_took(times[count / 10]), store_words_took(times[count - 1 - count / 10]));
    if (slower)
        printf("; slower since %.*s", STORE_WORDS_RUN_DIGITS, slower->run);
}

/* "31 results: 30 passed, 1 failed; median 2.9 s, ..." */
static void print_sum(const struct rows *list, const int64_t *times, size_t count) {
    struct store_run_row sum = {0};
    char counts[256];
    size_t results = 0;
    for (size_t i = 0; i < list->count; i++) {
        sum.counts[list->of[i].status] += list->of[i].results;
        results += list->of[i].results;
    }
    store_words_counts(&sum, counts, sizeof counts);
    printf("%zu results: %s", results, counts);
    if (count)
        print_times(list, times, count);
}

/* What mux run --perf compares: the newest median with earlier ones. */
static void print_drift(const struct rows *list, struct store *store, const char *test) {
    char why[STORE_WHY_BYTES];
    const struct row *newest = list->of;
    struct perf_times *before = newest->results > 1 ? malloc(sizeof *before) : NULL;
    if (!before)
        return;
    perf_times_clear(before);
    if (perf_times_compare(before, store, test, newest->run_begun_us, why) && before->before_us > 0)
        printf("; %s in %u run%s before: %+.1f %%", store_words_took(before->before_us),
               before->runs_before, before->runs_before == 1 ? "" : "s",
               100 * ((double)newest->took_us / (double)before->before_us - 1));
    free(before);
}

static void print_rows(struct history *history, struct store *store, const char *test) {
    struct rows *list = &history->rows;
    merge_runs(list);
    int64_t *times = calloc(list->count + 1, sizeof *times);
    size_t count = times ? sorted_times(list, times) : 0;
    if (strcmp(test, history->word) != 0) {
        store_words_text(test);
        putchar('\n');
    }
    for (size_t i = 0; i < list->count; i++)
        print_row(&list->of[i], count ? times[count - 1] : 0);
    print_sum(list, times, count);
    print_drift(list, store, test);
    putchar('\n');
    free(times);
}

/* False: why. `found` counts tests that have results. */
static bool show_test(struct history *history, struct store *store, const char *test,
                      uint64_t *found, char why[STORE_WHY_BYTES]) {
    bool is_fine = store_history(store, test, INT32_MAX, add_row, history, why);
    if (history->is_full)
        is_fine = snprintf(why, STORE_WHY_BYTES, "out of memory") < 0;
    *found += history->rows.count > 0;
    if (is_fine && history->rows.count && !history->place.json)
        print_rows(history, store, test);
    forget_rows(&history->rows);
    return is_fine;
}

/* ---- which tests ---- */

/* Its end, from the beginning of a word in it. */
static bool ends_so(const char *test, const char *word) {
    size_t len = strlen(test), word_len = strlen(word);
    if (word_len > len || strcmp(test + len - word_len, word) != 0)
        return false;
    unsigned char before = word_len < len ? (unsigned char)test[len - word_len - 1] : '.';
    return !isalnum(before) && before != '_' && before < 0x80;
}

static bool match(void *user, const char *test) {
    struct history *history = user;
    bool is_meant =
        history->is_pattern ? fnmatch(history->word, test, 0) == 0 : ends_so(test, history->word);
    if (!is_meant)
        return true;
    if (history->test_count == history->test_capacity) {
        size_t capacity = history->test_capacity ? 2 * history->test_capacity : 64;
        char **more = realloc(history->tests, capacity * sizeof *more);
        history->is_full = !more;
        if (!more)
            return false;
        history->tests = more;
        history->test_capacity = capacity;
    }
    char *own = strdup(test);
    history->is_full = !own;
    if (own)
        history->tests[history->test_count++] = own;
    return own != NULL;
}

static int by_name(const void *x, const void *y) {
    return strcmp(*(char *const *)x, *(char *const *)y);
}

static bool find_tests(struct history *history, struct store *store, char why[STORE_WHY_BYTES]) {
    history->is_pattern = strpbrk(history->word, "*?") != NULL;
    if (!store_tests(store, match, history, why))
        return false;
    if (history->is_full) {
        snprintf(why, STORE_WHY_BYTES, "out of memory");
        return false;
    }
    if (history->test_count)
        qsort(history->tests, history->test_count, sizeof *history->tests, by_name);
    return true;
}

static void list_tests(const struct history *history) {
    text_complain("mux history: several tests end in '%s': give more of its id", history->word);
    for (size_t i = 0; i < history->test_count && i < LISTED_MOST; i++)
        text_complain("  %s", history->tests[i]);
    if (history->test_count > LISTED_MOST)
        text_complain("  and %zu more", history->test_count - LISTED_MOST);
}

/* The id itself first: then the others are not looked at. */
static bool show_history(struct history *history, struct store *store, uint64_t *found,
                         char why[STORE_WHY_BYTES]) {
    if (!show_test(history, store, history->word, found, why))
        return false;
    if (*found)
        return true;
    bool is_fine = find_tests(history, store, why);
    if (is_fine && !history->is_pattern && history->test_count > 1)
        list_tests(history);
    else
        for (size_t i = 0; i < history->test_count && is_fine; i++)
            is_fine = show_test(history, store, history->tests[i], found, why);
    for (size_t i = 0; i < history->test_count; i++)
        free(history->tests[i]);
    free(history->tests);
    return is_fine;
}

int store_run_history(int argc, char **argv) {
    struct history history = {0};
    char why[STORE_WHY_BYTES];
    uint64_t found = 0;
    int status = option_parse(&options, argc, argv, &history);
    if (status != OPTION_GO_ON)
        return status;
    if (optind + 1 != argc) {
        text_complain("mux history: expected the id of one TEST (mux history --help)");
        return EXIT_USAGE;
    }
    struct store *store = store_place_open(&history.place, "mux history", STORE_READ);
    if (!store)
        return EXIT_FAILED;
    history.word = argv[optind];
    store_place_page(&history.place);
    bool is_fine = show_history(&history, store, &found, why);
    store_close(store);
    if (!is_fine)
        return store_place_failed("mux history", why);
    if (found == 0 && history.test_count < 2)
        text_complain("mux history: no run has a test '%s'", argv[optind]);
    return found ? EXIT_FINE : EXIT_FAILED;
}
