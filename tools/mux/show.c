/* mux show: a run of the store. last, failing and slowest are short for some of it. */
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/mux/show_more.h"
#include "tools/mux/show_next.h"
#include "tools/mux/show_perf.h"
#include "tools/mux/store_place.h"
#include "tools/mux/store_subcommands.h"
#include "tools/mux/store_words.h"
#include "tools/results/attachment.h"

#include <stdlib.h>
#include <unistd.h>

/* Of a failure: the end of its texts, and at most so many bytes of them are read. */
#define TEXT_LINES 20
#define TEXT_BYTES 65536

#define SLOWEST_SHOWN 20

/* Of failures, where it is to be short. */
#define SHORT_SHOWN 10

enum show_what {
    SHOW_OVERVIEW, /* how it went, and the failures */
    SHOW_FAILURES,
    SHOW_SLOWEST,
    SHOW_TESTS,
    SHOW_SLOTS,
    SHOW_NEVER_RAN,
    SHOW_PERF,
};

struct show {
    struct store_place place;
    enum show_what what;
    bool ids;               /* --list: test ids alone */
    bool is_short;          /* --short: no texts, few lines, and what can be done next */
    unsigned results;       /* that were printed */
    const char *attachment; /* its bytes in place of all else; NULL: none */
    uint64_t found;         /* files of that name */
    bool is_unread;         /* one of them could not be read */
    const char *program;
    struct store *store;
    struct store_run run;
    int stream; /* the run's file; -1: it cannot be read */
};

static bool set_failures(const struct option_row *row, void *show, const char *value) {
    (void)row, (void)value;
    ((struct show *)show)->what = SHOW_FAILURES;
    return true;
}

static bool set_slowest(const struct option_row *row, void *show, const char *value) {
    (void)row, (void)value;
    ((struct show *)show)->what = SHOW_SLOWEST;
    return true;
}

static bool set_tests(const struct option_row *row, void *show, const char *value) {
    (void)row, (void)value;
    ((struct show *)show)->what = SHOW_TESTS;
    return true;
}

static bool set_slots(const struct option_row *row, void *show, const char *value) {
    (void)row, (void)value;
    ((struct show *)show)->what = SHOW_SLOTS;
    return true;
}

static bool set_never_ran(const struct option_row *row, void *show, const char *value) {
    (void)row, (void)value;
    ((struct show *)show)->what = SHOW_NEVER_RAN;
    return true;
}

static bool set_perf(const struct option_row *row, void *show, const char *value) {
    (void)row, (void)value;
    ((struct show *)show)->what = SHOW_PERF;
    return true;
}

static bool set_list(const struct option_row *row, void *show, const char *value) {
    (void)row, (void)value;
    ((struct show *)show)->ids = true;
    return true;
}

static bool set_short(const struct option_row *row, void *show, const char *value) {
    (void)row, (void)value;
    ((struct show *)show)->is_short = true;
    return true;
}

static bool set_attachment(const struct option_row *row, void *show, const char *value) {
    (void)row;
    ((struct show *)show)->attachment = value;
    return true;
}

/* ---- files ---- */

static bool write_file(void *user, const struct store_attachment_row *row) {
    static uint8_t bytes[TEXT_BYTES];
    struct show *show = user;
    if (strcmp(row->name, show->attachment) != 0)
        return true;
    show->found++;
    for (int64_t at = row->at, end = row->at + row->len; at < end;) {
        size_t most = end - at < TEXT_BYTES ? (size_t)(end - at) : TEXT_BYTES;
        ssize_t len = pread(show->stream, bytes, most, at);
        show->is_unread |= len <= 0;
        if (len <= 0 || fwrite(bytes, 1, (size_t)len, stdout) != (size_t)len)
            return false;
        at += len;
    }
    return true;
}

static bool write_files(void *user, const struct store_result_row *row) {
    char why[STORE_WHY_BYTES];
    struct show *show = user;
    show->is_unread |= !store_attachments(show->store, &show->run, row->id, write_file, show, why);
    return !show->is_unread && !ferror(stdout);
}

/* Of the tests that are asked for: all, the failures or the slowest. */
static bool write_attachment(struct show *show, enum store_which which, unsigned most,
                             char why[STORE_WHY_BYTES]) {
    if (show->what == SHOW_OVERVIEW)
        which = STORE_ALL;
    if (!store_results(show->store, &show->run, which, most, write_files, show, why))
        return false;
    if (show->is_unread)
        snprintf(why, STORE_WHY_BYTES, "the file of run %s cannot be read to its end",
                 show->run.uuid);
    else if (show->found == 0)
        snprintf(why, STORE_WHY_BYTES, "no test of this run has a file '%.128s'", show->attachment);
    return show->found && !show->is_unread;
}

/* ---- the texts of a failure ---- */

struct texts {
    int stream;
    size_t len;
    uint8_t bytes[TEXT_BYTES];
};

/* Its end stays. */
static void make_room(struct texts *texts, size_t len) {
    if (texts->len + len <= TEXT_BYTES)
        return;
    size_t over = texts->len + len - TEXT_BYTES;
    over = over < texts->len ? over : texts->len;
    memmove(texts->bytes, texts->bytes + over, texts->len - over);
    texts->len -= over;
}

static bool add_text(void *user, const struct store_attachment_row *row) {
    struct texts *texts = user;
    struct mux_packet packet = {.file_name = mux_span_text(row->name)};
    if (row->mime)
        packet.mime = mux_span_text(row->mime);
    if (!attachment_is_text(&packet))
        return true;
    size_t len = row->len < TEXT_BYTES ? (size_t)row->len : TEXT_BYTES;
    make_room(texts, len);
    ssize_t got =
        pread(texts->stream, texts->bytes + texts->len, len, row->at + row->len - (int64_t)len);
    texts->len += got > 0 ? (size_t)got : 0;
    return true;
}

static void print_line(void *user, const char *line) {
    (void)user;
    printf("        %s\n", line);
}

/* What cannot be read is left out: the rest is worth more. */
static void print_texts(const struct show *show, int64_t result) {
    static struct texts texts;
    char why[STORE_WHY_BYTES];
    texts.stream = show->stream;
    texts.len = 0;
    if (show->stream >= 0 &&
        store_attachments(show->store, &show->run, result, add_text, &texts, why) && texts.len)
        text_show_tail(mux_span(texts.bytes, texts.len), TEXT_LINES, print_line, NULL);
}

/* ---- rows ---- */

/* "new", or since when a test is no good; "": nobody can say. */
static void past_of(const struct show *show, const struct store_result_row *row, char *out,
                    size_t out_bytes) {
    *out = '\0';
    if (row->since.id == show->run.id)
        snprintf(out, out_bytes, "new");
    else if (row->since.id && *row->since.uuid)
        snprintf(out, out_bytes, "since run %.*s, %s", STORE_WORDS_RUN_DIGITS, row->since.uuid,
                 store_words_age(row->since.begun_us));
    else if (row->since.id)
        snprintf(out, out_bytes, "since long");
}

static bool print_result(void *user, const struct store_result_row *row) {
    char past[128];
    struct show *show = user;
    bool is_failure = show->what == SHOW_OVERVIEW || show->what == SHOW_FAILURES;
    if (show->is_short && show->results++ == SHORT_SHOWN) {
        puts("and more");
        return false;
    }
    if (show->ids) {
        puts(row->test);
        return true;
    }
    if (show->place.json) {
        store_words_result_json(row);
        return true;
    }
    past_of(show, row, past, sizeof past);
    store_words_result(row, past);
    if (is_failure && !show->is_short)
        print_texts(show, row->id);
    return true;
}

static bool print_head(void *user, const struct store_run_row *row) {
    const struct show *show = user;
    char counts[256];
    if (show->place.json) {
        store_words_run_json(row);
        return true;
    }
    store_words_counts(row, counts, sizeof counts);
    printf("run %.*s %s: %s\n", STORE_WORDS_RUN_DIGITS, row->run.uuid, store_words_outcome(row),
           counts);
    printf("%s", store_words_age(row->run.begun_us));
    fputs(*row->source ? ": " : "", stdout);
    store_words_text(row->source);
    puts(store_run_bad(row) ? "\n" : "");
    return true;
}

static bool print_next(void *user, const struct store_run_row *row) {
    char folder[STORE_PATH_BYTES];
    const struct show *show = user;
    store_place_folder(&show->place, folder, sizeof folder);
    show_next(folder, row);
    return true;
}

static bool print_all(struct show *show, char why[STORE_WHY_BYTES]) {
    static const enum store_which which[] = {STORE_FAILURES, STORE_FAILURES, STORE_SLOWEST,
                                             STORE_ALL};
    if (show->what == SHOW_SLOTS)
        return show_slots(show->store, &show->run, show->place.json, why);
    if (show->what == SHOW_NEVER_RAN)
        return show->stream >= 0 && show_never_ran(show->stream, show->place.json, why);
    if (show->what == SHOW_PERF)
        return show_perf(show->store, &show->run, show->place.json, why);
    unsigned most = show->what == SHOW_SLOWEST ? SLOWEST_SHOWN : INT32_MAX;
    if (show->attachment)
        return write_attachment(show, which[show->what], most, why);
    if (show->what == SHOW_OVERVIEW &&
        !store_runs(show->store, show->run.id, 1, print_head, show, why))
        return false;
    return store_results(show->store, &show->run, which[show->what], most, print_result, show,
                         why) &&
           (!show->is_short || show->place.json ||
            store_runs(show->store, show->run.id, 1, print_next, show, why));
}

static int show_run(struct show *show, const char *name) {
    char why[STORE_WHY_BYTES];
    show->store = store_place_find(&show->place, show->program, name, &show->run);
    if (!show->store)
        return EXIT_FAILED;
    show->stream = store_open_stream(show->store, &show->run, why);
    if (!show->attachment)
        store_place_page(&show->place);
    bool is_fine = print_all(show, why);
    if (show->stream >= 0)
        close(show->stream);
    store_close(show->store);
    return is_fine ? EXIT_FINE : store_place_failed(show->program, why);
}

static int parse_and_show(const struct option_table *options, struct show *show, int argc,
                          char **argv) {
    int status = option_parse(options, argc, argv, show);
    if (status != OPTION_GO_ON)
        return status;
    show->program = options->program;
    if (argc - optind > 1) {
        text_complain("%s: expected at most one RUN (%s --help)", options->program,
                      options->program);
        return EXIT_USAGE;
    }
    if (show->attachment && show->what > SHOW_TESTS) {
        text_complain("%s: --attachment is for tests, --failures or --slowest", options->program);
        return EXIT_USAGE;
    }
    if (show->attachment && (show->place.json || isatty(STDOUT_FILENO))) {
        text_complain("%s: --attachment gives the file's bytes as they are: %s", options->program,
                      show->place.json ? "that is no JSON"
                                       : "let them go to a file or into a pipe");
        return EXIT_USAGE;
    }
    return show_run(show, optind < argc ? argv[optind] : "last");
}

/* ---- the subcommands ---- */

#define RUN_TEXT                                                                                \
    "RUN is the beginning of its name, its number, last (without RUN, too) or last-1, the run " \
    "before\nthat.\n"
#define EXIT_TEXT                                                                               \
    "Exit codes: 0 it was shown, however it went; 1 there is no store or no such run; 2 wrong " \
    "usage.\n"

static const struct option_row show_rows[] = {
    {"failures", .set = set_failures,
     .help = "tests that failed or did not end, since when, and the end of "
             "their texts"},
    {"slowest", .set = set_slowest, .help = "the 20 slowest tests"},
    {"tests", .set = set_tests, .help = "every test, by name"},
    {"slots", .set = set_slots,
     .help = "each slot: its results, the time that they took, the share of the run that it was "
             "idle"},
    {"perf", .set = set_perf,
     .help = "tests that ran several times (mux run --perf): median and spread, and the change "
             "against earlier runs"},
    {"never-ran", .set = set_never_ran,
     .help = "tests that were announced and have no result: ids, one a line"},
    {"attachment", "NAME", .set = set_attachment,
     .help = "the bytes of the files of this name, as they are; of all tests, or with --failures "
             "or --slowest of these"},
    STORE_PLACE_FOLDER_ROW,
    STORE_PLACE_JSON_ROW,
    STORE_PLACE_PAGER_ROW,
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_row short_rows[] = {
    STORE_PLACE_FOLDER_ROW,
    STORE_PLACE_JSON_ROW,
    STORE_PLACE_PAGER_ROW,
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_row last_rows[] = {
    {"short", .set = set_short,
     .help = "without texts, and what can be done next; mux alone does that, where runs are kept"},
    STORE_PLACE_FOLDER_ROW,
    STORE_PLACE_JSON_ROW,
    STORE_PLACE_PAGER_ROW,
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_row failing_rows[] = {
    {"list", .set = set_list, .help = "test ids alone, one a line"},
    STORE_PLACE_FOLDER_ROW,
    STORE_PLACE_JSON_ROW,
    STORE_PLACE_PAGER_ROW,
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

#define ROWS(rows) rows, sizeof rows / sizeof *rows

static const struct option_table show_options = {
    "mux show", NULL,
    "usage: mux show [OPTION...] [RUN]\n\nShows a run of the store: how it went, and what "
    "failed.\n" RUN_TEXT "\n  mux show last-1\n",
    EXIT_TEXT, ROWS(show_rows)};

static const struct option_table last_options = {
    "mux last", NULL,
    "usage: mux last [OPTION...]\n\nShows the last run, as mux show does.\n\n  mux last\n",
    EXIT_TEXT, ROWS(last_rows)};

static const struct option_table failing_options = {
    "mux failing", NULL,
    "usage: mux failing [OPTION...] [RUN]\n\nThe tests of a run that failed or did not end, as "
    "mux show --failures.\n" RUN_TEXT "\n  mux failing --list > ids\n",
    EXIT_TEXT, ROWS(failing_rows)};

static const struct option_table slowest_options = {
    "mux slowest", NULL,
    "usage: mux slowest [OPTION...] [RUN]\n\nThe slowest tests of a run, as mux show "
    "--slowest.\n" RUN_TEXT "\n  mux slowest last-1\n",
    EXIT_TEXT, ROWS(short_rows)};

int store_run_show(int argc, char **argv) {
    return parse_and_show(&show_options, &(struct show){0}, argc, argv);
}

int store_run_last(int argc, char **argv) {
    return parse_and_show(&last_options, &(struct show){0}, argc, argv);
}

int store_run_failing(int argc, char **argv) {
    return parse_and_show(&failing_options, &(struct show){.what = SHOW_FAILURES}, argc, argv);
}

int store_run_slowest(int argc, char **argv) {
    return parse_and_show(&slowest_options, &(struct show){.what = SHOW_SLOWEST}, argc, argv);
}
