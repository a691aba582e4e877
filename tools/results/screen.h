/*
 * What people see of something that goes on: lines that stay, and on a terminal a picture below
 * them that is redrawn in place. Elsewhere, and with NO_COLOR or TERM=dumb, there are lines alone,
 * one with totals now and then. Memory is bounded; a terminal is never waited for, other readers
 * are (see outlet.h).
 */
#ifndef TOOLS_RESULTS_SCREEN_H
#define TOOLS_RESULTS_SCREEN_H

#include "tools/base/outlet.h"

#include <stdint.h>

/* Longest line. */
#define SCREEN_LINE_BYTES 2048

/* Lines that wait for the next redraw. */
#define SCREEN_ABOVE_BYTES 65536

/* Lines of a picture at most: half of a terminal that is twice as high. */
#define SCREEN_LINES_MAX 50

/* What a line's state is, where there is a picture; its words say it, too. */
enum screen_colour {
    SCREEN_PLAIN,
    SCREEN_BAD,   /* red */
    SCREEN_MIND,  /* yellow: somebody may want to look */
    SCREEN_GOOD,  /* green */
    SCREEN_FAINT, /* help */
};

/* What is being drawn, a clean line after the other; what does not fit is cut. */
struct screen_frame;
void screen_frame_line(struct screen_frame *frame, const char *text);
void screen_frame_line_in(struct screen_frame *frame, enum screen_colour colour, const char *text);

/* How many columns a clean text takes, at most: some characters are as wide as two. */
unsigned screen_columns_of(const char *text);

/* The terminal's size, within what is drawn at most. */
unsigned screen_frame_rows(const struct screen_frame *frame);
unsigned screen_frame_columns(const struct screen_frame *frame);

struct screen_config {
    /* Draws all of the picture: half of the rows is for what scrolls by. */
    void (*draw)(void *user, struct screen_frame *frame, uint64_t now_ns);
    /* Without a picture: says how it stands, by screen_line(), so often while something changes. */
    void (*totals)(void *user, uint64_t now_ns);
    uint64_t totals_ns;
    void *user;
};

struct screen {
    struct screen_config config;
    struct outlet outlet;
    bool live; /* there is a picture */
    bool changed;
    bool is_remote;
    unsigned rows, columns; /* of a remote one; 0: it has none */
    unsigned drawn_lines;
    uint16_t drawn_columns[SCREEN_LINES_MAX]; /* how wide each of them is */
    uint64_t drawn_ns;
    uint64_t lines_left_out;
    size_t above_len;
    char above[SCREEN_ABOVE_BYTES];
};

/* On stdout. `plain`: no picture, wherever that is. */
void screen_open(struct screen *screen, const struct screen_config *config, bool plain,
                 uint64_t now_ns);

/*
 * On a terminal of so many rows and columns behind this socket, which stays the caller's. 0 rows:
 * no picture. Who reads there is never waited for, at the end neither.
 */
void screen_open_remote(struct screen *screen, const struct screen_config *config, int socket,
                        unsigned rows, unsigned columns, uint64_t now_ns);

/* That terminal has another size. */
void screen_resize(struct screen *screen, unsigned rows, unsigned columns);

/* Can there be a picture on stdout? */
bool screen_can_draw(void);

/* At once: the size is another, a key was pressed, or the terminal is ours again. */
void screen_redraw(struct screen *screen, uint64_t now_ns);

/* A line that stays, without its newline. */
__attribute__((format(printf, 2, 3))) void screen_line(struct screen *screen, const char *format,
                                                       ...);

__attribute__((format(printf, 3, 4))) void
screen_line_in(struct screen *screen, enum screen_colour colour, const char *format, ...);

/* What is drawn is not as it was. */
static inline void screen_change(struct screen *screen) {
    screen->changed = true;
}

/* Draws if it is time. Returns when it wants to be called again at the latest. */
uint64_t screen_tick(struct screen *screen, uint64_t now_ns);

/* The picture is gone, what waited is written: the last lines may come. */
void screen_wipe(struct screen *screen, uint64_t now_ns);

/* Then. False: stdout is broken, errno says how. (A terminal that nobody reads is not.) */
bool screen_close(struct screen *screen, uint64_t now_ns);

#endif
