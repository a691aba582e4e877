#include "mux/node/counters.h"

#define COUNTER MUX_COUNTER
#define GAUGE MUX_GAUGE

const struct mux_counter_info mux_counter_infos[MUX_COUNTER_COUNT] = {
#define X(id, kind, unit, help) {#id, kind, unit, help},
    MUX_COUNTERS(X)
#undef X
};
