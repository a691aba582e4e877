/*
 * Test ids by number: each once, in the order in which they came. Runners choose them, so they are
 * told apart by a keyed hash and compared. Memory grows with them, nothing else. Pure.
 */
#ifndef TOOLS_FARM_IDS_H
#define TOOLS_FARM_IDS_H

#include "mux/buffer.h"

#include <stdbool.h>
#include <stdint.h>

#define IDS_NONE UINT32_MAX

/* Far above any suite, and what numbers can tell apart. */
#define IDS_MOST 16000000u

struct ids_place {
    size_t at; /* in `text` */
    uint32_t len;
    uint32_t hash; /* the half that its bucket does not show */
};

/* Lies in its owner; ids_open(). */
struct ids {
    uint64_t hash_key;
    char *text; /* each with NUL behind it */
    size_t text_len, text_room;
    struct ids_place *places;
    uint32_t count, room;
    uint32_t *buckets;     /* number + 1; 0: free. Linear probing */
    uint32_t bucket_count; /* a power of two */
};

/* `hash_key`: random and secret. */
void ids_open(struct ids *ids, uint64_t hash_key);
void ids_close(struct ids *ids);

/* The id's number, a new one if it is new. IDS_NONE: out of memory, or more than IDS_MOST. */
uint32_t ids_add(struct ids *ids, struct mux_span id);

/* IDS_NONE: it is not there. */
uint32_t ids_find(const struct ids *ids, struct mux_span id);

/* Good until the next ids_add(); with NUL behind it. */
struct mux_span ids_text(const struct ids *ids, uint32_t number);

#endif
