/*
 * Memory that events of the last poll() may still name: it is freed with the next one. One thread;
 * nothing here allocates or blocks.
 */
#ifndef TRANSPORT_DEFERRED_H
#define TRANSPORT_DEFERRED_H

#include "transport/queue.h"
#include <stdlib.h>

struct deferred {
    struct queue queue;
};

/* Lies in the memory. */
struct deferred_item {
    struct queue_link link;
    void *memory; /* from malloc() */
};

static inline void deferred_init(struct deferred *deferred) {
    queue_init(&deferred->queue);
}

static inline void deferred_free(struct deferred *deferred, struct deferred_item *item,
                                 void *memory) {
    item->memory = memory;
    queue_push(&deferred->queue, &item->link);
}

/* At the beginning of poll(), and at the end of the engine's life. */
static inline void deferred_run(struct deferred *deferred) {
    struct queue_link *link;
    while ((link = queue_pop(&deferred->queue)))
        free(queue_entry(link, struct deferred_item, link)->memory);
}

#endif
