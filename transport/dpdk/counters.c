#include "transport/dpdk/internal.h"

struct dpdk_counters dpdk_counters;

unsigned dpdk_counts(const struct transport *transport, struct transport_count *counts) {
    const struct dpdk_counters *c = &dpdk_counters;
    uint64_t missed = 0;
    for (unsigned i = 0; i < transport->ports_count; i++)
        missed += dpdk_port_missed(transport->ports[i]);
    const struct transport_count all[] = {
        {"dpdk_frames_received", "frames", "frames that DPDK's ports received", c->frames_received},
        {"dpdk_frames_missed", "frames",
         "frames for which a port had no room, as far as its driver knows", missed},
        {"dpdk_frames_filtered", "frames",
         "of those: not for this port, of another protocol, or malformed", c->frames_filtered},
        {"dpdk_frames_sent", "frames", "frames that DPDK's ports sent", c->frames_sent},
        {"dpdk_frames_unsent", "frames",
         "frames for which a port had no room: lost, TCP sends them again", c->frames_unsent},
        {"dpdk_openings_ignored", "segments", "SYNs beyond the backlog", c->openings_ignored},
        {"dpdk_openings_dropped", "connections",
         "half-open connections given up, the oldest first, because there were too many",
         c->openings_dropped},
        {"dpdk_segments_refused", "segments",
         "TCP segments that lie outside their window, or far from it", c->segments_refused},
        {"dpdk_reorder_dropped", "connections",
         "connections whose bytes out of order were thrown away for want of frames",
         c->reorder_dropped},
        {"dpdk_frames_kept", "frames", "received frames that wait or are lent now",
         dpdk_pieces_taken()},
        {"dpdk_received_copied_bytes", "bytes",
         "received bytes that were copied out of their frames", c->received_copied_bytes},
        {"dpdk_sent_copied_bytes", "bytes", "bytes that were copied into lwIP's segments",
         c->sent_copied_bytes},
        {"dpdk_framed_copied_bytes", "bytes",
         "bytes of lwIP's segments, headers included, that were copied into frames",
         c->framed_copied_bytes},
    };
    static_assert(sizeof all / sizeof *all <= TRANSPORT_COUNTS_MAX, "all fit");
    memcpy(counts, all, sizeof all);
    return sizeof all / sizeof *all;
}
