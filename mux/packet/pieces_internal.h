/* Building pieces; for pieces.c, report.c and route.c, not installed. */
#ifndef MUX_PIECES_INTERNAL_H
#define MUX_PIECES_INTERNAL_H

#include "bytes.h"
#include "packet.h"
#include "route.h"

/*
 * Spans of a large packet up to this length are copied. Not longer than its varints and CRC need.
 */
#define MUX_PIECES_SHORT_BYTES 16

/*
 * The length of a packet that has `without` bytes besides its LENGTH field; a value above the limit
 * if no width fits.
 */
static inline size_t mux_length_with_varint(size_t without) {
    return without + (without + 1 < 1u << 6    ? 1
                      : without + 2 < 1u << 14 ? 2
                      : without + 3 < 1u << 22 ? 3
                                               : 4);
}

/*
 * The length of the packet with these fields, with `segment` in front of its route unless
 * segment.data is NULL. Above MUX_PACKET_MAX_BYTES: it is too large.
 */
size_t mux_packet_bytes(const struct mux_packet *packet, struct mux_span segment);

/* mux_packet_gather() with `segment` in front of the route. */
enum mux_error mux_packet_gather_prefixed(const struct mux_packet *packet, struct mux_span segment,
                                          struct mux_pieces *pieces);

/* mux_prefix_split() into packets of at most so many bytes. */
enum mux_error mux_split_within(size_t most_bytes, const struct mux_prefix *prefix,
                                const struct mux_packet *packet, struct mux_pieces *first,
                                struct mux_pieces *last);

/* Adds the CRC of all that was added. */
void mux_pieces_seal(struct mux_pieces *pieces);

/* A packet as it is, in one piece. */
void mux_pieces_whole(struct mux_pieces *pieces, struct mux_span bytes);

/* Signature, flags and LENGTH: the first `len` bytes of a big-endian word. */
struct mux_head {
    uint64_t word;
    unsigned len;
};

static inline struct mux_head mux_head_of(unsigned flags, size_t length) {
    unsigned width = mux_varint_bytes(length);
    uint64_t number = (uint64_t)(width - 1) << (8 * width - 2) | length;
    return (struct mux_head){(uint64_t)MUX_SIGNATURE << 56 | (uint64_t)flags << 40 |
                                 number << 8 * (5 - width),
                             3 + width};
}

/* Writes 8 bytes, of which head.len are used. */
static inline void mux_head_write(uint8_t *out, struct mux_head head) {
    mux_write_be64(out, head.word);
}

/* The length of the route code with a segment in front of it: "c", "c/" and "c/r". */
static inline size_t mux_routed_bytes(struct mux_span route, struct mux_span segment) {
    if (!segment.data)
        return route.len;
    return segment.len + (route.data ? 1 + route.len : 0);
}

/* The length of the whole route field; 0: there is none. */
static inline size_t mux_route_field_bytes(struct mux_span route, struct mux_span segment) {
    size_t routed = mux_routed_bytes(route, segment);
    return route.data || segment.data ? mux_varint_bytes(routed) + routed : 0;
}

/*
 * Writes what precedes the route itself in its field: the length, the segment if there is one, and
 * the '/' between them. At most MUX_ROUTE_START_MAX_BYTES of a segment; returns how many.
 */
#define MUX_ROUTE_START_MAX_BYTES (4 + MUX_SEGMENT_MAX_BYTES + 1)
MUX_INLINE size_t mux_route_start_write(uint8_t *out, struct mux_span route,
                                        struct mux_span segment) {
    uint8_t *at = out + mux_varint_write(out, (uint32_t)mux_routed_bytes(route, segment));
    mux_copy(at, segment.data, segment.len);
    at += segment.len;
    if (route.data && segment.data)
        *at++ = '/';
    return (size_t)(at - out);
}

/*
 * To be used in this order: head with flags and LENGTH, the body (which stays where it is), the
 * route field, the CRC. Inline, for the loop over a link's packets.
 */
static inline uint8_t *mux_pieces_scratch_end(struct mux_pieces *pieces) {
    return pieces->scratch + pieces->scratch_len;
}

/* Commits `len` scratch bytes; they are merged into the last piece if they follow it in memory. */
static inline void mux_pieces_add_scratch(struct mux_pieces *pieces, size_t len) {
    uint8_t *at = mux_pieces_scratch_end(pieces);
    struct mux_span *last = pieces->count ? &pieces->piece[pieces->count - 1] : NULL;
    assert(pieces->scratch_len + len <= MUX_PIECES_SCRATCH_BYTES);
    pieces->scratch_len += len;
    pieces->len_bytes += len;
    if (last && last->data + last->len == at) {
        last->len += len;
        return;
    }
    assert(pieces->count < MUX_PIECES_MAX);
    pieces->piece[pieces->count++] = mux_span(at, len);
}

static inline void mux_pieces_add_lent(struct mux_pieces *pieces, struct mux_span span) {
    if (span.len == 0)
        return;
    assert(pieces->count < MUX_PIECES_MAX);
    pieces->piece[pieces->count++] = span;
    pieces->len_bytes += span.len;
}

static inline void mux_pieces_add_span(struct mux_pieces *pieces, struct mux_span span) {
    if (span.len > pieces->short_bytes) {
        mux_pieces_add_lent(pieces, span);
    } else if (span.len > 0) {
        assert(pieces->scratch_len + span.len <= MUX_PIECES_SCRATCH_BYTES);
        mux_copy(mux_pieces_scratch_end(pieces), span.data, span.len);
        mux_pieces_add_scratch(pieces, span.len);
    }
}

static inline void mux_pieces_add_varint(struct mux_pieces *pieces, size_t value) {
    mux_pieces_add_scratch(pieces,
                           mux_varint_write(mux_pieces_scratch_end(pieces), (uint32_t)value));
}

static inline void mux_pieces_add_be32(struct mux_pieces *pieces, uint32_t value) {
    mux_write_be32(mux_pieces_scratch_end(pieces), value);
    mux_pieces_add_scratch(pieces, 4);
}

static inline void mux_pieces_clear(struct mux_pieces *pieces, size_t short_bytes) {
    pieces->count = 0;
    pieces->len_bytes = 0;
    pieces->short_bytes = short_bytes;
    pieces->scratch_len = 0;
}

static inline void mux_pieces_add_head(struct mux_pieces *pieces, struct mux_head head,
                                       size_t length) {
    mux_pieces_clear(pieces, length <= MUX_PIECES_SCRATCH_BYTES ? length : MUX_PIECES_SHORT_BYTES);
    mux_head_write(pieces->scratch, head);
    mux_pieces_add_scratch(pieces, head.len);
}

MUX_INLINE void mux_pieces_add_route(struct mux_pieces *pieces, struct mux_span route,
                                     struct mux_span segment) {
    uint8_t *at = mux_pieces_scratch_end(pieces);
    if (!route.data && !segment.data)
        return;
    assert(segment.len <= MUX_SEGMENT_MAX_BYTES);
    mux_pieces_add_scratch(pieces, mux_route_start_write(at, route, segment));
    mux_pieces_add_span(pieces, route);
}

#endif
