/* Writing packets: as pieces that stay where they are, or copied together. */
#include "crc.h"
#include "pieces_internal.h"

static void add_counted(struct mux_pieces *pieces, struct mux_span span) {
    if (!span.data)
        return;
    mux_pieces_add_varint(pieces, span.len);
    mux_pieces_add_span(pieces, span);
}

static size_t counted_bytes(struct mux_span span) {
    return span.data ? mux_varint_bytes(span.len) + span.len : 0;
}

size_t mux_packet_bytes(const struct mux_packet *packet, struct mux_span segment) {
    size_t len = 3 + MUX_CRC_BYTES;
    if (packet->has_timestamp)
        len += 4 + mux_varint_bytes(packet->nanoseconds);
    if (packet->has_tags)
        len += mux_varint_bytes(packet->tag_count) + packet->tags.len;
    len += counted_bytes(packet->test_id) + counted_bytes(packet->mime);
    len += counted_bytes(packet->file_name) + counted_bytes(packet->file_content);
    len += mux_route_field_bytes(packet->route, segment);
    return mux_length_with_varint(len);
}

static unsigned flags_of(const struct mux_packet *packet) {
    unsigned flags = MUX_FLAG_VERSION_2 | (unsigned)packet->status;
    flags |= packet->test_id.data ? MUX_FLAG_TEST_ID : 0;
    flags |= packet->route.data ? MUX_FLAG_ROUTE : 0;
    flags |= packet->has_timestamp ? MUX_FLAG_TIMESTAMP : 0;
    flags |= packet->runnable ? MUX_FLAG_RUNNABLE : 0;
    flags |= packet->has_tags ? MUX_FLAG_TAGS : 0;
    flags |= packet->file_name.data ? MUX_FLAG_FILE : 0;
    flags |= packet->mime.data ? MUX_FLAG_MIME : 0;
    flags |= packet->eof ? MUX_FLAG_EOF : 0;
    return flags;
}

void mux_pieces_whole(struct mux_pieces *pieces, struct mux_span bytes) {
    mux_pieces_clear(pieces, 0);
    mux_pieces_add_lent(pieces, bytes);
}

void mux_pieces_seal(struct mux_pieces *pieces) {
    uint32_t crc = 0;
    for (size_t i = 0; i < pieces->count; i++)
        crc = mux_crc(crc, pieces->piece[i]);
    mux_pieces_add_be32(pieces, crc);
}

enum mux_error mux_packet_gather_prefixed(const struct mux_packet *packet, struct mux_span segment,
                                          struct mux_pieces *pieces) {
    size_t length = mux_packet_bytes(packet, segment);
    if (length > MUX_PACKET_MAX_BYTES)
        return MUX_ERROR_TOO_LARGE;
    unsigned flags = flags_of(packet) | (segment.data ? MUX_FLAG_ROUTE : 0);
    mux_pieces_add_head(pieces, mux_head_of(flags, length), length);
    if (packet->has_timestamp) {
        mux_pieces_add_be32(pieces, packet->seconds);
        mux_pieces_add_varint(pieces, packet->nanoseconds);
    }
    add_counted(pieces, packet->test_id);
    if (packet->has_tags) {
        mux_pieces_add_varint(pieces, packet->tag_count);
        mux_pieces_add_span(pieces, packet->tags);
    }
    add_counted(pieces, packet->mime);
    add_counted(pieces, packet->file_name);
    add_counted(pieces, packet->file_content);
    mux_pieces_add_route(pieces, packet->route, segment);
    mux_pieces_seal(pieces);
    assert(pieces->len_bytes == length);
    return MUX_OK;
}

enum mux_error mux_packet_gather(const struct mux_packet *packet, struct mux_pieces *pieces) {
    return mux_packet_gather_prefixed(packet, mux_span(NULL, 0), pieces);
}

void mux_pieces_copy(const struct mux_pieces *pieces, uint8_t *out) {
    for (size_t i = 0; i < pieces->count; i++) {
        mux_copy(out, pieces->piece[i].data, pieces->piece[i].len);
        out += pieces->piece[i].len;
    }
}

static enum mux_error check_tags(const struct mux_packet *packet) {
    struct mux_span rest = packet->tags, tag;
    uint32_t count = 0;
    while (mux_tag_next(&rest, &tag)) {
        enum mux_error error = mux_string_check(tag);
        if (error)
            return error;
        count++;
    }
    return rest.len || count != packet->tag_count ? MUX_ERROR_STRING : MUX_OK;
}

static enum mux_error check_fields(const struct mux_packet *packet) {
    const struct mux_span strings[] = {packet->test_id, packet->mime, packet->file_name,
                                       packet->route};
    if (!packet->file_name.data != !packet->file_content.data)
        return MUX_ERROR_CONTENT;
    if (packet->nanoseconds > MUX_VARINT_MAX)
        return MUX_ERROR_TOO_LARGE;
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        enum mux_error error = mux_string_check(strings[i]);
        if (error)
            return error;
    }
    return packet->has_tags ? check_tags(packet) : MUX_OK;
}

enum mux_error mux_packet_encode(const struct mux_packet *packet, uint8_t *out, size_t capacity,
                                 size_t *written) {
    enum mux_error error = check_fields(packet);
    if (error)
        return error;
    struct mux_pieces pieces;
    error = mux_packet_gather(packet, &pieces);
    if (error)
        return error;
    if (pieces.len_bytes > capacity)
        return MUX_ERROR_TOO_LARGE;
    mux_pieces_copy(&pieces, out);
    *written = pieces.len_bytes;
    return MUX_OK;
}
