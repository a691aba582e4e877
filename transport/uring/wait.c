/*
 * Coalescing. Where many workers send a little each, every packet wakes this thread, and a wake-up
 * costs more than all other work. So when small wake-ups follow each other closely, the kernel is
 * asked to coalesce completions for a moment. Not while a send is in flight, whose end would be
 * seen late, not when a wake-up brings much anyway, and not where a single peer sends only after it
 * was answered.
 */
#include "transport/uring/uring.h"

/* Wake-ups closer than this count as frequent: five thousand a second. */
#define SOON_NS 200000u

/* A wake-up that brings more is not small; a coalesced one may bring more than others. */
#define SMALL_EVENTS 16
#define SMALL_BYTES 16384
#define COALESCED_BYTES 65536

/* Small wake-ups in a row that start coalescing; doubled each time it brings nothing. */
#define WAKES_LEAST 8
#define WAKES_MOST 4096

void uring_coalescing_init(struct uring_coalescing *coalescing) {
    *coalescing = (struct uring_coalescing){.wakes_needed = WAKES_LEAST};
}

bool uring_coalesces(const struct transport *transport) {
    const struct uring_coalescing *coalescing = &transport->coalescing;
    return transport->min_wait && coalescing->sends_in_flight == 0 &&
           coalescing->small_wakes >= coalescing->wakes_needed;
}

/* Decides from what a coalesced wake-up brought whether to continue. */
static void judge(struct uring_coalescing *coalescing, unsigned received, size_t bytes) {
    if (received > 1 && bytes < COALESCED_BYTES) {
        coalescing->wakes_needed = WAKES_LEAST;
        return;
    }
    coalescing->small_wakes = 0;
    if (received == 1 && coalescing->wakes_needed < WAKES_MOST)
        coalescing->wakes_needed *= 2;
}

void uring_coalescing_woken(struct transport *transport, const struct uring_events *out) {
    struct uring_coalescing *coalescing = &transport->coalescing;
    unsigned received = 0;
    size_t bytes = 0;
    for (unsigned i = 0; i < out->count; i++) {
        received += out->events[i].kind == TRANSPORT_RECEIVED;
        bytes += out->events[i].bytes.len;
    }
    if (received == 0)
        return;
    uint64_t now_ns = uring_now_ns(transport);
    bool soon = now_ns - coalescing->woken_ns < SOON_NS;
    coalescing->woken_ns = now_ns;
    if (coalescing->on)
        judge(coalescing, received, bytes);
    else if (soon && received < SMALL_EVENTS && bytes < SMALL_BYTES)
        coalescing->small_wakes++;
    else
        coalescing->small_wakes = 0;
}
