/*
 * Those who come back to a run, by mux attach RUN: each has a view of its own, on the terminal that
 * is behind its connection. They come by a unix socket that the run's folder lets this user to, and
 * nobody else. What they send are packets: file "muxd.window" says how large the terminal is, first
 * of all and when that changes; file "stdin" has keys. What they get is their terminal's output.
 *
 * A viewer that does not read misses pictures and lines: nobody waits for it.
 *
 * One thread, on the loop. Nothing blocks.
 */
#ifndef TOOLS_MUX_RUN_VIEWERS_H
#define TOOLS_MUX_RUN_VIEWERS_H

#include "mux/packet/framer.h"
#include "tools/base/loop.h"
#include "tools/farm/run_view.h"

/* At a time: each costs a picture's room, when it is there. */
#define RUN_VIEWERS_MAX 8

struct run_viewers_config {
    struct loop *loop;
    const char *path;            /* of the socket */
    struct run_view_config view; /* of each; what their terminals are is found out */
    const struct run_seen *seen;
    void (*wish)(void *user, enum run_view_wish wish, uint64_t now_ns);
    void *user;
};

struct run_viewer {
    struct run_viewers *viewers;
    int fd;                        /* -1: the place is free */
    struct transport_watch *watch; /* NULL with fd -1 */
    struct loop_handler readable;
    struct run_view *view; /* NULL: it has not said yet how large its terminal is */
    struct mux_framer framer;
    uint8_t store[MUX_STORE_MIN_BYTES];
};

struct run_viewers {
    struct run_viewers_config config;
    int fd; /* that listens; -1: nobody can come */
    struct transport_watch *watch;
    struct loop_handler readable;
    struct run_viewer of[RUN_VIEWERS_MAX];
};

/* Without a socket. */
void run_viewers_init(struct run_viewers *viewers);

/* False: the operation that failed, and errno. */
bool run_viewers_open(struct run_viewers *viewers, const struct run_viewers_config *config,
                      const char **operation);

/* They are shown the end, if the run is over, and go. */
void run_viewers_close(struct run_viewers *viewers, uint64_t now_ns);

/* The next one that has a view, behind `place`, which begins with -1; NULL: there is none. */
struct run_view *run_viewers_next(const struct run_viewers *viewers, int *place);

/* As run_view_tick(), of all. */
uint64_t run_viewers_tick(struct run_viewers *viewers, uint64_t now_ns);

#endif
