/*
 * Tests in progress, by link: what is to be reported failed when a worker dies. One table for all
 * links, made once; each link has its share of it, so that no worker can take another's.
 */
#ifndef MUX_PROGRESS_H
#define MUX_PROGRESS_H

#include "mux/list.h"
#include "mux/packet.h"

/* Longest route code and test id, together, that are remembered. */
#define MUX_PROGRESS_NAME_BYTES 2048

struct mux_progress_cell;

struct mux_progress {
    struct mux_progress_cell *cells;
    struct mux_progress_cell *free_cells;
    struct mux_progress_cell **buckets;
    unsigned count;   /* of cells and of buckets */
    unsigned touched; /* cells that were ever used: the others take no memory yet */
    unsigned free_count;
    uint64_t hash_key;
};

/* A link's tests in progress, in the order they began; zeroed at first. */
struct mux_progress_list {
    struct mux_list tests;
    unsigned cells, cells_max;
};

/* A test's name. `route.data` == NULL: it had none. */
struct mux_progress_name {
    struct mux_span route, test_id;
    uint8_t bytes[MUX_PROGRESS_NAME_BYTES];
};

/* False: out of memory. */
bool mux_progress_init(struct mux_progress *progress, unsigned cells, uint64_t hash_key);
void mux_progress_fini(struct mux_progress *progress);

void mux_progress_open(struct mux_progress_list *list, unsigned cells_max);

/* A packet's status: begins a test, or ends it. False: it began, but there is no room for it. */
bool mux_progress_see(struct mux_progress *progress, struct mux_progress_list *list,
                      const struct mux_packet *packet);

/* Takes the test that began first. False: there is none. */
bool mux_progress_take(struct mux_progress *progress, struct mux_progress_list *list,
                       struct mux_progress_name *name);

/* All of one link's tests become another's, which must have none. */
void mux_progress_move(struct mux_progress *progress, struct mux_progress_list *from,
                       struct mux_progress_list *to);

/* Forgets all. */
void mux_progress_close(struct mux_progress *progress, struct mux_progress_list *list);

#endif
