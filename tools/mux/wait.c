/* mux wait: until a run has ended, and then its verdict as an exit status. */
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/mux/store_place.h"
#include "tools/mux/store_subcommands.h"
#include "tools/mux/store_words.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* As mux run has them. */
enum { EXIT_WAIT_NOTHING = 4, EXIT_WAIT_UNSAID = 75 /* EX_TEMPFAIL */ };

static const char intro[] =
    "usage: mux wait [OPTION...] [RUN]\n"
    "\n"
    "Waits until a run of the store has ended, says how it went, and exits as its mux run did.\n"
    "RUN is the beginning of its name, its number, last (without RUN, too) or last-1, the run "
    "before\nthat.\n"
    "\n"
    "  mux run --detach && mux wait\n"
    "  timeout 600 mux wait 7c1e3a05\n";

static const char outro[] =
    "Exit codes: 0 passed; 1 tests failed; 2 wrong usage, no store, or no such run; 3 incomplete; "
    "4\n"
    "nothing ran; 75 the machinery failed, or nobody can say how it went: its mux run was killed;\n"
    "130 it was interrupted.\n";

struct wait {
    struct store_place place;
    bool is_there;
    int status;
};

static const struct option_row rows[] = {
    STORE_PLACE_FOLDER_ROW,
    STORE_PLACE_JSON_ROW,
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {"mux wait", NULL, intro,
                                            outro,      rows, sizeof rows / sizeof *rows};

/* Who owns a run holds the lock of its stream for as long as it lives. False: why. */
static bool wait_for_owner(struct store *store, const struct store_run *run,
                           char why[STORE_WHY_BYTES]) {
    int locked, fd = store_open_stream(store, run, why);
    if (fd < 0)
        return false;
    do
        locked = flock(fd, LOCK_SH);
    while (locked < 0 && errno == EINTR);
    if (locked < 0)
        snprintf(why, STORE_WHY_BYTES, "the run's file cannot be locked: %s", strerror(errno));
    close(fd);
    return locked == 0;
}

/* Of a run that was loaded nobody says it: its results do. */
static int status_of(const struct store_run_row *row) {
    if (row->exit_status != STORE_NO_EXIT)
        return row->exit_status;
    if (row->verdict != STORE_VERDICT_NONE)
        return EXIT_WAIT_UNSAID;
    if (store_run_bad(row) || row->damages)
        return EXIT_FAILED;
    return store_run_tests(row) ? EXIT_FINE : EXIT_WAIT_NOTHING;
}

static bool take_row(void *user, const struct store_run_row *row) {
    struct wait *wait = user;
    char counts[256];
    wait->is_there = true;
    wait->status = status_of(row);
    if (wait->place.json) {
        store_words_run_json(row);
        return true;
    }
    store_words_counts(row, counts, sizeof counts);
    printf("run %.*s %s: %s\n", STORE_WORDS_RUN_DIGITS, row->run.uuid, store_words_outcome(row),
           counts);
    return true;
}

/* What an owner that was killed has left out of the index is read into it. */
static int tell(struct wait *wait, const struct store_run *run) {
    char why[STORE_WHY_BYTES];
    struct store *store = store_place_open(&wait->place, "mux wait", STORE_WRITE);
    if (!store)
        return EXIT_WAIT_UNSAID;
    bool is_fine = store_recover(store, why) && store_runs(store, run->id, 1, take_row, wait, why);
    store_close(store);
    if (is_fine && wait->is_there)
        return wait->status;
    store_place_failed("mux wait", is_fine ? "the run has been removed meanwhile" : why);
    return EXIT_WAIT_UNSAID;
}

int store_run_wait(int argc, char **argv) {
    struct wait wait = {0};
    struct store_run run;
    char why[STORE_WHY_BYTES];
    int status = option_parse(&options, argc, argv, &wait);
    if (status != OPTION_GO_ON)
        return status;
    if (argc - optind > 1) {
        text_complain("mux wait: expected at most one RUN (mux wait --help)");
        return EXIT_USAGE;
    }
    struct store *store =
        store_place_find(&wait.place, "mux wait", optind < argc ? argv[optind] : "last", &run);
    if (!store)
        return EXIT_USAGE;
    bool has_ended = wait_for_owner(store, &run, why);
    store_close(store);
    if (has_ended)
        return tell(&wait, &run);
    store_place_failed("mux wait", why);
    return EXIT_WAIT_UNSAID;
}
