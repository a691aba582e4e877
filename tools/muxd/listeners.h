/*
 * What muxd listens on: every address of every --listen, each once. One that cannot be bound does
 * not cost the others: it is said, and tried again with growing pauses until it can. The addresses
 * of interfaces are followed while muxd runs: new ones are listened on, lost ones no longer;
 * connections are left alone. An interface may be down or missing when muxd starts.
 *
 * Name servers are asked in listeners_create() alone; nothing else here blocks.
 */
#ifndef MUXD_LISTENERS_H
#define MUXD_LISTENERS_H

#include "tools/muxd/engine.h"
#include "tools/muxd/node.h"

/* Most addresses at a time. Whoever has more can listen on all at once (":7533"). */
#define LISTENERS_MAX 256

enum listeners_state {
    LISTENERS_STARTING, /* on nothing, but what is in use may become free in a moment: a process
                           that was killed a moment ago, whose sockets the kernel has not closed */
    LISTENERS_OPEN,     /* on something, or an interface will come */
    LISTENERS_FAILED,   /* on nothing, and nothing will come: the log says why */
};

struct listeners;

/* Looks the endpoints up and listens on what can be. NULL: out of memory. */
struct listeners *listeners_create(const struct options *options, const struct engine *engine,
                                   struct log *log);

/* Does what is due. *next_ns: when it wants to be called again at the latest. */
enum listeners_state listeners_tick(struct listeners *listeners, uint64_t now_ns,
                                    uint64_t *next_ns);

/* Closes all; for good. */
void listeners_stop(struct listeners *listeners);

/* The connection that brings the kernel's news, for its owner to close at the end; NULL: none. */
struct transport_conn *listeners_news(const struct listeners *listeners);

/* After all of its events. */
void listeners_destroy(struct listeners *listeners);

#endif
