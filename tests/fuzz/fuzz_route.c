/*
 * Routing: a prefix changes the route and nothing else, stripping it gives the packet back, another
 * timestamp changes that alone, a wrong CRC stays wrong, and a packet that grows past the limit is
 * split without a loss.
 *
 * Input: mode, the segment (length, bytes), padding (2 bytes), the packet.
 */
#include "tests/fuzz/fuzz.h"

#include "mux/packet/route.h"

#include <stdlib.h>

#define MODE_RIGHT 1 /* the CRC is corrected */
#define MODE_PAD 2   /* the content is padded to the limit, less `padding` bytes */

static uint8_t *copy_pieces(const struct mux_pieces *pieces) {
    uint8_t *copy = malloc(pieces->len_bytes);
    assert(copy && pieces->count <= MUX_PIECES_MAX);
    mux_pieces_copy(pieces, copy);
    return copy;
}

/* "segment/route"; the caller frees it. */
static struct mux_span expected_route(struct mux_span segment, struct mux_span route) {
    struct bytes bytes = {0};
    bytes_append(&bytes, segment);
    if (route.data) {
        bytes_append(&bytes, mux_span("/", 1));
        bytes_append(&bytes, route);
    }
    return mux_span(bytes.data, bytes.len);
}

/* The route of `bytes` is `route`, the rest is as in `packet`. */
static void check_routed(struct mux_span bytes, const struct mux_packet *packet,
                         struct mux_span *route) {
    struct mux_packet routed, want = *packet;
    assert(mux_packet_parse(bytes, &routed, NULL) == MUX_OK);
    want.route = *route;
    assert(same_fields(&routed, &want));
}

static void check_strip(struct mux_span bytes, struct mux_span segment,
                        const struct mux_packet *packet, bool right) {
    struct mux_packet routed, want = *packet;
    struct mux_layout layout;
    struct mux_pieces pieces;
    struct mux_span cut;
    assert(mux_packet_parse(bytes, &routed, &layout) == MUX_OK);
    assert(mux_span_equal(mux_route_first(routed.route), segment));
    mux_strip(bytes, &routed, &layout, &cut, &pieces);
    assert(mux_span_equal(cut, segment));
    uint8_t *copy = copy_pieces(&pieces);
    struct mux_span stripped = mux_span(copy, pieces.len_bytes);
    if (want.route.len == 0)
        want.route = mux_span(NULL, 0); /* "a/" becomes no route, just as "a" does */
    check_routed(stripped, packet, &want.route);
    assert(mux_packet_verify(stripped) == right);
    free(copy);
}

/* The packet is already written with minimal numbers: then no byte may change. */
static bool is_minimal(struct mux_span bytes, const struct mux_packet *packet) {
    size_t written;
    uint8_t *copy = malloc(bytes.len);
    enum mux_error error = mux_packet_encode(packet, copy, bytes.len, &written);
    bool same =
        !error && written == bytes.len && memcmp(copy, bytes.data, bytes.len - MUX_CRC_BYTES) == 0;
    free(copy);
    return same;
}

/* Prefixed and stripped again: exactly the same bytes. */
static void check_round_trip(struct mux_span bytes, struct mux_span before,
                             const struct mux_packet *packet) {
    struct mux_packet routed;
    struct mux_layout layout;
    struct mux_pieces pieces;
    struct mux_span cut;
    bool empty_route = packet->route.data && packet->route.len == 0;
    if (empty_route || !is_minimal(before, packet))
        return;
    assert(mux_packet_parse(bytes, &routed, &layout) == MUX_OK);
    mux_strip(bytes, &routed, &layout, &cut, &pieces);
    uint8_t *copy = copy_pieces(&pieces);
    assert(mux_span_equal(mux_span(copy, pieces.len_bytes), before));
    free(copy);
}

static void check_split(const struct mux_prefix *prefix, const struct mux_packet *packet) {
    struct mux_pieces pieces[2];
    struct mux_packet first, last, want = *packet;
    struct bytes content = {0};
    if (mux_prefix_split(prefix, packet, &pieces[0], &pieces[1]))
        return;
    uint8_t *copies[2] = {copy_pieces(&pieces[0]), copy_pieces(&pieces[1])};
    struct mux_span a = mux_span(copies[0], pieces[0].len_bytes);
    struct mux_span b = mux_span(copies[1], pieces[1].len_bytes);
    assert(mux_packet_parse(a, &first, NULL) == MUX_OK && mux_packet_verify(a));
    assert(mux_packet_parse(b, &last, NULL) == MUX_OK && mux_packet_verify(b));
    bytes_append(&content, first.file_content);
    bytes_append(&content, last.file_content);
    assert(mux_span_equal(mux_span(content.data, content.len), packet->file_content));
    assert(!first.status && !first.eof && !first.has_tags);
    assert(same_span(first.test_id, packet->test_id) && same_span(first.route, last.route));
    want.route = expected_route(prefix->segment, packet->route);
    want.file_content = last.file_content;
    assert(same_fields(&last, &want));
    free((void *)want.route.data);
    free(content.data);
    free(copies[0]);
    free(copies[1]);
}

/* In one piece: the same bytes. */
static void check_write(const struct mux_prefix *prefix, struct mux_span bytes,
                        const struct mux_packet *packet, const struct mux_layout *layout,
                        struct mux_span routed) {
    uint8_t *out = malloc(bytes.len + MUX_PREFIX_GROWTH_BYTES);
    assert(out);
    size_t len = mux_prefix_write(prefix, bytes, packet, layout, out);
    assert(mux_span_equal(mux_span(out, len), routed));
    free(out);
}

static void check_prefix(const struct mux_prefix *prefix, struct mux_span bytes,
                         const struct mux_packet *packet, const struct mux_layout *layout) {
    struct mux_pieces pieces;
    if (mux_prefix_apply(prefix, bytes, packet, layout, &pieces)) {
        assert(bytes.len + prefix->segment.len + MUX_HEADER_MAX_BYTES > MUX_PACKET_MAX_BYTES);
        check_write(prefix, bytes, packet, layout, mux_span(NULL, 0));
        if (mux_packet_verify(bytes))
            check_split(prefix, packet);
        return;
    }
    bool right = mux_packet_verify(bytes);
    uint8_t *copy = copy_pieces(&pieces);
    struct mux_span routed = mux_span(copy, pieces.len_bytes);
    struct mux_span route = expected_route(prefix->segment, packet->route);
    check_write(prefix, bytes, packet, layout, routed);
    check_routed(routed, packet, &route);
    assert(mux_packet_verify(routed) == right);
    check_strip(routed, prefix->segment, packet, right);
    check_round_trip(routed, bytes, packet);
    free((void *)route.data);
    free(copy);
}

/*
 * With another timestamp, taken from the packet's own CRC: the fields are the same but for that,
 * and the CRC is as right or wrong as before.
 */
static void check_restamp(const struct mux_prefix *prefix, struct mux_span bytes,
                          const struct mux_packet *packet, const struct mux_layout *layout) {
    struct mux_packet want = *packet;
    struct mux_pieces pieces;
    mux_packet_set_time_ns(&want, (int64_t)mux_packet_crc(bytes) * 1000000007);
    if (mux_prefix_restamp(prefix, bytes, &want, layout, &pieces)) {
        assert(bytes.len + MUX_PREFIX_GROWTH_BYTES + 8 > MUX_PACKET_MAX_BYTES);
        return;
    }
    uint8_t *copy = copy_pieces(&pieces);
    struct mux_span stamped = mux_span(copy, pieces.len_bytes);
    struct mux_span route = packet->route;
    if (prefix)
        route = expected_route(prefix->segment, packet->route);
    check_routed(stamped, &want, &route);
    assert(mux_packet_verify(stamped) == mux_packet_verify(bytes));
    if (prefix)
        free((void *)route.data);
    free(copy);
}

/* The packet with padded content, nearly as large as a packet can be. The caller frees it. */
static struct mux_span padded(const struct mux_packet *packet, size_t len, size_t less) {
    static uint8_t content[MUX_PACKET_MAX_BYTES], out[MUX_PACKET_MAX_BYTES];
    struct mux_packet large = *packet;
    size_t written = 0, others = len - packet->file_content.len + MUX_HEADER_MAX_BYTES;
    if (packet->file_content.data && others + less < MUX_PACKET_MAX_BYTES) {
        memset(content, *packet->test_id.data, sizeof content);
        large.file_content = mux_span(content, MUX_PACKET_MAX_BYTES - others - less);
        enum mux_error error = mux_packet_encode(&large, out, sizeof out, &written);
        assert(!error || error == MUX_ERROR_TOO_LARGE);
        written = error ? 0 : written;
    }
    return mux_span(copy_of(mux_span(out, written)), written);
}

static void check_segment(struct mux_span segment, enum mux_error error) {
    bool fine = segment.len > 0 && segment.len <= MUX_SEGMENT_MAX_BYTES &&
                !memchr(segment.data, '/', segment.len) && mux_string_check(segment) == MUX_OK;
    assert(fine == (error == MUX_OK));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct script script = {mux_span(data, size)};
    uint8_t mode = script_byte(&script);
    struct mux_span segment = script_take(&script, script_byte(&script));
    size_t less = script_number(&script, 1024);
    struct mux_prefix prefix;
    enum mux_error error = mux_prefix_init(&prefix, segment);
    check_segment(segment, error);
    uint8_t *copy = copy_of(script.rest);
    struct mux_span bytes = mux_span(copy, script.rest.len);
    if (mode & MODE_RIGHT)
        repair_packets(copy, bytes.len);
    struct mux_packet packet;
    struct mux_layout layout;
    if (!error && mux_packet_parse(bytes, &packet, &layout) == MUX_OK) {
        check_prefix(&prefix, bytes, &packet, &layout);
        check_restamp(&prefix, bytes, &packet, &layout);
        check_restamp(NULL, bytes, &packet, &layout);
        struct mux_span large = {NULL, 0};
        if ((mode & MODE_PAD) && packet.test_id.len)
            large = padded(&packet, bytes.len, less);
        if (large.len) {
            assert(mux_packet_parse(large, &packet, &layout) == MUX_OK);
            check_prefix(&prefix, large, &packet, &layout);
            check_restamp(&prefix, large, &packet, &layout);
        }
        free((void *)large.data);
    }
    free(copy);
    return 0;
}
