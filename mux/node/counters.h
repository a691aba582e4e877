/*
 * The counters of a node's core: one table with name, unit and help. A program makes its JSON and
 * its metrics from it, and from tables of the same form for what it counts itself. Names follow
 * Prometheus: the program adds its prefix, and the suffix "_total" to counters that are not gauges.
 */
#ifndef MUX_COUNTERS_H
#define MUX_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(id, kind, unit, help) */
#define MUX_COUNTERS(X)                                                                            \
    X(links_open, GAUGE, "links", "links that are open now")                                       \
    X(links_opened, COUNTER, "links", "connections that became links by their first byte")         \
    X(links_ended, COUNTER, "links", "links that ended")                                           \
    X(received_bytes, COUNTER, "bytes", "bytes received from links")                               \
    X(received_packets, COUNTER, "packets", "good packets received from links")                    \
    X(chatter_bytes, COUNTER, "bytes", "bytes from links that were not subunit")                   \
    X(chatter_packets, COUNTER, "packets", "packets made of chatter")                              \
    X(damages, COUNTER, "damages", "runs of damaged bytes from links")                             \
    X(damage_bytes, COUNTER, "bytes", "damaged bytes from links")                                  \
    X(cut_bytes, COUNTER, "bytes",                                                                 \
      "bytes of output that went over the owner's limit and were left out")                        \
    X(abandoned_packets, COUNTER, "packets",                                                       \
      "packets whose writer died in the middle while another stream went on")                      \
    X(results, COUNTER, "results", "final results of tests received from links")                   \
    X(results_failed, COUNTER, "results",                                                          \
      "packets that say that a test failed or succeeded unexpectedly")                             \
    X(tests_failed, COUNTER, "tests", "tests in progress when their worker ended")                 \
    X(tests_untracked, COUNTER, "tests",                                                           \
      "tests begun for which there was no room to remember them")                                  \
    X(split_packets, COUNTER, "packets", "packets sent as two because of their length")            \
    X(oversize_packets, COUNTER, "packets", "packets reported as damage because of their length")  \
    X(forwarded_packets, COUNTER, "packets", "packets queued for the upstream")                    \
    X(forwarded_bytes, COUNTER, "bytes", "bytes queued for the upstream")                          \
    X(body_bytes_copied, COUNTER, "bytes", "bytes copied on the way up")                           \
    X(body_bytes_referenced, COUNTER, "bytes", "bytes sent up from a receive buffer or a slot")    \
    X(sent_bytes, COUNTER, "bytes", "bytes of packets that the upstream's kernel took whole")      \
    X(resent_packets, COUNTER, "packets", "packets begun on a lost upstream and sent again whole") \
    X(unsent_bytes, COUNTER, "bytes", "bytes that were not sent up when the node ended")           \
    X(down_received_bytes, COUNTER, "bytes", "bytes received from the upstream")                   \
    X(down_received_packets, COUNTER, "packets", "good packets received from the upstream")        \
    X(down_forwarded_packets, COUNTER, "packets", "packets queued for a link")                     \
    X(down_sent_bytes, COUNTER, "bytes", "bytes that links' kernels took")                         \
    X(down_own_packets, COUNTER, "packets", "packets from the upstream without a route code")      \
    X(down_unknown_packets, COUNTER, "packets", "packets from the upstream for an unknown link")   \
    X(down_refused_packets, COUNTER, "packets",                                                    \
      "packets for a link that does not read, or has no "                                          \
      "way down")                                                                                  \
    X(down_undelivered_bytes, COUNTER, "bytes", "bytes queued for links when they ended")          \
    X(down_chatter_bytes, COUNTER, "bytes", "bytes from the upstream that were not subunit")       \
    X(down_damage_bytes, COUNTER, "bytes", "damaged bytes from the upstream")                      \
    X(bundles, COUNTER, "bundles", "bundles of this node's own stream sent, again included")       \
    X(streams_forked, COUNTER, "streams",                                                          \
      "times another node had this one's identity and its stream went on under another id")        \
    X(bundles_taken, COUNTER, "bundles", "bundles that were taken apart here, at their end")       \
    X(bundles_dropped, COUNTER, "bundles",                                                         \
      "bundles that this end had already, or that came before what is in front of them")           \
    X(unbundled_packets, COUNTER, "packets", "packets taken out of bundles")                       \
    X(acks_sent, COUNTER, "packets", "acknowledgements sent to leaves")                            \
    X(streams_opened, COUNTER, "streams", "streams of leaves that this end did not know before")   \
    X(streams_refused, COUNTER, "streams",                                                         \
      "times a stream was not taken: too many, or no place for it")                                \
    X(stream_holes, COUNTER, "holes", "parts of streams that nobody has any more")                 \
    X(stream_hole_bytes, COUNTER, "bytes", "bytes of them")                                        \
    X(spool_bytes, GAUGE, "bytes", "bytes of all files of the spool")                              \
    X(spool_written_bytes, COUNTER, "bytes", "bytes of packets written to the spool")              \
    X(spool_read_bytes, COUNTER, "bytes", "bytes read from the spool")                             \
    X(spool_holes, COUNTER, "holes", "places where files of the spool were damaged or missing")    \
    X(spool_lost_bytes, COUNTER, "bytes", "bytes of packets that were missing there")              \
    X(messages_relayed, COUNTER, "packets", "bundles and messages of streams below passed on")     \
    X(messages_dropped, COUNTER, "packets", "messages about streams that were for nobody")         \
    X(beats_sent, COUNTER, "packets", "beats sent to nodes with bundles, above and below")         \
    X(messages, COUNTER, "packets", "this node's own messages to the upstream")                    \
    X(messages_suppressed, COUNTER, "packets", "own messages not sent: too many in a short time")  \
    X(log_lines_suppressed, COUNTER, "lines", "log lines not written: too many in a short time")   \
    X(slot_waits, COUNTER, "waits", "times a large packet had to wait for an assembly slot")       \
    X(nodes_connected, COUNTER, "nodes", "links that said hello as another node")                  \
    X(nodes_refused, COUNTER, "nodes", "hellos that were refused")                                 \
    X(nodes_lost, COUNTER, "nodes", "nodes that became unreachable")                               \
    X(nodes_returned, COUNTER, "nodes", "nodes that came back to their segment")                   \
    X(nodes_given_up, COUNTER, "nodes", "nodes that did not come back in time")                    \
    X(nodes_moved, COUNTER, "nodes",                                                               \
      "nodes that came another way, and were forgotten where they were")                           \
    X(nodes_unknown, COUNTER, "nodes", "nodes further down for which there was no room")           \
    X(loops, COUNTER, "loops", "links and upstreams refused because they close a loop")            \
    X(tests_retold, COUNTER, "tests", "tests in progress told again to another upstream")          \
    X(clock_readings, COUNTER, "readings", "times the upstream has said what its clock shows")     \
    X(clock_steps, COUNTER, "steps", "times the upstream's clock was found to have been set")      \
    X(clock_skews, COUNTER, "skews",                                                               \
      "times the estimate of a worker's wrong clock was begun, changed or given up")               \
    X(timestamps_shifted, COUNTER, "packets", "packets whose timestamp was corrected")             \
    X(timestamps_added, COUNTER, "packets", "packets that got a timestamp")                        \
    X(timestamps_kept, COUNTER, "packets",                                                         \
      "packets whose timestamp could not be corrected: no packet can express it")                  \
    X(nodes_cut_bytes, COUNTER, "bytes",                                                           \
      "bytes of packets in which a node was cut off, or that a refused one sent")                  \
    X(links_evicted, COUNTER, "links",                                                             \
      "links closed because their large packet came too slowly while others waited")

enum mux_counter {
#define X(id, kind, unit, help) MUX_COUNT_##id,
    MUX_COUNTERS(X)
#undef X
        MUX_COUNTER_COUNT
};

enum mux_counter_kind { MUX_COUNTER, MUX_GAUGE };

struct mux_counter_info {
    const char *name; /* without prefix and suffix */
    enum mux_counter_kind kind;
    const char *unit;
    const char *help; /* one sentence, no full stop */
};

extern const struct mux_counter_info mux_counter_infos[MUX_COUNTER_COUNT];

struct mux_counters {
    uint64_t value[MUX_COUNTER_COUNT];
};

#define MUX_COUNT(counters, id, n) ((counters)->value[MUX_COUNT_##id] += (n))

#endif
