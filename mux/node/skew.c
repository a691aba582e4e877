#include "mux/node/skew.h"

#include <assert.h>

static int64_t least_delay_ns(const struct mux_skew *skew) {
    return skew->least_ns < skew->before_ns ? skew->least_ns : skew->before_ns;
}

int64_t mux_skew_ahead_ns(const struct mux_skew *skew) {
    assert(skew->state != MUX_SKEW_UNKNOWN);
    return -least_delay_ns(skew);
}

/* Nothing that came before counts. */
static void begin(struct mux_skew *skew, enum mux_skew_state state, int64_t delay_ns,
                  uint64_t arrived_ns) {
    *skew = (struct mux_skew){.state = state,
                              .least_ns = delay_ns,
                              .before_ns = delay_ns,
                              .window_ns = arrived_ns,
                              .gained_ns = arrived_ns};
}

static void begin_window(struct mux_skew *skew, int64_t delay_ns, uint64_t arrived_ns) {
    skew->before_ns = skew->least_ns;
    skew->least_ns = delay_ns;
    skew->window_ns = arrived_ns;
}

/* It was a recording; has it gone on with the clock since, and come at once? */
static bool is_calm(const struct mux_skew *skew, int64_t delay_ns, uint64_t arrived_ns) {
    return arrived_ns - skew->gained_ns >= MUX_SKEW_CALM_NS &&
           delay_ns <= least_delay_ns(skew) + MUX_SKEW_GAIN_NS;
}

void mux_skew_sample(struct mux_skew *skew, uint64_t arrived_ns, int64_t stamp_ns,
                     bool is_held_up) {
    int64_t delay_ns = (int64_t)arrived_ns - stamp_ns;
    if (skew->state == MUX_SKEW_UNKNOWN) {
        begin(skew, MUX_SKEW_LIVE, delay_ns, arrived_ns);
        return;
    }
    if (delay_ns < skew->before_ns - MUX_SKEW_GAIN_NS) {
        begin(skew, MUX_SKEW_RECORDED, delay_ns, arrived_ns);
        return;
    }
    if (skew->state == MUX_SKEW_RECORDED && is_calm(skew, delay_ns, arrived_ns))
        skew->state = MUX_SKEW_LIVE;
    bool is_over = arrived_ns - skew->window_ns >= MUX_SKEW_WINDOW_NS;
    if (is_over && !is_held_up)
        begin_window(skew, delay_ns, arrived_ns);
    else if (delay_ns < skew->least_ns)
        skew->least_ns = delay_ns;
}
