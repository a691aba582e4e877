#include "tools/results/screen.h"

#include "mux/packet/packet.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SECOND_NS ((uint64_t)1000000000)

/* Between two redraws: fast enough to be live, slow enough to be read. */
#define REDRAW_NS (SECOND_NS / 5)

#define ROWS_MAX (2 * SCREEN_LINES_MAX)
#define COLUMNS_MAX 300

/* A picture of the most lines of COLUMNS_MAX characters of 4 bytes, what scrolls by, controls. */
#define FRAME_BYTES (OUTLET_BYTES - 4096)
_Static_assert(SCREEN_LINES_MAX *COLUMNS_MAX * 4 + SCREEN_ABOVE_BYTES < FRAME_BYTES,
               "a picture fits");

/*
 * What is between them a terminal shows at once, if it knows that (DECSET 2026): a redraw does not
 * flicker. Others pass over it.
 */
#define TOGETHER "\033[?2026h"
#define TOGETHER_END "\033[?2026l"

/* Of the two ends of a coloured text. */
#define COLOUR_BYTES 16
#define COLOUR_END "\033[m"
static const char *const colours[] = {
    [SCREEN_PLAIN] = "",        [SCREEN_BAD] = "\033[31m",  [SCREEN_MIND] = "\033[33m",
    [SCREEN_GOOD] = "\033[32m", [SCREEN_FAINT] = "\033[2m",
};

struct screen_frame {
    size_t len;
    unsigned lines, rows, columns;
    uint16_t widths[SCREEN_LINES_MAX];
    char bytes[FRAME_BYTES];
};

bool screen_can_draw(void) {
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0 &&
           !(no_color && *no_color);
}

void screen_open(struct screen *screen, const struct screen_config *config, bool plain,
                 uint64_t now_ns) {
    *screen = (struct screen){.config = *config, .drawn_ns = now_ns};
    outlet_open(&screen->outlet, STDOUT_FILENO);
    /* a pager or a file gets all of it: a node's summary is for terminals only */
    screen->outlet.patient = !isatty(STDOUT_FILENO);
    screen->live = !plain && screen_can_draw();
}

void screen_open_remote(struct screen *screen, const struct screen_config *config, int socket,
                        unsigned rows, unsigned columns, uint64_t now_ns) {
    *screen =
        (struct screen){.config = *config, .drawn_ns = now_ns, .live = rows > 0, .is_remote = true};
    outlet_open(&screen->outlet, socket);
    screen_resize(screen, rows, columns);
}

/*
 * ---- lines that stay ----
 */

static bool add_above(struct screen *screen, const char *text, size_t len) {
    if (len > SCREEN_ABOVE_BYTES - screen->above_len)
        return false;
    memcpy(screen->above + screen->above_len, text, len);
    screen->above_len += len;
    screen->changed = true;
    return true;
}

static bool give_line(struct screen *screen, const char *text, size_t len) {
    return screen->live ? add_above(screen, text, len) : outlet_write(&screen->outlet, text, len);
}

static void mention_left_out(struct screen *screen) {
    char text[64];
    int len = snprintf(text, sizeof text, "... %" PRIu64 " lines left out here\n",
                       screen->lines_left_out);
    if (screen->lines_left_out && give_line(screen, text, (size_t)len))
        screen->lines_left_out = 0;
}

/* `text`: cut where it does not fit. */
static void give_text(struct screen *screen, enum screen_colour colour, const char *text) {
    char line[SCREEN_LINE_BYTES + COLOUR_BYTES];
    const char *begin = screen->live ? colours[colour] : "";
    int len = snprintf(line, sizeof line, "%s%.*s%s\n", begin, SCREEN_LINE_BYTES - 2, text,
                       *begin ? COLOUR_END : "");
    mention_left_out(screen);
    if (screen->lines_left_out || !give_line(screen, line, (size_t)len))
        screen->lines_left_out++;
}

void screen_line(struct screen *screen, const char *format, ...) {
    char text[SCREEN_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    give_text(screen, SCREEN_PLAIN, text);
}

void screen_line_in(struct screen *screen, enum screen_colour colour, const char *format, ...) {
    char text[SCREEN_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    give_text(screen, colour, text);
}

/*
 * ---- the picture ----
 */

static void add(struct screen_frame *frame, const char *bytes, size_t len) {
    if (len > FRAME_BYTES - frame->len)
        len = FRAME_BYTES - frame->len;
    memcpy(frame->bytes + frame->len, bytes, len);
    frame->len += len;
}

/* Punctuation, lines and blocks, of which pictures are made: U+2000 to U+25ff. */
static bool is_narrow(const char *character) {
    const uint8_t *bytes = (const uint8_t *)character;
    return bytes[0] < 0x80 || (bytes[0] == 0xE2 && bytes[1] < 0x98);
}

/* How much of a clean text fits the columns; other characters may be two columns wide. */
static size_t fitting(const char *text, unsigned columns) {
    size_t at = 0;
    while (text[at]) {
        unsigned wide = is_narrow(text + at) ? 1 : 2;
        if (wide > columns)
            break;
        columns -= wide;
        at += mux_utf8_width((uint8_t)text[at]);
    }
    return at;
}

unsigned screen_columns_of(const char *text) {
    unsigned columns = 0;
    for (; *text; text += mux_utf8_width((uint8_t)*text))
        columns += is_narrow(text) ? 1 : 2;
    return columns;
}

void screen_frame_line(struct screen_frame *frame, const char *text) {
    screen_frame_line_in(frame, SCREEN_PLAIN, text);
}

void screen_frame_line_in(struct screen_frame *frame, enum screen_colour colour, const char *text) {
    const char *begin = colours[colour];
    size_t len = fitting(text, frame->columns);
    unsigned columns = screen_columns_of(text);
    if (frame->lines == SCREEN_LINES_MAX)
        return;
    add(frame, begin, strlen(begin));
    add(frame, text, len);
    if (*begin)
        add(frame, COLOUR_END, sizeof COLOUR_END - 1);
    add(frame, "\n", 1);
    frame->widths[frame->lines++] = (uint16_t)(columns < frame->columns ? columns : frame->columns);
}

unsigned screen_frame_rows(const struct screen_frame *frame) {
    return frame->rows;
}

unsigned screen_frame_columns(const struct screen_frame *frame) {
    return frame->columns;
}

static unsigned within(unsigned size, unsigned usual, unsigned most) {
    return size == 0 ? usual : size < most ? size : most;
}

static void screen_size(const struct screen *screen, unsigned *rows, unsigned *columns) {
    struct winsize size = {.ws_row = (uint16_t)screen->rows, .ws_col = (uint16_t)screen->columns};
    if (!screen->is_remote && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
        size.ws_row = size.ws_col = 0;
    *rows = within(size.ws_row, 24, ROWS_MAX);
    *columns = within(size.ws_col, 80, COLUMNS_MAX);
}

/* A shell has put us in the background: what is drawn would be in its way. */
static bool is_in_background(const struct screen *screen) {
    pid_t front = screen->is_remote ? -1 : tcgetpgrp(STDOUT_FILENO);
    return front > 0 && front != getpgrp();
}

/* Rows of the old picture. A terminal that became narrower has wrapped its lines. */
static unsigned drawn_rows(const struct screen *screen, unsigned columns) {
    unsigned rows = 0;
    for (unsigned i = 0; i < screen->drawn_lines; i++) {
        unsigned wide = screen->drawn_columns[i];
        rows += wide > columns ? (wide + columns - 1) / columns : 1;
    }
    return rows;
}

/*
 * Of so many rows above the cursor. Not by "erase below" from the first one: where that is the
 * terminal's first row tmux takes it for a "clear", and keeps the old picture in its history.
 */
static void add_erasure(struct screen_frame *frame, unsigned rows) {
    char text[64];
    if (rows > 1)
        snprintf(text, sizeof text, "\033[%uA\r\033[J\033[A\033[K", rows - 1);
    else
        snprintf(text, sizeof text, "\r\033[J\033[A\033[K");
    add(frame, text, strlen(text));
}

/* The old picture goes, what is new scrolls by, the new picture comes; all of it or nothing. */
static void draw(struct screen *screen, bool picture, uint64_t now_ns) {
    static struct screen_frame frame;
    frame.len = 0;
    frame.lines = 0;
    screen_size(screen, &frame.rows, &frame.columns);
    picture = picture && !is_in_background(screen);
    if (!picture && !screen->drawn_lines && !screen->above_len) {
        screen->drawn_ns = now_ns;
        return;
    }
    add(&frame, TOGETHER, sizeof TOGETHER - 1);
    if (screen->drawn_lines)
        add_erasure(&frame, drawn_rows(screen, frame.columns));
    add(&frame, screen->above, screen->above_len);
    if (picture)
        screen->config.draw(screen->config.user, &frame, now_ns);
    add(&frame, TOGETHER_END, sizeof TOGETHER_END - 1);
    bool in_time = outlet_flush(&screen->outlet) || !picture; /* old pictures do not queue up */
    if (!in_time || !outlet_write(&screen->outlet, frame.bytes, frame.len))
        return; /* nobody reads: what scrolls by waits */
    screen->drawn_lines = frame.lines;
    memcpy(screen->drawn_columns, frame.widths, sizeof frame.widths);
    screen->above_len = 0;
    screen->drawn_ns = now_ns;
    screen->changed = false;
}

static uint64_t tick_lines(struct screen *screen, bool waits, uint64_t now_ns) {
    uint64_t totals_ns = screen->config.totals_ns;
    if (screen->changed && now_ns - screen->drawn_ns >= totals_ns) {
        screen->config.totals(screen->config.user, now_ns);
        screen->drawn_ns = now_ns;
        screen->changed = false;
    }
    return waits ? now_ns + REDRAW_NS : screen->changed ? screen->drawn_ns + totals_ns : UINT64_MAX;
}

uint64_t screen_tick(struct screen *screen, uint64_t now_ns) {
    bool waits = !outlet_flush(&screen->outlet);
    if (!screen->live)
        return tick_lines(screen, waits, now_ns);
    uint64_t since_ns = now_ns - screen->drawn_ns;
    if (since_ns >= SECOND_NS || (screen->changed && since_ns >= REDRAW_NS))
        draw(screen, true, now_ns);
    uint64_t next_ns = screen->drawn_ns + (screen->changed ? REDRAW_NS : SECOND_NS);
    return next_ns > now_ns ? next_ns : now_ns + REDRAW_NS; /* due, but nobody reads */
}

void screen_resize(struct screen *screen, unsigned rows, unsigned columns) {
    screen->rows = rows;
    screen->columns = columns;
}

void screen_redraw(struct screen *screen, uint64_t now_ns) {
    if (screen->live)
        draw(screen, true, now_ns);
}

void screen_wipe(struct screen *screen, uint64_t now_ns) {
    if (!screen->is_remote)
        outlet_drain(&screen->outlet);
    if (screen->live)
        draw(screen, false, now_ns); /* so that there is room for the last lines */
}

bool screen_close(struct screen *screen, uint64_t now_ns) {
    if (screen->live)
        draw(screen, false, now_ns);
    if (screen->is_remote)
        outlet_flush(&screen->outlet);
    else
        outlet_close(&screen->outlet);
    errno = screen->outlet.error;
    return !screen->outlet.failed;
}
