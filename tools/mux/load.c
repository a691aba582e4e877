/* mux load: a stream that was kept elsewhere becomes a run of the store. */
#include "tools/base/output.h"
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/mux/store_place.h"
#include "tools/mux/store_subcommands.h"
#include "tools/mux/store_words.h"
#include "tools/results/input.h"
#include "tools/store/indexer.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define COPY_BYTES (1 << 18)

static const char intro[] = "usage: mux load [OPTION...] FILE|-\n"
                            "\n"
                            "Stores a subunit v2 stream, from a file or from stdin, as a run: mux "
                            "runs lists it, mux show\n"
                            "shows it. The stream is kept byte for byte.\n"
                            "\n"
                            "  python3 -m subunit.run discover | mux load -\n";

static const char outro[] =
    "Exit codes: 0 it is stored; 1 it could not be read or not be stored; 2 wrong usage.\n";

struct load {
    struct store_place place;
    const char *source;
};

static bool set_source(const struct option_row *row, void *load, const char *value) {
    (void)row;
    ((struct load *)load)->source = value;
    return true;
}

static const struct option_row rows[] = {
    STORE_PLACE_FOLDER_ROW,
    {"source", "TEXT", .set = set_source, .help = "what was run, for mux runs; without it FILE"},
    STORE_PLACE_JSON_ROW,
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {"mux load", NULL, intro,
                                            outro,      rows, sizeof rows / sizeof *rows};

static int failed_at(const char *what) {
    text_complain("mux load: %s: %s", what, strerror(errno));
    return EXIT_FAILED;
}

/* All of it, as it is. */
static int copy(int from, int to, const char *path) {
    static uint8_t bytes[COPY_BYTES];
    for (;;) {
        ssize_t len = input_read_some(from, bytes, sizeof bytes);
        if (len < 0)
            return failed_at(path);
        if (len == 0)
            return EXIT_FINE;
        if (!output_write(to, bytes, (size_t)len))
            return failed_at("the store");
    }
}

static bool index_run(struct store *store, const struct store_run *run, char why[STORE_WHY_BYTES]) {
    struct store_indexer *indexer = store_indexer_create(store, run, why);
    bool is_fine = indexer && store_indexer_finish(indexer, why);
    store_indexer_free(indexer);
    return is_fine;
}

static bool print_run(void *user, const struct store_run_row *row) {
    char counts[256];
    const struct load *load = user;
    if (load->place.json) {
        store_words_run_json(row);
    } else {
        store_words_counts(row, counts, sizeof counts);
        printf("run %.*s: %s\n", STORE_WORDS_RUN_DIGITS, row->run.uuid, counts);
    }
    return true;
}

static int load_into(struct store *store, const struct load *load, int from, const char *path) {
    char why[STORE_WHY_BYTES];
    struct store_run run;
    int to = store_begin(store, load->source ? load->source : path, &run, why);
    if (to < 0)
        return store_place_failed("mux load", why);
    int status = copy(from, to, path);
    bool is_fine =
        index_run(store, &run, why) && store_runs(store, run.id, 1, print_run, (void *)load, why);
    close(to);
    return is_fine ? status : store_place_failed("mux load", why);
}

/* To write, with what those have left who were killed. */
static struct store *open_store(const struct load *load) {
    char why[STORE_WHY_BYTES];
    struct store *store = store_place_open(&load->place, "mux load", STORE_WRITE);
    if (store && !store_recover(store, why))
        store_place_failed("mux load", why);
    return store;
}

int store_run_load(int argc, char **argv) {
    struct load load = {0};
    int status = option_parse(&options, argc, argv, &load);
    if (status != OPTION_GO_ON)
        return status;
    if (optind + 1 != argc) {
        text_complain("mux load: expected one FILE, or - for stdin (mux load --help)");
        return EXIT_USAGE;
    }
    int from = open_input(&(struct subcommand){.name = "load"}, argv[optind]);
    if (from < 0)
        return EXIT_FAILED;
    struct store *store = open_store(&load);
    status = store ? load_into(store, &load, from, argv[optind]) : EXIT_FAILED;
    store_close(store);
    return status;
}
