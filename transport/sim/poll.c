#include "transport/sim/internal.h"

/* The time that a poll() takes: a process that is never idle lets time pass, too. */
#define POLL_NS 1000

static void spend(struct sim *sim, uint64_t ns) {
    uint64_t until_ns = sim->now_ns + ns;
    while (sim->now_ns < until_ns)
        sim_clock_advance(sim, until_ns);
}

/* Serves what is ready; waits for it where poll() waits. */
static unsigned wait_until(struct transport *transport, uint64_t deadline_ns,
                           struct transport_event *events, unsigned most) {
    struct sim *sim = transport->sim;
    for (;;) {
        unsigned count = tasks_serve(&transport->ready, events, most);
        bool in_time = deadline_ns > sim->now_ns;
        if (count > 0 || !in_time || (mux_list_empty(&transport->ready) && !sim->poll_waits))
            return count;
        if (!mux_list_empty(&transport->ready))
            continue;
        bool comes = sim_clock_advance(sim, deadline_ns);
        assert(comes || deadline_ns != UINT64_MAX); /* would wait for ever */
    }
}

unsigned sim_engine_poll(struct transport *transport, uint64_t deadline_ns,
                         struct transport_event *events, unsigned most) {
    if (conns_recycle(&transport->conns) > 0)
        tasks_wake(&transport->ready, &transport->starved);
    deferred_run(&transport->deferred);
    spend(transport->sim, POLL_NS);
    unsigned count = wait_until(transport, deadline_ns, events, most);
    transport->wake_ns = count > 0 ? 0 : deadline_ns;
    return count;
}

void sim_stop(struct transport *transport, bool stopped) {
    transport->stopped = stopped;
}

bool sim_due(const struct transport *transport) {
    bool has_work =
        !mux_list_empty(&transport->ready) || transport->wake_ns <= transport->sim->now_ns;
    return has_work && !transport->stopped;
}
