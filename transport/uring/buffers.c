/* Receive buffers as the kernel takes them: one provided-buffer ring (group) for each pool. */
#include "transport/uring/uring.h"
#include <sys/mman.h>

/* A completion has 16 bits for a buffer's id. */
#define POOL_BUFFERS_MAX (UINT16_MAX + 1)

/*
 * The kernel uses the buffers of its ring one after the other; the free list gives the one that
 * came back last. So few are in the ring, and what a round brings is used while it is in the cache.
 * There are more small ones when one round needed more, up to one for each connection: thousands
 * may all have something at once.
 */
#define IN_RING_LEAST 16
#define LARGE_IN_RING_MAX 2

uint16_t uring_buffers_group(const struct transport *transport, const struct pool *pool) {
    return (uint16_t)(pool - transport->pools.of);
}

static struct uring_buffer_ring *ring_of(struct transport *transport, const struct pool *pool) {
    return &transport->rings[uring_buffers_group(transport, pool)];
}

static bool is_large(const struct pool *pool) {
    return pool->smaller != NULL;
}

/* Moves free buffers into the ring. */
static void fill(struct transport *transport, struct pool *pool) {
    struct uring_buffer_ring *ring = ring_of(transport, pool);
    while (ring->count < ring->target) {
        struct mux_buffer *buffer = pool_take(pool);
        if (!buffer)
            return;
        io_uring_buf_ring_add(ring->entries, buffer->data, (unsigned)buffer->size_bytes,
                              (unsigned short)pool_id(pool, buffer),
                              io_uring_buf_ring_mask(ring->most), 0);
        io_uring_buf_ring_advance(ring->entries, 1);
        ring->count++;
    }
}

static void returned(struct pool *pool, struct mux_buffer *buffer) {
    pool_keep(pool, buffer);
    fill(pool->owner, pool); /* before the ring is made it takes none */
}

/*
 * The first byte that arrives in memory that nothing has touched waits until the kernel has cleared
 * a page, perhaps a huge one: in a virtual machine that is milliseconds. So what the ring takes
 * first is touched before anybody sends.
 */
static void touch_first(const struct pool *pool, unsigned count) {
    for (unsigned i = 0; i < count && i < pool->free_count; i++)
        *pool->free[pool->free_count - 1 - i]->data = 0;
}

static unsigned entries_for(const struct pool *pool) {
    unsigned most = is_large(pool) ? LARGE_IN_RING_MAX : URING_BUF_RING_ENTRIES_MAX, entries = 1;
    while (entries < pool->count && entries < most)
        entries *= 2;
    return entries;
}

static bool ring_make(struct transport *transport, struct pool *pool,
                      struct transport_failure *failure) {
    struct uring_buffer_ring *ring = ring_of(transport, pool);
    unsigned most = entries_for(pool);
    size_t bytes = most * sizeof(struct io_uring_buf);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        transport_failed(failure, "mmap");
        return false;
    }
    ring->entries = memory;
    ring->mapped_bytes = bytes;
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)memory,
        .ring_entries = most,
        .bgid = uring_buffers_group(transport, pool),
    };
    int result = io_uring_register_buf_ring(&transport->ring, &registration, 0);
    if (result < 0) {
        *failure =
            (struct transport_failure){-result, "io_uring_register: IORING_REGISTER_PBUF_RING"};
        return false;
    }
    io_uring_buf_ring_init(ring->entries);
    ring->most = most;
    ring->target = most < IN_RING_LEAST ? most : IN_RING_LEAST;
    touch_first(pool, ring->target);
    fill(transport, pool);
    return true;
}

bool uring_buffers_make(struct transport *transport, const struct transport_config *config,
                        struct transport_failure *failure) {
    if (!pools_init(&transport->pools, config, transport, returned, failure))
        return false;
    for (unsigned i = 0; i < TRANSPORT_POOLS; i++) {
        struct pool *pool = &transport->pools.of[i];
        mux_list_init(&transport->rings[i].in_turn);
        mux_list_init(&transport->rings[i].told);
        if (pool->count > POOL_BUFFERS_MAX) {
            *failure =
                (struct transport_failure){EINVAL, "receive buffers: at most 65536 in a pool"};
            return false;
        }
        if (pool->count > 0 && !ring_make(transport, pool, failure))
            return false;
    }
    return true;
}

void uring_buffers_free(struct transport *transport) {
    for (unsigned i = 0; i < TRANSPORT_POOLS; i++) {
        if (transport->rings[i].entries)
            munmap(transport->rings[i].entries, transport->rings[i].mapped_bytes);
    }
    if (transport->pools.buffers)
        pools_fini(&transport->pools);
}

struct mux_buffer *uring_buffer_taken(struct transport *transport, struct pool *pool,
                                      unsigned flags) {
    if (!(flags & IORING_CQE_F_BUFFER))
        return NULL;
    unsigned id = flags >> IORING_CQE_BUFFER_SHIFT;
    assert(id < pool->count);
    ring_of(transport, pool)->count--;
    fill(transport, pool);
    return &pool->buffers[id];
}

void uring_buffer_back(struct pool *pool, struct mux_buffer *buffer) {
    returned(pool, buffer);
}

void uring_buffers_scarce(struct transport *transport, const struct pool *pool) {
    struct uring_buffer_ring *ring = ring_of(transport, pool);
    bool may_grow = ring->target < ring->most && ring->target < conns_open(&transport->conns);
    if (pool->free_count > 0 && may_grow)
        ring->too_few = true;
    else
        ring->scarce = true;
}

/* A round needed more buffers than the ring had. */
static void grow(struct transport *transport, struct pool *pool) {
    struct uring_buffer_ring *ring = ring_of(transport, pool);
    ring->target *= 2;
    ring->too_few = false;
    fill(transport, pool);
}

void uring_buffers_wait(struct transport *transport, struct uring_receive *receive) {
    bool in_turn = receive->turn_until_ns > 0;
    mux_list_append(in_turn ? &ring_of(transport, receive->pool)->in_turn : &receive->pool->waiting,
                    &receive->waiting);
}

static struct uring_conn *waiting_conn(struct mux_list *link) {
    return MUX_LIST_ITEM(link, struct uring_conn, receive.waiting);
}

/* Connections whose turn is over wait like the others. */
static void end_turns(struct transport *transport, struct uring_buffer_ring *ring,
                      struct pool *pool) {
    uint64_t now_ns = mux_list_empty(&ring->in_turn) ? 0 : uring_now_ns(transport);
    while (!mux_list_empty(&ring->in_turn)) {
        struct mux_list *link = ring->in_turn.next;
        struct uring_receive *receive = &waiting_conn(link)->receive;
        if (receive->turn_until_ns > now_ns)
            return;
        receive->turn_until_ns = 0;
        mux_list_append(receive->told ? &ring->told : &pool->waiting, link);
    }
}

/* A connection whose wait was reported has waited longer than one whose was not. */
static struct mux_list *first_waiting(struct uring_buffer_ring *ring, struct pool *pool) {
    struct mux_list *queues[] = {&ring->in_turn, &ring->told, &pool->waiting};
    for (unsigned i = 0; i < sizeof queues / sizeof *queues; i++)
        if (!mux_list_empty(queues[i]))
            return queues[i]->next;
    return NULL;
}

static void tell(struct uring_conn *conn, struct uring_events *out) {
    conn->receive.told = true;
    if (conn->receive.wanted && !conn->lost && !conn->closing)
        uring_event(out, TRANSPORT_STARVED)->conn = &conn->head;
}

/* No buffer is free: reports STARVED for the connections that have begun to wait. */
static void tell_starved(struct uring_buffer_ring *ring, struct pool *pool,
                         struct uring_events *out) {
    struct mux_list *link;
    for (link = ring->in_turn.next; link != &ring->in_turn && out->count < out->most;
         link = link->next)
        if (!waiting_conn(link)->receive.told)
            tell(waiting_conn(link), out);
    while (out->count < out->most && (link = mux_list_pop(&pool->waiting))) {
        mux_list_append(&ring->told, link);
        tell(waiting_conn(link), out);
    }
}

/*
 * Arming more requests than there are buffers would bring them back with ENOBUFS, again and again
 * for thousands of connections; so each round serves as many as there are buffers. A multishot
 * request of the first connection could take all buffers, in every turn; so while buffers are
 * scarce a request gets one. The connection is served again before others until its turn is over.
 */
static bool serve(struct transport *transport, struct pool *pool, struct uring_events *out) {
    struct uring_buffer_ring *ring = ring_of(transport, pool);
    struct mux_list *link;
    if (ring->too_few)
        grow(transport, pool);
    end_turns(transport, ring, pool);
    for (unsigned left = ring->count; left > 0 && (link = first_waiting(ring, pool)); left--) {
        struct uring_conn *conn = waiting_conn(link);
        if (!uring_receive_arm(conn, ring->scarce))
            return true;
        uring_receive_leave(&conn->receive);
    }
    if (ring->count == 0)
        tell_starved(ring, pool, out);
    if (!first_waiting(ring, pool))
        ring->scarce = false;
    return ring->count > 0 && first_waiting(ring, pool);
}

bool uring_buffers_serve(struct transport *transport, struct uring_events *out) {
    bool more = false;
    for (unsigned i = 0; i < TRANSPORT_POOLS; i++)
        more |= serve(transport, &transport->pools.of[i], out);
    return more;
}
