/*
 * What muxd listens on: every address of every --listen, each once. One that cannot be bound does
 * not cost the others: it is logged, and tried again with growing pauses until it can. The
 * addresses of interfaces are followed while muxd runs: new ones are listened on, lost ones no
 * longer; connections are left alone. An interface may be down or missing when muxd starts.
 *
 * Name servers are asked in listeners_create() alone; nothing else here blocks.
 */
#ifndef TOOLS_NODE_LISTENERS_H
#define TOOLS_NODE_LISTENERS_H

#include "tools/base/log.h"
#include "tools/base/loop.h"
#include "tools/node/stacks.h"
#include "transport/endpoint.h"

/* Most endpoints: struct listening has a bit for each. */
#define LISTENERS_ENDPOINTS_MAX 64

/* Most addresses at a time. A machine that has more can listen on all at once (":7533"). */
#define LISTENERS_MAX 256

enum listeners_state {
    LISTENERS_STARTING, /* on nothing, but what is in use may become free in a moment: a process
                           that was killed a moment ago, whose sockets the kernel has not closed */
    LISTENERS_OPEN,     /* on something, or an interface will come */
    LISTENERS_FAILED,   /* on nothing, and nothing will come: the log says why */
};

/* What is meant, and how the user wrote it. The endpoints outlive the listeners. */
struct listeners_config {
    struct loop *loop;
    struct loop_handler *handler; /* takes what they accept */
    const struct endpoint *endpoints;
    unsigned count;
    bool mode_given, group_given; /* of unix sockets */
    mode_t mode;
    gid_t group;
    bool anybody; /* no list limits the peers: the log says so once */
    /* It is known now how they stand: OPEN or FAILED. Once, unless listeners_look() told before. */
    void (*settled)(void *user, enum listeners_state state);
    void *user;
};

struct listeners;

/* Looks the endpoints up and listens on what can be. NULL: out of memory. */
struct listeners *listeners_create(const struct listeners_config *config,
                                   const struct stacks *stacks, struct log *log);

/* Listens where it is possible now; later its timer does that. Tells how they stand. */
enum listeners_state listeners_look(struct listeners *listeners);

/* Closes all, for good: no event and no timer of theirs comes any more. */
void listeners_stop(struct listeners *listeners);

/* After listeners_stop(). */
void listeners_destroy(struct listeners *listeners);

#endif
