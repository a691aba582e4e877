/* Putting pieces together: shared by pieces.c and route.c, not installed. */
#ifndef MUX_PIECES_INTERNAL_H
#define MUX_PIECES_INTERNAL_H

#include "mux/packet.h"

/* Bytes that a minimal number takes: 1..4. */
size_t mux_number_bytes(size_t value);

/* A packet's length when all but LENGTH's own bytes are `without`; SIZE_MAX when none fits. */
size_t mux_length_with_number(size_t without);

/*
 * The length of the packet with these fields, `segment` in front of its route unless segment.data
 * is NULL; above MUX_PACKET_MAX_BYTES when it is too large.
 */
size_t mux_packet_bytes(const struct mux_packet *packet, struct mux_span segment);

/* mux_packet_gather() with `segment` in front of the route. */
enum mux_error mux_packet_gather_prefixed(const struct mux_packet *packet, struct mux_span segment,
                                          struct mux_pieces *pieces);

/* A packet as it is: one piece. */
void mux_pieces_whole(struct mux_pieces *pieces, struct mux_span bytes);

/* In this order: head with flags and LENGTH, the body, the route field, the CRC. */
void mux_pieces_start(struct mux_pieces *pieces, unsigned flags, size_t length);
void mux_pieces_add(struct mux_pieces *pieces, struct mux_span span);
void mux_pieces_add_route(struct mux_pieces *pieces, struct mux_span route,
                          struct mux_span segment);
void mux_pieces_finish(struct mux_pieces *pieces, uint32_t crc);

#endif
