/*
 * A batch: whole packets on their way up, as one gather list. Short pieces are copied into the
 * batch's own bytes. Long ones stay where they are, and the batch holds their buffer.
 */
#ifndef MUX_BATCH_H
#define MUX_BATCH_H

#include "mux/packet/packet.h"

struct mux_batch {
    uint8_t *bytes; /* copied pieces, one behind the other */
    size_t capacity_bytes;
    size_t used_bytes;
    struct mux_span *spans;
    struct mux_buffer **held; /* one reference each */
    size_t span_max;
    size_t held_count;
    struct mux_gather gather; /* what is left to send */
};

/* `bytes` stays the caller's; arrays are allocated. False: out of memory. */
bool mux_batch_init(struct mux_batch *batch, struct mux_room bytes, size_t span_max);
void mux_batch_fini(struct mux_batch *batch);

/* Is there room for this many packets with this many copied bytes in all? */
static inline bool mux_batch_has_room(const struct mux_batch *batch, size_t copied_bytes,
                                      size_t packets) {
    return batch->capacity_bytes - batch->used_bytes >= copied_bytes &&
           batch->span_max - batch->gather.count >= packets * MUX_PIECES_MAX;
}

/*
 * Adds one packet. Pieces of at least reference_least_bytes that lie in `buffer` (may be NULL) are
 * referenced, not copied. There must be room. Returns how many bytes were referenced.
 */
size_t mux_batch_add(struct mux_batch *batch, const struct mux_pieces *pieces,
                     struct mux_buffer *buffer, size_t reference_least_bytes);

/* Where a packet may be written in one piece; report it by mux_batch_filled(). */
static inline struct mux_room mux_batch_room(const struct mux_batch *batch) {
    return (struct mux_room){batch->bytes + batch->used_bytes,
                             batch->capacity_bytes - batch->used_bytes};
}

/* The next `len` copied bytes become part of the last span, or (`apart`) a span of their own. */
static inline void mux_batch_extend(struct mux_batch *batch, size_t len, bool apart) {
    const uint8_t *at = batch->bytes + batch->used_bytes;
    struct mux_span *next = &batch->spans[batch->gather.count];
    assert(batch->capacity_bytes - batch->used_bytes >= len);
    batch->used_bytes += len;
    if (batch->gather.count > 0 && !apart && next[-1].data + next[-1].len == at) {
        next[-1].len += len;
        return;
    }
    assert(batch->gather.count < batch->span_max);
    *next = mux_span(at, len);
    batch->gather.count++;
}

/* A packet of `len` bytes was written to mux_batch_room(). */
static inline void mux_batch_filled(struct mux_batch *batch, size_t len) {
    mux_batch_extend(batch, len, false);
    batch->gather.len_bytes += len;
}

/* Releases all buffers and empties the batch. */
void mux_batch_clear(struct mux_batch *batch);

/*
 * The first `sent_bytes` of the gather list were sent: drops the packets that were sent whole.
 * Returns true when they end inside a packet, which is then the first, whole.
 */
bool mux_batch_drop_sent(struct mux_batch *batch, uint64_t sent_bytes);

#endif
