/* Watched descriptors: level-triggered, so the kernel reports them until they were read. */
#include "transport/epoll/internal.h"

static bool readable_turn(struct task *task, struct transport_event *event) {
    struct epoll_watch *watch = MUX_CONTAINER_OF(task, struct epoll_watch, task);
    event->kind = TRANSPORT_READABLE;
    event->watch = &watch->watch.handle;
    return true;
}

struct transport_watch *epoll_watch(struct transport *transport, int fd, void *user,
                                    struct transport_failure *failure) {
    struct epoll_watch *watch = watch_new(&transport->watches, sizeof *watch, fd, user, failure);
    if (!watch)
        return NULL;
    watch->task.turn = readable_turn;
    if (epoll_register(transport, fd, watch, ENTRY_WATCH))
        return &watch->watch.handle;
    transport_failed(failure, "epoll_ctl");
    watch_gone(&transport->watches, &watch->watch);
    return NULL;
}

void epoll_unwatch(struct transport *transport, struct transport_watch *handle) {
    struct epoll_watch *watch = MUX_CONTAINER_OF(handle, struct epoll_watch, watch.handle);
    assert(handle->user);
    task_stop(&watch->task);
    epoll_unregister(transport, watch->watch.fd);
    watch_gone(&transport->watches, &watch->watch);
}
