#include "tools/node/node_counters.h"

#define COUNTER MUX_COUNTER
#define GAUGE MUX_GAUGE

const struct mux_counter_info node_counter_infos[NODE_COUNTER_COUNT] = {
#define X(id, kind, unit, help) {#id, kind, unit, help},
    NODE_COUNTERS(X)
#undef X
};
