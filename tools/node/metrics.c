#include "tools/node/metrics.h"

#include <stdio.h>

/* Names, punctuation and the longest number; the texts need no escapes. */
#define FRAME_BYTES 112

#define X(id, kind, unit, help)                                                                \
    _Static_assert(sizeof #id + sizeof unit + sizeof help + FRAME_BYTES <= METRICS_ITEM_BYTES, \
                   "a counter's texts fit an item");
MUX_COUNTERS(X)
NODE_COUNTERS(X)
#undef X

/* The metrics in their order: the core's, the node's own, the transport's, the upstream's clock. */
#define CORE_END MUX_COUNTER_COUNT
#define OWN_END (CORE_END + NODE_COUNTER_COUNT)

void metrics_take(struct metrics *metrics, struct node *node, const struct loop *loop) {
    unsigned count = loop->ops->counts ? loop->ops->counts(loop->transport, metrics->counts) : 0;
    metrics->core = node_core_counters(node);
    metrics->own = node_own_counters(node);
    metrics->clocks_at = OWN_END + count;
    node_upstream_clock(node, &metrics->clock);
    bool is_known = metrics->clock.basis == MUX_CLOCK_MEASURED;
    metrics->count = metrics->clocks_at + (is_known ? METRICS_CLOCKS : 0);
}

/* Then comes the value. */
static void begin(struct json *json, const char *name, bool is_gauge) {
    char full[96];
    snprintf(full, sizeof full, "muxd_%s%s", name, is_gauge ? "" : "_total");
    json_put_key(json, full);
    json_put_open(json, '{');
    json_put_key(json, "value");
}

static void end(struct json *json, bool is_gauge, const char *unit, const char *help) {
    json_put_member_text(json, "type", is_gauge ? "gauge" : "counter");
    json_put_member_text(json, "unit", unit);
    json_put_member_text(json, "help", help);
    json_put_close(json, '}');
}

static void put(struct json *json, const char *name, bool is_gauge, uint64_t value,
                const char *unit, const char *help) {
    begin(json, name, is_gauge);
    json_put_number(json, value);
    end(json, is_gauge, unit, help);
}

static void put_clock(struct json *json, const struct mux_clock_stats *clock, unsigned index) {
    static const char *const names[METRICS_CLOCKS] = {"upstream_clock_ahead_seconds",
                                                      "upstream_clock_error_seconds"};
    static const char *const helps[METRICS_CLOCKS] = {
        "how far the upstream's clock is ahead of this node's",
        "the most that upstream_clock_ahead_seconds may be wrong by"};
    begin(json, names[index], true);
    json_put_signed_seconds(json, index == 0 ? clock->ahead_ns : (int64_t)clock->error_ns);
    end(json, true, "seconds", helps[index]);
}

static void put_counter(struct json *json, const struct mux_counter_info *info, uint64_t value) {
    put(json, info->name, info->kind == MUX_GAUGE, value, info->unit, info->help);
}

void metrics_put(struct json *json, const struct metrics *metrics, unsigned index) {
    if (index < CORE_END) {
        put_counter(json, &mux_counter_infos[index], metrics->core->value[index]);
    } else if (index < OWN_END) {
        index -= CORE_END;
        put_counter(json, &node_counter_infos[index], metrics->own->value[index]);
    } else if (index >= metrics->clocks_at) {
        put_clock(json, &metrics->clock, index - metrics->clocks_at);
    } else {
        const struct transport_count *count = &metrics->counts[index - OWN_END];
        put(json, count->name, false, count->value, count->unit, count->help);
    }
}
