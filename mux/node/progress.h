/*
 * Tests in progress, by link: what is to be reported failed when a worker dies. One table for all
 * links, made once, its memory touched only as it is used.
 *
 * Every link has cells of its own, which no other can take. Beyond them it has a part of what all
 * links of its kind have in common: who needs more there, and has less than another, takes it from
 * the one that has most. So n links that want all get 1/n each, less a ninth for the coarse order
 * in which the largest is found. A test that has no cells, or loses them, is only counted.
 */
#ifndef MUX_PROGRESS_H
#define MUX_PROGRESS_H

#include "mux/list.h"
#include "mux/packet/packet.h"

/* Longest names that are remembered. */
#define MUX_PROGRESS_TEST_ID_BYTES 65536
#define MUX_PROGRESS_ROUTE_BYTES 3584
#define MUX_PROGRESS_NAME_BYTES (MUX_PROGRESS_TEST_ID_BYTES + MUX_PROGRESS_ROUTE_BYTES)

/*
 * A link's own cells; most names take one. As much as a worker with some threads needs; more, for
 * every link that there can be at once, small machines would not promise even untouched.
 */
#define MUX_PROGRESS_OWN_CELLS 24

/* Links of these kinds do not compete: strangers that say hello take nothing from workers. */
enum mux_progress_kind {
    MUX_PROGRESS_WORKER,
    MUX_PROGRESS_NODE, /* it carries the tests of many workers */
    MUX_PROGRESS_KINDS
};

struct mux_progress_cell;

/* A link's tests in progress, in the order they began. */
struct mux_progress_list {
    struct mux_list tests;
    struct mux_progress_pool *pool;
    struct mux_list of_class;          /* in pool->classes when it has more than its own */
    struct mux_list *walk, *walk_last; /* the next test to visit; NULL: none. The last one */
    unsigned cells;
    unsigned size_class; /* of what it has beyond its own */
    unsigned count;      /* tests that have a name here */
    uint64_t unnamed;    /* tests in progress that have none */
};

/* What the links of one kind have in common. */
#define MUX_PROGRESS_CLASSES 240 /* 8 for each doubling of 32 bits: see class_of() */
struct mux_progress_pool {
    unsigned count, free_count; /* cells */
    unsigned top;               /* no list is in a higher class */
    struct mux_list classes[MUX_PROGRESS_CLASSES];
};

struct mux_progress {
    struct mux_progress_cell *cells;
    struct mux_progress_cell *free_cells;
    struct mux_progress_cell **buckets;
    unsigned count;   /* of cells and of buckets */
    unsigned touched; /* cells that were ever used: the others take no memory yet */
    unsigned free_count;
    uint64_t hash_key;
    uint32_t now_ms;   /* the owner's to set: when tests begin; the lower bits are enough */
    uint64_t *unnamed; /* the owner's counter: tests that got, or came to have, no name here */
    uint8_t *name;     /* the last one read, in one piece */
    struct mux_progress_pool pools[MUX_PROGRESS_KINDS];
};

/* A test's name, until the next call. `route.data` == NULL: it had none. */
struct mux_progress_name {
    struct mux_span route, test_id;
};

/*
 * For so many lists at a time. Every test whose name is not remembered is counted in *unnamed.
 * False: out of memory.
 */
bool mux_progress_init(struct mux_progress *progress, unsigned lists_max,
                       const unsigned common_cells[MUX_PROGRESS_KINDS], uint64_t hash_key,
                       uint64_t *unnamed);
void mux_progress_fini(struct mux_progress *progress);

/* A new list; or one without tests becomes another kind's. */
void mux_progress_open(struct mux_progress *progress, struct mux_progress_list *list,
                       enum mux_progress_kind kind);

/*
 * A packet's status: begins a test, or ends it. `is_readable`: its names are UTF-8; else they are
 * not remembered.
 */
void mux_progress_update(struct mux_progress *progress, struct mux_progress_list *list,
                         const struct mux_packet *packet, bool is_readable);

/* Takes the test that began first. False: there is none. */
bool mux_progress_take(struct mux_progress *progress, struct mux_progress_list *list,
                       struct mux_progress_name *name);

/*
 * Takes the count of tests in progress that have no name here. An end that is no known test's is
 * taken for one of theirs; so the count is too small when tests end here that never began.
 */
uint64_t mux_progress_take_unnamed(struct mux_progress_list *list);

/*
 * Forgets the tests whose route is `prefix` or begins with it and a '/'; returns how many. Tests
 * without a name stay counted: their routes are not known.
 */
unsigned mux_progress_forget_route(struct mux_progress *progress, struct mux_progress_list *list,
                                   struct mux_span prefix);

/*
 * A walk over the tests that are in progress now, in the order they began, without taking them.
 * Whatever happens between two steps, those that have not ended are visited once each, and none
 * that begins meanwhile. One walk of a list at a time.
 */
void mux_progress_walk(struct mux_progress_list *list);
bool mux_progress_walk_next(struct mux_progress *progress, struct mux_progress_list *list,
                            struct mux_progress_name *name);

/* All of one link's tests, and its walk, become another's of its kind, which must have none. */
void mux_progress_move(struct mux_progress *progress, struct mux_progress_list *from,
                       struct mux_progress_list *to);

/* The test that began first, and how long ago that was. False: there is none with a name. */
bool mux_progress_oldest(struct mux_progress *progress, const struct mux_progress_list *list,
                         struct mux_progress_name *name, uint64_t *age_ns);

/* Is a test in progress? */
static inline bool mux_progress_any(const struct mux_progress_list *list) {
    return !mux_list_empty(&list->tests) || list->unnamed;
}

/* Forgets all. */
void mux_progress_close(struct mux_progress *progress, struct mux_progress_list *list);

#endif
