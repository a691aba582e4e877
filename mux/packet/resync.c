#include "resync.h"
#include "packet_internal.h"

/* CRCs are computed over at most this many times the bytes. */
#define CRC_BYTES_FACTOR 4

struct search {
    struct mux_span bytes;
    size_t crc_bytes; /* bytes over which CRCs may still be computed */
};

/*
 * Judges what is at `at`: the length of a good packet; 0: none; SIZE_MAX: one that is cut by the
 * end.
 */
static size_t packet_at(struct search *search, size_t at) {
    struct mux_span rest = mux_span(search->bytes.data + at, search->bytes.len - at);
    uint32_t length, header_bytes;
    enum mux_error error = mux_header_read(rest, &length, &header_bytes);
    if (error == MUX_ERROR_HEADER)
        return 0;
    if (error)
        return SIZE_MAX;
    if (!mux_packet_fits(rest, length, header_bytes))
        return 0;
    if (length > rest.len)
        return SIZE_MAX;
    if (length > search->crc_bytes)
        return 0;
    search->crc_bytes -= length;
    return mux_packet_verify(mux_span(rest.data, length)) ? length : 0;
}

/*
 * Follows packets from `at`. True: there is at least one whole packet and they reach the end.
 * False: *next is where the search continues; good packets are not searched.
 */
static bool follow(struct search *search, size_t at, size_t *next) {
    size_t length = packet_at(search, at);
    *next = at + 1;
    if (length == 0 || length == SIZE_MAX)
        return false;
    while (at += length, at < search->bytes.len) {
        length = packet_at(search, at);
        if (length == SIZE_MAX)
            return true;
        if (length == 0) {
            *next = at + 1;
            return false;
        }
    }
    return true;
}

size_t mux_resync_find(struct mux_span bytes) {
    struct search search = {bytes, CRC_BYTES_FACTOR * bytes.len};
    const uint8_t *found;
    size_t at = 1;
    while (at < bytes.len && (found = memchr(bytes.data + at, MUX_SIGNATURE, bytes.len - at))) {
        size_t start = (size_t)(found - bytes.data);
        if (follow(&search, start, &at))
            return start;
    }
    return 0;
}
