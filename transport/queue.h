/*
 * An intrusive first-in-first-out queue. A link is in one queue at most and leaves it in O(1)
 * without being told which: what waits can be closed at any time. Nothing here allocates or blocks.
 */
#ifndef TRANSPORT_QUEUE_H
#define TRANSPORT_QUEUE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

struct queue_link {
    struct queue_link *next; /* both NULL: in no queue */
    struct queue_link *prev;
};

struct queue {
    struct queue_link head; /* a circle; the head is no member */
};

#define queue_entry(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void queue_init(struct queue *queue) {
    queue->head.next = queue->head.prev = &queue->head;
}

static inline bool queue_empty(const struct queue *queue) {
    return queue->head.next == &queue->head;
}

static inline bool queue_linked(const struct queue_link *link) {
    return link->next != NULL;
}

static inline void queue_push(struct queue *queue, struct queue_link *link) {
    assert(!queue_linked(link));
    link->next = &queue->head;
    link->prev = queue->head.prev;
    link->prev->next = link;
    queue->head.prev = link;
}

/* Takes `link` out of the queue it is in. */
static inline void queue_remove(struct queue_link *link) {
    assert(queue_linked(link));
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}

/* The oldest, taken out; NULL when empty. */
static inline struct queue_link *queue_pop(struct queue *queue) {
    struct queue_link *link = queue->head.next;
    if (link == &queue->head)
        return NULL;
    queue_remove(link);
    return link;
}

/* Puts all of `from` in front of `queue`, order kept; `from` is empty then. */
static inline void queue_prepend(struct queue *queue, struct queue *from) {
    if (queue_empty(from))
        return;
    struct queue_link *first = from->head.next, *last = from->head.prev;
    last->next = queue->head.next;
    queue->head.next->prev = last;
    queue->head.next = first;
    first->prev = &queue->head;
    queue_init(from);
}

#endif
