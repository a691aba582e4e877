#include "mux/node/batch.h"

#include <stdlib.h>

bool mux_batch_init(struct mux_batch *batch, struct mux_room bytes, size_t span_max) {
    *batch =
        (struct mux_batch){.bytes = bytes.data, .capacity_bytes = bytes.len, .span_max = span_max};
    batch->spans = calloc(span_max, sizeof *batch->spans);
    batch->held = calloc(span_max, sizeof *batch->held);
    batch->gather.spans = batch->spans;
    bytes.data[0] = 0; /* the first packet does not wait until the kernel has cleared a page */
    return batch->spans && batch->held;
}

void mux_batch_fini(struct mux_batch *batch) {
    mux_batch_clear(batch);
    free(batch->spans);
    free(batch->held);
}

void mux_batch_clear(struct mux_batch *batch) {
    for (size_t i = 0; i < batch->held_count; i++)
        mux_buffer_release(batch->held[i]);
    batch->held_count = 0;
    batch->used_bytes = 0;
    batch->gather = (struct mux_gather){batch->spans, 0, 0};
}

/*
 * Adds `len` copied bytes to the gather list; returns where they go. `apart`: as a span of their
 * own, so that a transport that lays spans out in the other side's buffers sees which bytes belong
 * together.
 */
static uint8_t *add_room(struct mux_batch *batch, size_t len, bool apart) {
    uint8_t *at = batch->bytes + batch->used_bytes;
    mux_batch_extend(batch, len, apart);
    return at;
}

static void hold(struct mux_batch *batch, struct mux_buffer *buffer) {
    if (batch->held_count && batch->held[batch->held_count - 1] == buffer)
        return;
    assert(batch->held_count < batch->span_max);
    mux_buffer_hold(buffer);
    batch->held[batch->held_count++] = buffer;
}

static bool lies_in(struct mux_span piece, const struct mux_buffer *buffer) {
    return buffer && piece.data >= buffer->data &&
           piece.data + piece.len <= buffer->data + buffer->size_bytes;
}

static bool is_referenced(struct mux_span piece, const struct mux_buffer *buffer,
                          size_t reference_least_bytes) {
    return piece.len >= reference_least_bytes && lies_in(piece, buffer);
}

/* Returns how many bytes were referenced. */
static size_t add_pieces(struct mux_batch *batch, const struct mux_pieces *pieces,
                         struct mux_buffer *buffer, size_t reference_least_bytes) {
    size_t referenced = 0;
    for (size_t i = 0; i < pieces->count; i++) {
        struct mux_span piece = pieces->piece[i];
        if (!is_referenced(piece, buffer, reference_least_bytes)) {
            bool is_head = i + 1 < pieces->count &&
                           is_referenced(pieces->piece[i + 1], buffer, reference_least_bytes);
            memcpy(add_room(batch, piece.len, is_head), piece.data, piece.len);
            continue;
        }
        assert(batch->gather.count < batch->span_max);
        batch->spans[batch->gather.count++] = piece;
        hold(batch, buffer);
        referenced += piece.len;
    }
    return referenced;
}

size_t mux_batch_add(struct mux_batch *batch, const struct mux_pieces *pieces,
                     struct mux_buffer *buffer, size_t reference_least_bytes) {
    batch->gather.len_bytes += pieces->len_bytes;
    if (pieces->len_bytes >= reference_least_bytes)
        return add_pieces(batch, pieces, buffer, reference_least_bytes);
    mux_pieces_copy(pieces, add_room(batch, pieces->len_bytes, false));
    return 0;
}

/* Takes bytes off the front of the gather list. */
static void advance(struct mux_gather *gather, struct mux_span *spans, uint64_t len) {
    size_t first = (size_t)(gather->spans - spans);
    gather->len_bytes -= len;
    while (len > 0) {
        struct mux_span *span = &spans[first];
        if (len < span->len) {
            *span = mux_span(span->data + len, span->len - len);
            break;
        }
        len -= span->len;
        first++;
        gather->count--;
    }
    gather->spans = spans + first;
}

/* The length of the packet at the front. A head never straddles spans: it was copied whole. */
static uint32_t front_length(const struct mux_gather *gather) {
    uint32_t length, header_bytes;
    enum mux_error error = mux_header_parse(gather->spans[0], &length, &header_bytes);
    assert(!error);
    (void)error;
    return length;
}

bool mux_batch_drop_sent(struct mux_batch *batch, uint64_t sent_bytes) {
    assert(sent_bytes <= batch->gather.len_bytes);
    while (sent_bytes > 0) {
        uint32_t length = front_length(&batch->gather);
        if (length > sent_bytes)
            return true;
        advance(&batch->gather, batch->spans, length);
        sent_bytes -= length;
    }
    return false;
}
