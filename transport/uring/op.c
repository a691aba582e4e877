/* Requests: their life from entry to last completion, and how they are cancelled. */
#include "transport/uring/uring.h"

/* In user_data, beside the address of the op, which is aligned. */
#define CANCEL_TAG UINT64_C(1)

_Static_assert(_Alignof(struct uring_op) > CANCEL_TAG, "the tag lies below an op's address");

static uint64_t user_data(const struct uring_op *op) {
    return (uint64_t)(uintptr_t)op;
}

struct io_uring_sqe *uring_op_begin(struct transport *transport, struct uring_op *op) {
    assert(uring_op_idle(op));
    struct io_uring_sqe *sqe = uring_sqe(transport);
    if (!sqe)
        return NULL;
    io_uring_sqe_set_data64(sqe, user_data(op));
    op->in_flight = true;
    op->cancel_taken = false;
    return sqe;
}

bool uring_op_stop(struct transport *transport, struct uring_op *op) {
    if (!op->in_flight || op->cancel_in_flight || op->cancel_taken)
        return true;
    struct io_uring_sqe *sqe = uring_sqe(transport);
    if (!sqe)
        return false;
    io_uring_prep_cancel64(sqe, user_data(op), 0);
    io_uring_sqe_set_data64(sqe, user_data(op) | CANCEL_TAG);
    op->cancel_in_flight = true;
    return true;
}

void uring_op_complete(uint64_t data, int result, unsigned flags, struct uring_events *out) {
    struct uring_op *op = (struct uring_op *)(uintptr_t)(data & ~CANCEL_TAG);
    if (data & CANCEL_TAG) {
        assert(op->cancel_in_flight);
        op->cancel_in_flight = false;
        /*
         * EALREADY: a worker thread runs it and was interrupted. ENOENT while it is in flight: it
         * was between two states, and has to be cancelled again.
         */
        op->cancel_taken = op->in_flight && (result >= 0 || result == -EALREADY);
        op->kind->settle(op, out);
        return;
    }
    assert(op->in_flight);
    if (!(flags & IORING_CQE_F_MORE))
        op->in_flight = false;
    op->kind->complete(op, result, flags, out);
    if (!op->in_flight)
        op->kind->settle(op, out);
}

struct transport_event *uring_event(struct uring_events *out, enum transport_kind kind) {
    assert(out->count < out->most);
    struct transport_event *event = &out->events[out->count++];
    *event = (struct transport_event){.kind = kind};
    return event;
}
