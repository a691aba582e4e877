/*
 * The terminal of mux attach and mux run: its modes meanwhile, and that it gets its own modes back
 * on every way out that a process can see.
 */
#ifndef TOOLS_MUX_TERMINAL_MODE_H
#define TOOLS_MUX_TERMINAL_MODE_H

#include <stdbool.h>

/* The key that detaches: Ctrl-]. */
#define TERMINAL_MODE_DETACH 0x1D

enum terminal_mode {
    TERMINAL_MODE_OWN,   /* as it was */
    TERMINAL_MODE_LINES, /* lines are edited here and sent whole; Ctrl-] comes at once */
    TERMINAL_MODE_KEYS,  /* a key comes when it is pressed, and is not shown; Ctrl-C is a signal */
    TERMINAL_MODE_RAW,   /* every key goes to the other side's terminal */
};

/* Of stdin; without effect where that is no terminal. Own modes come back at exit(), too. */
void terminal_mode_set(enum terminal_mode mode);

/* Is stdin a terminal? */
bool terminal_mode_has(void);

#endif
