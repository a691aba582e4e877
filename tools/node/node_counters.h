/*
 * The counters of a node that tools/node keeps: of its connections and of its upstream. One table
 * of the same form as that of the core (mux/node/counters.h).
 */
#ifndef TOOLS_NODE_COUNTERS_H
#define TOOLS_NODE_COUNTERS_H

#include "mux/node/counters.h"

/* X(id, kind, unit, help) */
#define NODE_COUNTERS(X)                                                                         \
    X(connections_accepted, COUNTER, "connections", "connections accepted")                      \
    X(connections_forbidden, COUNTER, "connections",                                             \
      "connections closed because their address is not allowed")                                 \
    X(connections_over_limit, COUNTER, "connections",                                            \
      "connections closed because too many were open")                                           \
    X(connections_refused, COUNTER, "connections", "connections closed for want of descriptors") \
    X(connections_lost, COUNTER, "connections", "workers' connections that broke")               \
    X(connections_empty, COUNTER, "connections",                                                 \
      "connections that ended without a byte, as health checks do")                              \
    X(upstream_connects, COUNTER, "connections", "times the upstream was reached")               \
    X(upstream_losses, COUNTER, "connections", "times the upstream was lost or not reached")     \
    X(in_doubt_bytes, COUNTER, "bytes",                                                          \
      "bytes that a lost TCP upstream may not have read; a unix socket's cannot be known")       \
    X(links_cut, COUNTER, "links",                                                               \
      "links open when an ending node had no time to read to their end")                         \
    X(view_missed_bytes, COUNTER, "bytes",                                                       \
      "output that was not shown to clients of the control socket, which read too slowly")       \
    X(view_input_bytes, COUNTER, "bytes",                                                        \
      "input that clients of the control socket have sent to workers")                           \
    X(view_refused_bytes, COUNTER, "bytes",                                                      \
      "input of theirs that was refused, or whose worker has gone")                              \
    X(links_kicked, COUNTER, "links", "links that were closed by an order")                      \
    X(orders_refused, COUNTER, "packets",                                                        \
      "orders from above that were refused, and jobs that were for want of trust")               \
    X(orders_forged, COUNTER, "packets",                                                         \
      "packets from workers that only nodes and agents may send, and orders from below")         \
    X(drains_unseen, COUNTER, "places",                                                          \
      "times a place below said that it drains and there was no room to remember it")

enum node_counter {
#define X(id, kind, unit, help) NODE_COUNT_##id,
    NODE_COUNTERS(X)
#undef X
        NODE_COUNTER_COUNT
};

extern const struct mux_counter_info node_counter_infos[NODE_COUNTER_COUNT];

struct node_counters {
    uint64_t value[NODE_COUNTER_COUNT];
};

#define NODE_COUNT(node, id, n) ((node)->own_counters.value[NODE_COUNT_##id] += (n))

#endif
