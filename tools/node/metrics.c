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

/* The metrics in their order: the core's, the node's own, the transport's. */
#define CORE_END MUX_COUNTER_COUNT
#define OWN_END (CORE_END + NODE_COUNTER_COUNT)

void metrics_take(struct metrics *metrics, struct node *node, const struct loop *loop) {
    unsigned count = loop->ops->counts ? loop->ops->counts(loop->transport, metrics->counts) : 0;
    metrics->core = node_core_counters(node);
    metrics->own = node_own_counters(node);
    metrics->count = OWN_END + count;
}

static void put_text(struct json *json, const char *key, const char *text) {
    json_put_key(json, key);
    json_put_text(json, mux_span_text(text));
}

static void put(struct json *json, const char *name, bool is_gauge, uint64_t value,
                const char *unit, const char *help) {
    char full[96];
    snprintf(full, sizeof full, "muxd_%s%s", name, is_gauge ? "" : "_total");
    json_put_key(json, full);
    json_put_open(json, '{');
    json_put_key(json, "value");
    json_put_number(json, value);
    put_text(json, "type", is_gauge ? "gauge" : "counter");
    put_text(json, "unit", unit);
    put_text(json, "help", help);
    json_put_close(json, '}');
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
    } else {
        const struct transport_count *count = &metrics->counts[index - OWN_END];
        put(json, count->name, false, count->value, count->unit, count->help);
    }
}
