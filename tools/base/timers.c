#include "tools/base/timers.h"

#include <assert.h>
#include <stddef.h>

static bool is_before(const struct timer *a, const struct timer *b) {
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

/* Makes one heap of two; each may be NULL. */
static struct timer *meld(struct timer *a, struct timer *b) {
    if (!a || !b)
        return a ? a : b;
    if (is_before(b, a)) {
        struct timer *first = b;
        b = a;
        a = first;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    a->child = b;
    return a;
}

/* The first of a list of siblings leaves it. */
static struct timer *take_sibling(struct timer **siblings) {
    struct timer *timer = *siblings;
    if (!timer)
        return NULL;
    *siblings = timer->next;
    timer->next = timer->prev = NULL;
    return timer;
}

/* Two passes, as pairing heaps do: melds neighbours, then all of the pairs. */
static struct timer *meld_siblings(struct timer *siblings) {
    struct timer *pairs = NULL, *root = NULL, *pair;
    while (siblings) {
        struct timer *a = take_sibling(&siblings), *b = take_sibling(&siblings);
        pair = meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    while ((pair = take_sibling(&pairs)))
        root = meld(root, pair);
    return root;
}

/* Takes one that is not the root out of its parent's list. */
static void cut(struct timer *timer) {
    if (timer->prev->child == timer)
        timer->prev->child = timer->next;
    else
        timer->prev->next = timer->next;
    if (timer->next)
        timer->next->prev = timer->prev;
    timer->prev = timer->next = NULL;
}

void timers_cancel(struct timers *timers, struct timer *timer) {
    if (!timer->is_set)
        return;
    struct timer *children = timer->child;
    timer->child = NULL;
    timer->is_set = false;
    if (timers->root == timer) {
        timers->root = meld_siblings(children);
        return;
    }
    cut(timer);
    timers->root = meld(timers->root, meld_siblings(children));
}

void timers_set(struct timers *timers, struct timer *timer, uint64_t at_ns) {
    assert(timer->run);
    timers_cancel(timers, timer);
    timer->at_ns = at_ns;
    timer->order = timers->order++;
    timer->is_set = true;
    timers->root = meld(timers->root, timer);
}

uint64_t timers_next_ns(const struct timers *timers) {
    return timers->root ? timers->root->at_ns : UINT64_MAX;
}

/*
 * The root is the earliest. One that was set in this pass may stand before older ones that are due
 * only when its time is earlier still: then those wait for the next pass, which comes at once.
 */
void timers_run(struct timers *timers, uint64_t now_ns) {
    uint64_t order = timers->order;
    while (timers->root && timers->root->at_ns <= now_ns && timers->root->order < order) {
        struct timer *timer = timers->root;
        timers_cancel(timers, timer);
        timer->run(timer, now_ns);
    }
}
