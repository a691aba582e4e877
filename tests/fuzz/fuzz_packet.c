/*
 * One packet: its fields lie inside it, can be written again and read back unchanged; and
 * mux_packet_fits() was right for every beginning of it.
 *
 * Input: mode, the packet's bytes.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#define MODE_REPAIR 1 /* LENGTH is corrected: most random ones would be refused */

static void check_inside(struct mux_span field, struct mux_span bytes) {
    assert(!field.data || (field.data >= bytes.data &&
                           field.data + field.len <= bytes.data + bytes.len - MUX_CRC_BYTES));
}

static void check_fields(const struct mux_packet *packet, const struct mux_layout *layout,
                         struct mux_span bytes) {
    const struct mux_span strings[] = {packet->test_id, packet->mime, packet->file_name,
                                       packet->route};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        check_inside(strings[i], bytes);
        assert(mux_string_check(strings[i]) == MUX_OK);
    }
    check_inside(packet->tags, bytes);
    check_inside(packet->file_content, bytes);
    assert(!packet->file_name.data == !packet->file_content.data);
    struct mux_span tags = packet->tags, tag;
    uint32_t tag_count = 0;
    while (mux_tag_next(&tags, &tag)) {
        check_inside(tag, bytes);
        tag_count++;
    }
    assert(tag_count == packet->tag_count && (packet->has_tags || tag_count == 0));
    assert(layout->length == bytes.len && layout->body_offset <= layout->route_offset);
    assert(layout->route_offset + MUX_CRC_BYTES <= bytes.len);
}

static void check_written(const struct mux_packet *packet, size_t most) {
    struct mux_packet again;
    struct mux_pieces pieces;
    size_t written, written_again;
    uint8_t *out = malloc(most), *gathered = malloc(most);
    assert(mux_packet_encode(packet, out, most, &written) == MUX_OK && written <= most);
    assert(mux_packet_gather(packet, &pieces) == MUX_OK && pieces.len_bytes == written);
    mux_pieces_copy(&pieces, gathered);
    assert(memcmp(out, gathered, written) == 0 && mux_packet_verify(mux_span(out, written)));
    assert(mux_packet_parse(mux_span(out, written), &again, NULL) == MUX_OK);
    assert(same_fields(packet, &again));
    assert(mux_packet_encode(&again, gathered, most, &written_again) == MUX_OK);
    assert(written_again == written && memcmp(out, gathered, written) == 0);
    free(out);
    free(gathered);
}

/* A refuted packet stays refuted when more of it comes; a good packet never is. */
static void check_fits(struct mux_span bytes, uint32_t length, uint32_t header_bytes,
                       bool is_packet) {
    bool fits = true;
    for (size_t len = header_bytes; len <= bytes.len; len++) {
        bool now = mux_packet_fits(mux_span(bytes.data, len), length, header_bytes);
        assert(fits || !now);
        fits = now;
    }
    assert(fits || !is_packet);
}

/* Writes `length` in the width of the present number, if it fits. */
static void repair_length(uint8_t *bytes, size_t length) {
    unsigned width = 1u + (bytes[3] >> 6);
    if (width > 3 || length < 3 + width || length >= (size_t)1 << (8 * width - 2))
        return;
    for (unsigned i = width; i-- > 0; length >>= 8)
        bytes[3 + i] = (uint8_t)(i ? length : (length & 0x3F) | (width - 1) << 6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct script script = {mux_span(data, size)};
    uint8_t mode = script_byte(&script);
    uint8_t *copy = copy_of(script.rest);
    struct mux_span bytes = mux_span(copy, script.rest.len);
    if ((mode & MODE_REPAIR) && bytes.len > 3)
        repair_length(copy, bytes.len);
    struct mux_packet packet;
    struct mux_layout layout;
    uint32_t length, header_bytes;
    enum mux_error header = mux_header_parse(bytes, &length, &header_bytes);
    bool is_packet = mux_packet_parse(bytes, &packet, &layout) == MUX_OK;
    assert(!is_packet || (header == MUX_OK && length == bytes.len));
    if (is_packet) {
        check_fields(&packet, &layout, bytes);
        check_written(&packet, bytes.len);
    }
    if (header == MUX_OK && length >= bytes.len)
        check_fits(bytes, length, header_bytes, is_packet);
    free(copy);
    return 0;
}
