#include "transport/sim/internal.h"

/* What a poll() costs: a process that is never idle lets time pass, too. */
#define POLL_NS 1000

void engine_task_wake(struct transport *transport, struct task *task) {
    if (!queue_linked(&task->link))
        queue_push(&transport->ready, &task->link);
}

void engine_task_stop(struct task *task) {
    if (queue_linked(&task->link))
        queue_remove(&task->link);
}

/* One turn for each task that is ready now; those that queue again have theirs next time. */
static unsigned serve(struct transport *transport, struct transport_event *events, unsigned most) {
    struct queue round;
    struct queue_link *link;
    unsigned count = 0;
    queue_init(&round);
    queue_prepend(&round, &transport->ready);
    while (count < most && (link = queue_pop(&round))) {
        struct task *task = queue_entry(link, struct task, link);
        events[count] = (struct transport_event){0};
        if (task->turn(task, &events[count]))
            count++;
    }
    queue_prepend(&transport->ready, &round);
    return count;
}

static void spend(struct sim *sim, uint64_t ns) {
    uint64_t until_ns = sim->now_ns + ns;
    while (sim->now_ns < until_ns)
        clock_advance(sim, until_ns);
}

/* What is ready, waiting for it where poll() waits. */
static unsigned wait_until(struct transport *transport, uint64_t deadline_ns,
                           struct transport_event *events, unsigned most) {
    struct sim *sim = transport->sim;
    for (;;) {
        unsigned count = serve(transport, events, most);
        bool in_time = deadline_ns > sim->now_ns;
        if (count > 0 || !in_time || (queue_empty(&transport->ready) && !sim->poll_waits))
            return count;
        if (!queue_empty(&transport->ready))
            continue;
        bool comes = clock_advance(sim, deadline_ns);
        assert(comes || deadline_ns != UINT64_MAX); /* would wait for ever */
    }
}

unsigned engine_poll(struct transport *transport, uint64_t deadline_ns,
                     struct transport_event *events, unsigned most) {
    engine_conns_recycle(transport);
    spend(transport->sim, POLL_NS);
    unsigned count = wait_until(transport, deadline_ns, events, most);
    transport->wake_ns = count > 0 ? 0 : deadline_ns;
    return count;
}

bool sim_due(const struct transport *transport) {
    return !queue_empty(&transport->ready) || transport->wake_ns <= transport->sim->now_ns;
}
