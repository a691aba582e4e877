/*
 * A run as people see it: lines that stay (failures with their text, what is said), below them on a
 * terminal how far it is and what its slots do, and at its end what came of it.
 *
 * One thread. Blocks only where screen.h says so.
 */
#ifndef TOOLS_FARM_RUN_VIEW_H
#define TOOLS_FARM_RUN_VIEW_H

#include "tools/farm/run.h"
#include "tools/results/screen.h"

enum run_view_how {
    RUN_VIEW_AUTO,  /* a picture on a terminal, lines elsewhere */
    RUN_VIEW_PLAIN, /* lines */
    RUN_VIEW_QUIET, /* the end alone */
};

struct run_view_config {
    enum run_view_how how;
    unsigned tail_lines; /* of a failure's text */
    const char *name;    /* of the run, as it is shown: "7c1e"; "" if it is not stored */
    const char *what;    /* "unittest" */
    bool slowest_first;  /* the order, when something is known of the tests */
    const char *control; /* the control socket, for "mux attach"; NULL: none */
};

struct run_view;

/* On stdout. The run outlives it. NULL: out of memory. */
struct run_view *run_view_open(const struct run_view_config *config, const struct run *run,
                               uint64_t now_ns);

/* What the run tells. `past_runs`: that the order was made from; 0: there were none. */
void run_view_planned(struct run_view *view, unsigned past_runs, uint64_t now_ns);
void run_view_ended(struct run_view *view, const struct run_ended *ended);
void run_view_waits(struct run_view *view, unsigned slot);
void run_view_say(struct run_view *view, const char *line);

/* As screen_tick(). */
uint64_t run_view_tick(struct run_view *view, uint64_t now_ns);

/* The run is over: the end is shown. Frees it. NULL is fine. False: stdout is broken, errno says
 * how. */
bool run_view_finish(struct run_view *view, uint64_t now_ns);

#endif
