/*
 * Memory that events of the last poll() may still name: it is freed with the next one. One thread;
 * nothing here allocates or blocks.
 */
#ifndef TRANSPORT_DEFERRED_H
#define TRANSPORT_DEFERRED_H

#include "mux/list.h"
#include <stdlib.h>

struct deferred {
    struct mux_list queue;
};

/* Lies in the memory. */
struct deferred_item {
    struct mux_list link;
    void *memory; /* from malloc() */
};

static inline void deferred_init(struct deferred *deferred) {
    mux_list_init(&deferred->queue);
}

static inline void deferred_free(struct deferred *deferred, struct deferred_item *item,
                                 void *memory) {
    item->memory = memory;
    mux_list_append(&deferred->queue, &item->link);
}

/* At the beginning of poll(), and at the end of the engine's life. */
static inline void deferred_run(struct deferred *deferred) {
    struct mux_list *link;
    while ((link = mux_list_pop(&deferred->queue)))
        free(MUX_LIST_ITEM(link, struct deferred_item, link)->memory);
}

#endif
