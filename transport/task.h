/*
 * Turns, for engines that do the work themselves: ready tasks wait in a queue and have one turn in
 * each round, so that a task that is always ready cannot starve the others. Nothing here allocates
 * or blocks.
 */
#ifndef TRANSPORT_TASK_H
#define TRANSPORT_TASK_H

#include "mux/list.h"
#include "transport/transport.h"

/*
 * Part of a connection or listener. It is in one queue at most: of ready tasks, or of those that
 * wait for something.
 */
struct task {
    struct mux_list link;
    bool (*turn)(struct task *task, struct transport_event *event); /* true: *event is made */
};

/* Gives it a turn, unless it is already in a queue. */
void task_wake(struct mux_list *ready, struct task *task);

/* All tasks that wait in `waiting`. */
void tasks_wake(struct mux_list *ready, struct mux_list *waiting);

/* Takes it out of the queue that it is in, if any. */
void task_stop(struct task *task);

/*
 * One turn for each task that is ready now; tasks that queue again have theirs next time. Makes at
 * most `most` events; returns how many.
 */
unsigned tasks_serve(struct mux_list *ready, struct transport_event *events, unsigned most);

#endif
