/*
 * The event loop of a program: one thread, one transport, any number of services on it. It alone
 * calls poll() and hands each event to the handler that the connection, the listener or the watched
 * descriptor was made with. Beside those it has timers, and clients, which work after each poll.
 *
 * It runs over every engine, the simulator's included: then its timers follow the virtual clock.
 * Nothing is allocated here. Only loop_step() blocks, in poll().
 *
 * Handlers, timers and clients lie in their owners, which outlive what they have on the loop:
 * connections until their CLOSED, watches until loop_unwatch() and the end of that step.
 */
#ifndef TOOLS_BASE_LOOP_H
#define TOOLS_BASE_LOOP_H

#include "mux/list.h"
#include "tools/base/timers.h"
#include "transport/transport.h"

/*
 * Takes the events of connections, listeners and watched descriptors. It is their user pointer in
 * the transport. A connection that is ACCEPTED has none: the listener's handler gives it one
 * (loop_own) or closes it, in any case before it returns.
 */
struct loop_handler {
    void (*handle)(struct loop_handler *handler, const struct transport_event *event,
                   uint64_t now_ns);
};

/* What a handler, a timer or a client lies in. */
#define LOOP_OWNER(part, type, member) MUX_LIST_ITEM(part, type, member)

/* Works on what events and timers have brought, once in each step after them. */
struct loop_client {
    struct mux_list in_loop;
    /* When it wants to work though no event comes; 0: at once, UINT64_MAX: never. */
    uint64_t (*deadline_ns)(const struct loop_client *client);
    /* It may leave the loop here (loop_leave); another client may not. */
    void (*work)(struct loop_client *client, uint64_t now_ns);
};

struct loop {
    const struct transport_ops *ops;
    struct transport *transport;
    struct timers timers;
    struct mux_list clients; /* in the order in which they joined and work */
    struct loop_handler orphan;
    unsigned orphans; /* connections that are being closed and have no owner */
};

/*
 * The transport stays its owner's. It can be stopped when all that is on the loop is closed and
 * `orphans` is 0.
 */
void loop_init(struct loop *loop, const struct transport_ops *ops, struct transport *transport);

/* Waits for events, until the next timer or deadline at most, and handles all that came. */
void loop_step(struct loop *loop);

uint64_t loop_now_ns(const struct loop *loop);

/*
 * ---- connections, listeners: transport_ops.listen, connect and attach with a handler ----
 */

struct transport_listener *loop_listen(struct loop *loop, const struct transport_address *address,
                                       struct loop_handler *handler,
                                       struct transport_address *bound,
                                       struct transport_failure *failure);

struct transport_conn *loop_connect(struct loop *loop, const struct transport_address *address,
                                    struct loop_handler *handler,
                                    struct transport_failure *failure);

/* What attach() needs; see there. */
struct loop_descriptors {
    int in, out; /* -1: none */
    bool borrowed;
    enum transport_pool pool;
    const char *name;
};

struct transport_conn *loop_attach(struct loop *loop, const struct loop_descriptors *descriptors,
                                   struct loop_handler *handler, struct transport_failure *failure);

/* From now on this handler takes the connection's events. */
void loop_own(struct transport_conn *conn, struct loop_handler *handler);

/* Closes a connection that has no owner; `orphans` counts it until its last event. */
void loop_abandon(struct loop *loop, struct transport_conn *conn);

/*
 * ---- watched descriptors: transport_ops.watch with a handler, which gets READABLE ----
 */

/* NULL with *failure. The descriptor stays the caller's, who reads it without blocking. */
struct transport_watch *loop_watch(struct loop *loop, int fd, struct loop_handler *handler,
                                   struct transport_failure *failure);

/* No event of it comes any more; the descriptor may be closed then. */
void loop_unwatch(struct loop *loop, struct transport_watch *watch);

/*
 * ---- timers and clients ----
 */

/* Runs the timer at this time, wherever it was set to before; one that is past: in this step. */
void loop_at(struct loop *loop, struct timer *timer, uint64_t at_ns);

void loop_cancel(struct loop *loop, struct timer *timer);

void loop_join(struct loop *loop, struct loop_client *client);

/* One that is in no loop stays so, if it was ever in one or was initialised by mux_list_init(). */
void loop_leave(struct loop_client *client);

#endif
