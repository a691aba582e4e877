/* The picture below the lines: how far it is, what its slots do, what failed. */
#include "tools/farm/run_view_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS RUN_VIEW_SECOND_NS

/* A test that takes so much longer than it usually does is slow. */
#define SLOW_TIMES 2
#define SLOW_LEAST_NS SECOND_NS

/* A slot that says nothing for so long is silent: longer than most tests take. */
#define SILENT_NS (30 * SECOND_NS)

/* Slots that are looked at together; more than any picture has lines for. */
#define SLOTS_MAX 128
_Static_assert(SLOTS_MAX > SCREEN_LINES_MAX, "a picture of slots is chosen from more");

/* What a slot does. */
struct shown {
    unsigned slot;
    struct run_slot_status status;
    uint64_t weight; /* how much a person wants to see it */
};

struct picture {
    struct run_view *view;
    struct screen_frame *frame;
    uint64_t now_ns;
    unsigned columns, lines; /* `lines`: that are left */
    char idle_text[128];
    const char *idle_why; /* what idle slots wait for, clean; NULL: for nothing */
};

static void put_in(struct picture *picture, enum screen_colour colour, const char *line) {
    if (picture->lines == 0)
        return;
    screen_frame_line_in(picture->frame, colour, line);
    picture->lines--;
}

static void put(struct picture *picture, const char *line) {
    put_in(picture, SCREEN_PLAIN, line);
}

/*
 * ---- progress ----
 */

/* Eighths of a block where there is UTF-8. */
static void bar_text(const struct run_view *view, uint64_t done, uint64_t due, unsigned width,
                     char *out) {
    static const char *const eighths[] = {" ",      "\u258f", "\u258e", "\u258d",
                                          "\u258c", "\u258b", "\u258a", "\u2589"};
    unsigned filled = due ? (unsigned)(done * width * 8 / due) : 0;
    size_t at = 0;
    for (unsigned i = 0; i < width; i++) {
        const char *full = view->has_utf8 ? "\u2588" : "#";
        const char *part = view->has_utf8 ? eighths[filled < 8 ? filled : 0] : "-";
        at += (size_t)sprintf(out + at, "%s", filled >= 8 ? full : part);
        filled = filled > 8 ? filled - 8 : 0;
    }
}

static void put_progress(struct picture *picture) {
    enum { BAR_MOST = 40, BAR_LEAST = 8, TEXT_COLUMNS = 44 };
    const struct run_view *view = picture->view;
    char bar[4 * BAR_MOST + 1], line[SCREEN_LINE_BYTES];
    char done[RUN_VIEW_COUNT_BYTES], due[RUN_VIEW_COUNT_BYTES], age[RUN_VIEW_TIME_BYTES], left[64];
    struct run_totals totals;
    bool is_narrow = picture->columns < TEXT_COLUMNS + BAR_LEAST;
    unsigned width = is_narrow ? BAR_LEAST : picture->columns - TEXT_COLUMNS;
    run_totals(view->run, &totals);
    bar_text(view, totals.done, totals.due, width < BAR_MOST ? width : BAR_MOST, bar);
    run_view_count_text(totals.done, done);
    run_view_count_text(totals.due, due);
    run_view_clock_text(picture->now_ns - view->seen->planned_ns, age);
    run_view_left_text(view, picture->now_ns, left, sizeof left);
    snprintf(line, sizeof line, "  %s  %s of %s   %s, %s", bar, done, due, age, left);
    if (is_narrow && picture->lines > 1) {
        snprintf(line, sizeof line, "  %s %s of %s", bar, done, due);
        put(picture, line);
        snprintf(line, sizeof line, "  %s, %s", age, left);
    }
    put(picture, line);
}

static void put_counts(struct picture *picture) {
    static const char *const endings[] = {[RUN_GOES_ON] = "",
                                          [RUN_DRAINS] = "drains: ",
                                          [RUN_GRACE] = "ends: ",
                                          [RUN_AT_ONCE] = "ends: "};
    char line[SCREEN_LINE_BYTES], text[256];
    run_view_counts_text(picture->view, picture->now_ns, text, sizeof text);
    snprintf(line, sizeof line, "  %s%s", endings[run_ending(picture->view->run)], text);
    put_in(picture, picture->view->seen->failed ? SCREEN_BAD : SCREEN_PLAIN, line);
}

/*
 * ---- slots ----
 */

static uint64_t usual_of(const struct run_view *view, const struct run_slot_status *status) {
    return status->has_test ? run_past_of(view->run, status->test)->usual_ns : 0;
}

static uint64_t age_of(const struct run_slot_status *status, uint64_t now_ns) {
    return now_ns > status->began_ns ? now_ns - status->began_ns : 0;
}

static bool is_slow(const struct run_view *view, const struct run_slot_status *status,
                    uint64_t now_ns) {
    uint64_t usual_ns = usual_of(view, status), age_ns = age_of(status, now_ns);
    return usual_ns && age_ns > SLOW_LEAST_NS && age_ns > SLOW_TIMES * usual_ns;
}

/* Longer than its test usually takes, where that is known. */
static bool is_silent(const struct run_view *view, const struct run_slot_status *status,
                      uint64_t now_ns) {
    return status->is_busy && status->heard_ns && now_ns > status->heard_ns + SILENT_NS &&
           age_of(status, now_ns) > usual_of(view, status);
}

/* What is to be marked of it: returns its colour. */
static enum screen_colour mark_of(const struct picture *picture, const struct shown *shown,
                                  char *out, size_t out_bytes) {
    char time[RUN_VIEW_TIME_BYTES];
    const struct run_slot_status *status = &shown->status;
    *out = '\0';
    if (status->prompt) {
        snprintf(out, out_bytes, "  waits at %s", status->prompt);
        return SCREEN_MIND;
    }
    if (is_slow(picture->view, status, picture->now_ns)) {
        run_view_time_text(usual_of(picture->view, status), time);
        snprintf(out, out_bytes, "  slow: usually %s", time);
        return SCREEN_MIND;
    }
    if (is_silent(picture->view, status, picture->now_ns)) {
        run_view_clock_text(picture->now_ns - status->heard_ns, time);
        snprintf(out, out_bytes, "  silent for %s", time);
        return SCREEN_MIND;
    }
    return SCREEN_PLAIN;
}

static void name_of(const struct picture *picture, const struct shown *shown, unsigned columns,
                    char id[RUN_VIEW_ID_BYTES]) {
    const struct run *run = picture->view->run;
    if (shown->status.has_test)
        run_view_id_text(ids_text(run_ids(run), shown->status.test), columns, id,
                         RUN_VIEW_ID_BYTES);
    else
        snprintf(id, RUN_VIEW_ID_BYTES, "%s", shown->status.is_busy ? "(between tests)" : "(idle)");
    if (picture->idle_why && !shown->status.is_busy)
        snprintf(id, RUN_VIEW_ID_BYTES, "(waits for %.100s)", picture->idle_why);
}

/* Since its last test, or since there are any. */
static uint64_t idle_ns(const struct picture *picture, const struct run_slot_status *status) {
    uint64_t planned_ns = picture->view->seen->planned_ns;
    uint64_t since_ns = status->began_ns > planned_ns ? status->began_ns : planned_ns;
    return picture->now_ns > since_ns ? picture->now_ns - since_ns : 0;
}

static void put_slot(struct picture *picture, const struct shown *shown) {
    enum { AGE_COLUMNS = 17, MARK_COLUMNS = 24, ID_LEAST = 12 };
    char line[SCREEN_LINE_BYTES], id[RUN_VIEW_ID_BYTES], age[RUN_VIEW_TIME_BYTES] = "", mark[128];
    unsigned columns = picture->columns, *wide = &picture->view->id_columns;
    enum screen_colour colour = mark_of(picture, shown, mark, sizeof mark);
    unsigned beside = AGE_COLUMNS + (columns >= 80 ? MARK_COLUMNS : 0);
    unsigned most = columns > beside + ID_LEAST ? columns - beside : ID_LEAST;
    name_of(picture, shown, most, id);
    unsigned needed = screen_columns_of(id);
    *wide = needed > *wide ? needed : *wide;
    *wide = *wide > most ? most : *wide;
    if (shown->status.is_busy)
        run_view_time_text(age_of(&shown->status, picture->now_ns), age);
    else if (picture->idle_why)
        run_view_time_text(idle_ns(picture, &shown->status), age);
    snprintf(line, sizeof line, "  %-3u  %s%*s %8s%s", shown->slot, id,
             (int)(*wide > needed ? *wide - needed : 0), "", age, mark);
    put_in(picture, colour, line);
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

/* Who waits for a person first, then slow ones, silent ones, those that have run the longest. */
static uint64_t weight_of(const struct picture *picture, const struct run_slot_status *status) {
    uint64_t weight = age_of(status, picture->now_ns) & (UINT64_MAX >> 3);
    if (is_silent(picture->view, status, picture->now_ns))
        weight |= UINT64_C(1) << 61;
    if (is_slow(picture->view, status, picture->now_ns))
        weight |= UINT64_C(1) << 62;
    if (status->prompt)
        weight |= UINT64_C(1) << 63;
    return weight;
}

/* The `most` of those that work which weigh most, by number. */
static unsigned choose(const struct picture *picture, struct shown shown[SLOTS_MAX], unsigned most,
                       unsigned *busy) {
    unsigned count = 0;
    *busy = 0;
    for (unsigned i = 0; i < run_slots(picture->view->run); i++) {
        struct shown next = {.slot = i};
        run_slot_status(picture->view->run, i, &next.status);
        if (!next.status.is_busy)
            continue;
        next.weight = weight_of(picture, &next.status);
        (*busy)++;
        if (count == SLOTS_MAX) {
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

static void put_busiest(struct picture *picture) {
    struct shown shown[SLOTS_MAX];
    char line[128], more[RUN_VIEW_COUNT_BYTES], idle[RUN_VIEW_COUNT_BYTES];
    unsigned busy, most = picture->lines, slots = run_slots(picture->view->run);
    unsigned count = choose(picture, shown, most, &busy);
    if (busy > count && count) /* a line is for those that are not shown */
        count = choose(picture, shown, most - 1, &busy);
    for (unsigned i = 0; i < count; i++)
        put_slot(picture, &shown[i]);
    if (busy <= count)
        return;
    run_view_count_text(slots - count, more);
    run_view_count_text(slots - busy, idle);
    snprintf(line, sizeof line, "  and %s more slots, %s idle", more, idle);
    put(picture, line);
}

/*
 * ---- pages ----
 */

/* The first of a page's lines, of `count` in all; a line says which page it is, when there are
 * more. */
static unsigned begin_page(struct picture *picture, unsigned count, const char *what) {
    char line[128], all[RUN_VIEW_COUNT_BYTES];
    unsigned lines = picture->lines > 1 ? picture->lines - 1 : 1;
    unsigned pages = count ? (count + lines - 1) / lines : 1;
    unsigned *page = &picture->view->page;
    *page = *page < pages ? *page : pages - 1;
    run_view_count_text(count, all);
    snprintf(line, sizeof line, "  %s %s, page %u of %u", all, what, *page + 1, pages);
    put(picture, line);
    return *page * lines;
}

static void put_slots(struct picture *picture) {
    unsigned slots = run_slots(picture->view->run);
    for (unsigned i = begin_page(picture, slots, "slots"); i < slots && picture->lines; i++) {
        struct shown shown = {.slot = i};
        run_slot_status(picture->view->run, i, &shown.status);
        put_slot(picture, &shown);
    }
}

/* The newest first. */
static void put_failures(struct picture *picture) {
    const struct run_seen *seen = picture->view->seen;
    char line[SCREEN_LINE_BYTES], id[RUN_VIEW_ID_BYTES], took[RUN_VIEW_TIME_BYTES];
    unsigned kept =
        seen->failures < RUN_SEEN_FAILURES_MAX ? (unsigned)seen->failures : RUN_SEEN_FAILURES_MAX;
    unsigned columns = picture->columns > 32 ? picture->columns - 20 : 12;
    for (unsigned i = begin_page(picture, kept, "failures"); i < kept && picture->lines; i++) {
        const struct run_seen_failure *failure =
            &seen->failure[(seen->failures - 1 - i) % RUN_SEEN_FAILURES_MAX];
        *took = '\0';
        if (failure->took_ns != UINT64_MAX)
            run_view_time_text(failure->took_ns, took);
        run_view_id_text(mux_span_text(failure->id), columns, id, sizeof id);
        snprintf(line, sizeof line, "  FAIL  %s  %s", id, took);
        put_in(picture, SCREEN_BAD, line);
    }
}

/*
 * ---- the whole ----
 */

static void put_keys(struct picture *picture) {
    const struct run_view *view = picture->view;
    bool has_pages = view->part == RUN_VIEW_SLOTS || view->part == RUN_VIEW_FAILURES;
    const char *pages = has_pages ? "n next  p previous  " : "";
    char line[256];
    if (picture->columns < 60)
        snprintf(line, sizeof line, "  f s o d q%s", has_pages ? " n p" : "");
    else
        snprintf(line, sizeof line, "  %sf failures  s slots  o one line  d drain  q quit%s", pages,
                 view->is_remote ? " the run  ^] leave" : "");
    screen_frame_line_in(picture->frame, SCREEN_FAINT, line);
}

/* It is said where there is room for a slot beside. */
static void look_at_idle(struct picture *picture) {
    char line[192];
    struct run_totals totals;
    const char *why = run_idle_why(picture->view->run);
    if (!why)
        return;
    text_clean(mux_span_text(why), false, picture->idle_text, sizeof picture->idle_text);
    picture->idle_why = picture->idle_text;
    run_totals(picture->view->run, &totals);
    if (picture->lines < 2 || picture->view->part != RUN_VIEW_BUSIEST)
        return;
    unsigned idle = totals.slots - totals.busy_slots;
    snprintf(line, sizeof line, "  %u slot%s for %s", idle, idle == 1 ? " waits" : "s wait",
             picture->idle_why);
    put(picture, line);
}

static void put_listing(struct picture *picture) {
    char line[64], age[RUN_VIEW_TIME_BYTES];
    run_view_clock_text(picture->now_ns - picture->view->seen->begun_ns, age);
    snprintf(line, sizeof line, "  listing tests\u2026 %s", age);
    put(picture, line);
}

void run_view_draw(void *user, struct screen_frame *frame, uint64_t now_ns) {
    static void (*const parts[])(struct picture * picture) = {[RUN_VIEW_BUSIEST] = put_busiest,
                                                              [RUN_VIEW_SLOTS] = put_slots,
                                                              [RUN_VIEW_FAILURES] = put_failures};
    struct run_view *view = user;
    unsigned rows = screen_frame_rows(frame) / 2;
    struct picture picture = {.view = view,
                              .frame = frame,
                              .now_ns = now_ns,
                              .columns = screen_frame_columns(frame),
                              .lines = rows ? rows : 1};
    bool has_keys = view->config.has_keys && rows > 3;
    picture.lines -= has_keys;
    if (!run_plan(view->run)) {
        put_listing(&picture);
        return;
    }
    put_progress(&picture);
    if (view->part == RUN_VIEW_ONE_LINE)
        return;
    put_counts(&picture);
    look_at_idle(&picture);
    if (picture.lines)
        parts[view->part](&picture);
    if (has_keys)
        put_keys(&picture);
}
