/*
 * Against peers that mean harm: what lwIP 2.1 trusts them not to do. Its own checks are asserts, in
 * Debian's build they end the process.
 */
#include "transport/dpdk/internal.h"
#include <time.h>

#include "lwip/priv/tcp_priv.h"

/* How often lwIP's connections are looked through: as often as its own timer does. */
#define CENSUS_NS (500 * UINT64_C(1000000))

/*
 * What we have closed has so long, since it was last heard of, to take the rest. Without an end to
 * it a peer with a closed window keeps its 64 KiB for ever, once per connection that it makes.
 */
#define ORPHAN_TICKS (60 * 1000 / TCP_SLOW_INTERVAL)

/* How long stop() waits for peers to acknowledge what was sent to them. */
#define LINGER_NS (3000 * UINT64_C(1000000))
#define LINGER_PAUSE_NS 50000

bool guard_admits(struct transport *transport, const struct filter_tcp *tcp) {
    if (pieces_taken() > FRAMES_TAKEN_MAX)
        for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next)
            if (pcb->ooseq) {
                tcp_free_ooseq(pcb);
                dpdk_counters.reorder_dropped++;
            }
    if (!tcp->opens)
        return true;
    if (transport->pending + transport->half_open >= BACKLOG_MAX) {
        dpdk_counters.openings_ignored++;
        return false;
    }
    transport->half_open++;
    return true;
}

/*
 * A segment that waits for those before it must end within the window, and a FIN must not wait:
 * when the gap closes lwIP counts both without looking at what is left of the window. Neither comes
 * from an honest peer that has lost nothing; what is thrown away comes again.
 */
static bool ooseq_is_sound(const struct tcp_pcb *pcb) {
    uint32_t edge = pcb->rcv_nxt + pcb->rcv_wnd;
    for (const struct tcp_seg *seg = pcb->ooseq; seg; seg = seg->next)
        if (TCPH_FLAGS(seg->tcphdr) & (TCP_FIN | TCP_SYN) ||
            TCP_SEQ_GT(seg->tcphdr->seqno + seg->len, edge))
            return false;
    return true;
}

/* After every segment: its connection stands first in lwIP's list. */
void guard_mend(void) {
    struct tcp_pcb *pcb = tcp_active_pcbs;
    if (pcb && pcb->ooseq && !ooseq_is_sound(pcb)) {
        tcp_free_ooseq(pcb);
        dpdk_counters.reorder_dropped++;
    }
}

/*
 * The timer that probes a closed window goes on though what waited for it was acknowledged, and
 * then asserts that there is something to send.
 */
void guard_timers(void) {
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next)
        if (pcb->persist_backoff > 0 && (!pcb->unsent || pcb->unacked))
            pcb->persist_backoff = 0;
}

void guard_census(struct transport *transport, uint64_t now_ns) {
    if (now_ns < transport->census_due_ns)
        return;
    transport->census_due_ns = now_ns + CENSUS_NS;
    transport->half_open = 0;
    struct tcp_pcb *next;
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = next) {
        next = pcb->next;
        if (pcb->state == SYN_RCVD)
            transport->half_open++;
        else if (!pcb->recv && tcp_ticks - pcb->tmr > ORPHAN_TICKS)
            tcp_abort(pcb);
    }
}

static bool all_acknowledged(void) {
    for (const struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next)
        if (pcb->state != SYN_RCVD && (pcb->unsent || pcb->unacked))
            return false;
    return true;
}

/* A kernel goes on when a process has ended; lwIP ends with it. */
void guard_linger(struct transport *transport) {
    const struct timespec pause = {.tv_nsec = LINGER_PAUSE_NS};
    uint64_t until_ns = dpdk_now_ns(transport) + LINGER_NS;
    while (!all_acknowledged() && dpdk_now_ns(transport) < until_ns) {
        dpdk_pass(transport);
        nanosleep(&pause, NULL);
    }
}

/* Those that both sides are done with end in silence, the others with a reset. */
void guard_end(void) {
    while (tcp_active_pcbs)
        tcp_abandon(tcp_active_pcbs, tcp_active_pcbs->state != FIN_WAIT_2);
    while (tcp_tw_pcbs)
        tcp_abandon(tcp_tw_pcbs, 0);
}
