/*
 * Signals as events of a loop. A handler notes each signal and wakes the loop by a pipe; the owner
 * is called from loop_step(). One object a process, as signals are the process's.
 *
 * Signals may be caught before there is a loop: those that come meanwhile are handed over in its
 * first step.
 */
#ifndef TOOLS_BASE_SIGNALS_H
#define TOOLS_BASE_SIGNALS_H

#include "tools/base/loop.h"

/* Linux has 64. */
#define SIGNALS_MAX 65

struct signals {
    struct loop_handler base;
    struct loop *loop; /* NULL: not watched yet */
    struct transport_watch *watch;
    int pipe[2]; /* wakes the loop */
    struct signals_owner {
        void (*caught)(void *user, int number, uint64_t now_ns); /* NULL: not caught */
        void *user;
    } owners[SIGNALS_MAX];
};

/* False with *failure: no pipe can be made. SIGPIPE is ignored from here on. */
bool signals_open(struct signals *signals, struct transport_failure *failure);

/*
 * From now on this signal is caught: `caught` is called once for each time that it came, on the
 * loop. (The kernel makes one of two that come before the process runs.)
 */
void signals_catch(struct signals *signals, int number,
                   void (*caught)(void *user, int number, uint64_t now_ns), void *user);

/* The value that our parent gave to the last of these signals (sigqueue); 0: none. */
int signals_value(int number);

/* Hands over what comes, in the steps of this loop. False with *failure. */
bool signals_watch(struct signals *signals, struct loop *loop, struct transport_failure *failure);

/* Gives all signals back to their defaults. Its watch ends; not while events are handled. */
void signals_close(struct signals *signals);

#endif
