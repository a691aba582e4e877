/* Reading a packet step by step: for the framer, not installed. */
#ifndef MUX_PACKET_INTERNAL_H
#define MUX_PACKET_INTERNAL_H

#include "mux/packet.h"

#define MUX_HEADER_FIXED_BYTES 3 /* signature and flags */

/* mux_header_parse(), compiled into the loops over a link's bytes. */
static inline enum mux_error mux_header_read(struct mux_span bytes, uint32_t *length,
                                             uint32_t *header_bytes) {
    const uint8_t *at = bytes.data;
    if (bytes.len > 0 && at[0] != MUX_SIGNATURE)
        return MUX_ERROR_HEADER;
    if (bytes.len > 1 && at[1] >> 4 != MUX_FLAG_VERSION_2 >> 12)
        return MUX_ERROR_HEADER;
    if (bytes.len > 2 && at[2] & MUX_FLAG_ZERO)
        return MUX_ERROR_HEADER;
    if (bytes.len <= MUX_HEADER_FIXED_BYTES)
        return MUX_ERROR_SHORT_HEADER;
    unsigned width = (at[MUX_HEADER_FIXED_BYTES] >> 6) + 1u;
    if (width > MUX_HEADER_MAX_BYTES - MUX_HEADER_FIXED_BYTES)
        return MUX_ERROR_HEADER;
    uint32_t value;
    if (!mux_number_read(mux_span(at + MUX_HEADER_FIXED_BYTES, bytes.len - MUX_HEADER_FIXED_BYTES),
                         &value))
        return MUX_ERROR_SHORT_HEADER;
    if (value < MUX_PACKET_MIN_BYTES || value < MUX_HEADER_FIXED_BYTES + width + MUX_CRC_BYTES)
        return MUX_ERROR_HEADER;
    *length = value;
    *header_bytes = MUX_HEADER_FIXED_BYTES + width;
    return MUX_OK;
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
