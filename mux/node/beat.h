/* How often nodes with bundles beat, and when silence is taken for an end: see beat.c. */
#ifndef MUX_BEAT_H
#define MUX_BEAT_H

#include "mux/list.h"

#include <stdint.h>

/* A quarter of the grace is three beats: one that comes late is no silence. */
#define MUX_BEATS_IN_GRACE 12
#define MUX_BEATS_IN_SILENCE 3

/* With a short grace: silence of less than a second is that of a machine that is busy. */
#define MUX_BEAT_LEAST_NS UINT64_C(333333334)

/*
 * So long a node looks for an upstream before those below it are sent elsewhere: above four
 * attempts (0.1, 0.2, 0.4, 0.8 s).
 */
#define MUX_BEAT_CUTOFF_NS UINT64_C(2000000000)

struct mux_beat {
    struct mux_list links;      /* of mux_link.beat_entry: with bundles, by beat_ns */
    uint64_t again_ns;          /* there was no memory for a beat; 0: there was */
    uint64_t heard_ns, sent_ns; /* from the upstream, and to it, last */
    uint64_t apart_ns;          /* when there was last an upstream, or no need of one */
    bool is_cut_off;
};

#endif
