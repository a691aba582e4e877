#include "transport/pool.h"
#include "transport/descriptor.h"
#include <stdlib.h>

static void release(struct mux_buffer *buffer) {
    struct pool *pool = buffer->owner;
    assert(pool->lent > 0);
    pool->lent--;
    pool->returned(pool, buffer);
}

/* One pool over `count` buffers and the memory from `data` on. */
static void cut(struct pool *pool, unsigned count, uint8_t *data, size_t buffer_bytes) {
    pool->count = count;
    mux_list_init(&pool->waiting);
    for (unsigned i = 0; i < count; i++) {
        pool->buffers[i] = (struct mux_buffer){.data = data + i * buffer_bytes,
                                               .size_bytes = buffer_bytes,
                                               .release = release,
                                               .owner = pool};
        pool->returned(pool, &pool->buffers[i]);
    }
}

bool pools_init(struct pools *pools, const struct transport_config *config, void *owner,
                pool_returned *returned, struct transport_failure *failure) {
    size_t fit = config->buffer_bytes > 0 ? config->memory.len / config->buffer_bytes : 0;
    unsigned count = fit < UINT32_MAX ? (unsigned)fit : UINT32_MAX;
    unsigned reserve = config->reserve_buffers;
    *pools = (struct pools){0};
    if (reserve == 0 || count <= reserve) {
        errno = EINVAL;
        transport_failed(failure, "cutting the memory into buffers");
        return false;
    }
    pools->buffers = calloc(count, sizeof *pools->buffers);
    pools->free = calloc(count, sizeof(struct mux_buffer *));
    if (!pools->buffers || !pools->free) {
        transport_failed(failure, "calloc");
        pools_fini(pools);
        return false;
    }
    const unsigned counts[TRANSPORT_POOLS] = {
        [TRANSPORT_POOL_SHARED] = count - reserve, [TRANSPORT_POOL_RESERVE] = reserve};
    unsigned first = 0;
    for (int i = 0; i < TRANSPORT_POOLS; first += counts[i++]) {
        pools->of[i] = (struct pool){.buffers = pools->buffers + first,
                                     .free = pools->free + first,
                                     .returned = returned,
                                     .owner = owner};
        cut(&pools->of[i], counts[i], config->memory.data + first * config->buffer_bytes,
            config->buffer_bytes);
    }
    return true;
}

unsigned pools_count(const struct pools *pools) {
    unsigned count = 0;
    for (int i = 0; i < TRANSPORT_POOLS; i++)
        count += pools->of[i].count;
    return count;
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

void pool_keep(struct pool *pool, struct mux_buffer *buffer) {
    assert(buffer->owner == pool && buffer->holders == 0 && pool->free_count < pool->count);
    pool->free[pool->free_count++] = buffer;
}

struct mux_buffer *pool_take(struct pool *pool) {
    return pool->free_count > 0 ? pool->free[--pool->free_count] : NULL;
}
