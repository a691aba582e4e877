/*
 * A run as people see it: lines that stay (failures with their text, what is said), below them on a
 * terminal how far it is and what its slots do, and at its end what came of it. Or the same for
 * programs: an object a line (mux(1), "Progress as JSON"). A run may have several views at a time.
 *
 * One thread. Blocks only where screen.h says so.
 */
#ifndef TOOLS_FARM_RUN_VIEW_H
#define TOOLS_FARM_RUN_VIEW_H

#include "tools/farm/run_seen.h"
#include "tools/results/screen.h"

enum run_view_how {
    RUN_VIEW_AUTO,  /* a picture on a terminal, lines elsewhere */
    RUN_VIEW_PLAIN, /* lines */
    RUN_VIEW_QUIET, /* the end alone */
    RUN_VIEW_JSON,  /* objects */
};

/* Who reads the lines, and makes more of them: see run_view_ci.c. */
enum run_view_reader { RUN_VIEW_PERSON, RUN_VIEW_GITHUB, RUN_VIEW_GITLAB };

/* Does this process's terminal know UTF-8? */
bool run_view_speaks_utf8(void);

/* A terminal elsewhere. */
struct run_view_remote {
    int socket;
    unsigned rows, columns; /* rows 0: lines, no picture */
    bool is_wide;           /* it knows UTF-8 */
};

struct run_view_config {
    enum run_view_how how;
    enum run_view_reader reader;
    unsigned tail_lines; /* of a failure's text */
    bool has_keys;       /* somebody may press some: what they do is shown */
    const char *name;    /* of the run, as it is shown: "7c1e"; "" if it is not stored */
    const char *uuid;    /* all of it */
    const char *place;   /* in the commands that are said: "--store DIR ", or "" */
    const char *what;    /* "unittest" */
    bool slowest_first;  /* the order, when something is known of the tests */
    const char *random;  /* "--random=7", the order; "": it is none */
    const char *control; /* the control socket, for "mux attach"; NULL: none */
    const struct run_view_remote *remote; /* read by run_view_open(); NULL: stdout */
};

struct run_view;

/*
 * The run and what is seen of it outlive it. Who comes in the middle of it is shown how it stands.
 * NULL: out of memory.
 */
struct run_view *run_view_open(const struct run_view_config *config, const struct run_seen *seen,
                               uint64_t now_ns);

/* What the run tells, behind run_seen's. `again`: as run_seen_ended() says. */
void run_view_planned(struct run_view *view, uint64_t now_ns);
void run_view_ended(struct run_view *view, const struct run_ended *ended, unsigned again);
void run_view_waits(struct run_view *view, unsigned slot);
/* Nothing is drawn while somebody else has the terminal; lines wait. */
void run_view_hold(struct run_view *view, bool is_held, uint64_t now_ns);
void run_view_say(struct run_view *view, const char *line);

/* What somebody wants who has pressed a key. The next tick shows what it did. */
enum run_view_wish {
    RUN_VIEW_NOTHING, /* the picture has changed, if at all */
    RUN_VIEW_DRAIN,
    RUN_VIEW_QUIT,
};
enum run_view_wish run_view_key(struct run_view *view, char key);

/* There is a picture: keys make sense. */
bool run_view_is_live(const struct run_view *view);

/* The terminal is another, or ours again: draws at once. */
void run_view_redraw(struct run_view *view, uint64_t now_ns);

/* Of a remote one. */
void run_view_resize(struct run_view *view, unsigned rows, unsigned columns, uint64_t now_ns);

/* The terminal is not ours for a while: the picture goes. */
void run_view_wipe(struct run_view *view, uint64_t now_ns);

/* As screen_tick(). */
uint64_t run_view_tick(struct run_view *view, uint64_t now_ns);

/* Shows the end, if the run is over. Frees it. NULL is fine. False: its descriptor is broken, errno
 * says how. */
bool run_view_finish(struct run_view *view, uint64_t now_ns);

#endif
