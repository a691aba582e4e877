/*
 * Turns, for engines that do the work themselves: what is ready waits in a queue and has one turn
 * in each round, so that nobody who always has more keeps the others from theirs. Nothing here
 * allocates or blocks.
 */
#ifndef TRANSPORT_TASK_H
#define TRANSPORT_TASK_H

#include "mux/list.h"
#include "transport/transport.h"

/* Lies in a connection or listener. It waits in one queue at most, for its turn or for else. */
struct task {
    struct mux_list link;
    bool (*turn)(struct task *task, struct transport_event *event); /* true: *event is made */
};

/* It gets a turn, unless it waits already, in whatever queue. */
void task_wake(struct mux_list *ready, struct task *task);

/* All tasks that wait in `waiting`. */
void tasks_wake(struct mux_list *ready, struct mux_list *waiting);

/* Out of whatever queue it is in. */
void task_stop(struct task *task);

/*
 * One turn for each task that is ready now; those that queue again have theirs next time. At most
 * `most` events are made; returns how many.
 */
unsigned tasks_serve(struct mux_list *ready, struct transport_event *events, unsigned most);

#endif
