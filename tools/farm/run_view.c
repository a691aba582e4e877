/* What is seen while a run goes on. run_view_end.c has the end. */
#include "tools/farm/run_view_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND_NS RUN_VIEW_SECOND_NS

/* Between two lines with totals, when lines are all there is. */
#define TOTALS_NS (30 * SECOND_NS)

/* A test that takes so much longer than it usually does is slow. */
#define SLOW_TIMES 2
#define SLOW_LEAST_NS SECOND_NS

/*
 * ---- words ----
 */

void run_view_time_text(uint64_t ns, char out[RUN_VIEW_TIME_BYTES]) {
    uint64_t seconds = ns / SECOND_NS;
    if (seconds < 10)
        snprintf(out, RUN_VIEW_TIME_BYTES, "%.2f s", (double)ns / 1e9);
    else if (seconds < 60)
        snprintf(out, RUN_VIEW_TIME_BYTES, "%.1f s", (double)ns / 1e9);
    else if (seconds < 3600)
        snprintf(out, RUN_VIEW_TIME_BYTES, "%" PRIu64 ":%02u", seconds / 60,
                 (unsigned)(seconds % 60));
    else
        snprintf(out, RUN_VIEW_TIME_BYTES, "%" PRIu64 ":%02u:%02u", seconds / 3600,
                 (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60));
}

/* "0:08" */
static void clock_text(uint64_t ns, char out[RUN_VIEW_TIME_BYTES]) {
    uint64_t seconds = ns / SECOND_NS;
    if (seconds < 3600)
        snprintf(out, RUN_VIEW_TIME_BYTES, "%" PRIu64 ":%02u", seconds / 60,
                 (unsigned)(seconds % 60));
    else
        run_view_time_text(ns, out);
}

void run_view_count_text(uint64_t count, char out[RUN_VIEW_COUNT_BYTES]) {
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, count);
    size_t at = 0;
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
}

/* Cut on the left, since the ends of ids differ. */
void run_view_id_text(struct mux_span id, size_t most, char *out, size_t out_bytes) {
    char clean[RUN_VIEW_ID_BYTES];
    size_t len = text_clean(id, false, clean, sizeof clean);
    size_t at = len > most ? len - most + 1 : 0;
    while (at && ((uint8_t)clean[at] & 0xC0) == 0x80)
        at++; /* not inside a character */
    snprintf(out, out_bytes, "%s%s", at ? "\u2026" : "", clean + at);
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

static void show_past(struct run_view *view, uint32_t test) {
    const struct run_past *past = test == RUN_STRANGER ? NULL : run_past_of(view->run, test);
    if (past && past->runs && !past->has_failed)
        screen_line(&view->screen, "      new: it passed in the last %s",
                    past->runs == 1 ? "run" : "runs");
}

static void show_failure(struct run_view *view, const struct run_ended *ended) {
    char id[RUN_VIEW_ID_BYTES], took[RUN_VIEW_TIME_BYTES] = "", slot[32] = "";
    run_view_id_text(ended->id, RUN_VIEW_ID_BYTES, id, sizeof id);
    if (ended->took_ns != UINT64_MAX)
        run_view_time_text(ended->took_ns, took);
    if (ended->slot >= 0)
        snprintf(slot, sizeof slot, "  slot %d", ended->slot);
    screen_line(&view->screen, "%s %s%s%s%s", word_of(ended->status), id, *took ? "  " : "", took,
                slot);
    if (ended->status == MUX_STATUS_UXSUCCESS)
        screen_line(&view->screen, "      it was expected to fail, and passed");
    if (ended->text.data && view->config.tail_lines)
        text_show_tail(ended->text, view->config.tail_lines, show_text_line, view);
    show_past(view, ended->test);
}

static void note_time(struct run_view *view, const struct run_ended *ended) {
    if (view->took_ns && ended->test != RUN_STRANGER && ended->took_ns != UINT64_MAX)
        view->took_ns[ended->test] = ended->took_ns;
    if (ended->took_ns != UINT64_MAX)
        view->busy_ns += ended->took_ns;
}

void run_view_ended(struct run_view *view, const struct run_ended *ended) {
    screen_change(&view->screen);
    note_time(view, ended);
    view->skipped += ended->status == MUX_STATUS_SKIP;
    view->failed += run_is_bad(ended->status);
    view->passed += ended->status == MUX_STATUS_SUCCESS || ended->status == MUX_STATUS_XFAIL;
    if (run_is_bad(ended->status) && view->config.how != RUN_VIEW_QUIET)
        show_failure(view, ended);
}

void run_view_waits(struct run_view *view, unsigned slot) {
    char id[RUN_VIEW_ID_BYTES] = "", route[DESK_SLOT_ROUTE_BYTES];
    struct run_slot_status status;
    run_slot_status(view->run, slot, &status);
    run_slot_route(view->run, slot, route);
    if (status.has_test)
        run_view_id_text(ids_text(run_ids(view->run), status.test), RUN_VIEW_ID_BYTES, id,
                         sizeof id);
    screen_line(&view->screen, "WAIT  %s%sslot %u  at %s", id, *id ? "  " : "", slot,
                status.prompt);
    if (view->config.control)
        screen_line(&view->screen, "      mux attach %s %s", view->config.control, route);
}

void run_view_say(struct run_view *view, const char *line) {
    char clean[SCREEN_LINE_BYTES];
    text_clean(mux_span_text(line), false, clean, sizeof clean);
    screen_line(&view->screen, "%s", clean);
}

void run_view_planned(struct run_view *view, unsigned past_runs, uint64_t now_ns) {
    char tests[RUN_VIEW_COUNT_BYTES], about[RUN_VIEW_TIME_BYTES], name[64];
    struct run_totals totals;
    run_totals(view->run, &totals);
    uint64_t left_ns = plan_left_ns(run_plan(view->run), now_ns);
    view->planned_ns = now_ns;
    view->past_runs = past_runs;
    view->took_ns = calloc(totals.listed + 1, sizeof *view->took_ns);
    if (view->config.how == RUN_VIEW_QUIET)
        return;
    run_view_count_text(totals.selected, tests);
    clock_text(left_ns, about);
    snprintf(name, sizeof name, "run%s%s", *view->config.name ? " " : "", view->config.name);
    if (left_ns == UINT64_MAX || !view->past_runs)
        screen_line(&view->screen, "%s: %s test%s (%s), %u slot%s", name, tests,
                    totals.selected == 1 ? "" : "s", view->config.what, totals.slots,
                    totals.slots == 1 ? "" : "s");
    else
        screen_line(&view->screen, "%s: %s test%s (%s), %u slot%s%s; about %s", name, tests,
                    totals.selected == 1 ? "" : "s", view->config.what, totals.slots,
                    totals.slots == 1 ? "" : "s",
                    view->config.slowest_first ? ", slowest first" : "", about);
}

/*
 * ---- the picture ----
 */

static void left_text(const struct run_view *view, uint64_t now_ns, char *out, size_t out_bytes) {
    char left[RUN_VIEW_TIME_BYTES];
    uint64_t left_ns = plan_left_ns(run_plan(view->run), now_ns);
    clock_text(left_ns, left);
    snprintf(out, out_bytes, "about %s left",
             left_ns == UINT64_MAX || !view->past_runs ? "?" : left);
}

/* Eighths of a block where there is UTF-8. */
static void bar_text(const struct run_view *view, uint64_t done, uint64_t due, unsigned width,
                     char *out) {
    static const char *const eighths[] = {" ",      "\u258f", "\u258e", "\u258d",
                                          "\u258c", "\u258b", "\u258a", "\u2589"};
    unsigned filled = due ? (unsigned)(done * width * 8 / due) : 0;
    size_t at = 0;
    for (unsigned i = 0; i<width; i++, filled = filled> 8 ? filled - 8 : 0) {
        const char *cell =
            view->has_utf8 ? (filled >= 8 ? "\u2588" : eighths[filled]) : (filled >= 8 ? "#" : "-");
        at += (size_t)sprintf(out + at, "%s", cell);
    }
}

static void draw_progress(const struct run_view *view, struct screen_frame *frame,
                          const struct run_totals *totals, uint64_t now_ns) {
    enum { BAR_MOST = 40, TEXT_COLUMNS = 44 };
    char bar[4 * BAR_MOST + 1], line[SCREEN_LINE_BYTES];
    char done[RUN_VIEW_COUNT_BYTES], due[RUN_VIEW_COUNT_BYTES], age[RUN_VIEW_TIME_BYTES], left[64];
    unsigned columns = screen_frame_columns(frame);
    unsigned width = columns < TEXT_COLUMNS + 8          ? 8
                     : columns - TEXT_COLUMNS > BAR_MOST ? BAR_MOST
                                                         : columns - TEXT_COLUMNS;
    bar_text(view, totals->done, totals->due, width, bar);
    run_view_count_text(totals->done, done);
    run_view_count_text(totals->due, due);
    clock_text(now_ns - view->planned_ns, age);
    left_text(view, now_ns, left, sizeof left);
    if (columns < TEXT_COLUMNS + 8) {
        snprintf(line, sizeof line, "  %s %s of %s", bar, done, due);
        screen_frame_line(frame, line);
        snprintf(line, sizeof line, "  %s, %s", age, left);
    } else {
        snprintf(line, sizeof line, "  %s  %s of %s   %s, %s", bar, done, due, age, left);
    }
    screen_frame_line(frame, line);
}

static void counts_text(const struct run_view *view, uint64_t now_ns, char *out, size_t out_bytes) {
    char passed[RUN_VIEW_COUNT_BYTES], failed[RUN_VIEW_COUNT_BYTES], skipped[RUN_VIEW_COUNT_BYTES];
    uint64_t ended = view->passed + view->failed + view->skipped;
    uint64_t age_ns = now_ns - view->planned_ns;
    run_view_count_text(view->passed, passed);
    run_view_count_text(view->failed, failed);
    run_view_count_text(view->skipped, skipped);
    int len = snprintf(out, out_bytes, "%s failed, %s passed, %s skipped", failed, passed, skipped);
    if (age_ns > SECOND_NS)
        snprintf(out + len, out_bytes - (size_t)len, "; %" PRIu64 "/s", ended * SECOND_NS / age_ns);
}

/* What a slot does, for the order in which slots are shown. */
struct shown {
    unsigned slot;
    struct run_slot_status status;
    uint64_t weight; /* how much a person wants to see it */
};

static uint64_t usual_of(const struct run_view *view, const struct run_slot_status *status) {
    return status->has_test ? run_past_of(view->run, status->test)->usual_ns : 0;
}

static bool is_slow(const struct run_view *view, const struct run_slot_status *status,
                    uint64_t now_ns) {
    uint64_t usual_ns = usual_of(view, status), age_ns = now_ns - status->began_ns;
    return usual_ns && age_ns > SLOW_LEAST_NS && age_ns > SLOW_TIMES * usual_ns;
}

static void draw_slot(const struct run_view *view, struct screen_frame *frame,
                      const struct shown *shown, uint64_t now_ns) {
    enum { AGE_COLUMNS = 34, ID_LEAST = 12 };
    char line[SCREEN_LINE_BYTES], id[RUN_VIEW_ID_BYTES], age[RUN_VIEW_TIME_BYTES],
        usual[RUN_VIEW_TIME_BYTES];
    unsigned columns = screen_frame_columns(frame);
    size_t most = columns > AGE_COLUMNS + ID_LEAST ? columns - AGE_COLUMNS : ID_LEAST;
    run_view_time_text(now_ns - shown->status.began_ns, age);
    if (shown->status.has_test)
        run_view_id_text(ids_text(run_ids(view->run), shown->status.test), most, id, sizeof id);
    else
        snprintf(id, sizeof id, "(between tests)");
    int len = snprintf(line, sizeof line, "  %u  %-*s %8s", shown->slot, (int)most, id, age);
    if (shown->status.prompt) {
        snprintf(line + len, sizeof line - (size_t)len, "  at %s", shown->status.prompt);
    } else if (is_slow(view, &shown->status, now_ns)) {
        run_view_time_text(usual_of(view, &shown->status), usual);
        snprintf(line + len, sizeof line - (size_t)len, "  usually %s", usual);
    }
    screen_frame_line(frame, line);
}

static int by_weight(const void *a, const void *b) {
    const struct shown *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static int by_slot(const void *a, const void *b) {
    const struct shown *x = a, *y = b;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* Who waits for a person first, then slow ones, those that have run the longest; those that are
 * shown stand in order. */
static unsigned choose_slots(const struct run_view *view, struct shown *shown, unsigned most,
                             uint64_t now_ns, unsigned *busy) {
    unsigned count = 0;
    *busy = 0;
    for (unsigned i = 0; i < run_slots(view->run); i++) {
        struct shown next = {.slot = i};
        run_slot_status(view->run, i, &next.status);
        if (!next.status.is_busy)
            continue;
        next.weight = now_ns - next.status.began_ns;
        if (is_slow(view, &next.status, now_ns))
            next.weight |= UINT64_C(1) << 62;
        if (next.status.prompt)
            next.weight |= UINT64_C(1) << 63;
        (*busy)++;
        if (count == RUN_VIEW_SLOTS_MAX) {
            qsort(shown, count, sizeof *shown, by_weight);
            count = most;
        }
        shown[count++] = next;
    }
    qsort(shown, count, sizeof *shown, by_weight);
    count = count < most ? count : most;
    qsort(shown, count, sizeof *shown, by_slot);
    return count;
}

static void draw_slots(const struct run_view *view, struct screen_frame *frame, unsigned most,
                       uint64_t now_ns) {
    struct shown shown[RUN_VIEW_SLOTS_MAX];
    char line[128], more[RUN_VIEW_COUNT_BYTES], idle[RUN_VIEW_COUNT_BYTES];
    unsigned busy;
    unsigned count = choose_slots(view, shown, most, now_ns, &busy);
    for (unsigned i = 0; i < count; i++)
        draw_slot(view, frame, &shown[i], now_ns);
    if (busy <= count)
        return;
    run_view_count_text(run_slots(view->run) - count, more);
    run_view_count_text(run_slots(view->run) - busy, idle);
    snprintf(line, sizeof line, "  and %s more slots, %s idle", more, idle);
    screen_frame_line(frame, line);
}

static void draw(void *user, struct screen_frame *frame, uint64_t now_ns) {
    const struct run_view *view = user;
    char line[SCREEN_LINE_BYTES], text[SCREEN_LINE_BYTES / 2], age[RUN_VIEW_TIME_BYTES];
    struct run_totals totals;
    unsigned rows = screen_frame_rows(frame);
    if (!run_plan(view->run)) {
        clock_text(now_ns - view->begun_ns, age);
        snprintf(line, sizeof line, "  listing tests\u2026 %s", age);
        screen_frame_line(frame, line);
        return;
    }
    run_totals(view->run, &totals);
    draw_progress(view, frame, &totals, now_ns);
    counts_text(view, now_ns, text, sizeof text);
    snprintf(line, sizeof line, "  %s", text);
    screen_frame_line(frame, line);
    unsigned most = rows / 2 > 4 ? rows / 2 - 4 : 1;
    draw_slots(view, frame, most < RUN_VIEW_SLOTS_MAX ? most : RUN_VIEW_SLOTS_MAX - 1, now_ns);
}

/* Without a picture. */
static void say_totals(void *user, uint64_t now_ns) {
    struct run_view *view = user;
    struct run_totals totals;
    char age[RUN_VIEW_TIME_BYTES], left[64], text[256], done[RUN_VIEW_COUNT_BYTES],
        due[RUN_VIEW_COUNT_BYTES];
    if (!run_plan(view->run) || view->config.how == RUN_VIEW_QUIET)
        return;
    run_totals(view->run, &totals);
    clock_text(now_ns - view->planned_ns, age);
    left_text(view, now_ns, left, sizeof left);
    counts_text(view, now_ns, text, sizeof text);
    run_view_count_text(totals.done, done);
    run_view_count_text(totals.due, due);
    screen_line(&view->screen, "  %s  %s of %s, %s, %s", age, done, due, text, left);
}

/*
 * ---- life ----
 */

static bool speaks_utf8(void) {
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

struct run_view *run_view_open(const struct run_view_config *config, const struct run *run,
                               uint64_t now_ns) {
    struct run_view *view = calloc(1, sizeof *view);
    if (!view)
        return NULL;
    const struct screen_config screen = {
        .draw = draw, .totals = say_totals, .totals_ns = TOTALS_NS, .user = view};
    view->config = *config;
    view->run = run;
    view->begun_ns = view->planned_ns = now_ns;
    view->has_utf8 = speaks_utf8();
    screen_open(&view->screen, &screen, config->how != RUN_VIEW_AUTO, now_ns);
    return view;
}

uint64_t run_view_tick(struct run_view *view, uint64_t now_ns) {
    return screen_tick(&view->screen, now_ns);
}

bool run_view_finish(struct run_view *view, uint64_t now_ns) {
    if (!view)
        return true;
    screen_wipe(&view->screen, now_ns);
    run_view_show_end(view, now_ns);
    bool is_written = screen_close(&view->screen, now_ns);
    free(view->took_ns);
    free(view);
    return is_written;
}
