/*
 * Tests in progress, by link: what is reported failed when a worker dies. One table for all links,
 * made at the start; its memory is touched only as it is used.
 *
 * Every link has cells of its own, which no other link can take. Further cells are shared by all
 * links of a kind: a link that needs more, and has less than another one, takes them from the link
 * that has most. So n links that want all get 1/n each, less a ninth, because the largest is found
 * only roughly. A test that has no cells, or loses them, is only counted.
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
 * A link's own cells; most names take one. Enough for a worker with some threads. More, for every
 * possible link, would reserve more than small machines can promise, even untouched.
 */
#define MUX_PROGRESS_OWN_CELLS 24

/* Links of different kinds do not compete: strangers that say hello take nothing from workers. */
enum mux_progress_kind {
    MUX_PROGRESS_WORKER,
    MUX_PROGRESS_NODE, /* it carries the tests of many workers */
    MUX_PROGRESS_KINDS
};

struct mux_progress_cell;

/* A link's tests in progress, in the order in which they began. */
struct mux_progress_list {
    struct mux_list tests;
    struct mux_progress_pool *pool;
    struct mux_list of_class;          /* in pool->classes when it has common cells */
    struct mux_list *walk, *walk_last; /* the next test to visit (NULL: none), and the last one */
    unsigned cells;
    unsigned size_class; /* of its common cells */
    unsigned count;      /* tests whose names are remembered */
    uint64_t unnamed;    /* tests in progress whose names are not */
};

/* The cells that the links of one kind share. */
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
    uint32_t now_ms;   /* when tests begin; set by the owner, its lower bits are enough */
    uint64_t *unnamed; /* the owner's counter of tests whose names were not, or are no longer,
                          remembered */
    uint8_t *name;     /* the last name that was read, contiguous */
    struct mux_progress_pool pools[MUX_PROGRESS_KINDS];
};

/* A test's name; valid until the next call. `route.data` == NULL: it had no route. */
struct mux_progress_name {
    struct mux_span route, test_id;
};

/*
 * For up to lists_max lists at a time. Every test whose name is not remembered is counted in
 * *unnamed. False: out of memory.
 */
bool mux_progress_init(struct mux_progress *progress, unsigned lists_max,
                       const unsigned common_cells[MUX_PROGRESS_KINDS], uint64_t hash_key,
                       uint64_t *unnamed);
void mux_progress_fini(struct mux_progress *progress);

/* Begins a list; or moves a list without tests to another kind. */
void mux_progress_open(struct mux_progress *progress, struct mux_progress_list *list,
                       enum mux_progress_kind kind);

/*
 * A packet's status begins a test or ends it. `is_readable`: its names are UTF-8; other names are
 * not remembered.
 */
void mux_progress_update(struct mux_progress *progress, struct mux_progress_list *list,
                         const struct mux_packet *packet, bool is_readable);

/* Ends a test, if it is remembered by its name. */
void mux_progress_settle(struct mux_progress *progress, struct mux_progress_list *list,
                         const struct mux_packet *packet);

/* Takes the test that began first. False: there is none. */
bool mux_progress_take(struct mux_progress *progress, struct mux_progress_list *list,
                       struct mux_progress_name *name);

/*
 * Takes the number of tests in progress without names. The end of an unknown test is taken for one
 * of theirs, so the number is too small when tests end here that never began.
 */
uint64_t mux_progress_take_unnamed(struct mux_progress_list *list);

/*
 * Forgets the tests whose route is `prefix` or begins with it and a '/'; returns how many. Tests
 * without names stay counted, because their routes are not known.
 */
unsigned mux_progress_forget_route(struct mux_progress *progress, struct mux_progress_list *list,
                                   struct mux_span prefix);

/*
 * A walk over the tests that are in progress now, in the order in which they began, without taking
 * them. Whatever happens between two steps: each test that has not ended is visited once, and tests
 * that begin meanwhile are not. One walk of a list at a time.
 */
void mux_progress_walk(struct mux_progress_list *list);
bool mux_progress_walk_next(struct mux_progress *progress, struct mux_progress_list *list,
                            struct mux_progress_name *name);

/* All tests of one link, and its walk, become those of another link of its kind, which has none. */
void mux_progress_move(struct mux_progress *progress, struct mux_progress_list *from,
                       struct mux_progress_list *to);

/* The test that began first, and its age. False: there is none with a name. */
bool mux_progress_oldest(struct mux_progress *progress, const struct mux_progress_list *list,
                         struct mux_progress_name *name, uint64_t *age_ns);

/* Is a test in progress? */
static inline bool mux_progress_any(const struct mux_progress_list *list) {
    return !mux_list_empty(&list->tests) || list->unnamed;
}

/* Forgets all. */
void mux_progress_close(struct mux_progress *progress, struct mux_progress_list *list);

#endif
