/* mux diff: what is different between two runs of the store. */
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/mux/store_place.h"
#include "tools/mux/store_subcommands.h"
#include "tools/mux/store_words.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

/* A test is slower when it took twice as long, and by so much. */
#define SLOWER_US 500000

static const char intro[] =
    "usage: mux diff [OPTION...] BEFORE [AFTER]\n"
    "\n"
    "What is different in run AFTER (default: the last) from run BEFORE: tests that fail now, are "
    "flaky\n(failed and passed in that run), fixed, new, gone, or took at least twice as long and "
    "half a second\nmore.\n"
    "\n"
    "  mux diff last-1\n";

static const char outro[] =
    "Exit codes: 0 no test fails that did not before; 4 some do; 1 there is no store, or no such "
    "run;\n"
    "2 wrong usage.\n";

struct diff {
    struct store_place place;
    uint64_t fails_now, fixed, fresh, gone, all;
};

static const struct option_row rows[] = {
    STORE_PLACE_FOLDER_ROW,
    STORE_PLACE_JSON_ROW,
    STORE_PLACE_PAGER_ROW,
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {"mux diff", NULL, intro,
                                            outro,      rows, sizeof rows / sizeof *rows};

static bool is_slower(const struct store_change_row *row) {
    return row->took_before_us != STORE_NO_TIME && row->took_after_us != STORE_NO_TIME &&
           row->took_after_us >= 2 * row->took_before_us &&
           row->took_after_us - row->took_before_us >= SLOWER_US;
}

/* NULL: nothing that is worth a line. */
static const char *change_of(const struct store_change_row *row) {
    if (store_is_bad(row->after) && !store_is_bad(row->before))
        return "FAIL";
    if (row->after == STORE_STATUS_FLAKY && row->before != STORE_STATUS_FLAKY)
        return "flaky";
    if (store_is_bad(row->before) && row->after != MUX_STATUS_NONE && !store_is_bad(row->after))
        return "fixed";
    if (row->before == MUX_STATUS_NONE)
        return "new";
    if (row->after == MUX_STATUS_NONE)
        return "gone";
    return is_slower(row) ? "slower" : NULL;
}

/* null: the test is not there. */
static const char *word_of(unsigned status) {
    return status == MUX_STATUS_NONE ? NULL : store_words_status_key(status);
}

static void print_json(const struct store_change_row *row, const char *change) {
    json_t *object = json_pack("{s:s, s:s, s:s?, s:s?}", "change", change, "test_id", row->test,
                               "before", word_of(row->before), "after", word_of(row->after));
    if (object)
        json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(object);
}

/* People get a number of those that are new or gone: there may be thousands, and none is news. */
static bool is_listed(const char *change) {
    return strcmp(change, "new") != 0 && strcmp(change, "gone") != 0;
}

static void count_change(struct diff *diff, const char *change) {
    diff->fails_now += strcmp(change, "FAIL") == 0;
    diff->fixed += strcmp(change, "fixed") == 0;
    diff->fresh += strcmp(change, "new") == 0;
    diff->gone += strcmp(change, "gone") == 0;
    diff->all++;
}

static bool print_change(void *user, const struct store_change_row *row) {
    struct diff *diff = user;
    const char *change = change_of(row);
    if (!change)
        return true;
    count_change(diff, change);
    if (diff->place.json) {
        print_json(row, change);
        return true;
    }
    if (!is_listed(change))
        return true;
    printf("%-13s  ", strcmp(change, "FAIL") == 0 ? "newly failing" : change);
    store_words_text(row->test);
    if (strcmp(change, "slower") == 0)
        printf("  %s -> %s", store_words_took(row->took_before_us),
               store_words_took(row->took_after_us));
    putchar('\n');
    return true;
}

static void print_sum(const struct diff *diff) {
    if (diff->all == 0)
        puts("nothing is different");
    else
        printf("new tests %" PRIu64 ", gone %" PRIu64 ", fixed %" PRIu64 "\n", diff->fresh,
               diff->gone, diff->fixed);
}

static bool find_both(struct store *store, char **names, int count, struct store_run *before,
                      struct store_run *after, char why[STORE_WHY_BYTES]) {
    return store_find(store, names[0], before, why) &&
           store_find(store, count > 1 ? names[1] : "last", after, why);
}

int store_run_diff(int argc, char **argv) {
    struct diff diff = {0};
    struct store_run before, after;
    char why[STORE_WHY_BYTES];
    int status = option_parse(&options, argc, argv, &diff);
    int count = argc - optind;
    if (status != OPTION_GO_ON)
        return status;
    if (count < 1 || count > 2) {
        text_complain("mux diff: expected one or two runs (mux diff --help)");
        return EXIT_USAGE;
    }
    struct store *store = store_place_open(&diff.place, "mux diff", STORE_READ);
    if (!store)
        return EXIT_FAILED;
    bool is_fine = find_both(store, argv + optind, count, &before, &after, why);
    if (is_fine)
        store_place_page(&diff.place);
    is_fine = is_fine && store_changes(store, &before, &after, print_change, &diff, why);
    store_close(store);
    if (!is_fine)
        return store_place_failed("mux diff", why);
    if (!diff.place.json)
        print_sum(&diff);
    return diff.fails_now ? EXIT_TESTS_FAILED : EXIT_FINE;
}
