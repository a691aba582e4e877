/*
 * What engines share of watch(): the handles and their number. One thread. Only watch_new()
 * allocates; nothing blocks.
 */
#ifndef TRANSPORT_WATCH_H
#define TRANSPORT_WATCH_H

#include "transport/deferred.h"
#include "transport/transport.h"

/* An engine's own struct begins with it. */
struct watch {
    struct transport_watch handle; /* first */
    struct deferred_item deferred;
    int fd;
};

/* Of one engine. */
struct watches {
    unsigned count; /* not yet gone */
    struct deferred *deferred;
};

/* A struct of `bytes` bytes, zero but for its watch. NULL with *failure: EMFILE, ENOMEM. */
void *watch_new(struct watches *watches, size_t bytes, int fd, void *user,
                struct transport_failure *failure);

/* The engine makes no more events of it. */
void watch_gone(struct watches *watches, struct watch *watch);

/* For engines whose kernel does not check it: can this descriptor be waited for? Else *failure. */
bool watch_is_possible(int fd, struct transport_failure *failure);

#endif
