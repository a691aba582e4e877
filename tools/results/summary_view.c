/* How a summary is seen: lines, or a picture that is redrawn in place. */
#include "tools/base/text.h"
#include "tools/results/summary_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SECOND_NS ((uint64_t)1000000000)

/* Between two redraws: fast enough to be live, slow enough to be read. */
#define REDRAW_NS (SECOND_NS / 5)

/* Between two lines with totals, when lines are all there is. */
#define TOTALS_NS (10 * SECOND_NS)

#define LINE_BYTES 2048
#define ROWS_MAX 50
#define COLUMNS_MAX 300

/* A picture of ROWS_MAX lines of COLUMNS_MAX characters of 4 bytes, what scrolls by, controls. */
#define FRAME_BYTES (OUTLET_BYTES - 4096)

struct frame {
    size_t len;
    unsigned lines, columns;
    char bytes[FRAME_BYTES];
};

static bool is_live(void) {
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0 &&
           !(no_color && *no_color);
}

void summary_view_open(struct summary *summary, uint64_t now_ns) {
    outlet_open(&summary->outlet, STDOUT_FILENO);
    /* a pager or a file gets all of it: a node's summary is for terminals only */
    summary->outlet.patient = !isatty(STDOUT_FILENO);
    summary->live = is_live();
    summary->begun_ns = summary->drawn_ns = summary->rated_ns = now_ns;
}

static bool add_above(struct summary *summary, const char *text, size_t len) {
    if (len > ABOVE_BYTES - summary->above_len)
        return false;
    memcpy(summary->above + summary->above_len, text, len);
    summary->above_len += len;
    summary->changed = true;
    return true;
}

static bool give_line(struct summary *summary, const char *text, size_t len) {
    return summary->live ? add_above(summary, text, len)
                         : outlet_write(&summary->outlet, text, len);
}

static void mention_left_out(struct summary *summary) {
    char text[64];
    int len = snprintf(text, sizeof text, "... %" PRIu64 " lines left out here\n",
                       summary->lines_left_out);
    if (summary->lines_left_out && give_line(summary, text, (size_t)len))
        summary->lines_left_out = 0;
}

void summary_line(struct summary *summary, const char *format, ...) {
    char text[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text - 1, format, arguments);
    va_end(arguments);
    if (len > (int)sizeof text - 2)
        len = (int)sizeof text - 2;
    text[len] = '\n';
    mention_left_out(summary);
    if (summary->lines_left_out || !give_line(summary, text, (size_t)len + 1))
        summary->lines_left_out++;
}

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

static void add(struct frame *frame, const char *bytes, size_t len) {
    if (len > FRAME_BYTES - frame->len)
        len = FRAME_BYTES - frame->len;
    memcpy(frame->bytes + frame->len, bytes, len);
    frame->len += len;
}

/* How much of a clean text fits the columns; what is not ASCII may be two columns wide. */
static size_t fitting(const char *text, unsigned columns) {
    size_t at = 0;
    while (text[at]) {
        unsigned wide = (unsigned char)text[at] < 0x80 ? 1 : 2;
        if (wide > columns)
            break;
        columns -= wide;
        at += mux_utf8_width((uint8_t)text[at]);
    }
    return at;
}

static void add_line(struct frame *frame, const char *text) {
    add(frame, text, fitting(text, frame->columns));
    add(frame, "\n", 1);
    frame->lines++;
}

static void add_running(struct frame *frame, const struct running *running, uint64_t now_ns) {
    char age[32], route[ROUTE_BYTES + 1], test_id[TEST_ID_BYTES + 1];
    char line[LINE_BYTES];
    age_text(now_ns - running->started_ns, age);
    text_clean(mux_span(running->route, running->route_len), false, route, sizeof route);
    text_clean(mux_span(running->test_id, running->test_id_len), false, test_id, sizeof test_id);
    snprintf(line, sizeof line, "%8s  %s  %s", age, *route ? route : "-", test_id);
    add_line(frame, line);
}

/* Above all else: a person is waited for. Returns how many lines that are. */
static unsigned add_waiting(const struct summary *summary, struct frame *frame, unsigned most,
                            uint64_t now_ns) {
    unsigned shown = 0;
    char line[WAITING_LINE_BYTES];
    for (unsigned i = 0; i < WAITING_MAX && shown < most; i++) {
        if (!summary->waiting[i].hash)
            continue;
        summary_waiting_text(summary, &summary->waiting[i], now_ns, line, sizeof line);
        add_line(frame, line);
        shown++;
    }
    return shown;
}

static void screen_size(unsigned *rows, unsigned *columns) {
    struct winsize size;
    *rows = 24;
    *columns = 80;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
        return;
    *rows = size.ws_row < ROWS_MAX ? size.ws_row : ROWS_MAX;
    *columns = size.ws_col < COLUMNS_MAX ? size.ws_col : COLUMNS_MAX;
}

/* The totals, and the tests that have run the longest: half of the screen is for what scrolls by.
 */
static void add_picture(const struct summary *summary, struct frame *frame, uint64_t now_ns) {
    unsigned rows, shown = 0;
    char line[LINE_BYTES], age[32];
    screen_size(&rows, &frame->columns);
    counts_text(summary, line, sizeof line);
    add_line(frame, line);
    age_text(now_ns - summary->begun_ns, age);
    snprintf(line, sizeof line, "in %s, %" PRIu64 " tests/s, %" PRIu64 " packets/s", age,
             summary->tests_per_second, summary->packets_per_second);
    add_line(frame, line);
    unsigned most = rows / 2 > 3 ? rows / 2 - 3 : 0;
    most -= add_waiting(summary, frame, most, now_ns);
    for (const struct mux_list *at = summary->by_age.next; at != &summary->by_age && shown < most;
         at = at->next, shown++)
        add_running(frame, MUX_LIST_ITEM(at, struct running, by_age), now_ns);
    if (most && shown < summary_running(summary)) {
        snprintf(line, sizeof line, "          and %" PRIu64 " more",
                 summary_running(summary) - shown);
        add_line(frame, line);
    }
}

/* The old picture goes, what is new scrolls by, the new picture comes; all of it or nothing. */
static void draw(struct summary *summary, bool picture, uint64_t now_ns) {
    static struct frame frame;
    char up[32] = "";
    frame.len = 0;
    frame.lines = 0;
    if (summary->drawn_lines)
        snprintf(up, sizeof up, "\033[%uA\r\033[J", summary->drawn_lines);
    add(&frame, up, strlen(up));
    add(&frame, summary->above, summary->above_len);
    if (picture)
        add_picture(summary, &frame, now_ns);
    bool in_time = outlet_flush(&summary->outlet) || !picture; /* old pictures do not queue up */
    if (!in_time || !outlet_write(&summary->outlet, frame.bytes, frame.len))
        return; /* nobody reads: what scrolls by waits */
    summary->drawn_lines = frame.lines;
    summary->above_len = 0;
    summary->drawn_ns = now_ns;
    summary->changed = false;
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

static void totals_line(struct summary *summary) {
    char counts[LINE_BYTES / 2];
    counts_text(summary, counts, sizeof counts);
    summary_line(summary, "%s", counts);
}

uint64_t summary_tick(struct summary *summary, uint64_t now_ns) {
    bool waits = !outlet_flush(&summary->outlet);
    if (!summary->live) {
        if (summary->changed && now_ns - summary->drawn_ns >= TOTALS_NS) {
            totals_line(summary);
            summary->drawn_ns = now_ns;
            summary->changed = false;
        }
        return waits              ? now_ns + REDRAW_NS
               : summary->changed ? summary->drawn_ns + TOTALS_NS
                                  : UINT64_MAX;
    }
    rate(summary, now_ns);
    uint64_t since_ns = now_ns - summary->drawn_ns;
    if (since_ns >= SECOND_NS || (summary->changed && since_ns >= REDRAW_NS))
        draw(summary, true, now_ns);
    uint64_t next_ns = summary->drawn_ns + (summary->changed ? REDRAW_NS : SECOND_NS);
    return next_ns > now_ns ? next_ns : now_ns + REDRAW_NS; /* due, but nobody reads */
}

bool summary_view_close(struct summary *summary, uint64_t now_ns) {
    outlet_drain(&summary->outlet);
    if (summary->live)
        draw(summary, false, now_ns); /* so that there is room for the totals */
    if (summary->workers_told)
        summary->workers = summary->workers_seen;
    totals_line(summary);
    if (summary->live)
        draw(summary, false, now_ns);
    outlet_close(&summary->outlet);
    errno = summary->outlet.error;
    return !summary->outlet.failed; /* a terminal that nobody reads has not failed */
}
