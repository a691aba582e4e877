#include "tools/base/loop.h"

#include <assert.h>

/* Events taken from the transport at a time: a poll's cost is shared by many, and still some lie in
 * the cache when they are handled. */
#define EVENTS_MAX 256

/* Connections without an owner: only their last events are awaited. */
static void handle_orphan(struct loop_handler *handler, const struct transport_event *event,
                          uint64_t now_ns) {
    struct loop *loop = LOOP_OWNER(handler, struct loop, orphan);
    (void)now_ns;
    if (event->kind == TRANSPORT_RECEIVED && event->buffer)
        mux_buffer_release(event->buffer);
    loop->orphans -= event->kind == TRANSPORT_CLOSED;
}

void loop_abandon(struct loop *loop, struct transport_conn *conn) {
    conn->user = &loop->orphan;
    loop->orphans++;
    transport_close(conn);
}

void loop_init(struct loop *loop, const struct transport_ops *ops, struct transport *transport) {
    *loop = (struct loop){.ops = ops, .transport = transport, .orphan = {handle_orphan}};
    mux_list_init(&loop->clients);
}

uint64_t loop_now_ns(const struct loop *loop) {
    return loop->ops->now_ns(loop->transport);
}

static uint64_t deadline_ns(const struct loop *loop) {
    uint64_t least_ns = timers_next_ns(&loop->timers);
    for (const struct mux_list *at = loop->clients.next; at != &loop->clients; at = at->next) {
        const struct loop_client *client = MUX_LIST_ITEM(at, struct loop_client, in_loop);
        uint64_t client_ns = client->deadline_ns(client);
        if (client_ns < least_ns)
            least_ns = client_ns;
    }
    return least_ns;
}

/* NULL: a watch or a listener that was closed after poll() brought its event. */
static struct loop_handler *handler_of(const struct transport_event *event) {
    switch (event->kind) {
    case TRANSPORT_ACCEPTED:
    case TRANSPORT_REFUSED:
        return event->listener->user;
    case TRANSPORT_READABLE:
        return event->watch->user;
    default:
        assert(event->conn->user);
        return event->conn->user;
    }
}

static void dispatch(struct loop *loop, const struct transport_event *event, uint64_t now_ns) {
    struct loop_handler *handler = handler_of(event);
    if (handler)
        handler->handle(handler, event, now_ns);
    else if (event->kind == TRANSPORT_ACCEPTED)
        loop_abandon(loop, event->conn);
}

static void work(struct loop *loop, uint64_t now_ns) {
    struct mux_list *next;
    for (struct mux_list *at = loop->clients.next; at != &loop->clients; at = next) {
        struct loop_client *client = MUX_LIST_ITEM(at, struct loop_client, in_loop);
        next = at->next;
        client->work(client, now_ns);
    }
}

void loop_step(struct loop *loop) {
    struct transport_event events[EVENTS_MAX];
    unsigned count = loop->ops->poll(loop->transport, deadline_ns(loop), events, EVENTS_MAX);
    uint64_t now_ns = loop_now_ns(loop);
    for (unsigned i = 0; i < count; i++)
        dispatch(loop, &events[i], now_ns);
    timers_run(&loop->timers, now_ns);
    work(loop, now_ns);
}

struct transport_listener *loop_listen(struct loop *loop, const struct transport_address *address,
                                       struct loop_handler *handler,
                                       struct transport_address *bound,
                                       struct transport_failure *failure) {
    return loop->ops->listen(loop->transport, address, handler, bound, failure);
}

struct transport_conn *loop_connect(struct loop *loop, const struct transport_address *address,
                                    struct loop_handler *handler,
                                    struct transport_failure *failure) {
    return loop->ops->connect(loop->transport, address, handler, failure);
}

struct transport_conn *loop_attach(struct loop *loop, const struct loop_descriptors *descriptors,
                                   struct loop_handler *handler,
                                   struct transport_failure *failure) {
    return loop->ops->attach(loop->transport, descriptors->in, descriptors->out,
                             descriptors->borrowed, descriptors->pool, descriptors->name, handler,
                             failure);
}

void loop_own(struct transport_conn *conn, struct loop_handler *handler) {
    conn->user = handler;
}

struct transport_watch *loop_watch(struct loop *loop, int fd, struct loop_handler *handler,
                                   struct transport_failure *failure) {
    return loop->ops->watch(loop->transport, fd, handler, failure);
}

void loop_unwatch(struct loop *loop, struct transport_watch *watch) {
    loop->ops->unwatch(loop->transport, watch);
}

void loop_at(struct loop *loop, struct timer *timer, uint64_t at_ns) {
    timers_set(&loop->timers, timer, at_ns);
}

void loop_cancel(struct loop *loop, struct timer *timer) {
    timers_cancel(&loop->timers, timer);
}

void loop_join(struct loop *loop, struct loop_client *client) {
    mux_list_init(&client->in_loop);
    mux_list_append(&loop->clients, &client->in_loop);
}

void loop_leave(struct loop_client *client) {
    mux_list_remove(&client->in_loop);
}
