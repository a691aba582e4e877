/*
 * What a connection receives into, for engines that do the work in turns (task.h): the user's room,
 * a buffer of its pool's, or, while the pool has none, a place in the queue of those who wait for
 * one. One thread. Nothing here allocates or blocks.
 */
#ifndef TRANSPORT_INTAKE_H
#define TRANSPORT_INTAKE_H

#include "transport/pool.h"
#include "transport/task.h"

/* Lies in a connection. */
struct intake {
    struct task task;       /* its turn: the engine's, which receives */
    struct mux_list *ready; /* the engine's, where it gets one */
    struct pool *pool;
    bool on;                    /* receive() */
    struct mux_room room;       /* receive_into()'s, needs no buffer; len 0: none */
    struct mux_buffer *granted; /* came back while this one waited longest */
};

/* It gets a turn, unless it waits for one, or for a buffer. */
static inline void intake_wake(struct intake *intake) {
    task_wake(intake->ready, &intake->task);
}

/* No turn any more, and no waiting; what was granted goes to the next. */
void intake_stop(struct intake *intake);

/* receive_into(): takes no buffer any more. Wake it if there is something to receive. */
void intake_offer(struct intake *intake, struct mux_room room);

/*
 * A send has failed: is the loss reported only after what the peer had sent was received? A worker
 * that ended without reading what was sent to it has perhaps written its results before. While
 * receiving is off, and nothing is unread, nothing has to come first.
 */
static inline bool intake_precedes_loss(const struct intake *intake, bool unread) {
    return intake->on || unread;
}

/* A buffer to receive into, the engine's until it lends it or hands it back; NULL: there is none.
 */
struct mux_buffer *intake_buffer(struct intake *intake);

/* Not in its turn's queue: it has one as soon as a buffer comes back. */
void intake_wait(struct intake *intake);

/*
 * For pools_init(), of an engine whose every waiting link is an intake's. A buffer goes straight to
 * who waits longest: nobody who comes later can take it first.
 */
void intake_buffer_returned(struct pool *pool, struct mux_buffer *buffer);

#endif
