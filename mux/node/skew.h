/*
 * How far the clock of a worker is from this node's, from the packets alone: it is not asked. Each
 * packet arrives some time after its timestamp, and the smallest of these delays is nearly none;
 * what remains of it is the difference of the clocks. So the estimate is wrong by the smallest
 * delay: milliseconds, unless everything is held up.
 *
 * A recording has old timestamps and no skew. Its timestamps go by faster than the clock, while
 * those of a live worker go by with it.
 *
 * Pure: times come in. "Ahead" is what is to be added to the clock of mux_run() to get the worker's
 * time.
 */
#ifndef MUX_SKEW_H
#define MUX_SKEW_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The smallest delay of two windows counts: clocks go apart by some milliseconds in that time, and
 * nearly each worker has sent something in it that nothing held up.
 */
#define MUX_SKEW_WINDOW_NS UINT64_C(60000000000)

/* Timestamps that gain more than this on the clock in a window are a recording, or were held up. */
#define MUX_SKEW_GAIN_NS INT64_C(1000000000)

/* A worker counts as live again when its timestamps have not gained on the clock for this time. */
#define MUX_SKEW_CALM_NS UINT64_C(5000000000)

enum mux_skew_state {
    MUX_SKEW_UNKNOWN,  /* no timestamp has come */
    MUX_SKEW_LIVE,     /* its timestamps go by with the clock */
    MUX_SKEW_RECORDED, /* they go by faster */
};

struct mux_skew {
    enum mux_skew_state state;
    int64_t least_ns,
        before_ns;      /* smallest arrival minus timestamp: in this window, the one before */
    uint64_t window_ns; /* when this window began */
    uint64_t gained_ns; /* when the timestamps last gained on the clock */
};

/*
 * A timestamp arrived. `is_held_up`: this node may have made it late, or others of this time: a
 * window does not end now, for it may have no packet that came at once.
 */
void mux_skew_sample(struct mux_skew *skew, uint64_t arrived_ns, int64_t stamp_ns, bool is_held_up);

/* Of a skew that is not UNKNOWN. */
int64_t mux_skew_ahead_ns(const struct mux_skew *skew);

#endif
