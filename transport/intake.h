/*
 * What a connection receives into, for engines that work in turns (task.h): the user's room, a
 * buffer of its pool, or, while the pool is empty, a place in the queue of connections that wait
 * for a buffer. One thread. Nothing here allocates or blocks.
 */
#ifndef TRANSPORT_INTAKE_H
#define TRANSPORT_INTAKE_H

#include "transport/pool.h"
#include "transport/task.h"

/* Part of a connection. */
struct intake {
    struct task task;       /* its turn to receive, in the engine */
    struct mux_list *ready; /* the engine's queue of tasks that are ready */
    struct pool *pool;
    unsigned short_receives; /* of pool_after() */
    bool on;                 /* receive() */
    struct mux_room room;    /* from receive_into(); len 0: none */
    struct mux_buffer
        *granted; /* a buffer that came back while this connection was first in the queue */
};

/* Gives it a turn, unless it already waits for one, or for a buffer. */
static inline void intake_wake(struct intake *intake) {
    task_wake(intake->ready, &intake->task);
}

/* Ends its turn and its waiting; a buffer granted to it goes to the next connection. */
void intake_stop(struct intake *intake);

/*
 * receive_into(): it needs no buffer from now on. The caller wakes it if there is something to
 * receive.
 */
void intake_offer(struct intake *intake, struct mux_room room);

/*
 * A send has failed: is the loss reported only after what the peer had sent was received? A worker
 * that ended without reading what was sent to it has perhaps written its results before. While
 * receiving is off, and nothing is unread, nothing has to come first.
 */
static inline bool intake_precedes_loss(const struct intake *intake, bool unread) {
    return intake->on || unread;
}

/*
 * A buffer to receive into. It belongs to the engine until it is lent or handed back. NULL: none is
 * free.
 */
struct mux_buffer *intake_buffer(struct intake *intake);

/* `len` bytes came into a buffer: lends it, and chooses the pool of the next one. */
void intake_lend(struct intake *intake, struct mux_buffer *buffer, size_t len);

/* Waits for a buffer; it gets a turn as soon as one comes back. */
void intake_wait(struct intake *intake);

/*
 * For pools_init(), of an engine in which only intakes wait for buffers. A buffer goes straight to
 * the connection that has waited longest: a later one cannot take it first.
 */
void intake_buffer_returned(struct pool *pool, struct mux_buffer *buffer);

#endif
