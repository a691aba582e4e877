/*
 * Intrusive doubly linked lists. An item is in one list of a kind or in none, and leaves it in O(1)
 * without naming the list. Nothing here allocates or blocks.
 *
 * A list's head must be initialised. An item must be initialised or all zero: both mean "in no
 * list".
 */
#ifndef MUX_LIST_H
#define MUX_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct mux_list {
    struct mux_list *prev, *next;
};

/* The struct that has this member at this address. */
#define MUX_CONTAINER_OF(address, type, member) \
    ((type *)(void *)((char *)(address)-offsetof(type, member)))

/* The item that a list's entry lies in. */
#define MUX_LIST_ITEM(entry, type, member) MUX_CONTAINER_OF(entry, type, member)

static inline void mux_list_init(struct mux_list *list) {
    list->prev = list->next = list;
}

/* Of a list's head: is it empty? Of an item: is it in no list? */
static inline bool mux_list_empty(const struct mux_list *list) {
    return list->next == list || !list->next;
}

static inline void mux_list_remove(struct mux_list *item) {
    if (item->next) {
        item->prev->next = item->next;
        item->next->prev = item->prev;
    }
    mux_list_init(item);
}

/* To the end of `list`, from wherever it is. */
static inline void mux_list_append(struct mux_list *list, struct mux_list *item) {
    mux_list_remove(item);
    item->prev = list->prev;
    item->next = list;
    list->prev->next = item;
    list->prev = item;
}

/* The first item, removed; NULL when the list is empty. */
static inline struct mux_list *mux_list_pop(struct mux_list *list) {
    struct mux_list *item = list->next;
    if (item == list)
        return NULL;
    mux_list_remove(item);
    return item;
}

/* Puts all items of `from` in front of `list`, in their order; `from` is empty then. */
static inline void mux_list_prepend(struct mux_list *list, struct mux_list *from) {
    if (from->next == from)
        return;
    from->prev->next = list->next;
    list->next->prev = from->prev;
    list->next = from->next;
    from->next->prev = list;
    mux_list_init(from);
}

#endif
