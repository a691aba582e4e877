#include "transport/conns.h"
#include "transport/descriptor.h"
#include <stdlib.h>

bool conns_init(struct conns *conns, unsigned count, size_t conn_bytes, size_t entry_offset,
                struct transport_failure *failure) {
    *conns = (struct conns){.memory = calloc(count, conn_bytes),
                            .conn_bytes = conn_bytes,
                            .entry_offset = entry_offset,
                            .count = count};
    mux_list_init(&conns->free);
    mux_list_init(&conns->gone);
    if (!conns->memory)
        transport_failed(failure, "calloc");
    return conns->memory;
}

void conns_fini(struct conns *conns) {
    free(conns->memory);
}

static struct mux_list *entry_of(const struct conns *conns, void *conn) {
    return (struct mux_list *)(void *)((uint8_t *)conn + conns->entry_offset);
}

void *conns_take(struct conns *conns) {
    struct mux_list *entry = mux_list_pop(&conns->free);
    if (!entry && conns->fresh == conns->count)
        return NULL;
    conns->used++;
    return entry ? (uint8_t *)entry - conns->entry_offset : conns_at(conns, conns->fresh++);
}

void conns_give_back(struct conns *conns, void *conn) {
    mux_list_append(&conns->gone, entry_of(conns, conn));
    conns->gone_count++;
}

void conns_undo_take(struct conns *conns, void *conn) {
    assert(conns->used > 0);
    conns->used--;
    mux_list_append(&conns->free, entry_of(conns, conn));
}

unsigned conns_recycle(struct conns *conns) {
    unsigned count = conns->gone_count;
    conns->gone_count = 0;
    conns->used -= count;
    mux_list_prepend(&conns->free, &conns->gone);
    return count;
}
