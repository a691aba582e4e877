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
    prefix->power_bare = mux_crc_power(width + (uint32_t)segment.len);
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
    uint32_t crc;
};

static struct parts take_apart(struct mux_span bytes, const struct mux_layout *layout) {
    size_t crc_offset = bytes.len - MUX_CRC_BYTES;
    return (struct parts){
        .head = mux_span(bytes.data, layout->body_offset),
        .body =
            mux_span(bytes.data + layout->body_offset, layout->route_offset - layout->body_offset),
        .route_field =
            mux_span(bytes.data + layout->route_offset, crc_offset - layout->route_offset),
        .flags = (unsigned)bytes.data[1] << 8 | bytes.data[2],
        .crc = mux_packet_crc(bytes),
    };
}

/* crc(new head | body) from the stored CRC, which covers old head, body and old route field. */
static uint32_t patch_head(const struct parts *parts, struct mux_span new_head) {
    uint32_t crc = parts->crc;
    if (parts->route_field.len)
        crc = mux_crc_cut(crc, mux_crc(0, parts->route_field), (uint32_t)parts->route_field.len);
    uint32_t change = mux_crc(0, parts->head) ^ mux_crc(0, new_head);
    return crc ^ mux_crc_multiply(change, mux_crc_power((uint32_t)parts->body.len));
}

/* The length of a packet of this body with a route field of so many bytes. */
static size_t length_with(const struct parts *parts, size_t route_field_bytes) {
    return mux_length_with_number(3 + parts->body.len + route_field_bytes + MUX_CRC_BYTES);
}

static uint32_t crc_from(const struct mux_pieces *pieces, size_t first) {
    uint32_t crc = 0;
    for (size_t i = first; i < pieces->count; i++)
        crc = mux_crc(crc, pieces->piece[i]);
    return crc;
}

/* Head, body and the route field `segment`/`route` with the CRC that follows from the old one. */
static enum mux_error rebuild(const struct parts *parts, struct mux_span route,
                              struct mux_span segment, const struct mux_prefix *bare,
                              struct mux_pieces *pieces) {
    size_t routed = segment.len + (segment.data && route.data ? 1 : 0) + route.len;
    size_t field = route.data || segment.data ? mux_number_bytes(routed) + routed : 0;
    size_t length = length_with(parts, field);
    if (length > MUX_PACKET_MAX_BYTES)
        return MUX_ERROR_TOO_LARGE;
    unsigned flags =
        field ? parts->flags | MUX_FLAG_ROUTE : parts->flags & (unsigned)~MUX_FLAG_ROUTE;
    mux_pieces_start(pieces, flags, length);
    uint32_t crc = patch_head(parts, pieces->piece[0]);
    mux_pieces_add(pieces, parts->body);
    size_t before = pieces->count;
    mux_pieces_add_route(pieces, route, segment);
    if (bare)
        crc = mux_crc_multiply(crc, bare->power_bare) ^ bare->crc_bare;
    else
        crc = mux_crc_concat(crc, crc_from(pieces, before), (uint32_t)field);
    mux_pieces_finish(pieces, crc);
    assert(pieces->len_bytes == length);
    return MUX_OK;
}

enum mux_error mux_prefix_apply(const struct mux_prefix *prefix, struct mux_span bytes,
                                const struct mux_packet *packet, const struct mux_layout *layout,
                                struct mux_pieces *pieces) {
    struct parts parts = take_apart(bytes, layout);
    return rebuild(&parts, packet->route, prefix->segment, packet->route.data ? NULL : prefix,
                   pieces);
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
