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

/* Sooner a file was read, and nothing ran. */
#define FROM_A_FILE_US 100000

#define SOURCE_WIDTH 27
#define RESULT_WIDTH 26

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
    bool has_head;
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
    STORE_PLACE_PAGER_ROW,
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {"mux runs", NULL, intro,
                                            outro,      rows, sizeof rows / sizeof *rows};

/* A stream that came from a file says nothing of the time that its run took. */
static int64_t took_us(const struct store_run_row *row) {
    if (row->ended_us == STORE_NO_TIME)
        return STORE_NO_TIME;
    int64_t us = row->ended_us - row->run.begun_us;
    return row->verdict == STORE_VERDICT_NONE && us < FROM_A_FILE_US ? STORE_NO_TIME : us;
}

/* Cut on the right: a command's beginning says what it is. */
static void print_source(const char *source) {
    char text[SOURCE_WIDTH + 4];
    text_clean(mux_span(source, strnlen(source, SOURCE_WIDTH)), false, text, sizeof text);
    printf("%-*.*s", SOURCE_WIDTH, SOURCE_WIDTH, text);
}

static bool print_run(void *user, const struct store_run_row *row) {
    char result[256];
    struct runs *runs = user;
    if (runs->place.json) {
        store_words_run_json(row);
        return true;
    }
    if (!runs->has_head)
        printf("%-*s  %-11s  %-*s  %-*s  %8s\n", STORE_WORDS_RUN_DIGITS, "run", "when",
               SOURCE_WIDTH, "what", RESULT_WIDTH, "result", "time");
    runs->has_head = true;
    store_words_result_text(row, result, sizeof result);
    printf("%.*s  %-11s  ", STORE_WORDS_RUN_DIGITS, row->run.uuid,
           store_words_age(row->run.begun_us));
    print_source(row->source);
    const char *took = store_words_took(took_us(row));
    if (*took)
        printf("  %-*s  %8s\n", RESULT_WIDTH, result, took);
    else
        printf("  %s\n", result);
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
    store_place_page(&runs.place);
    bool is_fine = store_runs(store, 0, runs.most, print_run, &runs, why);
    store_close(store);
    return is_fine ? EXIT_FINE : store_place_failed("mux runs", why);
}
