/*
 * Signals of who shows something on a terminal, mux attach: they are blocked but in ppoll(), with
 * the mask that is given, so that none is missed. Once in a process.
 */
#ifndef TOOLS_MUX_TERMINAL_SIGNALS_H
#define TOOLS_MUX_TERMINAL_SIGNALS_H

#include <signal.h>

struct terminal_signals {
    volatile sig_atomic_t ender;              /* TERM, INT, HUP or QUIT; 0: none came */
    volatile sig_atomic_t resized, continued; /* the owner sets them to 0 */
};
extern struct terminal_signals terminal_signals;

/* `in_poll`: the mask for ppoll(). */
void terminal_signals_catch(sigset_t *in_poll);

#endif
