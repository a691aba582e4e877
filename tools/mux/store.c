/* mux store: looks after the store itself. */
#include "tools/base/output.h"
#include "tools/base/quantity.h"
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/mux/store_place.h"
#include "tools/mux/store_subcommands.h"
#include "tools/results/input.h"
#include "tools/store/check.h"
#include "tools/store/import.h"
#include "tools/store/prune.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char intro[] =
    "usage: mux store [OPTION...] check|rebuild|prune|export [RUN]|import PATH\n"
    "\n"
    "check reads the whole index, and says whether it is sound and belongs to the runs' files.\n"
    "What a mux that was killed has left out of the index is read first.\n"
    "rebuild makes a new index from these files; the old one is kept as index.sqlite.old.\n"
    "prune removes runs that are more, larger or older than one of its options allows.\n"
    "export writes a run's stream (default: the last one's) to stdout, as it was taken.\n"
    "import takes the runs of stestr and testrepository (PATH: a folder .stestr or\n"
    ".testrepository), or one stream of subunit v1 or v2 (a file).\n"
    "\n"
    "  mux store check\n"
    "  mux store prune --keep 100 --bytes 2G\n";

static const char outro[] =
    "Exit codes: 0 all is well; 1 something is wrong, stderr says what; 2 wrong usage.\n";

#define COPY_BYTES (1 << 18)

#define US_PER_DAY (24 * 3600 * INT64_C(1000000))

/* A hundred years, which no sum of times exceeds. */
#define DAYS_MOST 36500

struct keep {
    struct store_place place;
    struct store_limits limits;
    bool has_limits;
};

static bool wrong(const struct option_row *row, const char *value, const char *expected) {
    text_complain("mux store: --%s %s: expected %s", row->name, value, expected);
    return false;
}

/* Digits alone. */
static bool read_number(const char *value, unsigned long *number) {
    char *end;
    errno = 0;
    *number = strtoul(value, &end, 10);
    return *value >= '0' && *value <= '9' && *end == '\0' && errno == 0;
}

static bool set_keep(const struct option_row *row, void *target, const char *value) {
    struct keep *keep = target;
    unsigned long runs;
    keep->has_limits = true;
    if (!read_number(value, &runs))
        return wrong(row, value, "a number of runs");
    keep->limits.runs = runs;
    return true;
}

static bool set_days(const struct option_row *row, void *target, const char *value) {
    struct keep *keep = target;
    unsigned long days;
    keep->has_limits = true;
    if (!read_number(value, &days) || days > DAYS_MOST)
        return wrong(row, value, "a number of days, 36500 at most");
    keep->limits.begun_from_us = (int64_t)time(NULL) * 1000000 - (int64_t)days * US_PER_DAY;
    return true;
}

static bool set_bytes(const struct option_row *row, void *target, const char *value) {
    struct keep *keep = target;
    keep->has_limits = true;
    return quantity_bytes(value, &keep->limits.bytes) ||
           wrong(row, value, "a size such as 500M or 2G");
}

static const struct option_row rows[] = {
    {"keep", "N", .set = set_keep, .help = "prune: the newest N runs stay"},
    {"days", "N", .set = set_days, .help = "prune: runs that began in the last N days stay"},
    {"bytes", "SIZE", .set = set_bytes,
     .help = "prune: the newest runs stay whose files are that large together"},
    STORE_PLACE_FOLDER_ROW,
    STORE_PLACE_JSON_ROW,
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
    if (place->json)
        printf("{\"faults\":%" PRIu64 "}\n", faults);
    else if (faults == 0)
        puts("the store is sound");
    return faults == 0 ? EXIT_FINE : EXIT_FAILED;
}

static int rebuild(const struct store_place *place) {
    char folder[PATH_MAX], why[STORE_WHY_BYTES];
    store_place_folder(place, folder, sizeof folder);
    return store_rebuild(folder, why) ? EXIT_FINE : store_place_failed("mux store", why);
}

static void print_pruned(const struct store_place *place, const struct store_pruned *pruned) {
    printf(place->json ? "{\"runs\":%" PRIu64 ",\"bytes\":%" PRIu64 "}\n"
                       : "removed %" PRIu64 " runs, %" PRIu64 " bytes\n",
           pruned->runs, pruned->bytes);
}

/* It makes no store where there is none. */
static struct store *open_to_prune(const struct store_place *place) {
    struct store *store = store_place_open(place, "mux store", STORE_READ);
    if (!store)
        return NULL;
    store_close(store);
    return store_place_open(place, "mux store", STORE_WRITE);
}

static int prune(const struct keep *keep) {
    char why[STORE_WHY_BYTES];
    struct store_pruned pruned;
    if (!keep->has_limits) {
        text_complain("mux store: prune what? Give --keep, --days or --bytes");
        return EXIT_USAGE;
    }
    struct store *store = open_to_prune(&keep->place);
    if (!store)
        return EXIT_FAILED;
    bool is_fine = store_prune(store, &keep->limits, &pruned, why);
    store_close(store);
    print_pruned(&keep->place, &pruned);
    return is_fine ? EXIT_FINE : store_place_failed("mux store", why);
}

static void print_note(void *user, const char *sentence) {
    (void)user;
    text_complain("mux store: %s", sentence);
}

static void print_imported(const struct store_place *place, const struct store_imported *imported) {
    if (place->json) {
        printf("{\"runs\":%" PRIu64 ",\"known\":%" PRIu64 ",\"times\":%" PRIu64
               ",\"left_out\":%" PRIu64 "}\n",
               imported->runs, imported->known, imported->times, imported->left_out);
        return;
    }
    printf("imported %" PRIu64 " runs", imported->runs);
    if (imported->known)
        printf(", %" PRIu64 " were there already", imported->known);
    if (imported->times)
        printf(", times of %" PRIu64 " tests that no run has", imported->times);
    if (imported->left_out)
        printf("; %" PRIu64 " pieces have no form in subunit v2 and were left out",
               imported->left_out);
    putchar('\n');
}

static int import_from(const struct store_place *place, const char *path) {
    char why[STORE_WHY_BYTES];
    struct store_imported imported;
    struct store *store = store_place_open(place, "mux store", STORE_WRITE);
    if (!store)
        return EXIT_FAILED;
    bool is_fine = store_import(store, path, print_note, NULL, &imported, why);
    store_close(store);
    print_imported(place, &imported);
    return is_fine ? EXIT_FINE : store_place_failed("mux store", why);
}

static int copy_stream(int from, const char *uuid) {
    static uint8_t bytes[COPY_BYTES];
    ssize_t len;
    while ((len = input_read_some(from, bytes, sizeof bytes)) > 0)
        if (!output_write(STDOUT_FILENO, bytes, (size_t)len)) {
            text_complain("mux store: stdout: %s", strerror(errno));
            return EXIT_FAILED;
        }
    if (len < 0)
        text_complain("mux store: the file of run %s: %s", uuid, strerror(errno));
    return len < 0 ? EXIT_FAILED : EXIT_FINE;
}

static int export_run(const struct store_place *place, const char *name) {
    char why[STORE_WHY_BYTES];
    struct store_run run;
    if (isatty(STDOUT_FILENO)) {
        text_complain("mux store: export gives a stream: let it go to a file or into a pipe");
        return EXIT_USAGE;
    }
    struct store *store = store_place_find(place, "mux store", name, &run);
    if (!store)
        return EXIT_FAILED;
    int from = store_open_stream(store, &run, why);
    int status = from < 0 ? store_place_failed("mux store", why) : copy_stream(from, run.uuid);
    if (from >= 0)
        close(from);
    store_close(store);
    return status;
}

int store_run_store(int argc, char **argv) {
    struct keep keep = {.limits = {UINT64_MAX, UINT64_MAX, INT64_MIN}};
    int status = option_parse(&options, argc, argv, &keep);
    if (status != OPTION_GO_ON)
        return status;
    int count = argc - optind;
    const char *what = count == 1 || count == 2 ? argv[optind] : "";
    if (strcmp(what, "export") == 0 && !keep.has_limits)
        return export_run(&keep.place, count == 2 ? argv[optind + 1] : "last");
    if (strcmp(what, "import") == 0 && count == 2 && !keep.has_limits)
        return import_from(&keep.place, argv[optind + 1]);
    what = count == 1 ? what : "";
    if (strcmp(what, "prune") == 0)
        return prune(&keep);
    if (keep.has_limits) {
        text_complain("mux store: --keep, --days and --bytes are for prune");
        return EXIT_USAGE;
    }
    if (strcmp(what, "check") == 0)
        return check(&keep.place);
    if (strcmp(what, "rebuild") == 0)
        return rebuild(&keep.place);
    text_complain(
        "mux store: expected check, rebuild, prune, export or import PATH (mux store --help)");
    return EXIT_USAGE;
}
