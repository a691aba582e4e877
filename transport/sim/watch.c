/* Watched descriptors: ends that the process reads itself. */
#include "transport/sim/internal.h"

struct sim_watch {
    struct watch watch; /* first */
    struct transport *transport;
    struct sim_end *end;
    struct task task;
};

static void wake(struct sim_watch *watch) {
    if (sim_end_is_readable(watch->end))
        task_wake(&watch->transport->ready, &watch->task);
}

static void end_is_ready(void *user) {
    wake(user);
}

/* Repeats in the next poll() unless it is read until then. */
static bool readable_turn(struct task *task, struct transport_event *event) {
    struct sim_watch *watch = MUX_CONTAINER_OF(task, struct sim_watch, task);
    if (!sim_end_is_readable(watch->end))
        return false;
    wake(watch);
    event->kind = TRANSPORT_READABLE;
    event->watch = &watch->watch.handle;
    return true;
}

struct transport_watch *sim_engine_watch(struct transport *transport, int fd, void *user,
                                         struct transport_failure *failure) {
    struct sim_end *end = sim_by_descriptor(transport->sim, fd);
    if (!end || !end->in) {
        *failure = (struct transport_failure){EBADF, "watching"};
        return NULL;
    }
    struct sim_watch *watch = watch_new(&transport->watches, sizeof *watch, fd, user, failure);
    if (!watch)
        return NULL;
    watch->transport = transport;
    watch->end = end;
    watch->task.turn = readable_turn;
    sim_end_watch(end, end_is_ready, watch);
    wake(watch);
    return &watch->watch.handle;
}

void sim_engine_unwatch(struct transport *transport, struct transport_watch *handle) {
    struct sim_watch *watch = MUX_CONTAINER_OF(handle, struct sim_watch, watch.handle);
    assert(handle->user);
    task_stop(&watch->task);
    sim_end_watch(watch->end, NULL, NULL);
    watch_gone(&transport->watches, &watch->watch);
}
