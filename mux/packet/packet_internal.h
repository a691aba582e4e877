/* Reading a packet step by step; for the framer, not installed. */
#ifndef MUX_PACKET_INTERNAL_H
#define MUX_PACKET_INTERNAL_H

#include "bytes.h"
#include "packet.h"

#define MUX_HEADER_FIXED_BYTES 3 /* signature and flags */

/* Of a packet's first four bytes: signature, version and the bit that must be zero. */
#define MUX_HEADER_MASK 0xFFF00800u
#define MUX_HEADER_BITS ((uint32_t)MUX_SIGNATURE << 24 | (uint32_t)MUX_FLAG_VERSION_2 << 8)

/* `packet` has at least its fixed header. */
static inline unsigned mux_flags_read(const uint8_t *packet) {
    return (unsigned)packet[1] << 8 | packet[2];
}

/*
 * A varint at an address where four bytes can be read, whether or not it is that long: *width is
 * its length.
 */
static inline uint32_t mux_varint_at(const uint8_t *at, unsigned *width) {
    uint32_t word = mux_read_be32(at);
    *width = (word >> 30) + 1;
    return (word & MUX_VARINT_MAX) >> 8 * (4 - *width);
}

/* mux_header_parse() of fewer bytes than the smallest packet has. */
enum mux_error mux_header_read_short(struct mux_span bytes, uint32_t *length,
                                     uint32_t *header_bytes);

/* mux_header_parse(), inlined into the loops over a link's bytes. */
static inline enum mux_error mux_header_read(struct mux_span bytes, uint32_t *length,
                                             uint32_t *header_bytes) {
    if (bytes.len < MUX_PACKET_MIN_BYTES)
        return mux_header_read_short(bytes, length, header_bytes);
    if ((mux_read_be32(bytes.data) & MUX_HEADER_MASK) != MUX_HEADER_BITS)
        return MUX_ERROR_HEADER; /* checked first: nearly all random bytes fail here */
    unsigned width;
    *length = mux_varint_at(bytes.data + MUX_HEADER_FIXED_BYTES, &width);
    uint32_t end = MUX_HEADER_FIXED_BYTES + width;
    *header_bytes = end;
    bool fits = end <= MUX_HEADER_MAX_BYTES && *length >= end + MUX_CRC_BYTES;
    return fits ? MUX_OK : MUX_ERROR_HEADER;
}

/*
 * Without a timestamp the first field begins with a varint, a length or a tag count. Most random
 * bytes that look like a header fail here, before anything else is done.
 */
static inline bool mux_first_varint_fits(struct mux_span bytes, uint32_t header_bytes) {
    const unsigned fields =
        MUX_FLAG_TEST_ID | MUX_FLAG_TAGS | MUX_FLAG_MIME | MUX_FLAG_FILE | MUX_FLAG_ROUTE;
    unsigned flags = mux_flags_read(bytes.data), width;
    size_t body_bytes = bytes.len - MUX_CRC_BYTES - header_bytes;
    if (flags & MUX_FLAG_TIMESTAMP || !(flags & fields))
        return true;
    uint32_t number = mux_varint_at(bytes.data + header_bytes, &width);
    return number + width <= body_bytes;
}

/*
 * Oracle rules 2 to 4 for a whole candidate whose header was read. MUX_OK: a packet.
 * MUX_ERROR_HEADER: it does not fit, in the sense of mux_packet_fits(). Another error: damage.
 * `trusted`: strings may hold any bytes. Constant time for what does not fit, else linear. Only
 * when mux_first_varint_fits().
 */
enum mux_error mux_packet_judge(struct mux_span bytes, uint32_t header_bytes, bool trusted,
                                struct mux_packet *packet, struct mux_layout *layout);

/* Is it ASCII without NUL? */
bool mux_string_is_plain(struct mux_span string);

#endif
