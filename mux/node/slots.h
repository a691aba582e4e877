/*
 * Assembly slots: contiguous memory for packets that arrive in pieces, in two sizes. There are few,
 * because they are large: a link that needs one may have to wait for it (assembly.c).
 */
#ifndef MUX_SLOTS_H
#define MUX_SLOTS_H

#include "mux/buffer.h"
#include "mux/list.h"

struct mux_slots {
    size_t slot_bytes;
    unsigned count;
    struct mux_buffer *buffers;
    unsigned *free_list; /* indices of the free ones */
    unsigned free_count;
    struct mux_list waiting; /* of mux_link.turn_entry */
    struct mux_list owners;  /* of mux_link.slot_entry; the oldest first */
    bool for_known;          /* the slot granted last was for a link that had sent packets before */
    uint64_t judge_at_ns; /* when the next owner must have delivered; UINT64_MAX: no link waits */
};

/* Divides `memory` into slots. False: out of memory. */
bool mux_slots_init(struct mux_slots *slots, struct mux_room memory, size_t slot_bytes);
void mux_slots_fini(struct mux_slots *slots);

/* A slot with one reference, or NULL. It comes back with the last release. */
struct mux_buffer *mux_slots_take(struct mux_slots *slots);

#endif
