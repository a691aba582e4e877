/*
 * Watched descriptors: one poll request for each. It ends with its event and is made again in the
 * next poll(), where it completes at once while there is still something to read.
 */
#include "transport/uring/uring.h"
#include <poll.h>

static struct uring_watch *watch_of(struct uring_op *op) {
    return MUX_CONTAINER_OF(op, struct uring_watch, op);
}

static bool is_over(const struct uring_watch *watch) {
    return !watch->watch.handle.user;
}

static void wake(struct uring_watch *watch) {
    if (mux_list_empty(&watch->work))
        mux_list_append(&watch->transport->watch_work, &watch->work);
}

/* An error of poll() is the owner's to find, too. */
static void complete(struct uring_op *op, int result, unsigned flags, struct uring_events *out) {
    struct uring_watch *watch = watch_of(op);
    (void)flags;
    if (!is_over(watch) && result != -ECANCELED && result != -EINTR)
        uring_event(out, TRANSPORT_READABLE)->watch = &watch->watch.handle;
}

static void settle(struct uring_op *op, struct uring_events *out) {
    (void)out;
    wake(watch_of(op));
}

static const struct uring_op_kind watch_kind = {complete, settle};

struct transport_watch *uring_watch(struct transport *transport, int fd, void *user,
                                    struct transport_failure *failure) {
    if (!watch_is_possible(fd, failure))
        return NULL;
    struct uring_watch *watch = watch_new(&transport->watches, sizeof *watch, fd, user, failure);
    if (!watch)
        return NULL;
    watch->transport = transport;
    watch->op.kind = &watch_kind;
    wake(watch);
    return &watch->watch.handle;
}

void uring_unwatch(struct transport *transport, struct transport_watch *handle) {
    struct uring_watch *watch = MUX_CONTAINER_OF(handle, struct uring_watch, watch.handle);
    (void)transport;
    assert(handle->user);
    handle->user = NULL;
    wake(watch);
}

static bool arm(struct uring_watch *watch) {
    struct io_uring_sqe *sqe = uring_op_begin(watch->transport, &watch->op);
    if (sqe)
        io_uring_prep_poll_add(sqe, watch->watch.fd, POLLIN);
    return sqe != NULL;
}

/* False: no entry, try again. */
static bool advance(struct uring_watch *watch) {
    bool idle = uring_op_idle(&watch->op);
    if (!is_over(watch))
        return !idle || arm(watch);
    if (!idle)
        return uring_op_stop(watch->transport, &watch->op);
    watch_gone(&watch->transport->watches, &watch->watch);
    return true;
}

bool uring_watches_advance(struct transport *transport) {
    struct mux_list *link;
    while ((link = mux_list_pop(&transport->watch_work))) {
        struct uring_watch *watch = MUX_LIST_ITEM(link, struct uring_watch, work);
        if (!advance(watch)) {
            wake(watch);
            return false;
        }
    }
    return true;
}
