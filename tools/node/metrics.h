/*
 * The counters of a node, of its core and of its transport as JSON: one shape for --stats-json and
 * for the control socket. {"muxd_links_open": {"value": 3, "type": "gauge", "unit": "links",
 * "help": ...}}
 */
#ifndef TOOLS_NODE_METRICS_H
#define TOOLS_NODE_METRICS_H

#include "tools/base/json.h"
#include "tools/base/loop.h"
#include "tools/node/node.h"

/* Most of them, and what one takes at most. */
#define METRICS_CLOCKS 2
#define METRICS_MAX (MUX_COUNTER_COUNT + NODE_COUNTER_COUNT + TRANSPORT_COUNTS_MAX + METRICS_CLOCKS)
#define METRICS_ITEM_BYTES 512

struct metrics {
    const struct mux_counters *core;
    const struct node_counters *own;
    struct transport_count counts[TRANSPORT_COUNTS_MAX];
    unsigned clocks_at;           /* the clock's come behind all counters, when it is known */
    struct mux_clock_stats clock; /* the upstream's */
    unsigned count;               /* of all */
};

/* Takes what the loop's transport counts now; the node's counters are read when written. */
void metrics_take(struct metrics *metrics, struct node *node, const struct loop *loop);

/* The name of number `index` (below `count`) and its value, as members of an open object. */
void metrics_put(struct json *json, const struct metrics *metrics, unsigned index);

#endif
