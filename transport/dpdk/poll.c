#include "transport/dpdk/internal.h"
#include <time.h>

#include "lwip/timeouts.h"

#define NS_PER_MS UINT64_C(1000000)

/* After traffic the port is polled without a pause for this long: answers arrive within it. */
#define SPIN_NS 100000

/*
 * Then the pauses grow in proportion to the silence. The longest is what a ring of RING_FRAMES
 * holds at 10 Gbit/s, and the longest wait of a first packet.
 */
#define PAUSE_LEAST_NS 50000
#define PAUSE_MOST_NS 1000000
#define PAUSE_SHARE 16

static void run_timers(void) {
    if (sys_timeouts_sleeptime() > 0)
        return;
    dpdk_guard_timers();
    sys_check_timeouts();
}

/* Feeds received frames to lwIP, and runs its timers. */
static void pass_in(struct transport *transport, uint64_t now_ns) {
    unsigned frames = 0;
    for (unsigned i = 0; i < transport->ports_count; i++)
        frames += dpdk_port_receive(transport->ports[i]);
    if (frames > 0)
        transport->busy_ns = now_ns;
    for (unsigned i = 0; i < transport->ports_count; i++)
        dpdk_port_watch(transport->ports[i], now_ns);
    run_timers();
    dpdk_guard_census(transport, now_ns);
}

/* Sends lwIP's output. */
static void pass_out(struct transport *transport, uint64_t now_ns) {
    dpdk_receive_acknowledge(transport, now_ns);
    for (unsigned i = 0; i < transport->ports_count; i++)
        dpdk_port_flush(transport->ports[i]);
}

void dpdk_pass(struct transport *transport) {
    uint64_t now_ns = dpdk_now_ns(transport);
    pass_in(transport, now_ns);
    pass_out(transport, now_ns);
}

unsigned dpdk_poll(struct transport *transport, uint64_t deadline_ns,
                   struct transport_event *events, unsigned most) {
    (void)deadline_ns; /* it cannot wait */
    dpdk_conns_recycle(transport);
    deferred_run(&transport->deferred);
    if (transport->ports_count == 0)
        return 0;
    uint64_t now_ns = dpdk_now_ns(transport);
    pass_in(transport, now_ns);
    unsigned count = tasks_serve(&transport->ready, events, most);
    pass_out(transport, now_ns);
    if (count > 0)
        transport->busy_ns = now_ns;
    return count;
}

/* A port of DPDK's has none: it is polled. */
int dpdk_wake_fd(const struct transport *transport) {
    (void)transport;
    return -1;
}

static bool has_work(const struct transport *transport) {
    if (!mux_list_empty(&transport->ready) || transport->conns.gone_count > 0)
        return true;
    for (unsigned i = 0; i < transport->ports_count; i++)
        if (dpdk_port_has_work(transport->ports[i]))
            return true;
    return false;
}

uint64_t dpdk_idle_until_ns(struct transport *transport) {
    if (transport->ports_count == 0)
        return UINT64_MAX;
    uint64_t now_ns = dpdk_now_ns(transport), silence_ns = now_ns - transport->busy_ns;
    if (has_work(transport) || silence_ns < SPIN_NS)
        return 0;
    uint64_t pause_ns = silence_ns / PAUSE_SHARE;
    pause_ns = pause_ns > PAUSE_LEAST_NS ? pause_ns : PAUSE_LEAST_NS;
    pause_ns = pause_ns < PAUSE_MOST_NS ? pause_ns : PAUSE_MOST_NS;
    uint64_t timer_ns = sys_timeouts_sleeptime() * NS_PER_MS;
    uint64_t until_ns = now_ns + (pause_ns < timer_ns ? pause_ns : timer_ns);
    uint64_t ack_ns = dpdk_receive_due_ns(transport);
    return until_ns < ack_ns ? until_ns : ack_ns;
}
