/*
 * Receive buffers: cuts the memory of a transport_config into the pools of transport.h.
 *
 * A buffer is in one of three places: with the engine (on the free list below, or in one of the
 * kernel's rings), being filled by the engine, or lent to the user. The engine lends it with
 * pool_lend(); the user's last mux_buffer_release() hands it to the engine's `returned`, which
 * keeps it as free or gives it to the connection that has waited longest.
 *
 * One thread. Nothing here blocks; only pools_init() allocates.
 */
#ifndef TRANSPORT_POOL_H
#define TRANSPORT_POOL_H

#include "mux/list.h"
#include "transport/transport.h"

struct pool;

/* A buffer comes (back) to the engine. Called from mux_buffer_release(), so it makes no event. */
typedef void pool_returned(struct pool *pool, struct mux_buffer *buffer);

struct pool {
    struct mux_buffer *buffers; /* `count` of them; a buffer's id is its index */
    size_t buffer_bytes;
    unsigned count;
    struct pool *larger;     /* where a connection that fills these buffers goes; NULL: nowhere */
    struct pool *smaller;    /* where it came from */
    unsigned lent;           /* with the user */
    struct mux_list waiting; /* the engine's connections that found no buffer, in turn */
    pool_returned *returned;
    void *owner;              /* the engine, for `returned` */
    struct mux_buffer **free; /* the list of pool_keep() and pool_take(), last in first out */
    unsigned free_count;
};

struct pools {
    struct pool of[TRANSPORT_POOLS];
    struct mux_buffer *buffers;
    struct mux_buffer **free;
};

/*
 * Cuts config->memory: large_buffers at its end for TRANSPORT_POOL_LARGE, of the others
 * reserve_buffers for TRANSPORT_POOL_RESERVE and the rest for TRANSPORT_POOL_SHARED. Hands every
 * buffer to `returned` once. False, with *failure and nothing left behind: EINVAL when the shared
 * pool or the reserve would be empty, ENOMEM.
 */
bool pools_init(struct pools *pools, const struct transport_config *config, void *owner,
                pool_returned *returned, struct transport_failure *failure);

/* The number of buffers in all pools. */
unsigned pools_count(const struct pools *pools);

/* The size of the largest buffer. */
size_t pools_buffer_most_bytes(const struct pools *pools);

/* Every buffer has been given back before. */
void pools_fini(struct pools *pools);

/* The buffer goes to the user with one hold. */
void pool_lend(struct pool *pool, struct mux_buffer *buffer);

/* The plain free list, for engines that choose the buffer themselves. Take: NULL when none. */
void pool_keep(struct pool *pool, struct mux_buffer *buffer);
struct mux_buffer *pool_take(struct pool *pool);

/*
 * The pool that a connection receives from next, after `len` bytes came into a buffer of `pool`.
 * One that fills a small buffer has more waiting in the kernel: it gets large buffers, until
 * several of its receives in a row would have fitted a small one. So few large buffers serve all
 * connections that stream, and thousands that do not need none. *short_receives is the
 * connection's, 0 at first.
 */
struct pool *pool_after(struct pool *pool, size_t len, unsigned *short_receives);

/*
 * The turn of a connection that has received `len` bytes into a buffer of `pool`: how long it comes
 * before all others that wait for large buffers. 0: it has none, or has emptied its socket. `open`
 * connections with a turn each take a second at most, so none waits much longer than that.
 */
uint64_t pool_turn_ns(const struct pool *pool, size_t len, unsigned open);

/* A buffer's id in its pool. */
static inline unsigned pool_id(const struct pool *pool, const struct mux_buffer *buffer) {
    return (unsigned)(buffer - pool->buffers);
}

#endif
