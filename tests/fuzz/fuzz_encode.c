/*
 * Writing: any fields are either refused with the right reason, or read back unchanged.
 *
 * Input: mode, status, numbers, then the fields as script_field() reads them; tags one by one.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#define MODE_RUNNABLE 1
#define MODE_EOF 2
#define MODE_TIMESTAMP 4
#define MODE_TAGS 8
#define MODE_BAD_COUNT 16 /* tag_count is wrong */
#define MODE_TIGHT 32     /* the room is a little too small, or just large enough */

#define TAGS_MOST 8
#define TAG_BYTES_MOST ((255 + 2) * TAGS_MOST)
#define PACKET_BYTES_MOST (TAG_BYTES_MOST + 5 * 260 + 64)

static void read_tags(struct script *script, struct mux_packet *packet, uint8_t *tags) {
    size_t len = 0;
    packet->has_tags = true;
    packet->tag_count = (uint32_t)script_number(script, TAGS_MOST);
    for (uint32_t i = 0; i < packet->tag_count; i++) {
        struct mux_span tag = script_take(script, script_byte(script));
        assert(mux_tag_append(tags, TAG_BYTES_MOST, &len, tag) == MUX_OK);
    }
    packet->tags = mux_span(tags, len);
}

static uint32_t read_number(struct script *script) {
    uint32_t high = (uint32_t)script_number(script, UINT16_MAX);
    return high << 16 | (uint32_t)script_number(script, UINT16_MAX);
}

static struct mux_packet read_packet(struct script *script, uint8_t mode, uint8_t *tags) {
    struct mux_packet packet = {
        .status = (enum mux_status)(script_byte(script) & MUX_FLAG_STATUS_MASK),
        .runnable = mode & MODE_RUNNABLE,
        .eof = mode & MODE_EOF,
        .has_timestamp = mode & MODE_TIMESTAMP,
    };
    packet.seconds = read_number(script);
    packet.nanoseconds = read_number(script);
    if (mode & MODE_TAGS)
        read_tags(script, &packet, tags);
    packet.tag_count += (mode & MODE_BAD_COUNT) != 0;
    packet.test_id = script_field(script);
    packet.mime = script_field(script);
    packet.file_name = script_field(script);
    packet.file_content = script_field(script);
    packet.route = script_field(script);
    return packet;
}

static bool strings_are_fine(const struct mux_packet *packet) {
    struct mux_span tags = packet->tags, tag;
    while (packet->has_tags && mux_tag_next(&tags, &tag))
        if (mux_string_check(tag))
            return false;
    return !mux_string_check(packet->test_id) && !mux_string_check(packet->mime) &&
           !mux_string_check(packet->file_name) && !mux_string_check(packet->route);
}

static bool is_fine(const struct mux_packet *packet, uint8_t mode) {
    bool number = packet->nanoseconds > MUX_VARINT_MAX;
    return !number && strings_are_fine(packet) &&
           !packet->file_name.data == !packet->file_content.data &&
           !((mode & MODE_TAGS) && (mode & MODE_BAD_COUNT));
}

static void check(const struct mux_packet *packet, uint8_t mode, size_t less) {
    uint8_t *out = malloc(PACKET_BYTES_MOST);
    struct mux_packet again;
    size_t written, tight;
    enum mux_error error = mux_packet_encode(packet, out, PACKET_BYTES_MOST, &written);
    assert((error == MUX_OK) == is_fine(packet, mode));
    if (error) {
        free(out);
        return;
    }
    assert(mux_packet_verify(mux_span(out, written)));
    assert(mux_packet_parse(mux_span(out, written), &again, NULL) == MUX_OK);
    assert(same_fields(packet, &again));
    free(out);
    if (!(mode & MODE_TIGHT) || less > written)
        return;
    out = malloc(written - less + 1);
    error = mux_packet_encode(packet, out, written - less, &tight);
    assert(error == (less ? MUX_ERROR_TOO_LARGE : MUX_OK));
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct script script = {mux_span(data, size)};
    uint8_t tags[TAG_BYTES_MOST], mode = script_byte(&script);
    size_t less = script_byte(&script);
    struct mux_packet packet = read_packet(&script, mode, tags);
    check(&packet, mode, less);
    return 0;
}
