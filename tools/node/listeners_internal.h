/* What listeners.c and listening.c share. */
#ifndef TOOLS_NODE_LISTENERS_INTERNAL_H
#define TOOLS_NODE_LISTENERS_INTERNAL_H

#include "tools/node/listeners.h"

enum listening_state {
    LISTENING_WANTED,  /* not yet, or not any more; it is tried again */
    LISTENING_ON,      /* it is listened on */
    LISTENING_COVERED, /* another one of ours takes all addresses of this port */
};

/* One address. */
struct listening {
    struct transport_address address; /* as wanted: the port may be 0 */
    uint64_t sources;                 /* bit i: config.endpoints[i] means it */
    bool offered;                     /* RDMA beside TCP: it may be missing */
    enum listening_state state;
    struct transport_listener *listener; /* ON */
    struct transport_address bound;      /* ON: with the real port */
    struct transport_failure failure;    /* WANTED: of the last try */
    struct transport_failure logged;     /* and of the last one in the log */
    bool said_waiting, said_twice;
    uint64_t since_ns; /* the first attempt that failed; 0: none has */
};

enum source_kind {
    SOURCE_STDIN,     /* muxd.c's */
    SOURCE_FIXED,     /* its addresses are those that were found at the start, if any */
    SOURCE_INTERFACE, /* its addresses are followed */
};

enum presence {
    PRESENCE_UNKNOWN,
    PRESENCE_ABSENT, /* there is no such interface */
    PRESENCE_BARE,   /* it has no address */
    PRESENCE_THERE,
};

/* One --listen. */
struct source {
    const struct endpoint *endpoint;
    enum source_kind kind;
    enum presence presence; /* of the interface */
    bool said_unreadable, said_no_room, said_covered, said_no_rdma;
};

struct listeners {
    struct loop_handler news; /* the kernel says that interfaces or addresses have changed */
    struct timer timer;
    struct listeners_config config;
    const struct stacks *stacks;
    struct log *log;
    struct transport_watch *news_watch; /* NULL: interfaces are not followed */
    int news_fd;
    bool followed;
    bool changed;
    uint64_t changes_at_ns; /* when changes are looked at next */
    uint64_t retry_at_ns;
    uint64_t pause_ns;
    enum listeners_state state;
    bool open_to_all, said_open_to_all, said_rest;
    struct source sources[LISTENERS_ENDPOINTS_MAX];
    struct listening listening[LISTENERS_MAX];
    unsigned count;
    struct transport_address found[LISTENERS_MAX + 1]; /* of one endpoint, while it is looked at */
};

static_assert(LISTENERS_ENDPOINTS_MAX <= 64, "struct listening has a bit for each");

/* The first endpoint that means this address. */
static inline struct source *listening_source(struct listeners *listeners,
                                              const struct listening *item) {
    return &listeners->sources[__builtin_ctzll(item->sources)];
}

/* Is it ":PORT", which takes all addresses of a family? */
bool listening_is_every_address(const struct listening *item);

/* From now on the source means this address, too. */
void listening_want(struct listeners *listeners, unsigned source,
                    const struct transport_address *address);

/* Tries to listen on one that is WANTED. */
void listening_open(struct listeners *listeners, struct listening *item, uint64_t now_ns);

/* In use, but perhaps only by a process that has just died. */
bool listening_is_in_use_for_now(const struct listening *item, uint64_t now_ns);

/* When patience with that is over. */
uint64_t listening_patience_ns(const struct listening *item);

/* It cannot be bound now, but its interface may be about to change that. */
bool listening_will_come(const struct listeners *listeners, const struct listening *item);

/* No source means it any more. */
void listening_drop(struct listeners *listeners, struct listening *item);

#endif
