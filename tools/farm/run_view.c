/* What is seen while a run goes on. run_view_end.c has the end. */
#include "tools/farm/run_view_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND_NS RUN_VIEW_SECOND_NS

/* Between two lines with totals, when lines are all there is. */
#define TOTALS_NS (30 * SECOND_NS)

/* Failures that are told to who comes in the middle. */
#define CAUGHT_UP_MOST 20
_Static_assert(CAUGHT_UP_MOST <= RUN_SEEN_FAILURES_MAX, "so many are kept");

static bool is_json(const struct run_view *view) {
    return view->config.how == RUN_VIEW_JSON;
}

/*
 * ---- lines that stay ----
 */

static void show_text_line(void *user, const char *line) {
    screen_line(&((struct run_view *)user)->screen, "      %s", line);
}

static const char *word_of(enum mux_status status) {
    return status == MUX_STATUS_UXSUCCESS ? "PASS?" : "FAIL ";
}

static void show_text(struct run_view *view, const struct run_ended *ended, unsigned again) {
    if (ended->status == MUX_STATUS_UXSUCCESS)
        screen_line(&view->screen, "      it was expected to fail, and passed");
    if (again)
        screen_line(&view->screen, "      the same text as before (%u)", again + 1);
    else if (ended->text.data && view->config.tail_lines)
        text_show_tail(ended->text, view->config.tail_lines, show_text_line, view);
    if (run_seen_is_new(view->run, ended->test))
        screen_line(&view->screen, "      new: it passed in the last run%s",
                    run_past_of(view->run, ended->test)->runs == 1 ? "" : "s");
}

static void show_failure(struct run_view *view, const struct run_ended *ended, unsigned again) {
    char id[RUN_VIEW_ID_BYTES], took[RUN_VIEW_TIME_BYTES] = "", slot[32] = "",
                                head[SCREEN_LINE_BYTES];
    run_view_id_text(ended->id, RUN_VIEW_ID_BYTES, id, sizeof id);
    if (ended->took_ns != UINT64_MAX)
        run_view_time_text(ended->took_ns, took);
    if (ended->slot >= 0)
        snprintf(slot, sizeof slot, "  slot %d", ended->slot);
    snprintf(head, sizeof head, "%s %s%s%s%s", word_of(ended->status), id, *took ? "  " : "", took,
             slot);
    if (!run_view_ci_failure_begin(view, head))
        screen_line_in(&view->screen, SCREEN_BAD, "%s", head);
    if (view->part != RUN_VIEW_ONE_LINE)
        show_text(view, ended, again);
    run_view_ci_failure_end(view, ended);
}

void run_view_ended(struct run_view *view, const struct run_ended *ended, unsigned again) {
    screen_change(&view->screen);
    if (is_json(view))
        run_view_json_ended(view, ended);
    else if (run_is_bad(ended->status) && view->config.how != RUN_VIEW_QUIET)
        show_failure(view, ended, again);
}

void run_view_waits(struct run_view *view, unsigned slot) {
    char id[RUN_VIEW_ID_BYTES] = "", route[DESK_SLOT_ROUTE_BYTES];
    struct run_slot_status status;
    if (is_json(view)) {
        run_view_json_waits(view, slot);
        return;
    }
    run_slot_status(view->run, slot, &status);
    run_slot_route(view->run, slot, route);
    if (status.has_test)
        run_view_id_text(ids_text(run_ids(view->run), status.test), RUN_VIEW_ID_BYTES, id,
                         sizeof id);
    screen_line_in(&view->screen, SCREEN_MIND, "WAIT  %s%sslot %u  at %s", id, *id ? "  " : "",
                   slot, status.prompt);
    if (view->config.control)
        screen_line(&view->screen, "      mux attach %s %s", view->config.control, route);
}

void run_view_say(struct run_view *view, const char *line) {
    char clean[SCREEN_LINE_BYTES];
    if (is_json(view)) {
        run_view_json_say(view, line);
        return;
    }
    text_clean(mux_span_text(line), false, clean, sizeof clean);
    screen_line(&view->screen, "%s", clean);
}

/* "run 7c1e: 2,013 tests (unittest), 4 slots, slowest first; about 0:14" */
static void show_planned(struct run_view *view, uint64_t now_ns) {
    const char *random = view->config.random;
    char tests[RUN_VIEW_COUNT_BYTES], about[RUN_VIEW_TIME_BYTES], order[64] = "";
    struct run_totals totals;
    run_totals(view->run, &totals);
    uint64_t left_ns = run_seen_left_ns(view->seen, now_ns);
    run_view_count_text(totals.selected, tests);
    run_view_clock_text(left_ns, about);
    if (left_ns != UINT64_MAX)
        snprintf(order, sizeof order, "%s; about %s",
                 view->config.slowest_first ? ", slowest first" : "", about);
    screen_line(&view->screen, "run%s%s: %s test%s (%s), %u slot%s%s%s%s",
                *view->config.name ? " " : "", view->config.name, tests,
                totals.selected == 1 ? "" : "s", view->config.what, totals.slots,
                totals.slots == 1 ? "" : "s", *random ? ", " : "", random, order);
}

void run_view_planned(struct run_view *view, uint64_t now_ns) {
    if (is_json(view))
        run_view_json_planned(view, now_ns);
    else if (view->config.how != RUN_VIEW_QUIET)
        show_planned(view, now_ns);
}

/* Without a picture. */
static void say_totals(void *user, uint64_t now_ns) {
    struct run_view *view = user;
    struct run_totals totals;
    char age[RUN_VIEW_TIME_BYTES], left[64], text[256], done[RUN_VIEW_COUNT_BYTES],
        due[RUN_VIEW_COUNT_BYTES];
    if (!run_plan(view->run) || view->config.how == RUN_VIEW_QUIET || is_json(view))
        return;
    run_totals(view->run, &totals);
    run_view_clock_text(now_ns - view->seen->planned_ns, age);
    run_view_left_text(view, now_ns, left, sizeof left);
    run_view_counts_text(view, now_ns, text, sizeof text);
    run_view_count_text(totals.done, done);
    run_view_count_text(totals.due, due);
    screen_line(&view->screen, "  %s  %s of %s, %s, %s", age, done, due, text, left);
}

/*
 * ---- keys, and the terminal ----
 */

static void choose_part(struct run_view *view, enum run_view_part part) {
    view->part = view->part == part ? RUN_VIEW_BUSIEST : part;
    view->page = 0;
}

/* ESC and what follows it up to a letter, or "~": an arrow and its like. */
static bool is_of_escape(struct run_view *view, char key) {
    bool was_escape = view->has_escape;
    if (key == '\033')
        view->has_escape = true;
    else if (was_escape && key != '[' && key != 'O')
        view->has_escape = (key >= '0' && key <= '9') || key == ';';
    return was_escape || view->has_escape;
}

enum run_view_wish run_view_key(struct run_view *view, char key) {
    enum run_view_wish wish = RUN_VIEW_NOTHING;
    if (is_of_escape(view, key))
        return wish;
    if (key == 'f')
        choose_part(view, RUN_VIEW_FAILURES);
    else if (key == 's')
        choose_part(view, RUN_VIEW_SLOTS);
    else if (key == 'o')
        choose_part(view, RUN_VIEW_ONE_LINE);
    else if (key == 'n' || key == ' ')
        view->page++;
    else if (key == 'p' && view->page)
        view->page--;
    else if (key == 'd')
        wish = RUN_VIEW_DRAIN;
    else if (key == 'q' || key == '\003')
        wish = RUN_VIEW_QUIT;
    view->is_stale = true;
    return wish;
}

bool run_view_is_live(const struct run_view *view) {
    return view->screen.live;
}

void run_view_redraw(struct run_view *view, uint64_t now_ns) {
    if (!view->is_held)
        screen_redraw(&view->screen, now_ns);
}

void run_view_resize(struct run_view *view, unsigned rows, unsigned columns, uint64_t now_ns) {
    screen_resize(&view->screen, rows, columns);
    run_view_redraw(view, now_ns);
}

void run_view_wipe(struct run_view *view, uint64_t now_ns) {
    screen_wipe(&view->screen, now_ns);
}

/*
 * ---- life ----
 */

bool run_view_speaks_utf8(void) {
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

static void open_screen(struct run_view *view, uint64_t now_ns) {
    const struct run_view_config *config = &view->config;
    const struct screen_config screen = {
        .draw = run_view_draw, .totals = say_totals, .totals_ns = TOTALS_NS, .user = view};
    const struct run_view_remote *remote = config->remote;
    if (remote)
        screen_open_remote(&view->screen, &screen, remote->socket, remote->rows, remote->columns,
                           now_ns);
    else
        screen_open(&view->screen, &screen, config->how != RUN_VIEW_AUTO, now_ns);
    if (is_json(view))
        view->screen.outlet.patient = true; /* a program wants all of it */
}

static void show_past_failure(struct run_view *view, const struct run_seen_failure *failure) {
    char took[RUN_VIEW_TIME_BYTES] = "";
    if (failure->took_ns != UINT64_MAX)
        run_view_time_text(failure->took_ns, took);
    screen_line_in(&view->screen, SCREEN_BAD, "%s %s%s%s", word_of(failure->status), failure->id,
                   *took ? "  " : "", took);
}

/* For who comes in the middle: what has failed, and who waits for a person. */
static void catch_up(struct run_view *view, uint64_t now_ns) {
    const struct run_seen *seen = view->seen;
    uint64_t first = seen->failures > CAUGHT_UP_MOST ? seen->failures - CAUGHT_UP_MOST : 0;
    run_view_planned(view, now_ns);
    if (first)
        screen_line(&view->screen, "... and %" PRIu64 " that failed before these", first);
    for (uint64_t i = first; i < seen->failures; i++)
        show_past_failure(view, &seen->failure[i % RUN_SEEN_FAILURES_MAX]);
    for (unsigned i = 0; i < run_slots(view->run); i++) {
        struct run_slot_status status;
        run_slot_status(view->run, i, &status);
        if (status.prompt)
            run_view_waits(view, i);
    }
}

struct run_view *run_view_open(const struct run_view_config *config, const struct run_seen *seen,
                               uint64_t now_ns) {
    struct run_view *view = calloc(1, sizeof *view);
    if (!view)
        return NULL;
    view->config = *config;
    view->seen = seen;
    view->run = seen->run;
    view->is_remote = config->remote;
    view->has_utf8 = config->remote ? config->remote->is_wide : run_view_speaks_utf8();
    open_screen(view, now_ns);
    view->config.remote = NULL;
    run_view_ci_begin(view);
    if (seen->is_planned)
        catch_up(view, now_ns);
    return view;
}

void run_view_hold(struct run_view *view, bool is_held, uint64_t now_ns) {
    if (is_held)
        screen_wipe(&view->screen, now_ns);
    view->is_held = is_held;
    screen_change(&view->screen);
}

uint64_t run_view_tick(struct run_view *view, uint64_t now_ns) {
    if (view->is_held)
        return UINT64_MAX;
    if (view->is_stale)
        screen_redraw(&view->screen, now_ns);
    view->is_stale = false;
    uint64_t screen_ns = screen_tick(&view->screen, now_ns);
    uint64_t json_ns = is_json(view) ? run_view_json_tick(view, now_ns) : UINT64_MAX;
    return screen_ns < json_ns ? screen_ns : json_ns;
}

bool run_view_finish(struct run_view *view, uint64_t now_ns) {
    if (!view)
        return true;
    screen_wipe(&view->screen, now_ns);
    if (is_json(view))
        run_view_json_end(view, now_ns);
    else
        run_view_show_end(view, now_ns);
    run_view_ci_end(view);
    bool is_written = screen_close(&view->screen, now_ns);
    int error = errno;
    free(view);
    errno = error;
    return is_written;
}
