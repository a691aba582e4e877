/* Descriptors of other stacks: one request for each tells whenever there is more to be read. */
#include "transport/uring/uring.h"
#include <poll.h>

static void complete(struct uring_op *op, int result, unsigned flags, struct uring_events *out) {
    struct uring_watch *watch = queue_entry(op, struct uring_watch, op);
    (void)result; /* an error, too, is its owner's to find */
    (void)flags;
    (void)out;
    watch->transport->other_ready = true;
}

/* All watches are looked at in every poll(). */
static void settle(struct uring_op *op, struct uring_events *out) {
    (void)op;
    (void)out;
}

static const struct uring_op_kind watch_kind = {complete, settle};

bool uring_watch(struct transport *transport, int fd, struct transport_failure *failure) {
    (void)failure;
    assert(transport->watches_count < TRANSPORT_WATCHES);
    transport->watches[transport->watches_count++] =
        (struct uring_watch){.op = {.kind = &watch_kind}, .transport = transport, .fd = fd};
    return true;
}

bool uring_watches_advance(struct transport *transport) {
    for (unsigned i = 0; i < transport->watches_count; i++) {
        struct uring_watch *watch = &transport->watches[i];
        if (watch->op.in_flight)
            continue;
        struct io_uring_sqe *sqe = uring_op_begin(transport, &watch->op);
        if (!sqe)
            return false;
        io_uring_prep_poll_multishot(sqe, watch->fd, POLLIN);
    }
    return true;
}
