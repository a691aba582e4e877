/*
 * mux attach as a child of mux run, which has the terminal meanwhile.
 *
 * One thread. Starting blocks until it is executed; nothing else blocks.
 */
#ifndef TOOLS_MUX_RUN_ATTACH_H
#define TOOLS_MUX_RUN_ATTACH_H

#include "tools/base/children.h"

struct run_attach {
    struct children *children;
    struct child child;
    void *user;
    /* It has ended, and the terminal is ours again. */
    void (*ended)(void *user, uint64_t now_ns);
};

/* Has mux run a terminal that it can lend? */
bool run_attach_can(void);

/* False with *failure: it does not run. */
bool run_attach_begin(struct run_attach *attach, const char *control, const char *route,
                      struct transport_failure *failure);

/* It ends, as by its key that detaches. */
void run_attach_end(const struct run_attach *attach);

static inline bool run_attach_runs(const struct run_attach *attach) {
    return child_runs(&attach->child);
}

#endif
