/*
 * Bundles: whole packets of one stream that go between nodes as the content of one packet, file
 * "muxd.bundle", so that a node on the way gives all of them their segment at once. To a reader
 * that knows nothing of them one is an ordinary attachment. docs/protocol.md has the bytes.
 *
 * The MIME type says where the content belongs: its stream, the epoch, its offset there, and the
 * CRC of all that the stream has before it.
 */
#ifndef MUX_BUNDLE_H
#define MUX_BUNDLE_H

#include "route.h"

#define MUX_STREAM_ID_BYTES 16

/* Offsets of a stream stay below this: what is beyond is damage. */
#define MUX_STREAM_BYTES_MAX (UINT64_C(1) << 63)

/* What a bundle may have beside its content: its head, its route, its CRC. */
#define MUX_BUNDLE_HEAD_BYTES 4096
#define MUX_BUNDLE_ROUTE_MAX_BYTES MUX_ROUTE_PATH_MAX_BYTES
#define MUX_BUNDLE_CONTENT_MAX_BYTES (MUX_PACKET_MAX_BYTES - MUX_BUNDLE_HEAD_BYTES)

/* Signature, flags, LENGTH, MIME type, file name, the content's length. */
#define MUX_BUNDLE_MIME_BYTES 101
#define MUX_BUNDLE_FRONT_BYTES (MUX_HEADER_MAX_BYTES + 2 + MUX_BUNDLE_MIME_BYTES + 1 + 11 + 4)
_Static_assert(MUX_BUNDLE_FRONT_BYTES + 2 + MUX_BUNDLE_ROUTE_MAX_BYTES + MUX_CRC_BYTES <=
                   MUX_BUNDLE_HEAD_BYTES,
               "the longest route fits");
_Static_assert(MUX_PREFIX_PATH_GROWTH_BYTES <= MUX_BUNDLE_HEAD_BYTES,
               "and so it does in front of the routes of the packets in it");

struct mux_bundle {
    uint8_t stream[MUX_STREAM_ID_BYTES];
    uint32_t epoch;
    uint64_t offset;
    uint32_t crc; /* of all before `offset` */
};

/*
 * A packet that is too long for a bundle when it has `prefix` in front: as two that are not. As
 * mux_prefix_split().
 */
enum mux_error mux_bundle_split(const struct mux_prefix *prefix, const struct mux_packet *packet,
                                struct mux_pieces *first, struct mux_pieces *last);

/*
 * Packets in a row, and their CRC without a look at their bytes: that of each stands at its end,
 * and was verified when it came. {0} at first.
 */
struct mux_bundle_run {
    uint32_t len_bytes;
    uint32_t crc;
};
void mux_bundle_run_add(struct mux_bundle_run *run, struct mux_span packet);
/* The same of a packet that does not lie in one piece: its length, and its last bytes. */
void mux_bundle_run_grow(struct mux_bundle_run *run, size_t len_bytes,
                         const uint8_t stored[MUX_CRC_BYTES]);

/* What goes in front of the content and behind it. */
struct mux_bundle_wrap {
    size_t front_len_bytes;
    uint8_t front[MUX_BUNDLE_FRONT_BYTES];
    uint8_t crc[MUX_CRC_BYTES];
};

/* For a content of 1 to MUX_BUNDLE_CONTENT_MAX_BYTES; it has no route. */
void mux_bundle_wrap(const struct mux_bundle *bundle, const struct mux_bundle_run *content,
                     struct mux_bundle_wrap *wrap);

/* Is this packet a bundle, valid or not? */
bool mux_bundle_is(const struct mux_packet *packet);

/* NULL, or one clause that says why it is not valid. */
const char *mux_bundle_read(const struct mux_packet *packet, struct mux_bundle *bundle);

/* A packet of a content. */
struct mux_bundle_item {
    struct mux_span bytes;
    struct mux_packet packet;
    struct mux_layout layout;
};

/*
 * Takes the first off the content, which is not empty, and verifies it. Else item->bytes are
 * damage: that packet, or all that is left, since no packet's end is known in it.
 */
enum mux_error mux_bundle_next(struct mux_span *content, struct mux_bundle_item *item);

#endif
