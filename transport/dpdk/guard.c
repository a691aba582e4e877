/*
 * Protection against hostile peers: what lwIP 2.1 trusts them not to do. Its own checks are
 * asserts, which end the process in Debian's build.
 */
#include "transport/dpdk/internal.h"
#include <time.h>

#include "lwip/priv/tcp_priv.h"

/* How often lwIP's connections are scanned: as often as its own timer does. */
#define CENSUS_NS (500 * UINT64_C(1000000))

/*
 * The time that a peer has, since its last segment, to take the rest of a connection that we have
 * closed. Without a limit a peer with a closed window keeps 64 KiB for ever, for each connection
 * that it makes.
 */
#define ORPHAN_TICKS (60 * 1000 / TCP_SLOW_INTERVAL)

/*
 * Most half-open connections, of which only a SYN has arrived; beyond them the oldest are dropped.
 */
#define OPENINGS_MAX 1024
#define OPENINGS_KEPT 512

/* Many times the largest window. */
#define SEQUENCE_FAR (INT64_C(1) << 24)

/*
 * How long stop() waits for peers to acknowledge what was sent: many round trips of a LAN. What is
 * in doubt after it was reported by CLOSED.
 */
#define LINGER_NS (100 * UINT64_C(1000000))
#define LINGER_PAUSE_NS 50000

static bool is_for(const struct tcp_pcb *pcb, const struct filter_tcp *tcp) {
    if (pcb->remote_port != tcp->source_port || pcb->local_port != tcp->destination_port ||
        IP_IS_V4_VAL(pcb->remote_ip) != (tcp->family == AF_INET))
        return false;
    if (tcp->family == AF_INET)
        return memcmp(&ip_2_ip4(&pcb->remote_ip)->addr, tcp->source, 4) == 0 &&
               memcmp(&ip_2_ip4(&pcb->local_ip)->addr, tcp->destination, 4) == 0;
    return memcmp(ip_2_ip6(&pcb->remote_ip)->addr, tcp->source, 16) == 0 &&
           memcmp(ip_2_ip6(&pcb->local_ip)->addr, tcp->destination, 16) == 0;
}

/*
 * Moves it to the front of lwIP's list, as lwIP will: its own search then ends at once. NULL: there
 * is none.
 */
static struct tcp_pcb *find_pcb(const struct filter_tcp *tcp) {
    struct tcp_pcb *before = NULL, *pcb = tcp_active_pcbs;
    while (pcb && !is_for(pcb, tcp)) {
        before = pcb;
        pcb = pcb->next;
    }
    if (pcb && before) {
        before->next = pcb->next;
        pcb->next = tcp_active_pcbs;
        tcp_active_pcbs = pcb;
    }
    return pcb;
}

/*
 * lwIP's arithmetic is correct only for sequence numbers near the expected ones. And a segment that
 * waits for earlier ones must end within the window, without a FIN: when the gap closes lwIP counts
 * both without checking the rest of the window. An honest peer sends such segments again.
 */
static bool is_sound(const struct tcp_pcb *pcb, const struct filter_tcp *tcp) {
    if (pcb->state == SYN_SENT)
        return true;
    if (pcb->state == SYN_RCVD && tcp->syn)
        return false; /* a second SYN would meet a changed window; the timer answers again */
    int64_t ahead = (int32_t)(tcp->sequence - pcb->rcv_nxt);
    if (ahead <= 0)
        return ahead > -SEQUENCE_FAR;
    return ahead + tcp->len <= pcb->rcv_wnd && !tcp->fin;
}

/* Drops frames that wait in lwIP for earlier ones when too few frames are free. */
static void drop_reordered(void) {
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next) {
        if (!pcb->ooseq)
            continue;
        tcp_free_ooseq(pcb);
        dpdk_counters.reorder_dropped++;
    }
}

/* The newest connections are the first in lwIP's list. */
static void drop_oldest_openings(struct transport *transport) {
    struct tcp_pcb *next;
    transport->half_open = 0;
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = next) {
        next = pcb->next;
        if (pcb->state != SYN_RCVD || ++transport->half_open <= OPENINGS_KEPT)
            continue;
        tcp_abandon(pcb, 0);
        transport->half_open--;
        dpdk_counters.openings_dropped++;
    }
}

/*
 * Limits half-open connections: an answer to a SYN costs memory before the peer has proved
 * anything. An honest peer completes the connection at once, so in a flood the oldest half-open
 * ones are the ones to drop.
 */
static bool admit_opening(struct transport *transport) {
    if (transport->pending >= BACKLOG_MAX) {
        dpdk_counters.openings_ignored++;
        return false;
    }
    if (++transport->half_open > OPENINGS_MAX)
        drop_oldest_openings(transport);
    return true;
}

bool dpdk_guard_admits(struct transport *transport, const struct filter_tcp *tcp,
                       struct tcp_pcb **pcb) {
    if (dpdk_pieces_taken() > FRAMES_TAKEN_MAX)
        drop_reordered();
    *pcb = find_pcb(tcp);
    if (!*pcb)
        return !tcp->syn || tcp->ack || admit_opening(transport);
    if (is_sound(*pcb, tcp))
        return true;
    dpdk_counters.segments_refused++;
    return false;
}

/*
 * lwIP's timer that probes a closed window keeps running after the waiting bytes were acknowledged,
 * and then asserts that there is something to send.
 */
void dpdk_guard_timers(void) {
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next)
        if (pcb->persist_backoff > 0 && (!pcb->unsent || pcb->unacked))
            pcb->persist_backoff = 0;
}

/* A connection made by a SYN is the first in the list. */
void dpdk_guard_opened(void) {
    struct tcp_pcb *pcb = tcp_active_pcbs;
    if (pcb && pcb->state == SYN_RCVD && pcb->rcv_wnd > WINDOW_LEAST_BYTES)
        dpdk_window_shut(pcb);
}

bool dpdk_guard_is_open(const struct tcp_pcb *pcb) {
    return pcb && tcp_active_pcbs == pcb;
}

void dpdk_guard_census(struct transport *transport, uint64_t now_ns) {
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

/* A kernel continues after a process has ended; lwIP ends with it. */
void dpdk_guard_linger(struct transport *transport) {
    const struct timespec pause = {.tv_nsec = LINGER_PAUSE_NS};
    uint64_t until_ns = dpdk_now_ns(transport) + LINGER_NS;
    while (!all_acknowledged() && dpdk_now_ns(transport) < until_ns) {
        dpdk_pass(transport);
        nanosleep(&pause, NULL);
    }
}

/* Connections that both sides have finished end silently, others with a reset. */
void dpdk_guard_end(void) {
    while (tcp_active_pcbs)
        tcp_abandon(tcp_active_pcbs, tcp_active_pcbs->state != FIN_WAIT_2);
    while (tcp_tw_pcbs)
        tcp_abandon(tcp_tw_pcbs, 0);
}
