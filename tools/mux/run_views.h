/*
 * All who see a run while it goes on: the terminal or the file that mux run was started with, its
 * keys and stops included, and who comes later (run_viewers.h).
 *
 * One thread, on the loop. Blocks only where tools/farm/run_view.h says so.
 */
#ifndef TOOLS_MUX_RUN_VIEWS_H
#define TOOLS_MUX_RUN_VIEWS_H

#include "tools/base/signals.h"
#include "tools/farm/run_view.h"
#include "tools/mux/run_keys.h"
#include "tools/mux/run_viewers.h"

struct run_views_config {
    struct loop *loop;
    struct signals *signals;
    struct run_view_config own; /* for stdout; whether it has keys is found out */
    void (*wish)(void *user, enum run_view_wish wish, uint64_t now_ns);
    /* We are about to be stopped (Ctrl-Z), or go on. */
    void (*stops)(void *user, bool stops);
    void *user;
};

struct run_views {
    struct run_views_config config;
    struct run_seen *seen; /* NULL: it is not open */
    struct run_view *own;
    struct run_keys keys;
    struct run_viewers viewers;
};

/* The run outlives it. False: out of memory. */
bool run_views_open(struct run_views *views, const struct run_views_config *config,
                    const struct run *run);

/* From now on others may come, by the socket of this path. False: the operation, and errno. */
bool run_views_let_in(struct run_views *views, const char *path, const char **operation);

static inline bool run_views_are_open(const struct run_views *views) {
    return views->seen != NULL;
}

void run_views_planned(struct run_views *views, unsigned past_runs, uint64_t now_ns);
void run_views_ended(struct run_views *views, const struct run_ended *ended);
void run_views_waits(struct run_views *views, unsigned slot);
void run_views_say(struct run_views *views, const char *line);

/* Returns when it wants to be called again at the latest. */
uint64_t run_views_tick(struct run_views *views, uint64_t now_ns);

/* Somebody else has our terminal: nothing is drawn, and no key read, until it is ours again. */
void run_views_lend(struct run_views *views, bool is_lent, uint64_t now_ns);

/* Pictures go: something else is to be written. Nothing happens if it is not open. */
void run_views_wipe(struct run_views *views, uint64_t now_ns);

/* Shows the end, if the run is over. False: stdout is broken, errno says how. */
bool run_views_close(struct run_views *views, uint64_t now_ns);

#endif
