/*
 * Gathering. Where many workers send a little each, every packet wakes us, and being woken costs
 * more than all else. So when one small wake follows another at once, the kernel is asked to let
 * completions gather for a moment. Not while a send is in flight, whose end would come late, not
 * when much comes anyway, and not where one peer sends only when it has been answered.
 */
#include "transport/uring/uring.h"

/* The next wake comes so soon: five thousand a second. */
#define SOON_NS 200000u

/* A wake that brings more is large enough; one that was gathered may bring more than others. */
#define SMALL_EVENTS 16
#define SMALL_BYTES 16384
#define GATHERED_BYTES 65536

/* Wakes in a row that show it; doubled each time when gathering brings nothing. */
#define WAKES_LEAST 8
#define WAKES_MOST 4096

void uring_gathering_init(struct uring_gathering *gathering) {
    *gathering = (struct uring_gathering){.wakes_needed = WAKES_LEAST};
}

bool uring_gathers(const struct transport *transport) {
    const struct uring_gathering *gathering = &transport->gathering;
    return transport->min_wait && gathering->sends_in_flight == 0 &&
           gathering->small_wakes >= gathering->wakes_needed;
}

/* What a gathered wake brought says whether to go on. */
static void judge(struct uring_gathering *gathering, unsigned received, size_t bytes) {
    if (received > 1 && bytes < GATHERED_BYTES) {
        gathering->wakes_needed = WAKES_LEAST;
        return;
    }
    gathering->small_wakes = 0;
    if (received == 1 && gathering->wakes_needed < WAKES_MOST)
        gathering->wakes_needed *= 2;
}

void uring_gathering_woken(struct transport *transport, const struct uring_events *out) {
    struct uring_gathering *gathering = &transport->gathering;
    unsigned received = 0;
    size_t bytes = 0;
    for (unsigned i = 0; i < out->count; i++) {
        received += out->events[i].kind == TRANSPORT_RECEIVED;
        bytes += out->events[i].bytes.len;
    }
    if (received == 0)
        return;
    uint64_t now_ns = uring_now_ns(transport);
    bool soon = now_ns - gathering->woken_ns < SOON_NS;
    gathering->woken_ns = now_ns;
    if (gathering->on)
        judge(gathering, received, bytes);
    else if (soon && received < SMALL_EVENTS && bytes < SMALL_BYTES)
        gathering->small_wakes++;
    else
        gathering->small_wakes = 0;
}
