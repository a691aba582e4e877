#include "route.h"

#include "crc.h"
#include "pieces_internal.h"

static void init(struct mux_prefix *prefix, struct mux_span path) {
    uint8_t bare[MUX_ROUTE_START_MAX_BYTES - MUX_SEGMENT_MAX_BYTES + MUX_ROUTE_PATH_MAX_BYTES];
    prefix->segment = path;
    prefix->bare_bytes = (uint32_t)mux_route_start_write(bare, mux_span(NULL, 0), path);
    prefix->bare_crc = mux_crc(0, mux_span(bare, prefix->bare_bytes));
    if (prefix->bare_bytes <= sizeof prefix->bare)
        memcpy(prefix->bare, bare, prefix->bare_bytes);
}

static enum mux_error check(struct mux_span path, size_t most) {
    if (path.len > most)
        return MUX_ERROR_TOO_LARGE;
    return path.len == 0 ? MUX_ERROR_STRING : mux_string_check(path);
}

enum mux_error mux_prefix_init(struct mux_prefix *prefix, struct mux_span segment) {
    enum mux_error error = check(segment, MUX_SEGMENT_MAX_BYTES);
    if (error)
        return error;
    if (memchr(segment.data, '/', segment.len))
        return MUX_ERROR_STRING;
    init(prefix, segment);
    return MUX_OK;
}

enum mux_error mux_prefix_init_path(struct mux_prefix *prefix, struct mux_span path) {
    enum mux_error error = check(path, MUX_ROUTE_PATH_MAX_BYTES);
    if (!error)
        init(prefix, path);
    return error;
}

struct mux_span mux_route_join(struct mux_span front, struct mux_span route, struct mux_room out) {
    struct mux_room left = out;
    if (front.len == 0)
        return route;
    if (!route.data)
        return front;
    const struct mux_span parts[] = {front, mux_span_text("/"), route};
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t len = parts[i].len < left.len ? parts[i].len : left.len;
        if (len)
            memcpy(left.data, parts[i].data, len);
        left = (struct mux_room){left.data + len, left.len - len};
    }
    return mux_span(out.data, out.len - left.len);
}

struct mux_span mux_route_first(struct mux_span route) {
    const uint8_t *slash = route.len ? memchr(route.data, '/', route.len) : NULL;
    return slash ? mux_span(route.data, (size_t)(slash - route.data)) : route;
}

/* The parts of a packet: head, body, old route field, CRC. */
struct parts {
    struct mux_head head;
    struct mux_span body;
    struct mux_span route_field;
    uint32_t crc;
};

static inline struct parts take_apart(struct mux_span bytes, const struct mux_layout *layout) {
    size_t crc_offset = bytes.len - MUX_CRC_BYTES;
    return (struct parts){
        .head = {mux_read_be64(bytes.data), layout->body_offset},
        .body =
            mux_span(bytes.data + layout->body_offset, layout->route_offset - layout->body_offset),
        .route_field =
            mux_span(bytes.data + layout->route_offset, crc_offset - layout->route_offset),
        .crc = mux_read_be32(bytes.data + crc_offset),
    };
}

/* What a packet becomes when its route field has this length; 0: it has no route field. */
struct shape {
    struct mux_head head;
    size_t field_bytes;
    size_t length;
};

static inline struct shape shape_of(const struct parts *parts, size_t field_bytes) {
    unsigned flags = (unsigned)(parts->head.word >> 40) & 0xFFFF & (unsigned)~MUX_FLAG_ROUTE;
    size_t length = mux_length_with_varint(3 + parts->body.len + field_bytes + MUX_CRC_BYTES);
    flags |= field_bytes ? MUX_FLAG_ROUTE : 0;
    return (struct shape){mux_head_of(flags, length), field_bytes, length};
}

static uint32_t crc_of_head(struct mux_head head) {
    uint8_t bytes[8];
    mux_head_write(bytes, head);
    return mux_crc(0, mux_span(bytes, head.len));
}

/*
 * What a new head adds to the CRC, and the distance in bytes from that change to the end of the
 * packet.
 */
struct change {
    uint32_t crc;
    uint32_t bytes;
};

/*
 * LENGTH nearly always keeps its width of one or two bytes. Then at most the head's last four bytes
 * differ, and they are their own residue. Else CRCs are computed.
 */
static inline struct change head_change(const struct parts *parts, struct mux_head head) {
    uint32_t body_bytes = (uint32_t)parts->body.len;
    if (parts->head.len != head.len || head.len > 5)
        return (struct change){crc_of_head(parts->head) ^ crc_of_head(head), body_bytes};
    uint32_t bits = (uint32_t)((parts->head.word ^ head.word) >> (64 - 8 * head.len));
    return (struct change){__builtin_bswap32(bits), 4 + body_bytes};
}

/*
 * Patches the stored CRC, which covers the old head and route field: removes the old field's CRC,
 * moves what was in front of it by the difference of the lengths, adds the new field's CRC, and
 * adds the head's change, moved by all that follows it.
 */
static inline uint32_t new_crc(const struct parts *parts, const struct shape *shape,
                               uint32_t field_crc) {
    struct change change = head_change(parts, shape->head);
    uint32_t old_field_crc = parts->route_field.len ? mux_crc(0, parts->route_field) : 0;
    int32_t growth = (int32_t)shape->field_bytes - (int32_t)parts->route_field.len;
    return mux_crc_place(parts->crc ^ old_field_crc, growth, change.crc,
                         (int32_t)(change.bytes + shape->field_bytes)) ^
           field_crc;
}

/*
 * The packet in pieces; its body stays where it is. `bare_crc`: the CRC of the field when the
 * packet had no route.
 */
MUX_INLINE enum mux_error rebuild(const struct parts *parts, struct mux_span route,
                                  struct mux_span segment, uint32_t bare_crc,
                                  struct mux_pieces *pieces) {
    struct shape shape = shape_of(parts, mux_route_field_bytes(route, segment));
    if (shape.length > MUX_PACKET_MAX_BYTES)
        return MUX_ERROR_TOO_LARGE;
    mux_pieces_add_head(pieces, shape.head, shape.length);
    mux_pieces_add_lent(pieces, parts->body);
    struct mux_span start = mux_span(mux_pieces_scratch_end(pieces), shape.field_bytes - route.len);
    mux_pieces_add_route(pieces, route, segment);
    uint32_t field_crc = route.data ? mux_crc(mux_crc(0, start), route) : bare_crc;
    mux_pieces_add_be32(pieces, new_crc(parts, &shape, field_crc));
    assert(pieces->len_bytes == shape.length);
    return MUX_OK;
}

enum mux_error mux_prefix_apply(const struct mux_prefix *prefix, struct mux_span bytes,
                                const struct mux_packet *packet, const struct mux_layout *layout,
                                struct mux_pieces *pieces) {
    struct parts parts = take_apart(bytes, layout);
    return rebuild(&parts, packet->route, prefix->segment, prefix->bare_crc, pieces);
}

/* The part of the scratch behind `from`, which is one piece. */
static struct mux_span added(struct mux_pieces *pieces, const uint8_t *from) {
    return mux_span(from, (size_t)(mux_pieces_scratch_end(pieces) - from));
}

enum mux_error mux_prefix_apply_path(const struct mux_prefix *prefix, struct mux_span bytes,
                                     const struct mux_packet *packet,
                                     const struct mux_layout *layout, struct mux_pieces *pieces) {
    struct parts parts = take_apart(bytes, layout);
    struct mux_span route = packet->route, path = prefix->segment;
    struct shape shape = shape_of(&parts, mux_route_field_bytes(route, path));
    if (shape.length > MUX_PACKET_MAX_BYTES)
        return MUX_ERROR_TOO_LARGE;
    mux_pieces_add_head(pieces, shape.head, shape.length);
    mux_pieces_add_lent(pieces, parts.body);
    const uint8_t *start = mux_pieces_scratch_end(pieces);
    mux_pieces_add_varint(pieces, mux_routed_bytes(route, path));
    uint32_t field_crc = mux_crc(mux_crc(0, added(pieces, start)), path);
    mux_pieces_add_lent(pieces, path);
    if (route.data) {
        uint8_t *slash = mux_pieces_scratch_end(pieces);
        *slash = '/';
        mux_pieces_add_scratch(pieces, 1);
        field_crc = mux_crc(mux_crc(field_crc, mux_span(slash, 1)), route);
        mux_pieces_add_span(pieces, route);
    }
    mux_pieces_add_be32(pieces, new_crc(&parts, &shape, field_crc));
    assert(pieces->len_bytes == shape.length);
    return MUX_OK;
}

size_t mux_prefix_bytes(const struct mux_prefix *prefix, struct mux_span bytes,
                        const struct mux_packet *packet, const struct mux_layout *layout) {
    struct parts parts = take_apart(bytes, layout);
    return shape_of(&parts, mux_route_field_bytes(packet->route, prefix->segment)).length;
}

/* Returns the field's CRC. There is room for sizeof prefix->bare, however short the field is. */
static inline uint32_t write_field(const struct mux_prefix *prefix, struct mux_span route,
                                   uint8_t *out) {
    if (!route.data && prefix->bare_bytes <= sizeof prefix->bare) {
        memcpy(out, prefix->bare, sizeof prefix->bare);
        return prefix->bare_crc;
    }
    size_t start_bytes = mux_route_start_write(out, route, prefix->segment);
    mux_copy(out + start_bytes, route.data, route.len);
    return mux_crc(0, mux_span(out, start_bytes + route.len));
}

size_t mux_prefix_write(const struct mux_prefix *prefix, struct mux_span bytes,
                        const struct mux_packet *packet, const struct mux_layout *layout,
                        uint8_t *out) {
    struct parts parts = take_apart(bytes, layout);
    struct mux_span route = packet->route;
    struct shape shape = shape_of(&parts, route.data ? mux_route_field_bytes(route, prefix->segment)
                                                     : prefix->bare_bytes);
    if (shape.length > MUX_PACKET_MAX_BYTES)
        return 0;
    /* in this order: head and field may write more bytes than they have */
    mux_head_write(out, shape.head);
    uint8_t *crc_at = out + shape.length - MUX_CRC_BYTES;
    uint32_t field_crc = write_field(prefix, route, crc_at - shape.field_bytes);
    mux_write_be32(crc_at, new_crc(&parts, &shape, field_crc));
    memcpy(out + shape.head.len, parts.body.data, parts.body.len);
    return shape.length;
}

/*
 * ---- a packet with another timestamp ----
 */

/* Adds a TIME field: seconds, nanoseconds. Returns it. */
static struct mux_span add_time(struct mux_pieces *pieces, const struct mux_packet *packet) {
    uint8_t *at = mux_pieces_scratch_end(pieces);
    mux_write_be32(at, packet->seconds);
    size_t len = 4 + mux_varint_write(at + 4, packet->nanoseconds);
    mux_pieces_add_scratch(pieces, len);
    return mux_span(at, len);
}

static size_t time_bytes(const struct mux_packet *packet) {
    return 4 + mux_varint_bytes(packet->nanoseconds);
}

/* Cuts the TIME field off the front of the body, where it stands if there is one. */
static struct mux_span cut_time(struct parts *parts) {
    struct mux_span body = parts->body;
    uint32_t nanoseconds;
    if (!(parts->head.word >> 40 & MUX_FLAG_TIMESTAMP))
        return mux_span(body.data, 0);
    size_t len = 4 + mux_varint_read(mux_span(body.data + 4, body.len - 4), &nanoseconds);
    parts->body = mux_span(body.data + len, body.len - len);
    return mux_span(body.data, len);
}

/* Adds the route field; returns its CRC. */
static uint32_t add_route_field(struct mux_pieces *pieces, struct mux_span route,
                                struct mux_span segment, size_t field_bytes) {
    struct mux_span start = mux_span(mux_pieces_scratch_end(pieces), field_bytes - route.len);
    mux_pieces_add_route(pieces, route, segment);
    return mux_crc(mux_crc(0, start), route);
}

/*
 * The CRC covers head, TIME, body, route field. What stands in front of the body changes by the
 * difference of its two CRCs, moved by all that follows; the route field as in new_crc().
 */
enum mux_error mux_prefix_restamp(const struct mux_prefix *prefix, struct mux_span bytes,
                                  const struct mux_packet *packet, const struct mux_layout *layout,
                                  struct mux_pieces *pieces) {
    struct parts parts = take_apart(bytes, layout);
    struct mux_span segment = prefix ? prefix->segment : mux_span(NULL, 0), route = packet->route;
    struct mux_span old_route = parts.route_field, old_time = cut_time(&parts);
    unsigned flags = (unsigned)(parts.head.word >> 40) & 0xFFFF;
    size_t route_bytes = mux_route_field_bytes(route, segment);
    size_t length = mux_length_with_varint(3 + time_bytes(packet) + parts.body.len + route_bytes +
                                           MUX_CRC_BYTES);
    if (length > MUX_PACKET_MAX_BYTES)
        return MUX_ERROR_TOO_LARGE;
    flags |= MUX_FLAG_TIMESTAMP | (route_bytes ? MUX_FLAG_ROUTE : 0u);
    struct mux_head head = mux_head_of(flags, length);
    mux_pieces_add_head(pieces, head, length);
    uint32_t front = mux_crc(crc_of_head(parts.head), old_time) ^
                     mux_crc(crc_of_head(head), add_time(pieces, packet));
    mux_pieces_add_lent(pieces, parts.body);
    uint32_t route_crc = add_route_field(pieces, route, segment, route_bytes);
    int32_t growth = (int32_t)route_bytes - (int32_t)old_route.len;
    uint32_t crc = mux_crc_place(parts.crc ^ mux_crc(0, old_route), growth, front,
                                 (int32_t)(parts.body.len + route_bytes));
    mux_pieces_add_be32(pieces, crc ^ route_crc);
    assert(pieces->len_bytes == length);
    return MUX_OK;
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
    enum mux_error error = rebuild(&parts, rest, mux_span(NULL, 0), 0, pieces);
    assert(!error);
    (void)error;
}

enum mux_error mux_split_within(size_t most_bytes, const struct mux_prefix *prefix,
                                const struct mux_packet *packet, struct mux_pieces *first,
                                struct mux_pieces *last) {
    struct mux_packet part = *packet;
    struct mux_span content = packet->file_content;
    if (content.len == 0)
        return MUX_ERROR_TOO_LARGE;
    part.status = MUX_STATUS_NONE;
    part.eof = false;
    part.has_tags = false;
    part.file_content.len = 0;
    size_t rest = mux_packet_bytes(&part, prefix->segment);
    size_t room = rest < most_bytes ? most_bytes - rest : 0;
    const size_t widening = 4; /* LENGTH and the content's length may each grow from 1 byte to 3 */
    if (room <= widening)
        return MUX_ERROR_TOO_LARGE;
    size_t taken = content.len < room - widening ? content.len : room - widening;
    part.file_content = mux_span(content.data, taken);
    enum mux_error error = mux_packet_gather_prefixed(&part, prefix->segment, first);
    if (error)
        return error;
    part = *packet;
    part.file_content = mux_span(content.data + taken, content.len - taken);
    if (mux_packet_bytes(&part, prefix->segment) > most_bytes)
        return MUX_ERROR_TOO_LARGE;
    return mux_packet_gather_prefixed(&part, prefix->segment, last);
}

enum mux_error mux_prefix_split(const struct mux_prefix *prefix, const struct mux_packet *packet,
                                struct mux_pieces *first, struct mux_pieces *last) {
    return mux_split_within(MUX_PACKET_MAX_BYTES, prefix, packet, first, last);
}
