#include "tests/unit/wire.h"

#include <zlib.h>

#include "tests/unit/check.h"
#include "tests/unit/spare.h"

void wire_free(struct wire *wire) {
    spare_give(wire->data, wire->capacity);
    *wire = (struct wire){0};
}

struct mux_span wire_span(const struct wire *wire) {
    return mux_span(wire->data, wire->len);
}

void wire_bytes(struct wire *wire, const void *data, size_t len) {
    if (!wire->data) {
        const struct spare spare = spare_take();
        wire->data = spare.data;
        wire->capacity = spare.capacity;
    }
    if (wire->len + len > wire->capacity || !wire->data) {
        wire->capacity = 2 * (wire->len + len) + 64;
        wire->data = realloc(wire->data, wire->capacity);
        assert_non_null(wire->data);
    }
    if (len)
        memcpy(wire->data + wire->len, data, len);
    wire->len += len;
}

static void big_endian(struct wire *wire, uint32_t value, unsigned bytes) {
    while (bytes-- > 0)
        wire_bytes(wire, &(uint8_t){(uint8_t)(value >> 8 * bytes)}, 1);
}

static unsigned number_width(uint32_t value, unsigned width) {
    unsigned least = value < 64 ? 1 : value < 16384 ? 2 : value < 4194304 ? 3 : 4;
    return width > least ? width : least;
}

void wire_number(struct wire *wire, uint32_t value, unsigned width) {
    width = number_width(value, width);
    big_endian(wire, value | (uint32_t)(width - 1) << (8 * width - 2), width);
}

void wire_string(struct wire *wire, struct mux_span string, unsigned width) {
    wire_number(wire, (uint32_t)string.len, width);
    wire_bytes(wire, string.data, string.len);
}

unsigned wire_flags(const struct mux_packet *packet) {
    return 0x2000u | (packet->test_id.data ? 0x800 : 0) | (packet->route.data ? 0x400 : 0) |
           (packet->has_timestamp ? 0x200 : 0) | (packet->runnable ? 0x100 : 0) |
           (packet->has_tags ? 0x80 : 0) | (packet->file_name.data ? 0x40 : 0) |
           (packet->mime.data ? 0x20 : 0) | (packet->eof ? 0x10 : 0) | (unsigned)packet->status;
}

void wire_body(struct wire *wire, const struct mux_packet *packet, unsigned width) {
    if (packet->has_timestamp) {
        big_endian(wire, packet->seconds, 4);
        wire_number(wire, packet->nanoseconds, width);
    }
    if (packet->test_id.data)
        wire_string(wire, packet->test_id, width);
    if (packet->has_tags) {
        wire_number(wire, packet->tag_count, width);
        wire_bytes(wire, packet->tags.data, packet->tags.len);
    }
    if (packet->mime.data)
        wire_string(wire, packet->mime, width);
    if (packet->file_name.data) {
        wire_string(wire, packet->file_name, width);
        wire_string(wire, packet->file_content, width);
    }
}

/* The least width for LENGTH that can hold the length, which includes LENGTH itself. */
static unsigned length_width(size_t without, unsigned width) {
    while (without + width >= (size_t)1 << (8 * width - 2))
        width++;
    return width;
}

void wire_packet(struct wire *wire, unsigned flags, struct mux_span body, struct mux_span route,
                 const struct wire_widths *widths) {
    size_t start = wire->len, route_bytes = 0;
    if (route.data)
        route_bytes = number_width((uint32_t)route.len, widths->route) + route.len;
    size_t without = 3 + body.len + route_bytes + 4;
    unsigned width = length_width(without, widths->length ? widths->length : 1);
    wire_bytes(wire, "\xB3", 1);
    big_endian(wire, (flags & 0xFBFF) | (route.data ? 0x400 : 0), 2);
    wire_number(wire, (uint32_t)(without + width), width);
    wire_bytes(wire, body.data, body.len);
    if (route.data)
        wire_string(wire, route, widths->route);
    big_endian(wire, 0, 4);
    wire_seal(wire->data + start, wire->len - start);
}

void wire_from(struct wire *wire, const struct mux_packet *packet,
               const struct wire_widths *widths) {
    struct wire body = {0};
    wire_body(&body, packet, widths->fields);
    wire_packet(wire, wire_flags(packet), wire_span(&body), packet->route, widths);
    wire_free(&body);
}

void wire_seal(uint8_t *packet, size_t len) {
    uint32_t crc = (uint32_t)crc32(0, packet, (uInt)(len - 4));
    for (int i = 0; i < 4; i++)
        packet[len - 4 + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
}

/* Removes and returns the lowest digit of a number in base `values`. */
static unsigned digit(unsigned *number, unsigned values) {
    unsigned value = *number % values;
    *number /= values;
    return value;
}

/* Absent, empty or this text. */
static struct mux_span maybe(unsigned choice, const char *text) {
    return choice == 0 ? mux_span(NULL, 0) : mux_span_text(choice == 1 ? "" : text);
}

struct mux_packet wire_variant(unsigned number, uint8_t tags[WIRE_TAGS_BYTES]) {
    static const char two_tags[] = "\x01"
                                   "b\x02"
                                   "aa";
    struct mux_packet packet = {.status = (enum mux_status)digit(&number, 8)};
    packet.runnable = digit(&number, 2);
    packet.eof = digit(&number, 2);
    packet.has_timestamp = digit(&number, 2);
    if (packet.has_timestamp) {
        packet.seconds = 0xFEDCBA98;
        packet.nanoseconds = 999999999;
    }
    if (digit(&number, 2))
        packet.test_id = mux_span_text("a.b.test_\xC3\xA9");
    unsigned tag_choice = digit(&number, 3);
    packet.has_tags = tag_choice > 0;
    memcpy(tags, two_tags, sizeof two_tags);
    if (packet.has_tags)
        packet.tags = mux_span(tags, tag_choice == 2 ? sizeof two_tags - 1 : 0);
    packet.tag_count = tag_choice == 2 ? 2 : 0;
    packet.mime = maybe(digit(&number, 3), "text/plain;charset=utf8");
    unsigned file = digit(&number, 4); /* absent; all empty; only a name; both */
    packet.file_name = maybe(file > 1 ? 2 : file, "stdout");
    packet.file_content = maybe(file > 2 ? 2 : file > 0, "data\xB3 not text \xFF");
    packet.route = maybe(digit(&number, 3), "host7/w3");
    return packet;
}
