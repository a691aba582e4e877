/*
 * How far a peer's time of day is from this node's clock, from readings: this node asks, the peer
 * answers with its time. That time is one between question and answer, so each reading has an
 * error of at most half of the time that it took, and the quickest reading is the best one.
 *
 * Pure: times come in. "Ahead" is what is to be added to the clock of mux_run() to get the peer's
 * time of day, in nanoseconds since 1970.
 */
#ifndef MUX_OFFSET_H
#define MUX_OFFSET_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Two clocks go apart by at most this much: what a kernel uses at most to bring a clock back
 * (adjtime); crystals that nobody disciplines are better.
 */
#define MUX_DRIFT_PPM 500

struct mux_offset {
    bool is_known;
    int64_t ahead_ns;
    uint64_t error_ns; /* at most, when it was read */
    uint64_t read_ns;
};

enum mux_reading {
    MUX_READING_WORSE,   /* what was known is better: nothing has changed */
    MUX_READING_TAKEN,   /* it is better */
    MUX_READING_STEPPED, /* both cannot be true: the peer's clock was set. The new one is taken */
};

/*
 * Question and answer by this node's clock; the time that the peer said in between, and the most
 * that it may be wrong by, as the peer says.
 */
enum mux_reading mux_offset_read(struct mux_offset *offset, uint64_t asked_ns, uint64_t answered_ns,
                                 int64_t said_ns, uint64_t said_error_ns);

/* The largest error by now. Of a known offset. */
uint64_t mux_offset_error_ns(const struct mux_offset *offset, uint64_t now_ns);

#endif
