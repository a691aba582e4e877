#include "transport/rdma/slots.h"
#include "transport/descriptor.h"
#include <stdlib.h>
#include <sys/mman.h>

/* The part of the remaining surplus that one connection may take: some is left for the next. */
#define SURPLUS_PART 8

struct slots_chunk {
    struct slots_chunk *next;
    struct ibv_mr *mr;
    uint8_t *memory;
    struct slot slots[SLOTS_PER_CHUNK];
};

void rdma_slots_init(struct slots *slots, struct ibv_pd *pd) {
    *slots = (struct slots){.pd = pd};
}

static void chunk_free(struct slots_chunk *chunk) {
    if (chunk->mr)
        ibv_dereg_mr(chunk->mr);
    if (chunk->memory != MAP_FAILED)
        munmap(chunk->memory, SLOTS_PER_CHUNK * SLOT_BYTES);
    free(chunk);
}

void rdma_slots_fini(struct slots *slots) {
    while (slots->chunks) {
        struct slots_chunk *chunk = slots->chunks;
        slots->chunks = chunk->next;
        chunk_free(chunk);
    }
}

static struct slots_chunk *chunk_new(struct ibv_pd *pd, struct transport_failure *failure) {
    const size_t len = SLOTS_PER_CHUNK * SLOT_BYTES;
    struct slots_chunk *chunk = calloc(1, sizeof *chunk);
    if (!chunk) {
        transport_failed(failure, "calloc");
        return NULL;
    }
    chunk->memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (chunk->memory == MAP_FAILED)
        transport_failed(failure, "mmap");
    else if (!(chunk->mr = ibv_reg_mr(pd, chunk->memory, len, IBV_ACCESS_LOCAL_WRITE)))
        transport_failed(failure, "pinning memory (ulimit -l): ibv_reg_mr");
    else
        return chunk;
    chunk_free(chunk);
    return NULL;
}

static bool grow(struct slots *slots, struct transport_failure *failure) {
    struct slots_chunk *chunk = chunk_new(slots->pd, failure);
    if (!chunk)
        return false;
    chunk->next = slots->chunks;
    slots->chunks = chunk;
    slots->total += SLOTS_PER_CHUNK;
    for (unsigned i = 0; i < SLOTS_PER_CHUNK; i++) {
        struct slot *slot = &chunk->slots[i];
        slot->data = chunk->memory + (size_t)i * SLOT_BYTES;
        slot->key = chunk->mr->lkey;
        rdma_slots_push(slots, slot);
    }
    return true;
}

bool rdma_slots_reserve(struct slots *slots, struct slots_share *share, unsigned count,
                        struct transport_failure *failure) {
    while (slots->total < slots->reserved + count + SLOTS_SURPLUS)
        if (!grow(slots, failure))
            return false;
    slots->reserved += count;
    *share = (struct slots_share){.reserved = count};
    return true;
}

void rdma_slots_unreserve(struct slots *slots, struct slots_share *share) {
    while (share->used > 0)
        rdma_slots_discharge(slots, share);
    slots->reserved -= share->reserved;
    share->reserved = 0;
}

bool rdma_slots_charge(struct slots *slots, struct slots_share *share, unsigned most) {
    if (share->used >= share->reserved) {
        unsigned beyond = share->used - share->reserved;
        if (share->used >= most || beyond >= (SLOTS_SURPLUS - slots->surplus_used) / SURPLUS_PART)
            return false;
        slots->surplus_used++;
    }
    share->used++;
    return true;
}

void rdma_slots_discharge(struct slots *slots, struct slots_share *share) {
    assert(share->used > 0);
    if (share->used-- > share->reserved)
        slots->surplus_used--;
}

struct slot *rdma_slots_pop(struct slots *slots) {
    struct slot *slot = slots->free;
    assert(slot); /* charges are fewer than slots */
    slots->free = slot->next;
    return slot;
}

void rdma_slots_push(struct slots *slots, struct slot *slot) {
    slot->next = slots->free;
    slots->free = slot;
}
