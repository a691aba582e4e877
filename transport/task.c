#include "transport/task.h"

void task_wake(struct mux_list *ready, struct task *task) {
    if (mux_list_empty(&task->link))
        mux_list_append(ready, &task->link);
}

void tasks_wake(struct mux_list *ready, struct mux_list *waiting) {
    struct mux_list *link;
    while ((link = mux_list_pop(waiting)))
        mux_list_append(ready, link);
}

void task_stop(struct task *task) {
    mux_list_remove(&task->link);
}

unsigned tasks_serve(struct mux_list *ready, struct transport_event *events, unsigned most) {
    struct mux_list round;
    struct mux_list *link;
    unsigned count = 0;
    mux_list_init(&round);
    mux_list_prepend(&round, ready);
    while (count < most && (link = mux_list_pop(&round))) {
        struct task *task = MUX_LIST_ITEM(link, struct task, link);
        events[count] = (struct transport_event){0};
        if (task->turn(task, &events[count]))
            count++;
    }
    mux_list_prepend(ready, &round);
    return count;
}
