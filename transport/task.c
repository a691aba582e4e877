#include "transport/task.h"

void task_wake(struct queue *ready, struct task *task) {
    if (!queue_linked(&task->link))
        queue_push(ready, &task->link);
}

void task_stop(struct task *task) {
    if (queue_linked(&task->link))
        queue_remove(&task->link);
}

unsigned tasks_serve(struct queue *ready, struct transport_event *events, unsigned most) {
    struct queue round;
    struct queue_link *link;
    unsigned count = 0;
    queue_init(&round);
    queue_prepend(&round, ready);
    while (count < most && (link = queue_pop(&round))) {
        struct task *task = queue_entry(link, struct task, link);
        events[count] = (struct transport_event){0};
        if (task->turn(task, &events[count]))
            count++;
    }
    queue_prepend(ready, &round);
    return count;
}
