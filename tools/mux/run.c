/* mux run: a test suite run by a plan, kept in the store, seen while it runs. */
#include "tools/base/random.h"
#include "tools/base/standard.h"
#include "tools/base/text.h"
#include "tools/base/wall.h"
#include "tools/mux/mux.h"
#include "tools/mux/run_again.h"
#include "tools/mux/run_attach.h"
#include "tools/mux/run_crew.h"
#include "tools/mux/run_detach.h"
#include "tools/mux/run_hooks.h"
#include "tools/mux/run_options.h"
#include "tools/mux/run_past.h"
#include "tools/mux/run_perf.h"
#include "tools/mux/run_views.h"
#include "tools/store/live.h"
#include "tools/store/marks.h"
#include "tools/store/recorder.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* 0 and 1 as other runners have them; the rest differs from other subcommands of mux. */
enum {
    EXIT_RUN_PASSED = 0,
    EXIT_RUN_FAILED = 1,
    EXIT_RUN_INCOMPLETE = 3,
    EXIT_RUN_NOTHING = 4,
    EXIT_RUN_INFRASTRUCTURE = 75, /* EX_TEMPFAIL */
    EXIT_RUN_INTERRUPTED = 130,
};

/* How long the agent's jobs outlive a mux run that has vanished: it is on the same machine. */
#define LEASE_NS UINT64_C(10000000000)

/* First digits of a run's name, for people. */
#define NAME_DIGITS 8

#define SOURCE_BYTES 1024

/* What mux run does, one after the other. */
enum phase {
    PHASE_RUNS,      /* the run goes on */
    PHASE_DISMISSES, /* the agent ends */
    PHASE_LEAVES,    /* the node does */
};

struct program {
    struct run_options options;
    enum phase phase;
    struct crew crew;
    struct loop_client works;
    uint64_t works_at_ns;
    struct run_again again;
    struct runner *runner;
    struct strings instances; /* of .testr.conf */
    struct selection *selection;
    struct needs *needs;
    struct pattern *perf_tests;
    struct run_perf *perf;      /* NULL: no --perf */
    struct past_jobs past_jobs; /* --replay, --analyze-isolation */
    struct grouping grouping;   /* --dist, --group-regex */
    bool groups;
    struct plan_config plan;
    struct ids chosen, failing;              /* --load-list, --failing */
    struct recorder *recorder;               /* NULL: nothing is kept */
    char folder[STORE_PATH_BYTES];           /* the store's */
    char place_words[STORE_PATH_BYTES + 16]; /* "--store DIR ", if it was given */
    bool store_has_failed;
    struct run *run;
    struct run_views views; /* not open with --list */
    struct run_attach attach;
    struct run_detach detach;
    bool was_attached; /* to this test, in this slot */
    uint32_t attached;
    unsigned attached_slot;
    char uuid[STORE_UUID_BYTES], name[NAME_DIGITS + 1], control[CREW_PATH_BYTES + 8];
    char random_words[32]; /* "": no random order */
    unsigned past_runs;
    struct strings past_words;
};

static void set_phase(struct program *program, enum phase phase) {
    assert(phase > program->phase);
    program->phase = phase;
}

static uint64_t now_of(const struct program *program) {
    return loop_now_ns(&program->crew.station.loop);
}

static void say(void *user, const char *line) {
    struct program *program = user;
    if (run_views_are_open(&program->views))
        run_views_say(&program->views, line);
    else
        text_complain("mux run: %s", line);
}

/*
 * ---- what the crew tells ----
 */

static void complain_of_store(struct program *program) {
    char line[256];
    if (program->store_has_failed)
        return;
    program->store_has_failed = true;
    snprintf(line, sizeof line,
             "the store: %s: from here on nothing is kept, the tests go on; make room, then run "
             "again",
             strerror(errno));
    say(program, line);
}

/*
 * What is another try of a test that failed says so in the store; what has no time gets that of its
 * arrival, for the store takes from it how long tests run.
 */
static void record(struct program *program, const char *segment, const struct mux_packet *packet) {
    uint8_t tags[STORE_TRY_TAGS_BYTES];
    struct mux_packet tagged = *packet;
    unsigned tries = program->run ? run_tries(program->run, segment, packet) : 0;
    if (tries)
        store_mark_set_try(&tagged, tries + 1, tags);
    if (!packet->has_timestamp && packet->test_id.data)
        mux_packet_set_time_ns(&tagged, (int64_t)now_of(program) + wall_ahead_ns(NULL));
    if (!recorder_put(program->recorder, segment, &tagged))
        complain_of_store(program);
}

static bool take(void *user, const char *segment, const struct mux_packet *packet) {
    struct program *program = user;
    if (program->recorder)
        record(program, segment, packet);
    if (program->run)
        run_take(program->run, segment, packet, now_of(program));
    return true;
}

static void show_link(void *user, const char *segment, const char *peer, bool came) {
    struct program *program = user;
    (void)peer;
    if (!came && program->run)
        run_lose(program->run, segment, mux_span(NULL, 0));
}

static void gone(void *user, const char *segment, struct mux_span route) {
    struct program *program = user;
    if (program->run)
        run_lose(program->run, segment, route);
}

static void came(void *user, struct mux_span route) {
    struct program *program = user;
    if (program->run)
        run_send_again(program->run, route);
}

static void say_word(void *user, const char *line) {
    char text[1024];
    snprintf(text, sizeof text, "  %s", line);
    say(user, text);
}

static void agent_ended(void *user, const char *why, struct mux_span words) {
    struct program *program = user;
    if (program->phase == PHASE_RUNS && program->run) {
        run_fail(program->run, why);
        text_show_tail(words, 20, say_word, program);
    }
    if (program->phase != PHASE_LEAVES)
        set_phase(program, PHASE_LEAVES);
    crew_leave(&program->crew);
}

/*
 * ---- what the run tells ----
 */

/* What is to run, under no route: the list, which its runner announces, may have more. */
static void announce(struct program *program, const struct ids *ids) {
    struct mux_packet packet = {.status = MUX_STATUS_EXISTS, .runnable = true};
    for (uint32_t i = 0; program->recorder && i < run_selected_count(program->run); i++) {
        packet.test_id = ids_text(ids, run_selected(program->run, i));
        recorder_put(program->recorder, "", &packet); /* an error is told by the next flush */
    }
}

static void recall(void *user, const struct ids *ids, struct run_past *past) {
    struct program *program = user;
    announce(program, ids);
    program->past_runs = run_past_recall(&program->options, ids, past, &program->past_words);
}

static void planned(void *user) {
    struct program *program = user;
    if (run_views_are_open(&program->views))
        run_views_planned(&program->views, program->past_runs, now_of(program));
}

/*
 * ---- who waits at a debugger ----
 */

static void attach_ended(void *user, uint64_t now_ns) {
    struct program *program = user;
    struct run_slot_status status;
    run_slot_status(program->run, program->attached_slot, &status);
    run_views_lend(&program->views, false, now_ns);
    if (status.prompt && status.has_test && status.test == program->attached)
        run_views_waits(&program->views, program->attached_slot);
}

/* With one slot there is one to attach to: at once, unless it was left in the middle of its test.
 */
static void attach(struct program *program, unsigned slot) {
    char route[DESK_SLOT_ROUTE_BYTES];
    struct run_slot_status status;
    struct transport_failure failure;
    run_slot_status(program->run, slot, &status);
    uint32_t test = status.has_test ? status.test : RUN_STRANGER;
    if (!program->options.debugs || program->options.slots != 1 || !run_attach_can() ||
        run_attach_runs(&program->attach) || (program->was_attached && program->attached == test))
        return;
    program->attached = test;
    program->was_attached = true;
    program->attached_slot = slot;
    run_slot_route(program->run, slot, route);
    run_views_lend(&program->views, true, now_of(program));
    if (!run_attach_begin(&program->attach, program->control, route, &failure)) {
        run_views_lend(&program->views, false, now_of(program));
        text_complain("mux run: mux attach: %s: %s", failure.operation, strerror(failure.error));
    }
}

/* Nothing more is debugged there. */
static void leave(struct program *program, const struct run_ended *ended) {
    if (run_attach_runs(&program->attach) && ended->test == program->attached)
        run_attach_end(&program->attach);
    program->was_attached = program->was_attached && ended->test != program->attached;
}

static void ended(void *user, const struct run_ended *ended) {
    struct program *program = user;
    leave(program, ended);
    if (program->perf && ended->test != RUN_STRANGER && run_is_perf(program->run, ended->test))
        run_perf_take(program->perf, ended);
    if (run_views_are_open(&program->views))
        run_views_ended(&program->views, ended);
}

static void waits(void *user, unsigned slot) {
    struct program *program = user;
    if (!run_views_are_open(&program->views))
        return;
    run_views_waits(&program->views, slot);
    attach(program, slot);
}

static void over(void *user) {
    struct program *program = user;
    char why[RUN_WHY_BYTES];
    enum run_outcome outcome = run_outcome(program->run, why);
    bool at_once = outcome == RUN_INFRASTRUCTURE || outcome == RUN_INTERRUPTED;
    if (program->phase != PHASE_RUNS)
        return;
    set_phase(program, PHASE_DISMISSES);
    crew_dismiss(&program->crew, at_once);
}

static const struct run_events events = {
    .recall = recall, .planned = planned, .ended = ended, .waits = waits, .say = say, .over = over};

/*
 * ---- the loop ----
 */

static uint64_t works_deadline_ns(const struct loop_client *client) {
    return LOOP_OWNER(client, struct program, works)->works_at_ns;
}

static void work(struct loop_client *client, uint64_t now_ns) {
    struct program *program = LOOP_OWNER(client, struct program, works);
    uint64_t view_ns = UINT64_MAX;
    uint64_t run_ns = run_work(program->run, now_ns);
    if (program->recorder && !recorder_flush(program->recorder))
        complain_of_store(program);
    crew_keep(&program->crew); /* also what the store has refused: the tests go on */
    if (run_views_are_open(&program->views))
        view_ns = run_views_tick(&program->views, now_ns);
    program->works_at_ns = run_ns < view_ns ? run_ns : view_ns;
}

/* Once: running tests end; twice, or when nothing is left to wait for: at once. */
static void interrupt(struct program *program, uint64_t now_ns) {
    if (!program->run || program->phase != PHASE_RUNS) {
        crew_dismiss(&program->crew, true);
        return;
    }
    if (run_ending(program->run) < RUN_GRACE)
        say(program, "interrupted: no new tests; those that run have their grace (again: at once)");
    run_interrupt(program->run, now_ns);
}

static void on_signal(void *user, int number, uint64_t now_ns) {
    (void)number;
    interrupt(user, now_ns);
}

static void wish(void *user, enum run_view_wish wish, uint64_t now_ns) {
    struct program *program = user;
    if (wish == RUN_VIEW_QUIT) {
        interrupt(program, now_ns);
    } else if (wish == RUN_VIEW_DRAIN && run_ending(program->run) == RUN_GOES_ON) {
        say(program, "drains: no new jobs; those that run end by themselves (q: with the grace)");
        run_drain(program->run);
    }
}

/* The agent does nothing while we are stopped: else it would end its jobs when we are long silent.
 */
static void stops(void *user, bool stops) {
    struct program *program = user;
    crew_stop(&program->crew, stops);
}

/*
 * ---- what is to run ----
 */

/* A word of --dist is a way to plan, a way to group, or both. */
static bool choose_dist(struct program *program) {
    static const struct {
        const char *word;
        enum plan_dist dist;
        enum grouping_by by;
    } ways[] = {
        {"load", PLAN_LOAD, GROUPING_NONE},     {"each", PLAN_EACH, GROUPING_NONE},
        {"hash", PLAN_HASH, GROUPING_NONE},     {"worksteal", PLAN_STEAL, GROUPING_NONE},
        {"scope", PLAN_LOAD, GROUPING_SCOPE},   {"loadscope", PLAN_LOAD, GROUPING_SCOPE},
        {"file", PLAN_LOAD, GROUPING_FILE},     {"loadfile", PLAN_LOAD, GROUPING_FILE},
        {"class", PLAN_LOAD, GROUPING_CLASS},   {"group", PLAN_LOAD, GROUPING_TAG},
        {"loadgroup", PLAN_LOAD, GROUPING_TAG},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (strcmp(program->options.dist, ways[i].word) == 0) {
            program->plan.dist = program->options.replay ? PLAN_REPLAY : ways[i].dist;
            program->grouping.by = ways[i].by;
            program->groups = ways[i].by != GROUPING_NONE;
            return true;
        }
    text_complain(
        "mux run: --dist %s: expected load, worksteal, scope, file, class, group, each or hash",
        program->options.dist);
    return false;
}

static bool choose_groups(struct program *program) {
    char why[PATTERN_WHY_BYTES];
    const char *regex = program->options.group_regex;
    if (!choose_dist(program))
        return false;
    if (!regex)
        return true;
    program->groups = true;
    if (grouping_by_regex(&program->grouping, regex, why))
        return true;
    text_complain("mux run: --group-regex %s: %s", regex, why);
    return false;
}

/* Files of expressions, as stestr has them. */
static bool add_pattern_files(struct program *program, char why[SELECTION_WHY_BYTES]) {
    const struct run_options *options = &program->options;
    return (!options->include_list ||
            run_past_patterns(options->include_list, program->selection, selection_include, why)) &&
           (!options->exclude_list ||
            run_past_patterns(options->exclude_list, program->selection, selection_exclude, why));
}

static bool add_patterns(struct program *program) {
    char why[SELECTION_WHY_BYTES];
    const struct run_options *options = &program->options;
    for (unsigned i = 0; i < options->include.count; i++)
        if (!selection_include(program->selection, options->include.texts[i], why)) {
            text_complain("mux run: --include %s", why);
            return false;
        }
    for (unsigned i = 0; i < options->exclude.count; i++)
        if (!selection_exclude(program->selection, options->exclude.texts[i], why)) {
            text_complain("mux run: --exclude %s", why);
            return false;
        }
    if (!add_pattern_files(program, why)) {
        text_complain("mux run: %s", why);
        return false;
    }
    if (options->nodes < 2 || options->is_undivided ||
        selection_divide(program->selection, options->nodes, options->node_number,
                         options->hash_by_class, why))
        return true;
    text_complain("mux run: --nodes: %s", why);
    return false;
}

static bool add_lists(struct program *program) {
    const struct run_options *options = &program->options;
    uint64_t key;
    random_fill(&key, sizeof key);
    ids_open(&program->chosen, key);
    ids_open(&program->failing, key);
    if (options->load_list) {
        if (!run_past_load_list(options->load_list, &program->chosen))
            return false;
        selection_among(program->selection, &program->chosen);
    }
    if (options->only_failing || options->isolate) {
        if (!run_past_failing(options, options->isolate ? options->isolate : "last",
                              &program->failing))
            return false;
        selection_among(program->selection, &program->failing);
    }
    const char *past = options->isolate ? options->isolate : options->replay;
    return !past || run_past_jobs(options, past, &program->past_jobs);
}

static bool choose_runner(struct program *program) {
    program->runner = run_again_choose(&program->again, &program->options);
    if (!program->runner)
        return false;
    if (program->options.debugs && !program->runner->can_debug)
        text_complain("mux run: --pdb: the runner %s has no debugger: no \"debug\" in its INI file "
                      "(docs/runners.md); unittest, testtools, pytest and stestr have",
                      program->runner->name);
    return !program->options.debugs || program->runner->can_debug;
}

static bool choose_needs(struct program *program) {
    char why[NEEDS_WHY_BYTES];
    program->needs = needs_open(NEEDS_FILE, why);
    if (!program->needs)
        text_complain("mux run: %s", why);
    return program->needs != NULL;
}

static bool choose_perf(struct program *program) {
    char why[PATTERN_WHY_BYTES];
    if (!program->options.perf)
        return true;
    program->perf_tests = pattern_compile(program->options.perf, why);
    program->perf = run_perf_open(&program->options);
    if (!program->perf_tests)
        text_complain("mux run: --perf %s: %s", program->options.perf, why);
    return program->perf_tests && program->perf;
}

static void configure_plan(struct program *program) {
    const struct run_options *options = &program->options;
    program->plan.slots = options->slots;
    program->plan.repeat = options->repeats;
    program->plan.retry = options->retries;
    program->plan.maxfail = options->max_fail;
    program->plan.until_failure = options->until_failure;
    program->plan.random = options->is_random;
    if (!options->is_random)
        return;
    uint32_t seed; /* short enough to be typed */
    random_fill(&seed, sizeof seed);
    program->plan.seed = options->random_given ? options->seed : seed;
    snprintf(program->random_words, sizeof program->random_words, "--random=%" PRIu64,
             program->plan.seed);
}

static bool choose(struct program *program) {
    program->selection = selection_open();
    configure_plan(program);
    return choose_runner(program) && choose_groups(program) && choose_needs(program) &&
           choose_perf(program) && program->selection && add_patterns(program) &&
           add_lists(program);
}

/*
 * ---- the start ----
 */

static void write_source(const struct program *program, char *source) {
    size_t len = 0;
    *source = '\0';
    for (char *const *word = program->options.command; *word && len < SOURCE_BYTES; word++)
        len += (size_t)snprintf(source + len, SOURCE_BYTES - len, "%s%s", len ? " " : "", *word);
    if (!*source)
        snprintf(source, SOURCE_BYTES, "%s", program->runner->name);
}

static bool open_recorder(struct program *program) {
    char source[SOURCE_BYTES], why[STORE_WHY_BYTES];
    if (program->options.keeps_nothing || program->options.lists || program->options.isolate) {
        random_uuid(program->uuid); /* its jobs have the run's name all the same */
        return true;
    }
    write_source(program, source);
    store_place_folder(&program->options.place, program->folder, sizeof program->folder);
    if (program->options.place.folder)
        snprintf(program->place_words, sizeof program->place_words, "--store %s ",
                 program->options.place.folder);
    program->recorder = recorder_open(program->folder, source, why);
    if (!program->recorder) {
        text_complain("mux run: the store: %s (--no-store runs without one)", why);
        return false;
    }
    snprintf(program->uuid, sizeof program->uuid, "%s", recorder_run(program->recorder)->uuid);
    snprintf(program->name, sizeof program->name, "%.*s", NAME_DIGITS, program->uuid);
    run_again_keep(&program->options, program->folder);
    return true;
}

static bool open_run(struct program *program) {
    const struct run_options *options = &program->options;
    const struct run_config config = {
        .node = program->crew.station.node,
        .loop = &program->crew.station.loop,
        .uuid = program->uuid,
        .hash_key = program->crew.hash_key,
        .runner = program->runner,
        .selection = program->selection,
        .plan = program->plan,
        .grouping = program->groups ? &program->grouping : NULL,
        .needs = program->needs,
        .perf = program->perf_tests,
        .perf_runs = options->perf_runs,
        .replay = options->replay ? &program->past_jobs : NULL,
        .isolate = options->isolate ? &program->past_jobs : NULL,
        .instances = &program->instances,
        .fresh = options->fresh || options->timeout_ns || options->idle_timeout_ns,
        .debugs = options->debugs,
        .lists_only = options->lists,
        .timeout_ns = options->timeout_ns,
        .test_timeout_ns = options->test_timeout_ns,
        .idle_timeout_ns = options->idle_timeout_ns,
        .grace_ns = options->grace_ns,
        .masks = options->masks.texts,
        .tags = options->tags.texts,
        .events = &events,
        .user = program,
    };
    program->run = run_open(&config);
    program->works = (struct loop_client){.deadline_ns = works_deadline_ns, .work = work};
    if (program->run)
        loop_join(&program->crew.station.loop, &program->works);
    return program->run != NULL;
}

/* A view for who comes by mux attach. Without one the run goes on all the same. */
static void open_screen(struct program *program, struct store_live *live) {
    const char *operation;
    if (run_views_let_in(&program->views, program->crew.screen_path, &operation))
        snprintf(live->screen, sizeof live->screen, "unix:%s", program->crew.screen_path);
    else
        text_complain("mux run: %s: %s: %s: nobody can attach to this run",
                      program->crew.screen_path, operation, strerror(errno));
}

/* Others find its sockets in the store: an error is told, and the run goes on without. */
static void tell_where(struct program *program) {
    char why[STORE_WHY_BYTES];
    struct store_live live;
    if (!program->recorder)
        return;
    live = (struct store_live){.run = *recorder_run(program->recorder)};
    snprintf(live.control, sizeof live.control, "%s", program->control);
    open_screen(program, &live);
    if (!store_live_write(program->folder, &live, why))
        text_complain("mux run: %s: mux attach does not find this run", why);
}

/* For who waits for it, if it goes on by itself. */
static void tell_started(struct program *program) {
    const char *store = program->place_words;
    char text[2 * STORE_PATH_BYTES + 256];
    if (!program->options.detaches)
        return;
    snprintf(text, sizeof text,
             "run %s goes on by itself (process %ld)\n"
             "see it: mux attach %s%s        its end: mux wait %s%s\n",
             program->name, (long)getpid(), store, program->name, store, program->name);
    run_detach_started(&program->detach, text);
    log_reopen(&program->crew.station.log);
}

/* As these set it where a job of theirs runs. */
static enum run_view_reader reader_of_environment(void) {
    const char *github = getenv("GITHUB_ACTIONS"), *gitlab = getenv("GITLAB_CI");
    if (github && strcmp(github, "true") == 0)
        return RUN_VIEW_GITHUB;
    return gitlab && strcmp(gitlab, "true") == 0 ? RUN_VIEW_GITLAB : RUN_VIEW_PERSON;
}

static bool open_view(struct program *program) {
    snprintf(program->control, sizeof program->control, "unix:%s", program->crew.control_path);
    if (program->options.lists || program->options.isolate)
        return true;
    const struct run_views_config config = {
        .loop = &program->crew.station.loop,
        .signals = &program->crew.station.signals,
        .own = {.how = program->options.detaches ? RUN_VIEW_QUIET : program->options.progress,
                .reader = reader_of_environment(),
                .tail_lines = program->options.tail_lines,
                .name = program->name,
                .uuid = program->uuid,
                .place = program->place_words,
                .what = program->runner->name,
                .slowest_first = program->plan.dist == PLAN_LOAD && !program->plan.random,
                .random = program->random_words,
                .control = program->control},
        .wish = wish,
        .stops = stops,
        .user = program,
    };
    return run_views_open(&program->views, &config, program->run);
}

static void catch_signals(struct program *program) {
    static const int enders[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof enders / sizeof *enders; i++)
        signals_catch(&program->crew.station.signals, enders[i], on_signal, program);
}

static bool start(struct program *program) {
    const struct crew_config config = {
        .slots = program->options.slots,
        .lease_ns = LEASE_NS,
        .sink = take,
        .show_link = show_link,
        .gone = gone,
        .came = came,
        .agent_ended = agent_ended,
        .user = program,
    };
    if (!crew_open(&program->crew, &config, "mux run"))
        return false;
    program->attach = (struct run_attach){
        .children = &program->crew.station.children, .user = program, .ended = attach_ended};
    catch_signals(program);
    if (!crew_start(&program->crew) || !open_run(program) || !open_view(program))
        return false;
    tell_where(program);
    tell_started(program);
    return true;
}

/*
 * ---- the end ----
 */

static void print_list(const struct program *program) {
    const struct ids *ids = run_ids(program->run);
    for (uint32_t i = 0; i < run_selected_count(program->run); i++) {
        struct mux_span id = ids_text(ids, run_selected(program->run, i));
        fwrite(id.data, 1, id.len, stdout);
        putchar('\n');
    }
}

static void print_line(void *user, const char *line) {
    (void)user;
    puts(line);
}

static int exit_status(const struct program *program, enum run_outcome outcome) {
    static const int codes[] = {
        [RUN_PASSED] = EXIT_RUN_PASSED,           [RUN_FAILED] = EXIT_RUN_FAILED,
        [RUN_INCOMPLETE] = EXIT_RUN_INCOMPLETE,   [RUN_NOTHING] = EXIT_RUN_NOTHING,
        [RUN_INTERRUPTED] = EXIT_RUN_INTERRUPTED, [RUN_INFRASTRUCTURE] = EXIT_RUN_INFRASTRUCTURE,
    };
    if (outcome == RUN_NOTHING && program->options.allows_empty)
        return EXIT_RUN_PASSED;
    if (outcome == RUN_PASSED && program->store_has_failed)
        return EXIT_RUN_INFRASTRUCTURE;
    return codes[outcome];
}

/* The run is the store's alone from now on. */
static bool end_recorder(struct program *program, char why[STORE_WHY_BYTES]) {
    struct recorder *recorder = program->recorder;
    program->recorder = NULL;
    store_live_remove(program->folder, recorder_run(recorder));
    return recorder_finish(recorder, why);
}

static bool finish_store(struct program *program, enum run_outcome outcome, int status) {
    static const enum store_verdict verdicts[] = {
        [RUN_PASSED] = STORE_VERDICT_PASSED,
        [RUN_FAILED] = STORE_VERDICT_FAILED,
        [RUN_INCOMPLETE] = STORE_VERDICT_INCOMPLETE,
        [RUN_NOTHING] = STORE_VERDICT_NOTHING,
        [RUN_INTERRUPTED] = STORE_VERDICT_INTERRUPTED,
        [RUN_INFRASTRUCTURE] = STORE_VERDICT_INFRASTRUCTURE,
    };
    char why[STORE_WHY_BYTES];
    if (!program->recorder)
        return true;
    recorder_verdict(program->recorder, verdicts[outcome], status);
    if (end_recorder(program, why))
        return true;
    text_complain("mux run: the store: %s", why);
    return false;
}

static void take_terminal_back(struct program *program) {
    run_attach_end(&program->attach);
    while (run_attach_runs(&program->attach))
        loop_step(&program->crew.station.loop);
}

static int finish(struct program *program) {
    char why[RUN_WHY_BYTES];
    if (run_state(program->run) != RUN_OVER)
        run_fail(program->run, "mux run was ended");
    enum run_outcome outcome = run_outcome(program->run, why);
    int64_t begun_us = program->recorder ? recorder_run(program->recorder)->begun_us : INT64_MAX;
    if (program->perf && !run_perf_judge(program->perf, program->run, begun_us) &&
        outcome == RUN_PASSED)
        outcome = RUN_FAILED;
    int status = exit_status(program, outcome);
    take_terminal_back(program);
    run_views_wipe(&program->views, now_of(program));
    if (!finish_store(program, outcome, status) && status == EXIT_RUN_PASSED)
        status = EXIT_RUN_INFRASTRUCTURE;
    if (!run_views_close(&program->views, now_of(program)) && errno != EPIPE)
        text_complain("mux run: stdout: %s", strerror(errno));
    if (program->options.lists && outcome == RUN_PASSED)
        print_list(program);
    run_isolate_tell(program->run, print_line, NULL);
    if (program->perf && !program->options.lists)
        run_perf_print(program->perf, program->run);
    if ((program->options.lists || program->options.isolate) && *why)
        text_complain("mux run: %s", why);
    return status;
}

static void close_suite(struct program *program) {
    char why[STORE_WHY_BYTES];
    if (program->recorder)
        end_recorder(program, why);
    run_close(program->run);
    crew_close(&program->crew);
}

static void free_program(struct program *program) {
    selection_close(program->selection);
    grouping_free(&program->grouping);
    needs_free(program->needs);
    pattern_free(program->perf_tests);
    run_perf_close(program->perf);
    past_jobs_free(&program->past_jobs);
    ids_close(&program->chosen);
    ids_close(&program->failing);
    strings_free(&program->instances);
    strings_free(&program->past_words);
    runner_free(program->runner);
    run_again_free(&program->again);
}

static int run_suite(struct program *program) {
    int status = EXIT_RUN_INFRASTRUCTURE;
    if (open_recorder(program) && start(program)) {
        station_run(&program->crew.station);
        status = finish(program);
    } else if (program->recorder) {
        recorder_verdict(program->recorder, STORE_VERDICT_INFRASTRUCTURE, status);
    }
    run_hooks_hold();
    close_suite(program);
    return status;
}

/* A list is made on one of them. */
static int run_on_instances(struct program *program) {
    struct run_options *options = &program->options;
    bool interrupted;
    if (options->slots_auto && !run_hooks_slots(program->runner, &options->slots))
        return EXIT_RUN_INFRASTRUCTURE;
    program->plan.slots = options->slots;
    bool is_fine = run_hooks_provision(program->runner, options->lists ? 1 : options->slots,
                                       &program->instances, &interrupted);
    int status = is_fine       ? run_suite(program)
                 : interrupted ? EXIT_RUN_INTERRUPTED
                               : EXIT_RUN_INFRASTRUCTURE;
    if (!run_hooks_dispose(program->runner, &program->instances) && status == EXIT_RUN_PASSED)
        status = EXIT_RUN_INFRASTRUCTURE;
    return status;
}

static int run(int argc, char **argv) {
    static struct program program;
    int status = run_options_parse(&program.options, argc, argv);
    if (status != OPTION_GO_ON)
        return status;
    if (!choose(&program))
        status = EXIT_USAGE;
    else if (!program.options.detaches || run_detach_begin(&program.detach, &status))
        status = run_on_instances(&program);
    free_program(&program);
    return status;
}

extern const struct subcommand subcommand_run;
const struct subcommand subcommand_run = {"run", RUN_SUMMARY, run};
