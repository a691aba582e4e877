/*
 * The keys of mux run's own terminal: one at a time and without an echo, while the terminal is
 * ours. It is not while a shell has us in the background, and before and after a stop (Ctrl-Z).
 *
 * One thread, on the loop. One object a process, as the terminal is.
 */
#ifndef TOOLS_MUX_RUN_KEYS_H
#define TOOLS_MUX_RUN_KEYS_H

#include "tools/base/loop.h"

struct run_keys {
    struct loop *loop;
    struct loop_handler readable;
    struct transport_watch *watch; /* NULL: no key is read */
    bool has_ended;                /* the terminal is gone */
    void (*pressed)(void *user, char key, uint64_t now_ns);
    void *user;
};

/* Is stdin a terminal that we are in the foreground of? */
bool run_keys_has_terminal(void);

/* From now on, if it has: may be called again at any time. */
void run_keys_begin(struct run_keys *keys);

/* The terminal is as it was. */
void run_keys_end(struct run_keys *keys);

#endif
