#include "transport/pool.h"
#include "transport/descriptor.h"
#include <stdlib.h>

/* Receives in a row that would have fitted a small buffer, before a connection returns to these. */
#define SHORT_RECEIVES_MAX 8

/*
 * A turn, and all turns of a round. 64 KiB from 16 workers cost a fifth more when each has a single
 * buffer of 1 MiB at a time (bench/RESULTS.md).
 */
#define TURN_NS 10000000u
#define ROUND_NS 1000000000u

/* One that fills less of a large buffer has emptied its socket: others have more. */
#define TURN_LEAST_PART 4

static void release(struct mux_buffer *buffer) {
    struct pool *pool = buffer->owner;
    assert(pool->lent > 0);
    pool->lent--;
    pool->returned(pool, buffer);
}

/* One pool over `count` buffers and the memory from `data` on. */
static void cut(struct pool *pool, unsigned count, uint8_t *data, size_t buffer_bytes) {
    pool->count = count;
    pool->buffer_bytes = buffer_bytes;
    mux_list_init(&pool->waiting);
    for (unsigned i = 0; i < count; i++) {
        pool->buffers[i] = (struct mux_buffer){.data = data + i * buffer_bytes,
                                               .size_bytes = buffer_bytes,
                                               .release = release,
                                               .owner = pool};
        pool->returned(pool, &pool->buffers[i]);
    }
}

/* How many small buffers there are, and where the large ones begin. */
struct shares {
    unsigned small;
    uint8_t *large_at;
};

static struct shares shares_of(const struct transport_config *config) {
    size_t large = config->large_buffers * config->large_bytes;
    size_t rest = config->memory.len > large ? config->memory.len - large : 0;
    size_t fit = config->buffer_bytes > 0 ? rest / config->buffer_bytes : 0;
    return (struct shares){fit < UINT32_MAX ? (unsigned)fit : UINT32_MAX,
                           config->memory.data + rest};
}

static void join(struct pool *small, struct pool *large) {
    if (large->count == 0)
        return;
    small->larger = large;
    large->smaller = small;
}

bool pools_init(struct pools *pools, const struct transport_config *config, void *owner,
                pool_returned *returned, struct transport_failure *failure) {
    const struct shares shares = shares_of(config);
    *pools = (struct pools){0};
    if (config->reserve_buffers == 0 || shares.small <= config->reserve_buffers) {
        errno = EINVAL;
        transport_failed(failure, "cutting the memory into buffers");
        return false;
    }
    pools->buffers = calloc(shares.small + config->large_buffers, sizeof *pools->buffers);
    pools->free = calloc(shares.small + config->large_buffers, sizeof(struct mux_buffer *));
    if (!pools->buffers || !pools->free) {
        transport_failed(failure, "calloc");
        pools_fini(pools);
        return false;
    }
    const unsigned counts[TRANSPORT_POOLS] = {[TRANSPORT_POOL_SHARED] =
                                                  shares.small - config->reserve_buffers,
                                              [TRANSPORT_POOL_RESERVE] = config->reserve_buffers,
                                              [TRANSPORT_POOL_LARGE] = config->large_buffers};
    unsigned first = 0;
    for (int i = 0; i < TRANSPORT_POOLS; first += counts[i++]) {
        bool is_large = i == TRANSPORT_POOL_LARGE;
        pools->of[i] = (struct pool){.buffers = pools->buffers + first,
                                     .free = pools->free + first,
                                     .returned = returned,
                                     .owner = owner};
        cut(&pools->of[i], counts[i],
            is_large ? shares.large_at : config->memory.data + first * config->buffer_bytes,
            is_large ? config->large_bytes : config->buffer_bytes);
    }
    join(&pools->of[TRANSPORT_POOL_SHARED], &pools->of[TRANSPORT_POOL_LARGE]);
    return true;
}

unsigned pools_count(const struct pools *pools) {
    unsigned count = 0;
    for (int i = 0; i < TRANSPORT_POOLS; i++)
        count += pools->of[i].count;
    return count;
}

size_t pools_buffer_most_bytes(const struct pools *pools) {
    size_t most = 0;
    for (int i = 0; i < TRANSPORT_POOLS; i++)
        if (pools->of[i].count > 0 && pools->of[i].buffer_bytes > most)
            most = pools->of[i].buffer_bytes;
    return most;
}

void pools_fini(struct pools *pools) {
    for (int i = 0; i < TRANSPORT_POOLS; i++)
        assert(pools->of[i].lent == 0);
    free(pools->buffers);
    free(pools->free);
    *pools = (struct pools){0};
}

void pool_lend(struct pool *pool, struct mux_buffer *buffer) {
    assert(buffer->owner == pool && buffer->holders == 0);
    buffer->holders = 1;
    pool->lent++;
}

struct pool *pool_after(struct pool *pool, size_t len, unsigned *short_receives) {
    bool is_short = pool->smaller && len <= pool->smaller->buffer_bytes;
    *short_receives = is_short ? *short_receives + 1 : 0;
    if (pool->larger && len == pool->buffer_bytes)
        return pool->larger;
    if (*short_receives < SHORT_RECEIVES_MAX)
        return pool;
    *short_receives = 0;
    return pool->smaller;
}

uint64_t pool_turn_ns(const struct pool *pool, size_t len, unsigned open) {
    if (!pool->smaller || len < pool->buffer_bytes / TURN_LEAST_PART)
        return 0;
    return open <= ROUND_NS / TURN_NS ? TURN_NS : ROUND_NS / open;
}

void pool_keep(struct pool *pool, struct mux_buffer *buffer) {
    assert(buffer->owner == pool && buffer->holders == 0 && pool->free_count < pool->count);
    pool->free[pool->free_count++] = buffer;
}

struct mux_buffer *pool_take(struct pool *pool) {
    return pool->free_count > 0 ? pool->free[--pool->free_count] : NULL;
}
