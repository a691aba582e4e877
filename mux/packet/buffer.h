/*
 * The currency between the floors: spans of bytes, buffers with a count of holders, gather lists.
 * Shared with whoever moves bytes; knows nothing of subunit and nothing of sockets.
 */
#ifndef MUX_BUFFER_H
#define MUX_BUFFER_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes that somebody else owns. data == NULL: absent; data != NULL and len == 0: there, but empty.
 */
struct mux_span {
    const uint8_t *data;
    size_t len;
};

/* Memory to be written to. */
struct mux_room {
    uint8_t *data;
    size_t len;
};

/*
 * A piece of the arena with a count of holders. Its owner (a transport's receive pool, the mux's
 * slots) lends it with one hold; whoever keeps a span into it adds one. The last release gives it
 * back to the owner through `release`, which must not block. One thread only.
 */
struct mux_buffer {
    uint8_t *data;
    size_t size_bytes;
    unsigned holders;
    void (*release)(struct mux_buffer *);
    void *owner; /* for `release` alone */
};

/* A list of spans to be sent in this order. Whoever made it keeps the memory until told it is sent.
 */
struct mux_gather {
    const struct mux_span *spans;
    size_t count;
    size_t len_bytes; /* of all spans together */
};

static inline struct mux_span mux_span(const void *data, size_t len) {
    return (struct mux_span){data, len};
}

static inline struct mux_span mux_span_text(const char *text) {
    return (struct mux_span){(const uint8_t *)text, strlen(text)};
}

static inline bool mux_span_equal(struct mux_span a, struct mux_span b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline void mux_buffer_hold(struct mux_buffer *buffer) {
    assert(buffer->holders > 0);
    buffer->holders++;
}

static inline void mux_buffer_release(struct mux_buffer *buffer) {
    assert(buffer->holders > 0);
    if (--buffer->holders == 0)
        buffer->release(buffer);
}

#endif
