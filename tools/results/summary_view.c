/* How a summary is seen. */
#include "tools/base/text.h"
#include "tools/results/summary_internal.h"

#include <inttypes.h>
#include <stdio.h>

#define SECOND_NS ((uint64_t)1000000000)

/* Between two lines with totals, when lines are all there is. */
#define TOTALS_NS (10 * SECOND_NS)

/* "12:34" or "1:02:34". */
static void age_text(uint64_t ns, char out[32]) {
    uint64_t seconds = ns / SECOND_NS;
    if (seconds < 3600)
        snprintf(out, 32, "%" PRIu64 ":%02u", seconds / 60, (unsigned)(seconds % 60));
    else
        snprintf(out, 32, "%" PRIu64 ":%02u:%02u", seconds / 3600, (unsigned)(seconds / 60 % 60),
                 (unsigned)(seconds % 60));
}

static void counts_text(const struct summary *summary, char *out, size_t out_bytes) {
    const uint64_t *by = summary->by_status;
    char damage[48] = "";
    if (summary->damages)
        snprintf(damage, sizeof damage, ", %" PRIu64 " x damage", summary->damages);
    snprintf(out, out_bytes,
             "%u worker%s, tests: %" PRIu64 " passed, %" PRIu64 " failed, %" PRIu64 " skipped, "
             "%" PRIu64 " running%s",
             summary->workers, summary->workers == 1 ? "" : "s",
             by[MUX_STATUS_SUCCESS] + by[MUX_STATUS_XFAIL], summary_failed(summary),
             by[MUX_STATUS_SKIP], summary_running(summary), damage);
}

/*
 * ---- the picture ----
 */

static void add_running(struct screen_frame *frame, const struct running *running,
                        uint64_t now_ns) {
    char age[32], route[ROUTE_BYTES + 1], test_id[TEST_ID_BYTES + 1];
    char line[SCREEN_LINE_BYTES];
    age_text(now_ns - running->started_ns, age);
    text_clean(mux_span(running->route, running->route_len), false, route, sizeof route);
    text_clean(mux_span(running->test_id, running->test_id_len), false, test_id, sizeof test_id);
    snprintf(line, sizeof line, "%8s  %s  %s", age, *route ? route : "-", test_id);
    screen_frame_line(frame, line);
}

/* Above all else: a person is waited for. Returns how many lines that are. */
static unsigned add_waiting(const struct summary *summary, struct screen_frame *frame,
                            unsigned most, uint64_t now_ns) {
    unsigned shown = 0;
    char line[WAITING_LINE_BYTES];
    for (unsigned i = 0; i < WAITING_MAX && shown < most; i++) {
        if (!summary->waiting[i].hash)
            continue;
        summary_waiting_text(summary, &summary->waiting[i], now_ns, line, sizeof line);
        screen_frame_line(frame, line);
        shown++;
    }
    return shown;
}

/* The totals, and the tests that have run the longest: half of the screen is for what scrolls by.
 */
static void draw(void *user, struct screen_frame *frame, uint64_t now_ns) {
    const struct summary *summary = user;
    unsigned rows = screen_frame_rows(frame), shown = 0;
    char line[SCREEN_LINE_BYTES], age[32];
    counts_text(summary, line, sizeof line);
    screen_frame_line(frame, line);
    age_text(now_ns - summary->begun_ns, age);
    snprintf(line, sizeof line, "in %s, %" PRIu64 " tests/s, %" PRIu64 " packets/s", age,
             summary->tests_per_second, summary->packets_per_second);
    screen_frame_line(frame, line);
    unsigned most = rows / 2 > 3 ? rows / 2 - 3 : 0;
    most -= add_waiting(summary, frame, most, now_ns);
    for (const struct mux_list *at = summary->by_age.next; at != &summary->by_age && shown < most;
         at = at->next, shown++)
        add_running(frame, MUX_LIST_ITEM(at, struct running, by_age), now_ns);
    if (most && shown < summary_running(summary)) {
        snprintf(line, sizeof line, "          and %" PRIu64 " more",
                 summary_running(summary) - shown);
        screen_frame_line(frame, line);
    }
}

static void rate(struct summary *summary, uint64_t now_ns) {
    uint64_t passed_ns = now_ns - summary->rated_ns;
    if (passed_ns < SECOND_NS)
        return;
    uint64_t tests = summary_ended(summary);
    uint64_t milliseconds = passed_ns / 1000000;
    summary->packets_per_second = (summary->packets - summary->rated_packets) * 1000 / milliseconds;
    summary->tests_per_second = (tests - summary->rated_tests) * 1000 / milliseconds;
    summary->rated_packets = summary->packets;
    summary->rated_tests = tests;
    summary->rated_ns = now_ns;
}

static void say_totals(void *user, uint64_t now_ns) {
    char counts[SCREEN_LINE_BYTES / 2];
    (void)now_ns;
    counts_text(user, counts, sizeof counts);
    screen_line(&((struct summary *)user)->screen, "%s", counts);
}

void summary_view_open(struct summary *summary, uint64_t now_ns) {
    const struct screen_config config = {
        .draw = draw, .totals = say_totals, .totals_ns = TOTALS_NS, .user = summary};
    summary->begun_ns = summary->rated_ns = now_ns;
    screen_open(&summary->screen, &config, false, now_ns);
}

uint64_t summary_tick(struct summary *summary, uint64_t now_ns) {
    rate(summary, now_ns);
    return screen_tick(&summary->screen, now_ns);
}

bool summary_view_close(struct summary *summary, uint64_t now_ns) {
    screen_wipe(&summary->screen, now_ns);
    if (summary->workers_told)
        summary->workers = summary->workers_seen;
    say_totals(summary, now_ns);
    return screen_close(&summary->screen, now_ns);
}
