/*
 * What the layers hand to each other: spans of bytes, reference-counted buffers, gather lists.
 * Shared with the code that moves bytes; knows nothing of subunit or sockets.
 */
#ifndef MUX_BUFFER_H
#define MUX_BUFFER_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * Bytes that another object owns. data == NULL: absent. data != NULL and len == 0: present and
 * empty.
 */
struct mux_span {
    const uint8_t *data;
    size_t len;
};

/* Memory to write to. */
struct mux_room {
    uint8_t *data;
    size_t len;
};

/*
 * A piece of memory with a reference count. Its owner (a transport's receive pool, the mux's slots)
 * lends it with one reference; code that keeps a span into it takes another one. The last release
 * gives it back through `release`, which must not block. One thread only.
 */
struct mux_buffer {
    uint8_t *data;
    size_t size_bytes;
    unsigned holders;
    void (*release)(struct mux_buffer *);
    void *owner; /* for `release` only */
};

/*
 * A list of spans to send in this order. Its maker keeps the memory until it is told that all was
 * sent.
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
