/* mux history: a test in all runs of the store. */
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/mux/store_place.h"
#include "tools/mux/store_subcommands.h"
#include "tools/mux/store_words.h"

#include <stdlib.h>
#include <unistd.h>

static const char intro[] = "usage: mux history [OPTION...] TEST\n"
                            "\n"
                            "How the test of this id went in each run of the store, the newest "
                            "first.\n"
                            "\n"
                            "  mux history pkg.test_net.TestRetry.test_backoff\n";

static const char outro[] =
    "Exit codes: 0 it was found; 1 there is no store, or no such test in it; 2 wrong usage.\n";

struct history {
    struct store_place place;
    unsigned count;
};

static const struct option_row rows[] = {
    STORE_PLACE_FOLDER_ROW,
    STORE_PLACE_JSON_ROW,
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {"mux history", NULL, intro,
                                            outro,         rows, sizeof rows / sizeof *rows};

static bool print_result(void *user, const struct store_result_row *row) {
    struct history *history = user;
    history->count++;
    if (history->place.json) {
        store_words_result_json(row);
        return true;
    }
    printf("%-6s  %8s  run %.*s, %s", store_words_status(row->status),
           store_words_took(row->took_us), STORE_WORDS_RUN_DIGITS, row->run.uuid,
           store_words_age(row->run.begun_us));
    fputs(*row->route ? "  " : "", stdout);
    store_words_text(row->route);
    putchar('\n');
    return true;
}

int store_run_history(int argc, char **argv) {
    struct history history = {0};
    char why[STORE_WHY_BYTES];
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
    bool is_fine = store_history(store, argv[optind], INT32_MAX, print_result, &history, why);
    store_close(store);
    if (!is_fine)
        return store_place_failed("mux history", why);
    if (history.count == 0)
        text_complain("mux history: no run has a test '%s'", argv[optind]);
    return history.count ? EXIT_FINE : EXIT_FAILED;
}
