/*
 * Timers: things to do at a time. A pairing heap whose nodes lie in their owners, so that nothing
 * is allocated; setting takes O(1), running and cancelling O(log n) amortised.
 */
#ifndef TOOLS_BASE_TIMERS_H
#define TOOLS_BASE_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

/* Lies in its owner, zeroed but for `run`. It is cancelled before its owner is freed. */
struct timer {
    /* Its time has come; it is no longer set, and may be set again here. */
    void (*run)(struct timer *timer, uint64_t now_ns);
    uint64_t at_ns;
    uint64_t order;      /* of two for the same time the one that was set first runs first */
    struct timer *child; /* its first child in the heap */
    struct timer *next;  /* its next sibling */
    struct timer *prev;  /* the sibling before it, or its parent; NULL: the root, or not set */
    bool is_set;
};

/* Zeroed: empty. */
struct timers {
    struct timer *root;
    uint64_t order; /* of the next one that is set */
};

/* Runs it at this time, wherever it was set to before. */
void timers_set(struct timers *timers, struct timer *timer, uint64_t at_ns);

/* It does not run. One that is not set stays so. */
void timers_cancel(struct timers *timers, struct timer *timer);

/* When the next one runs; UINT64_MAX: none is set. */
uint64_t timers_next_ns(const struct timers *timers);

/*
 * Runs those whose time has come, in the order of their times. One that is set meanwhile runs in
 * the next call at the earliest, so that a timer which sets itself to "now" does not keep the
 * caller here.
 */
void timers_run(struct timers *timers, uint64_t now_ns);

#endif
