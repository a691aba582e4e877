/* Intrusive doubly linked lists: an item is in one list of a kind or in none. */
#ifndef MUX_LIST_H
#define MUX_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct mux_list {
    struct mux_list *prev, *next;
};

#define MUX_LIST_ITEM(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void mux_list_init(struct mux_list *list) {
    list->prev = list->next = list;
}

/* Of a list's head: is it empty? Of an item: is it in no list? */
static inline bool mux_list_empty(const struct mux_list *list) {
    return list->next == list;
}

static inline void mux_list_remove(struct mux_list *item) {
    item->prev->next = item->next;
    item->next->prev = item->prev;
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

#endif
