/*
 * mux run --detach: a process of its own, in a session of its own, that goes on when the terminal
 * that it was started at is gone. What goes wrong while it starts is still said there.
 */
#ifndef TOOLS_MUX_RUN_DETACH_H
#define TOOLS_MUX_RUN_DETACH_H

#include <stdbool.h>

struct run_detach {
    int pipe; /* to who waits for it to start */
};

/*
 * Before threads, the store and the loop. In the new process: true; stdin and stdout are
 * /dev/null. In the old one: false, when the new one has started or has ended: *status is the exit
 * status. Signals that come meanwhile go to the new one. False, too, after a sentence on stderr.
 */
bool run_detach_begin(struct run_detach *detach, int *status);

/* It has started: who waits prints this text and ends with 0. From now on stderr is /dev/null. */
void run_detach_started(struct run_detach *detach, const char *text);

#endif
