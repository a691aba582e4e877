/*
 * The places of an engine's connections: one array, made once. A place that was given back can be
 * taken again with the next poll(), because events of the last one may still name its connection.
 * One thread; only conns_init() allocates.
 */
#ifndef TRANSPORT_CONNS_H
#define TRANSPORT_CONNS_H

#include "mux/list.h"
#include "transport/transport.h"

struct conns {
    uint8_t *memory;
    size_t conn_bytes;
    size_t entry_offset; /* of a struct mux_list that each connection has for this */
    unsigned count;
    unsigned fresh; /* the first that was never taken: its memory has not been touched */
    unsigned used;  /* taken, or given back since the last poll() */
    struct mux_list free;
    struct mux_list gone;
    unsigned gone_count;
};

/* False with *failure. */
bool conns_init(struct conns *conns, unsigned count, size_t conn_bytes, size_t entry_offset,
                struct transport_failure *failure);
void conns_fini(struct conns *conns);

/* A place, whose content is undefined; NULL: all are used. */
void *conns_take(struct conns *conns);

/* Its last event is made. */
void conns_give_back(struct conns *conns, void *conn);

/* No event has named it: it can be taken again at once. */
void conns_undo_take(struct conns *conns, void *conn);

/* At the beginning of poll(). Returns how many places have become free. */
unsigned conns_recycle(struct conns *conns);

/* Taken and not given back. */
static inline unsigned conns_open(const struct conns *conns) {
    return conns->used - conns->gone_count;
}

static inline void *conns_at(const struct conns *conns, unsigned index) {
    return conns->memory + index * conns->conn_bytes;
}

static inline unsigned conns_index(const struct conns *conns, const void *conn) {
    return (unsigned)((size_t)((const uint8_t *)conn - conns->memory) / conns->conn_bytes);
}

#endif
