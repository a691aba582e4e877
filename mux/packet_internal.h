/* Reading a packet step by step: for the framer, not installed. */
#ifndef MUX_PACKET_INTERNAL_H
#define MUX_PACKET_INTERNAL_H

#include "mux/bytes.h"
#include "mux/packet.h"

#define MUX_HEADER_FIXED_BYTES 3 /* signature and flags */

/* Signature and version, and the bit that must be zero: of a packet's first four bytes. */
#define MUX_HEADER_MASK 0xFFF00800u
#define MUX_HEADER_BITS ((uint32_t)MUX_SIGNATURE << 24 | (uint32_t)MUX_FLAG_VERSION_2 << 8)

/* mux_header_parse() of less than the smallest packet. */
enum mux_error mux_header_read_short(struct mux_span bytes, uint32_t *length,
                                     uint32_t *header_bytes);

/* mux_header_parse(), compiled into the loops over a link's bytes. */
static inline enum mux_error mux_header_read(struct mux_span bytes, uint32_t *length,
                                             uint32_t *header_bytes) {
    if (bytes.len < MUX_PACKET_MIN_BYTES)
        return mux_header_read_short(bytes, length, header_bytes);
    uint32_t number = mux_read_be32(bytes.data + MUX_HEADER_FIXED_BYTES);
    uint32_t width = (number >> 30) + 1, end = MUX_HEADER_FIXED_BYTES + width;
    *length = (number & MUX_NUMBER_MAX) >> 8 * (4 - width);
    *header_bytes = end;
    bool is_header = (mux_read_be32(bytes.data) & MUX_HEADER_MASK) == MUX_HEADER_BITS &&
                     end <= MUX_HEADER_MAX_BYTES && *length >= end + MUX_CRC_BYTES;
    return is_header ? MUX_OK : MUX_ERROR_HEADER;
}

/*
 * Oracle rules 2 to 4 for a whole candidate whose header was read. MUX_OK: a packet;
 * MUX_ERROR_HEADER: it does not fit, as mux_packet_fits() says; another error: it is damage.
 * `trusted`: strings may hold any bytes. Constant time for what does not fit, else linear.
 */
enum mux_error mux_packet_judge(struct mux_span bytes, uint32_t header_bytes, bool trusted,
                                struct mux_packet *packet, struct mux_layout *layout);

/* Is it ASCII without NUL? */
bool mux_string_is_plain(struct mux_span string);

#endif
