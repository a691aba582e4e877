/*
 * Slots: registered memory for messages, SLOT_BYTES each. A device has two sets of them, one to
 * receive into and one to send from. Every connection reserves some, which it can always have;
 * further ones come from a surplus that all connections share. Memory grows only when a connection
 * begins.
 *
 * Memory: (reserved by all connections that were ever open at a time + SLOTS_SURPLUS) * SLOT_BYTES,
 * rounded up to SLOTS_PER_CHUNK slots.
 */
#ifndef TRANSPORT_RDMA_SLOTS_H
#define TRANSPORT_RDMA_SLOTS_H

#include "transport/rdma/wire.h"
#include "transport/transport.h"
#include <infiniband/verbs.h>

/* One packet of the largest MTU; the most that a small packet's slot wastes. */
#define SLOT_BYTES 4096

/* 1 MiB: a registration costs some microseconds and an entry in the device's tables. */
#define SLOTS_PER_CHUNK 256

/* 2 MiB for bursts: some ten connections at full speed, more at less. */
#define SLOTS_SURPLUS 512

struct slot {
    uint8_t *data;
    uint32_t key; /* of its memory */
    struct slot *next;

    /* A received message of the stream, and its unread rest. */
    struct wire_message message;
    size_t literal_at; /* of message.literals */
    unsigned span;     /* of message.table */
    uint32_t span_begun_bytes;
};

struct slots_chunk;

struct slots {
    struct ibv_pd *pd;
    struct slots_chunk *chunks;
    struct slot *free;
    unsigned total;
    unsigned reserved;
    unsigned surplus_used;
};

/* A connection's share. */
struct slots_share {
    unsigned reserved;
    unsigned used;
};

void rdma_slots_init(struct slots *slots, struct ibv_pd *pd);
void rdma_slots_fini(struct slots *slots);

/* Reserves `count` slots for this share. False with *failure. */
bool rdma_slots_reserve(struct slots *slots, struct slots_share *share, unsigned count,
                        struct transport_failure *failure);

/* Ends the share; its charged slots count as given back. */
void rdma_slots_unreserve(struct slots *slots, struct slots_share *share);

/* Charges one more, of `most`; beyond the reserved ones as far as the surplus allows. */
bool rdma_slots_charge(struct slots *slots, struct slots_share *share, unsigned most);
void rdma_slots_discharge(struct slots *slots, struct slots_share *share);

/* There is a free slot for everything that is charged. */
struct slot *rdma_slots_pop(struct slots *slots);
void rdma_slots_push(struct slots *slots, struct slot *slot);

#endif
