/*
 * What engines share of watch(): the handles, their number, and when their memory is freed. One
 * thread. Only watch_new() allocates; nothing blocks.
 */
#ifndef TRANSPORT_WATCH_H
#define TRANSPORT_WATCH_H

#include "transport/queue.h"
#include "transport/transport.h"

/* An engine's own struct begins with it. */
struct watch {
    struct transport_watch handle; /* first */
    struct queue_link gone_link;
    int fd;
};

/* Of one engine. */
struct watches {
    unsigned count;    /* not yet gone */
    struct queue gone; /* freed with the next poll(): until then events may name them */
};

void watches_init(struct watches *watches);

/* A struct of `bytes` bytes, zero but for its watch. NULL with *failure: EMFILE, ENOMEM. */
void *watch_new(struct watches *watches, size_t bytes, int fd, void *user,
                struct transport_failure *failure);

/* The engine makes no more events of it. */
void watch_gone(struct watches *watches, struct watch *watch);

/* At the beginning of poll(): frees those that are gone. */
void watches_reclaim(struct watches *watches);

/* At the end of the engine's life: all are gone. */
void watches_fini(struct watches *watches);

/* For engines whose kernel does not check it: can this descriptor be waited for? Else *failure. */
bool watch_is_possible(int fd, struct transport_failure *failure);

#endif
