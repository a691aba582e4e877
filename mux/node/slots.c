#include "mux/node/slots.h"

#include <stdlib.h>

static void give_back(struct mux_buffer *buffer) {
    struct mux_slots *slots = buffer->owner;
    assert(slots->free_count < slots->count);
    slots->free_list[slots->free_count++] = (unsigned)(buffer - slots->buffers);
}

bool mux_slots_init(struct mux_slots *slots, struct mux_room memory, size_t slot_bytes) {
    *slots = (struct mux_slots){.slot_bytes = slot_bytes, .judge_at_ns = UINT64_MAX};
    mux_list_init(&slots->waiting);
    mux_list_init(&slots->owners);
    slots->count = (unsigned)(memory.len / slot_bytes);
    slots->buffers = calloc(slots->count, sizeof *slots->buffers);
    slots->free_list = calloc(slots->count, sizeof *slots->free_list);
    if (!slots->buffers || !slots->free_list)
        return false;
    for (unsigned i = slots->count; i-- > 0;) {
        slots->buffers[i] =
            (struct mux_buffer){memory.data + i * slot_bytes, slot_bytes, 0, give_back, slots};
        slots->free_list[slots->free_count++] = i;
    }
    return true;
}

void mux_slots_fini(struct mux_slots *slots) {
    free(slots->buffers);
    free(slots->free_list);
}

struct mux_buffer *mux_slots_take(struct mux_slots *slots) {
    if (slots->free_count == 0)
        return NULL;
    struct mux_buffer *buffer = &slots->buffers[slots->free_list[--slots->free_count]];
    assert(buffer->holders == 0);
    buffer->holders = 1;
    return buffer;
}
