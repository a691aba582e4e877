/* mux store: looks after the store itself. */
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/mux/store_place.h"
#include "tools/mux/store_subcommands.h"
#include "tools/store/check.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

static const char intro[] =
    "usage: mux store [OPTION...] check|rebuild\n"
    "\n"
    "check reads the whole index, and says whether it is sound and belongs to the runs' files. "
    "What a "
    "mux\n"
    "that was killed has left out of the index is read first.\n"
    "rebuild makes a new index from these files; the old one is kept as index.sqlite.old.\n"
    "\n"
    "  mux store check\n";

static const char outro[] =
    "Exit codes: 0 all is well; 1 something is wrong, stderr says what; 2 wrong usage.\n";

struct keep {
    struct store_place place;
};

static const struct option_row rows[] = {
    STORE_PLACE_FOLDER_ROW,
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {"mux store", NULL, intro,
                                            outro,       rows, sizeof rows / sizeof *rows};

static void print_fault(void *user, const char *fault) {
    (void)user;
    text_complain("mux store: %s", fault);
}

/* What those have left who were killed comes first, where the store can be written to. */
static struct store *open_to_check(const struct store_place *place, uint64_t *faults) {
    char folder[PATH_MAX], why[STORE_WHY_BYTES];
    store_place_folder(place, folder, sizeof folder);
    bool is_writable = access(folder, W_OK) == 0;
    struct store *store =
        store_place_open(place, "mux store", is_writable ? STORE_WRITE : STORE_READ);
    *faults = store && is_writable && !store_recover(store, why);
    if (*faults)
        store_place_failed("mux store", why);
    return store;
}

static int check(const struct store_place *place) {
    uint64_t faults;
    struct store *store = open_to_check(place, &faults);
    if (!store)
        return EXIT_FAILED;
    faults += store_check(store, print_fault, NULL);
    store_close(store);
    if (faults == 0)
        puts("the store is sound");
    return faults == 0 ? EXIT_FINE : EXIT_FAILED;
}

static int rebuild(const struct store_place *place) {
    char folder[PATH_MAX], why[STORE_WHY_BYTES];
    store_place_folder(place, folder, sizeof folder);
    return store_rebuild(folder, why) ? EXIT_FINE : store_place_failed("mux store", why);
}

int store_run_store(int argc, char **argv) {
    struct keep keep = {0};
    int status = option_parse(&options, argc, argv, &keep);
    if (status != OPTION_GO_ON)
        return status;
    const char *what = optind + 1 == argc ? argv[optind] : "";
    if (strcmp(what, "check") == 0)
        return check(&keep.place);
    if (strcmp(what, "rebuild") == 0)
        return rebuild(&keep.place);
    text_complain("mux store: expected check or rebuild (mux store --help)");
    return EXIT_USAGE;
}
