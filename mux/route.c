#include "mux/route.h"

#include "mux/crc.h"
#include "mux/pieces_internal.h"

enum mux_error mux_prefix_init(struct mux_prefix *prefix, struct mux_span segment) {
    if (segment.len > MUX_SEGMENT_MAX_BYTES)
        return MUX_ERROR_TOO_LARGE;
    if (segment.len == 0)
        return MUX_ERROR_STRING;
    enum mux_error error = mux_string_check(segment);
    if (error)
        return error;
    if (memchr(segment.data, '/', segment.len))
        return MUX_ERROR_STRING;
    uint8_t number[4];
    unsigned width = mux_number_write(number, (uint32_t)segment.len);
    prefix->segment = segment;
    prefix->crc_bare = mux_crc(mux_crc(0, mux_span(number, width)), segment);
    return MUX_OK;
}

struct mux_span mux_route_first(struct mux_span route) {
    const uint8_t *slash = route.len ? memchr(route.data, '/', route.len) : NULL;
    return slash ? mux_span(route.data, (size_t)(slash - route.data)) : route;
}

/* Of a packet: head (to the end of LENGTH), body, old route field, CRC. */
struct parts {
    struct mux_span head;
    struct mux_span body;
    struct mux_span route_field;
    unsigned flags;
    uint32_t length;
    uint32_t crc;
};

static inline struct parts take_apart(struct mux_span bytes, const struct mux_layout *layout) {
    size_t crc_offset = bytes.len - MUX_CRC_BYTES;
    return (struct parts){
        .head = mux_span(bytes.data, layout->body_offset),
        .body =
            mux_span(bytes.data + layout->body_offset, layout->route_offset - layout->body_offset),
        .route_field =
            mux_span(bytes.data + layout->route_offset, crc_offset - layout->route_offset),
        .flags = (unsigned)bytes.data[1] << 8 | bytes.data[2],
        .length = layout->length,
        .crc = mux_read_be32(bytes.data + crc_offset),
    };
}

/* What a new head adds to the CRC, and how many bytes of its own and behind it follow that. */
struct change {
    uint32_t crc;
    uint32_t bytes;
};

/*
 * Nearly always LENGTH keeps its width of one or two bytes: then at most the head's last four bytes
 * differ, and these are their own residue. Else CRCs are needed.
 */
static inline struct change head_change(const struct parts *parts, struct mux_span new_head,
                                        unsigned flags, size_t length) {
    uint32_t body_bytes = (uint32_t)parts->body.len;
    size_t width = parts->head.len - 3;
    if (parts->head.len != new_head.len || width > 2)
        return (struct change){mux_crc(0, parts->head) ^ mux_crc(0, new_head), body_bytes};
    uint32_t bits = (parts->flags ^ flags) << 8 * width | (parts->length ^ (uint32_t)length);
    return (struct change){__builtin_bswap32(bits), 4 + body_bytes};
}

/* The route field was added last; it is in the scratch as a whole if it is not long. */
static inline uint32_t crc_of_field(const struct mux_pieces *pieces, const uint8_t *at,
                                    size_t bytes) {
    if (at + bytes == pieces->scratch + pieces->scratch_len)
        return mux_crc(0, mux_span(at, bytes));
    uint32_t crc = 0;
    size_t before = pieces->len_bytes - bytes;
    for (size_t i = 0; i < pieces->count; i++) {
        struct mux_span piece = pieces->piece[i];
        size_t skipped = before < piece.len ? before : piece.len;
        before -= skipped;
        if (skipped < piece.len)
            crc = mux_crc(crc, mux_span(piece.data + skipped, piece.len - skipped));
    }
    return crc;
}

/*
 * Head, body and the route field `segment`/`route` with the CRC that follows from the stored one,
 * which covers the old ones: the old route field's CRC is taken out, what was before it moves by
 * the difference of their lengths, the new one's is put in; the head's change moves by all that
 * stands behind it.
 */
MUX_INLINE enum mux_error rebuild(const struct parts *parts, struct mux_span route,
                                  struct mux_span segment, const struct mux_prefix *bare,
                                  struct mux_pieces *pieces) {
    size_t routed = mux_routed_bytes(route, segment);
    size_t field = route.data || segment.data ? mux_number_bytes(routed) + routed : 0;
    size_t length = mux_length_with_number(3 + parts->body.len + field + MUX_CRC_BYTES);
    if (length > MUX_PACKET_MAX_BYTES)
        return MUX_ERROR_TOO_LARGE;
    unsigned flags =
        field ? parts->flags | MUX_FLAG_ROUTE : parts->flags & (unsigned)~MUX_FLAG_ROUTE;
    mux_pieces_add_head(pieces, flags, length);
    struct change change = head_change(parts, pieces->piece[0], flags, length);
    mux_pieces_add_lent(pieces, parts->body);
    const uint8_t *field_at = mux_pieces_scratch_end(pieces);
    mux_pieces_add_route(pieces, route, segment);
    uint32_t old_field_crc = parts->route_field.len ? mux_crc(0, parts->route_field) : 0;
    uint32_t field_crc = bare ? bare->crc_bare : crc_of_field(pieces, field_at, field);
    int32_t growth = (int32_t)field - (int32_t)parts->route_field.len;
    uint32_t crc = mux_crc_place(parts->crc ^ old_field_crc, growth, change.crc,
                                 (int32_t)(change.bytes + field));
    mux_pieces_add_be32(pieces, crc ^ field_crc);
    assert(pieces->len_bytes == length);
    return MUX_OK;
}

enum mux_error mux_prefix_apply(const struct mux_prefix *prefix, struct mux_span bytes,
                                const struct mux_packet *packet, const struct mux_layout *layout,
                                struct mux_pieces *pieces) {
    struct parts parts = take_apart(bytes, layout);
    if (!packet->route.data)
        return rebuild(&parts, mux_span(NULL, 0), prefix->segment, prefix, pieces);
    return rebuild(&parts, packet->route, prefix->segment, NULL, pieces);
}

void mux_strip(struct mux_span bytes, const struct mux_packet *packet,
               const struct mux_layout *layout, struct mux_span *segment,
               struct mux_pieces *pieces) {
    struct parts parts = take_apart(bytes, layout);
    struct mux_span route = packet->route;
    struct mux_span rest = mux_span(NULL, 0);
    *segment = mux_route_first(route);
    if (!route.data) {
        mux_pieces_whole(pieces, bytes);
        return;
    }
    if (route.len > segment->len + 1)
        rest = mux_span(route.data + segment->len + 1, route.len - segment->len - 1);
    /* a shorter route cannot make the packet too large */
    enum mux_error error = rebuild(&parts, rest, mux_span(NULL, 0), NULL, pieces);
    assert(!error);
    (void)error;
}

enum mux_error mux_prefix_split(const struct mux_prefix *prefix, const struct mux_packet *packet,
                                struct mux_pieces *first, struct mux_pieces *last) {
    struct mux_packet part = *packet;
    struct mux_span content = packet->file_content;
    if (content.len == 0)
        return MUX_ERROR_TOO_LARGE;
    part.status = MUX_STATUS_NONE;
    part.eof = false;
    part.has_tags = false;
    part.file_content.len = 0;
    size_t rest = mux_packet_bytes(&part, prefix->segment);
    size_t room = rest < MUX_PACKET_MAX_BYTES ? MUX_PACKET_MAX_BYTES - rest : 0;
    const size_t widening = 4; /* LENGTH and the content's number may each grow from 1 byte to 3 */
    if (room <= widening)
        return MUX_ERROR_TOO_LARGE;
    size_t taken = content.len < room - widening ? content.len : room - widening;
    part.file_content = mux_span(content.data, taken);
    enum mux_error error = mux_packet_gather_prefixed(&part, prefix->segment, first);
    if (error)
        return error;
    part = *packet;
    part.file_content = mux_span(content.data + taken, content.len - taken);
    return mux_packet_gather_prefixed(&part, prefix->segment, last);
}
