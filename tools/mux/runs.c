/* mux runs: the runs of the store. */
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/mux/store_place.h"
#include "tools/mux/store_subcommands.h"
#include "tools/mux/store_words.h"

#include <stdlib.h>
#include <unistd.h>

/* A screen. */
#define RUNS_SHOWN 20

static const char intro[] = "usage: mux runs [OPTION...]\n"
                            "\n"
                            "Lists the runs of the store, the newest first: its name, how old it "
                            "is, how it went and what was\n"
                            "run. mux show RUN shows one.\n"
                            "\n"
                            "  mux runs --json | jq -r .run\n";

static const char outro[] =
    "Exit codes: 0 all is well; 1 there is no store, or it could not be read; 2 wrong usage.\n";

struct runs {
    struct store_place place;
    unsigned most;
};

static bool set_all(const struct option_row *row, void *runs, const char *value) {
    (void)row, (void)value;
    ((struct runs *)runs)->most = INT32_MAX;
    return true;
}

static const struct option_row rows[] = {
    STORE_PLACE_FOLDER_ROW,
    {"all", .set = set_all, .help = "all of them, not only the last 20"},
    STORE_PLACE_JSON_ROW,
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {"mux runs", NULL, intro,
                                            outro,      rows, sizeof rows / sizeof *rows};

static bool print_run(void *user, const struct store_run_row *row) {
    char counts[256];
    const struct runs *runs = user;
    if (runs->place.json) {
        store_words_run_json(row);
        return true;
    }
    store_words_counts(row, counts, sizeof counts);
    printf("%.*s  %-11s  %-11s  %s", STORE_WORDS_RUN_DIGITS, row->run.uuid,
           store_words_age(row->run.begun_us), store_words_outcome(row), counts);
    fputs(*row->source ? "  " : "", stdout);
    store_words_text(row->source);
    putchar('\n');
    return true;
}

int store_run_runs(int argc, char **argv) {
    struct runs runs = {.most = RUNS_SHOWN};
    char why[STORE_WHY_BYTES];
    int status = option_parse(&options, argc, argv, &runs);
    if (status != OPTION_GO_ON)
        return status;
    if (optind < argc) {
        text_complain("mux runs: expected no argument (mux runs --help)");
        return EXIT_USAGE;
    }
    struct store *store = store_place_open(&runs.place, "mux runs", STORE_READ);
    if (!store)
        return EXIT_FAILED;
    bool is_fine = store_runs(store, 0, runs.most, print_run, &runs, why);
    store_close(store);
    return is_fine ? EXIT_FINE : store_place_failed("mux runs", why);
}
