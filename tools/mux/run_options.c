#include "tools/mux/run_options.h"

#include "tools/base/quantity.h"
#include "tools/base/text.h"
#include "tools/mux/slots.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIME_MOST_NS ((uint64_t)7 * 86400 * 1000000000)

static const char intro[] =
    "usage: mux run [OPTION...] [-- COMMAND [ARGUMENT...]]\n"
    "\n"
    "Runs a test suite: lists its tests, hands them to slots as these get free, the slowest first\n"
    "by what earlier runs took, shows what happens, keeps everything in the store, and tells the\n"
    "truth at the end.\n"
    "\n"
    "  mux run -n auto -- python3 -m unittest discover\n"
    "  mux run -- pytest tests            its words say which runner it is\n"
    "  mux run                            .stestr.conf, .testr.conf, pyproject.toml says it all;\n"
    "                                     else it is the command of the last run here\n"
    "  mux run --failing                  what failed last time\n"
    "  mux run --failing --pdb -n 1       the same, each in pdb where it fails\n"
    "  mux run --list --exclude slow      what would run, an id a line\n";

static const char outro[] =
    "TIME is in seconds or has a unit: 500ms, 30s, 5min, 1h.\n"
    "INT once: no new jobs, running tests end within the grace. Twice: at once.\n"
    "\n"
    "Exit codes: 0 passed; 1 tests failed; 2 wrong usage; 3 incomplete, tests that were announced\n"
    "never ran; 4 nothing ran; 75 the machinery failed, not the tests; 130 interrupted.\n";

static bool wrong(const struct option_row *row, const char *value, const char *why) {
    text_complain("mux run: --%s %s: %s", row->name, value, why);
    return false;
}

/* A whole number of at most `most`. */
static bool parse_number(const char *value, unsigned long most, unsigned *number) {
    char *end;
    errno = 0;
    unsigned long parsed = strtoul(value, &end, 10);
    *number = (unsigned)parsed;
    return *value >= '0' && *value <= '9' && !*end && errno == 0 && parsed <= most;
}

static bool set_slots(const struct option_row *row, void *target, const char *value) {
    struct run_options *options = target;
    options->slots_auto = strcmp(value, "auto") == 0;
    return slots_parse(value, &options->slots) || wrong(row, value, SLOTS_EXPECTED);
}

/* Rows whose value is kept as it is: the member's offset is all they differ in. */
#define TEXT_SETTER(member)                                                                   \
    static bool set_##member(const struct option_row *row, void *target, const char *value) { \
        ((struct run_options *)target)->member = value;                                       \
        return *value || wrong(row, value, "expected a value that is not empty");             \
    }
TEXT_SETTER(runner)
TEXT_SETTER(group_regex)
TEXT_SETTER(dist)
TEXT_SETTER(load_list)
TEXT_SETTER(replay)
TEXT_SETTER(perf)
TEXT_SETTER(include_list)
TEXT_SETTER(exclude_list)

#define FLAG_SETTER(member)                                                                   \
    static bool set_##member(const struct option_row *row, void *target, const char *value) { \
        (void)row, (void)value;                                                               \
        ((struct run_options *)target)->member = true;                                        \
        return true;                                                                          \
    }
FLAG_SETTER(keeps_nothing)
FLAG_SETTER(fresh)
FLAG_SETTER(debugs)
FLAG_SETTER(detaches)
FLAG_SETTER(lists)
FLAG_SETTER(only_failing)
FLAG_SETTER(until_failure)
FLAG_SETTER(hash_by_class)
FLAG_SETTER(is_undivided)
FLAG_SETTER(allows_empty)

#define NUMBER_SETTER(member, least)                                                          \
    static bool set_##member(const struct option_row *row, void *target, const char *value) { \
        struct run_options *options = target;                                                 \
        return (parse_number(value, 1000000, &options->member) &&                             \
                options->member + 1 > (least)) ||                                             \
               wrong(row, value, "expected a whole number, " #least " to 1000000");           \
    }
NUMBER_SETTER(max_fail, 1)
NUMBER_SETTER(retries, 0)
NUMBER_SETTER(repeats, 1)
NUMBER_SETTER(nodes, 1)
NUMBER_SETTER(node_number, 1)
NUMBER_SETTER(tail_lines, 0)
NUMBER_SETTER(perf_drift, 1)

/* Fewer have no median; as many as are looked at. */
static bool set_perf_runs(const struct option_row *row, void *target, const char *value) {
    struct run_options *options = target;
    return (parse_number(value, 1000, &options->perf_runs) && options->perf_runs > 1) ||
           wrong(row, value, "expected a whole number, 2 to 1000");
}

#define TIME_SETTER(member)                                                                   \
    static bool set_##member(const struct option_row *row, void *target, const char *value) { \
        struct run_options *options = target;                                                 \
        return (quantity_ns(value, &options->member) && options->member <= TIME_MOST_NS) ||   \
               wrong(row, value, "expected a time up to 7 days, such as 30, 500ms, 5min");    \
    }
TIME_SETTER(timeout_ns)
TIME_SETTER(test_timeout_ns)
TIME_SETTER(idle_timeout_ns)
TIME_SETTER(grace_ns)

static bool add_text(const struct option_row *row, struct run_texts *texts, const char *value) {
    if (texts->count == RUN_PATTERNS_MAX)
        return wrong(row, value, "this option was given 64 times already");
    texts->texts[texts->count++] = value;
    return true;
}

static bool add_include(const struct option_row *row, void *target, const char *value) {
    return add_text(row, &((struct run_options *)target)->include, value);
}

static bool add_exclude(const struct option_row *row, void *target, const char *value) {
    return add_text(row, &((struct run_options *)target)->exclude, value);
}

static bool add_mask(const struct option_row *row, void *target, const char *value) {
    return add_text(row, &((struct run_options *)target)->masks, value);
}

static bool add_tag(const struct option_row *row, void *target, const char *value) {
    return add_text(row, &((struct run_options *)target)->tags, value);
}

static bool set_random(const struct option_row *row, void *target, const char *value) {
    struct run_options *options = target;
    char *end;
    options->is_random = true;
    if (!value)
        return true;
    errno = 0;
    options->seed = strtoull(value, &end, 10);
    options->random_given = true;
    return (*value >= '0' && *value <= '9' && !*end && errno == 0) ||
           wrong(row, value, "expected a whole number");
}

static bool set_isolate(const struct option_row *row, void *target, const char *value) {
    (void)row;
    ((struct run_options *)target)->isolate = value ? value : "last";
    return true;
}

static bool set_progress(const struct option_row *row, void *target, const char *value) {
    static const char *const names[] = {[RUN_VIEW_AUTO] = "auto",
                                        [RUN_VIEW_PLAIN] = "plain",
                                        [RUN_VIEW_QUIET] = "quiet",
                                        [RUN_VIEW_JSON] = "json"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(value, names[i]) == 0) {
            ((struct run_options *)target)->progress = (enum run_view_how)i;
            return true;
        }
    return wrong(row, value, "expected auto, plain, quiet or json");
}

static const struct option_row rows[] = {
    {"slots", "N|auto", "auto", "How it runs",
     "jobs at a time; auto: what .testr.conf says, else the number of processors", .letter = 'n',
     .set = set_slots},
    {"runner", "NAME", .help = "what COMMAND is, when its words do not say it, or a file.ini",
     .set = set_runner},
    {"fresh", .help = "a new process for each job, where one could stay for all of a slot's",
     .set = set_fresh},
    {"pdb", .help = "a test that fails waits in its debugger; with one slot the terminal is there",
     .set = set_debugs},
    {"detach",
     .help =
         "goes on by itself, whatever becomes of this terminal: mux attach comes back to it, mux "
         "wait waits for its end",
     .set = set_detaches},
    {"timeout", "TIME", .help = "how long a job may run", .set = set_timeout_ns},
    {"test-timeout", "TIME", .help = "how long a test may run", .set = set_test_timeout_ns},
    {"idle-timeout", "TIME", .help = "how long a running job may be silent",
     .set = set_idle_timeout_ns},
    {"grace", "TIME", "5", .help = "how long running tests have when the run is interrupted",
     .set = set_grace_ns},
    {"mask", "REGEX", .help = "is removed from all output, as by mux exec; more than once",
     .set = add_mask},
    {"tag", "TAG", .help = "is added to every packet; more than once", .set = add_tag},

    {"list", .group = "What runs", .help = "prints the ids of what would run, and ends",
     .set = set_lists},
    {"include", "REGEX",
     .help = "only tests in whose id this is found; more than once: any of them",
     .set = add_include},
    {"exclude", "REGEX", .help = "no tests in whose id this is found; more than once",
     .set = add_exclude},
    {"include-list", "FILE", .set = set_include_list,
     .help = "as --include, for each expression in FILE: one a line, # begins a comment"},
    {"exclude-list", "FILE", .set = set_exclude_list, .help = "as --exclude, likewise"},
    {"load-list", "FILE", .help = "only tests whose ids this file has, a line each; - is stdin",
     .set = set_load_list},
    {"failing", .help = "only what failed, or never ran, in the last run", .set = set_only_failing},
    {"nodes", "N", .help = "the suite is divided among so many runs of mux; see --node-number",
     .set = set_nodes},
    {"node-number", "I", .help = "which of them this is: 1 to N", .set = set_node_number},
    {"hash-by-class", .help = "--nodes divides by class, not by test", .set = set_hash_by_class},
    {"distributed-disabled", .help = "whatever --nodes and NOSE_NODES say, all of it runs here",
     .set = set_is_undivided},

    {"dist", "HOW", "load", "In which order",
     "load, worksteal: as slots get free; scope, file, class, group: tests of one class or "
     "module, file, class, group stay together (pytest's xdist_group; docs/runners.md); each: "
     "every slot runs all; hash: a test always runs in the same slot",
     .set = set_dist},
    {"group-regex", "REGEX", .help = "tests for which this matches the same text stay together",
     .set = set_group_regex},
    {"replay", "RUN",
     .help = "the jobs of this run of the store again, slot by slot, each in its order (last: the "
             "last run)",
     .set = set_replay},
    {"analyze-isolation", "[=RUN]",
     .help = "which tests make those fail that failed in the last run (or in RUN) and pass alone; "
             "nothing is kept",
     .set = set_isolate},
    {"random", "[=SEED]", .help = "a random order; its seed is shown", .set = set_random},
    {"repeat", "N", .help = "each test N times", .set = set_repeats},
    {"until-failure", .help = "again and again, until a test fails", .set = set_until_failure},
    {"retry", "N",
     .help = "a test that fails runs up to N times more; if it passes then it is "
             "flaky, not failed",
     .set = set_retries},
    {"maxfail", "N", .help = "ends when so many tests have failed", .set = set_max_fail},

    {"perf", "REGEX", .group = "How fast tests are",
     .help = "tests in whose id this is found run alone, several times; shows their median beside "
             "that of earlier runs",
     .set = set_perf},
    {"perf-runs", "N", "5", .help = "how often each of them runs", .set = set_perf_runs},
    {"perf-drift", "PERCENT",
     .help = "one whose median is larger by more than that has failed: exit code 1",
     .set = set_perf_drift},

    {"progress", "HOW", "auto", "What is seen",
     "auto: a picture on a terminal, else plain; plain: lines; quiet: the end alone; json: an "
     "object a line",
     .set = set_progress},
    {"tail", "N", "20", .help = "lines that are shown of a failure's text", .set = set_tail_lines},
    {"allow-empty", .help = "that no test ran is no failure", .set = set_allows_empty},
    STORE_PLACE_FOLDER_ROW,
    {"no-store", .help = "nothing is kept", .set = set_keeps_nothing},
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options_table = {
    .program = "mux run",
    .intro = intro,
    .outro = outro,
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};

/* distributed-nose's variables, when no option says it. A bad number is an error. */
static bool take_environment(const char *name, unsigned *number) {
    const char *text = getenv(name);
    if (*number || !text || !*text)
        return true;
    if (parse_number(text, 1000000, number) && *number > 0)
        return true;
    text_complain("mux run: %s=%s: expected a whole number from 1 on", name, text);
    return false;
}

static bool check_nodes(struct run_options *options) {
    const char *by_class = getenv("NOSE_HASH_BY_CLASS");
    options->hash_by_class |= by_class && *by_class;
    if (options->is_undivided)
        return true;
    if (!take_environment("NOSE_NODES", &options->nodes) ||
        !take_environment("NOSE_NODE_NUMBER", &options->node_number))
        return false;
    if (!options->nodes == !options->node_number && options->node_number <= options->nodes)
        return true;
    if (!options->nodes || !options->node_number)
        text_complain("mux run: --nodes and --node-number are needed together");
    else
        text_complain("mux run: --node-number %u: there are %u nodes, 1 to %u",
                      options->node_number, options->nodes, options->nodes);
    return false;
}

static bool check_perf(const struct run_options *options) {
    if (!options->perf && options->perf_drift)
        text_complain("mux run: --perf-drift is for tests that --perf names");
    else if (options->perf && (options->replay || options->isolate))
        text_complain("mux run: --perf does not go with --replay and --analyze-isolation");
    else if (options->perf_drift && options->keeps_nothing)
        text_complain("mux run: --perf-drift compares with runs in the store: not with --no-store");
    else
        return true;
    return false;
}

/* What was run says in which order. */
static bool check_replay(const struct run_options *options) {
    const char *option = options->isolate ? "--analyze-isolation" : "--replay", *other = NULL;
    if (options->isolate && options->replay)
        other = "--replay";
    else if (options->isolate && options->retries)
        other = "--retry";
    else if (options->isolate && options->max_fail)
        other = "--maxfail";
    else if (options->isolate && options->until_failure)
        other = "--until-failure";
    else if (options->repeats > 1)
        other = "--repeat";
    else if (options->is_random)
        other = "--random";
    else if (options->group_regex)
        other = "--group-regex";
    else if (strcmp(options->dist, "load") != 0)
        other = "--dist";
    if (!other || (!options->replay && !options->isolate))
        return true;
    text_complain("mux run: %s says itself what runs where: it does not go with %s", option, other);
    return false;
}

/* Where nobody sees it, a test would wait for ever. */
static bool check_debugging(const struct run_options *options) {
    bool is_seen = isatty(STDOUT_FILENO) || options->progress == RUN_VIEW_PLAIN ||
                   options->detaches; /* who attaches sees it */
    if (options->debugs && !is_seen)
        text_complain("mux run: --pdb: tests would wait for a person, and stdout is no terminal: "
                      "with --progress plain lines say how to attach");
    return !options->debugs || is_seen;
}

/* Nobody could come back to a run that is not in the store, or would see what it prints. */
static bool check_detaching(const struct run_options *options) {
    const char *other = options->keeps_nothing               ? "--no-store"
                        : options->lists                     ? "--list"
                        : options->isolate                   ? "--analyze-isolation"
                        : options->progress == RUN_VIEW_JSON ? "--progress json"
                                                             : NULL;
    if (options->detaches && other)
        text_complain(
            "mux run: --detach: the run goes on by itself, and mux attach comes back to it: "
            "not with %s",
            other);
    return !options->detaches || !other;
}

int run_options_parse(struct run_options *options, int argc, char **argv) {
    int status = option_parse(&options_table, argc, argv, options);
    if (status != OPTION_GO_ON)
        return status;
    options->command = argv + optind;
    bool is_fine = check_nodes(options) && check_perf(options) && check_replay(options) &&
                   check_debugging(options) && check_detaching(options);
    return is_fine ? OPTION_GO_ON : OPTION_EXIT_USAGE;
}
