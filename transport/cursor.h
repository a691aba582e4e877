/*
 * How far the sending of a gather list has come. The cursor stands before the next byte to be sent:
 * spans without bytes are stepped over. Nothing here allocates or blocks.
 */
#ifndef TRANSPORT_CURSOR_H
#define TRANSPORT_CURSOR_H

#include "mux/buffer.h"
#include <sys/uio.h>

struct cursor {
    struct mux_gather gather;
    size_t index;        /* the span to go on with; gather.count at the end */
    size_t offset_bytes; /* how much of that span is sent; less than its length */
    uint64_t sent_bytes;
};

/* `len` bytes were sent, no more than are left. */
static inline void cursor_advance(struct cursor *cursor, size_t len) {
    cursor->sent_bytes += len;
    cursor->offset_bytes += len;
    while (cursor->index < cursor->gather.count &&
           cursor->offset_bytes >= cursor->gather.spans[cursor->index].len)
        cursor->offset_bytes -= cursor->gather.spans[cursor->index++].len;
}

static inline void cursor_begin(struct cursor *cursor, const struct mux_gather *gather) {
    *cursor = (struct cursor){.gather = *gather};
    cursor_advance(cursor, 0);
}

static inline bool cursor_at_end(const struct cursor *cursor) {
    return cursor->sent_bytes == cursor->gather.len_bytes;
}

/* What is left of the span at the cursor; empty at the end. */
static inline struct mux_span cursor_span(const struct cursor *cursor) {
    if (cursor->index == cursor->gather.count)
        return (struct mux_span){NULL, 0};
    const struct mux_span *span = &cursor->gather.spans[cursor->index];
    return mux_span(span->data + cursor->offset_bytes, span->len - cursor->offset_bytes);
}

/* The next pieces, at most `most`; returns how many. */
static inline int cursor_pieces(const struct cursor *cursor, struct iovec *pieces, int most) {
    size_t skip = cursor->offset_bytes;
    int count = 0;
    for (size_t i = cursor->index; i < cursor->gather.count && count < most; i++, skip = 0) {
        const struct mux_span *span = &cursor->gather.spans[i];
        if (span->len > skip)
            pieces[count++] = (struct iovec){.iov_base = (void *)(uintptr_t)(span->data + skip),
                                             .iov_len = span->len - skip};
    }
    return count;
}

#endif
