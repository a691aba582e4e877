/*
 * A terminal for a command: a pair of which the command has one side, as its stdin, stdout and
 * stderr, and we the other.
 */
#ifndef TOOLS_AGENT_TERMINAL_H
#define TOOLS_AGENT_TERMINAL_H

#include "mux/packet/packet.h"
#include "transport/transport.h"

#define TERMINAL_PATH_BYTES 64

/* What a person sees of it at a time. */
struct terminal_window {
    unsigned short rows, columns;
};

/* Until somebody who looks at it says otherwise: what programs expect. */
#define TERMINAL_ROWS 24
#define TERMINAL_COLUMNS 80

struct terminal {
    int master; /* our side; -1: there is none */
    int slave;  /* keeps the pair alive until the command has opened its side by `path` */
    char path[TERMINAL_PATH_BYTES];
};

/*
 * Makes a pair. Its modes are those of a terminal for a person, but what the command writes comes
 * as it was written (no carriage return in front of a newline): packets stay whole. False with
 * *failure: nothing was made.
 */
bool terminal_open(struct terminal *terminal, struct transport_failure *failure);

/*
 * A window's size as it comes from above: {"rows": R, "columns": C}, in any order, each from 1 to
 * 65535; other keys are skipped. False: it is something else.
 */
bool terminal_window_parse(struct mux_span text, struct terminal_window *window);

/* The same, to be said upwards. Returns its length. */
#define TERMINAL_WINDOW_BYTES 64
size_t terminal_window_write(struct terminal_window window, char out[TERMINAL_WINDOW_BYTES]);

/* Sets its size; the command in front is told (SIGWINCH). */
void terminal_resize(int master, struct terminal_window window);

#endif
