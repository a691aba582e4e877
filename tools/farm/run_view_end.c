/* The end of a run, as people see it: the truth first, then what to do. */
#include "tools/farm/run_view_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Lines of one kind: more are in the store. */
#define LINES_MOST 50
#define SLOWER_MOST 5
#define FIXED_MOST 5
#define STOPPED_MOST 5

/* A test became slower: by half, and by so much that a person notices. */
#define SLOWER_LEAST_NS (RUN_VIEW_SECOND_NS / 2)

struct end {
    struct run_view *view;
    struct run_totals totals;
    enum run_outcome outcome;
    unsigned shown; /* lines of a kind */
};

static bool has_lines_left(struct end *end, unsigned most) {
    return end->shown++ < most;
}

static void say_more(struct end *end, unsigned most, const char *what) {
    if (end->shown > most)
        screen_line(&end->view->screen, "       and %u more %s", end->shown - most, what);
    end->shown = 0;
}

static void id_of(const struct end *end, uint32_t index, char id[RUN_VIEW_ID_BYTES]) {
    const struct run *run = end->view->run;
    run_view_id_text(ids_text(run_ids(run), run_selected(run, index)), RUN_VIEW_ID_BYTES, id,
                     RUN_VIEW_ID_BYTES);
}

/*
 * ---- the first line ----
 */

static size_t add(char *out, size_t out_bytes, size_t len, uint64_t count, const char *word) {
    char text[RUN_VIEW_COUNT_BYTES];
    if (count == 0)
        return len;
    run_view_count_text(count, text);
    int more = snprintf(out + len, out_bytes - len, "%s%s %s", len ? ", " : "", text, word);
    return len + (size_t)more < out_bytes ? len + (size_t)more : out_bytes - 1;
}

/* It fails now, and did not in the last run that had it. */
static bool is_new(const struct run *run, uint32_t index) {
    enum plan_outcome outcome = plan_record(run_plan(run), index).outcome;
    return (outcome == PLAN_FAILED || outcome == PLAN_KILLER) &&
           run_seen_is_new(run, run_selected(run, index));
}

/* The other way round. */
static bool is_fixed(const struct run *run, uint32_t index) {
    const struct run_past *past = run_past_of(run, run_selected(run, index));
    return plan_record(run_plan(run), index).outcome == PLAN_PASSED && past->has_failed;
}

static uint32_t count(const struct end *end, bool (*is)(const struct run *run, uint32_t index)) {
    const struct run *run = end->view->run;
    uint32_t found = 0;
    for (uint32_t i = 0; run_plan(run) && i < end->totals.selected; i++)
        found += is(run, i);
    return found;
}

#define WORD_BYTES (2 * RUN_VIEW_COUNT_BYTES)

/* "failed (3 new)" */
static void word_with(char out[WORD_BYTES], const char *word, uint32_t found, const char *what) {
    char number[RUN_VIEW_COUNT_BYTES];
    run_view_count_text(found, number);
    if (found)
        snprintf(out, WORD_BYTES, "%s (%s %s)", word, number, what);
    else
        snprintf(out, WORD_BYTES, "%s", word);
}

static void counts_text(const struct end *end, char *out, size_t out_bytes) {
    const uint32_t *counts = end->totals.counts;
    uint32_t failed = counts[PLAN_FAILED] + counts[PLAN_KILLER] + end->totals.strangers_failed;
    char failed_word[WORD_BYTES], passed_word[WORD_BYTES];
    word_with(failed_word, "failed", count(end, is_new), "new");
    word_with(passed_word, "passed", count(end, is_fixed), "fixed");
    size_t len = 0;
    *out = '\0';
    len = add(out, out_bytes, len, failed, failed_word);
    len = add(out, out_bytes, len, counts[PLAN_FLAKY], "flaky");
    len = add(out, out_bytes, len, counts[PLAN_PASSED], passed_word);
    len = add(out, out_bytes, len, counts[PLAN_SKIPPED], "skipped");
    len = add(out, out_bytes, len, counts[PLAN_NEVER], "never ran");
    len = add(out, out_bytes, len, end->totals.unfit, "left out");
    add(out, out_bytes, len, end->totals.runners_failed, "runners ended badly");
}

static void slots_text(const struct end *end, uint64_t now_ns, char *out, size_t out_bytes) {
    const struct run_view *view = end->view;
    uint64_t age_ns = now_ns - view->seen->planned_ns;
    uint64_t all_ns = age_ns * (end->totals.slots ? end->totals.slots : 1);
    unsigned slots = run_slots(view->run);
    all_ns = all_ns ? all_ns : 1;
    uint64_t percent = view->seen->busy_ns * 100 / all_ns;
    snprintf(out, out_bytes, "; %u slot%s, %" PRIu64 " %% busy", slots, slots == 1 ? "" : "s",
             percent < 100 ? percent : 100);
}

static void show_first(struct end *end, const char *why, uint64_t now_ns) {
    struct run_view *view = end->view;
    char counts[512], took[RUN_VIEW_TIME_BYTES], slots[64] = "";
    counts_text(end, counts, sizeof counts);
    run_view_time_text(now_ns - view->seen->begun_ns, took);
    if (run_plan(view->run))
        slots_text(end, now_ns, slots, sizeof slots);
    if (!*counts)
        snprintf(counts, sizeof counts, "no test");
    screen_line_in(&view->screen, end->outcome == RUN_PASSED ? SCREEN_GOOD : SCREEN_BAD,
                   "run%s%s %s: %s%s%s in %s%s", *view->config.name ? " " : "", view->config.name,
                   run_view_outcome_word(end->outcome), why, *why ? "; " : "", counts, took, slots);
}

/*
 * ---- what went wrong, and what else is to be known ----
 */

static const char *past_of(const struct end *end, uint32_t index) {
    const struct run_past *past = run_past_of(end->view->run, run_selected(end->view->run, index));
    if (past->runs == 0)
        return "";
    return !past->has_failed ? "new" : past->since ? past->since : "as in the last run";
}

static void show_outcomes(struct end *end, enum plan_outcome outcome, const char *word,
                          const char *words, bool has_past) {
    const struct plan *plan = run_plan(end->view->run);
    char id[RUN_VIEW_ID_BYTES];
    for (uint32_t i = 0; i < end->totals.selected; i++) {
        if (plan_record(plan, i).outcome != outcome || !has_lines_left(end, LINES_MOST))
            continue;
        const char *past = has_past ? past_of(end, i) : "";
        id_of(end, i, id);
        screen_line(&end->view->screen, "%-6s %s%s%s%s", word, id, *past ? "  " : "", past, words);
    }
    say_more(end, LINES_MOST, word);
}

static bool is_shown(const struct run_seen *seen, uint64_t index) {
    const struct run_seen_failure *failure = run_seen_failure(seen, index);
    for (uint64_t i = 0; i < index; i++)
        if (run_seen_failure(seen, i)->is_stranger &&
            strcmp(run_seen_failure(seen, i)->id, failure->id) == 0)
            return true;
    return false;
}

/* A fixture of a class, a test that its runner was not asked for: each once. */
static void show_strangers(struct end *end) {
    const struct run_seen *seen = end->view->seen;
    const struct run_seen_failure *failure;
    uint32_t well = end->totals.strangers - end->totals.strangers_failed;
    for (uint64_t i = 0; (failure = run_seen_failure(seen, i)) != NULL; i++)
        if (failure->is_stranger && !is_shown(seen, i) && has_lines_left(end, LINES_MOST))
            screen_line(&end->view->screen, "FAIL   %s  not in the list", failure->id);
    say_more(end, LINES_MOST, "not in the list");
    if (well)
        screen_line(&end->view->screen,
                    "note   %u result%s of tests that the runner was not given: not counted", well,
                    well == 1 ? "" : "s");
}

static bool is_slower(const struct end *end, uint32_t index, uint64_t *took_ns,
                      uint64_t *usual_ns) {
    const struct run_view *view = end->view;
    uint32_t test = run_selected(view->run, index);
    *usual_ns = run_past_of(view->run, test)->usual_ns;
    *took_ns = view->seen->took_ns ? view->seen->took_ns[test] : 0;
    return *usual_ns && *took_ns > *usual_ns + *usual_ns / 2 &&
           *took_ns - *usual_ns > SLOWER_LEAST_NS;
}

static void show_slower(struct end *end) {
    char id[RUN_VIEW_ID_BYTES], before[RUN_VIEW_TIME_BYTES], after[RUN_VIEW_TIME_BYTES];
    uint64_t took_ns, usual_ns;
    for (uint32_t i = 0; i < end->totals.selected; i++) {
        if (!is_slower(end, i, &took_ns, &usual_ns) || !has_lines_left(end, SLOWER_MOST))
            continue;
        id_of(end, i, id);
        run_view_time_text(usual_ns, before);
        run_view_time_text(took_ns, after);
        screen_line(&end->view->screen, "slower %s  %s -> %s", id, before, after);
    }
    say_more(end, SLOWER_MOST, "slower");
}

static void show_fixed(struct end *end) {
    char id[RUN_VIEW_ID_BYTES];
    for (uint32_t i = 0; i < end->totals.selected; i++) {
        if (!is_fixed(end->view->run, i) || !has_lines_left(end, FIXED_MOST))
            continue;
        id_of(end, i, id);
        screen_line(&end->view->screen, "fixed  %s  it failed in the last run", id);
    }
    say_more(end, FIXED_MOST, "fixed");
}

/* Those that the run's early end has left out come last: they are no fault. */
static void show_never_of(struct end *end, bool is_stopped) {
    static const char *const causes[] = {
        [PLAN_CAUSE_NONE] = "",
        [PLAN_CAUSE_IGNORED] = "  its runner was given it and said nothing of it",
        [PLAN_CAUSE_LOST] = "  its slots were lost",
        [PLAN_CAUSE_STOPPED] = "  the run was over before its turn",
        [PLAN_CAUSE_CUT] = "  it was running when the run was ended",
    };
    const struct plan *plan = run_plan(end->view->run);
    char id[RUN_VIEW_ID_BYTES];
    for (uint32_t i = 0; i < end->totals.selected; i++) {
        struct plan_record record = plan_record(plan, i);
        if (record.outcome != PLAN_NEVER || (record.cause == PLAN_CAUSE_STOPPED) != is_stopped ||
            !has_lines_left(end, is_stopped ? STOPPED_MOST : LINES_MOST))
            continue;
        id_of(end, i, id);
        screen_line(&end->view->screen, "never  %s%s", id, causes[record.cause]);
    }
    say_more(end, is_stopped ? STOPPED_MOST : LINES_MOST, "that never ran");
}

static void show_never(struct end *end) {
    show_never_of(end, false);
    show_never_of(end, true);
}

static void show_next(struct end *end) {
    const struct run_view *view = end->view;
    if (!*view->config.name || end->outcome == RUN_PASSED)
        return;
    if (*view->config.random)
        screen_line(&end->view->screen, "the same order: %s", view->config.random);
    if (end->outcome == RUN_FAILED || end->outcome == RUN_INCOMPLETE)
        screen_line(&end->view->screen,
                    "again: mux run %s--failing        texts: mux show %s%s --failures",
                    view->config.place, view->config.place, view->config.name);
    if (end->totals.counts[PLAN_NEVER] > STOPPED_MOST)
        screen_line(&end->view->screen, "list: mux show %s%s --never-ran", view->config.place,
                    view->config.name);
}

void run_view_show_end(struct run_view *view, uint64_t now_ns) {
    struct end end = {.view = view};
    char why[RUN_WHY_BYTES], clean[RUN_WHY_BYTES];
    if (run_state(view->run) != RUN_OVER)
        return;
    run_totals(view->run, &end.totals);
    end.outcome = run_outcome(view->run, why);
    text_clean(mux_span_text(why), false, clean, sizeof clean);
    if (view->config.how != RUN_VIEW_QUIET)
        screen_line(&view->screen, "%s", "");
    show_first(&end, clean, now_ns);
    if (!run_plan(view->run))
        return;
    show_outcomes(&end, PLAN_FAILED, "FAIL", "", true);
    show_strangers(&end);
    show_outcomes(&end, PLAN_KILLER, "KILLER", "  its runner died under it, twice", false);
    show_never(&end);
    show_outcomes(&end, PLAN_FLAKY, "flaky", "  failed, then passed", false);
    show_fixed(&end);
    show_slower(&end);
    show_next(&end);
}
