/*
 * A second writer of packets, for tests: plain, slow, with numbers of any width and zlib's CRC. The
 * packets that libmux writes or rewrites are compared with its packets.
 */
#ifndef TESTS_UNIT_WIRE_H
#define TESTS_UNIT_WIRE_H

#include "mux/packet/packet.h"

/* Bytes that grow. {0} at first; wire_free() at the end. */
struct wire {
    uint8_t *data;
    size_t len;
    size_t capacity;
};

/* Widths of numbers, 1..4 bytes; a number that needs more gets more. 0: the least width. */
struct wire_widths {
    unsigned fields;
    unsigned route;
    unsigned length;
};

void wire_free(struct wire *wire);
struct mux_span wire_span(const struct wire *wire);

void wire_bytes(struct wire *wire, const void *data, size_t len);
void wire_number(struct wire *wire, uint32_t value, unsigned width);
void wire_string(struct wire *wire, struct mux_span string, unsigned width);

/* The flags of a packet with these fields. */
unsigned wire_flags(const struct mux_packet *packet);

/* All fields before the route. */
void wire_body(struct wire *wire, const struct mux_packet *packet, unsigned width);

/* A whole packet from its parts, with its CRC; route.data == NULL: no route, whatever flags say. */
void wire_packet(struct wire *wire, unsigned flags, struct mux_span body, struct mux_span route,
                 const struct wire_widths *widths);

/* A whole packet from its fields. */
void wire_from(struct wire *wire, const struct mux_packet *packet,
               const struct wire_widths *widths);

/* Writes the right CRC at the packet's end. */
void wire_seal(uint8_t *packet, size_t len);

/*
 * One of WIRE_VARIANTS packets, which have all statuses, flags and fields, each absent, empty
 * or filled. The fields are static; `tags` is memory for the tags.
 */
#define WIRE_VARIANTS (8u * 2 * 2 * 2 * 2 * 3 * 3 * 4 * 3)
#define WIRE_TAGS_BYTES 16
struct mux_packet wire_variant(unsigned number, uint8_t tags[WIRE_TAGS_BYTES]);

#endif
