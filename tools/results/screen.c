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

#define ROWS_MAX 50
#define COLUMNS_MAX 300

/* A picture of ROWS_MAX lines of COLUMNS_MAX characters of 4 bytes, what scrolls by, controls. */
#define FRAME_BYTES (OUTLET_BYTES - 4096)

struct screen_frame {
    size_t len;
    unsigned lines, rows, columns;
    char bytes[FRAME_BYTES];
};

static bool is_live(void) {
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
    screen->live = !plain && is_live();
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

void screen_line(struct screen *screen, const char *format, ...) {
    char text[SCREEN_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text - 1, format, arguments);
    va_end(arguments);
    if (len > (int)sizeof text - 2)
        len = (int)sizeof text - 2;
    text[len] = '\n';
    mention_left_out(screen);
    if (screen->lines_left_out || !give_line(screen, text, (size_t)len + 1))
        screen->lines_left_out++;
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

void screen_frame_line(struct screen_frame *frame, const char *text) {
    add(frame, text, fitting(text, frame->columns));
    add(frame, "\n", 1);
    frame->lines++;
}

unsigned screen_frame_rows(const struct screen_frame *frame) {
    return frame->rows;
}

unsigned screen_frame_columns(const struct screen_frame *frame) {
    return frame->columns;
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

static void draw_picture(const struct screen *screen, struct screen_frame *frame, uint64_t now_ns) {
    screen_size(&frame->rows, &frame->columns);
    screen->config.draw(screen->config.user, frame, now_ns);
}

/* The old picture goes, what is new scrolls by, the new picture comes; all of it or nothing. */
static void draw(struct screen *screen, bool picture, uint64_t now_ns) {
    static struct screen_frame frame;
    char up[32] = "";
    frame.len = 0;
    frame.lines = 0;
    if (screen->drawn_lines)
        snprintf(up, sizeof up, "\033[%uA\r\033[J", screen->drawn_lines);
    add(&frame, up, strlen(up));
    add(&frame, screen->above, screen->above_len);
    if (picture)
        draw_picture(screen, &frame, now_ns);
    bool in_time = outlet_flush(&screen->outlet) || !picture; /* old pictures do not queue up */
    if (!in_time || !outlet_write(&screen->outlet, frame.bytes, frame.len))
        return; /* nobody reads: what scrolls by waits */
    screen->drawn_lines = frame.lines;
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

void screen_wipe(struct screen *screen, uint64_t now_ns) {
    outlet_drain(&screen->outlet);
    if (screen->live)
        draw(screen, false, now_ns); /* so that there is room for the last lines */
}

bool screen_close(struct screen *screen, uint64_t now_ns) {
    if (screen->live)
        draw(screen, false, now_ns);
    outlet_close(&screen->outlet);
    errno = screen->outlet.error;
    return !screen->outlet.failed;
}
