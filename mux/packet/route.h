/*
 * Routing one packet: puts a segment in front of its route code on the way up, cuts the first
 * segment on the way down. Everything but flags, LENGTH, route and CRC stays byte for byte (and the
 * timestamp, where that is said). The CRC
 * is patched by its algebra (crc.h), not recomputed, so that a broken packet stays broken.
 *
 * Rules: testing-cabal/subunit README.md "routing" and python-subunit's StreamResultRouter.
 * Segments are separated by '/', the one nearest to the reader first.
 */
#ifndef MUX_ROUTE_H
#define MUX_ROUTE_H

#include "packet.h"

/* A segment is UTF-8 without NUL and '/', at most this long. */
#define MUX_SEGMENT_MAX_BYTES 255

/* A segment with what can be computed once. Its text must live as long. */
struct mux_prefix {
    struct mux_span segment;
    /* the route field that is only this segment, length included: for packets that had no route */
    uint32_t bare_crc;
    uint32_t bare_bytes;
    uint8_t bare[16]; /* if the field is not longer */
};

/* Errors: MUX_ERROR_TOO_LARGE, MUX_ERROR_NUL, MUX_ERROR_UTF8; MUX_ERROR_STRING (empty, or with
 * '/'). */
enum mux_error mux_prefix_init(struct mux_prefix *prefix, struct mux_span segment);

/*
 * A whole route code in front, as of a bundle: segments with '/' between them, of up to
 * MUX_ROUTE_PATH_MAX_BYTES. Only for mux_prefix_write(), into room for bytes.len +
 * MUX_PREFIX_PATH_GROWTH_BYTES, mux_prefix_apply_path() and mux_prefix_bytes(). Errors as above,
 * but '/' is none.
 */
#define MUX_ROUTE_PATH_MAX_BYTES 3960
#define MUX_PREFIX_PATH_GROWTH_BYTES (MUX_ROUTE_PATH_MAX_BYTES + 7)
enum mux_error mux_prefix_init_path(struct mux_prefix *prefix, struct mux_span path);

/*
 * `bytes` is a whole packet; `packet` and `layout` are what mux_packet_parse() found in it. No
 * route becomes "segment", "" becomes "segment/", "r" becomes "segment/r". The pieces point into
 * `bytes`. MUX_ERROR_TOO_LARGE: see mux_prefix_split().
 */
enum mux_error mux_prefix_apply(const struct mux_prefix *prefix, struct mux_span bytes,
                                const struct mux_packet *packet, const struct mux_layout *layout,
                                struct mux_pieces *pieces);

/* The same with a path in front; a piece is the prefix's own. */
enum mux_error mux_prefix_apply_path(const struct mux_prefix *prefix, struct mux_span bytes,
                                     const struct mux_packet *packet,
                                     const struct mux_layout *layout, struct mux_pieces *pieces);

/* How long the packet becomes. */
size_t mux_prefix_bytes(const struct mux_prefix *prefix, struct mux_span bytes,
                        const struct mux_packet *packet, const struct mux_layout *layout);

/*
 * The same, written in one piece to `out`, which has room for bytes.len + MUX_PREFIX_GROWTH_BYTES
 * and does not overlap: for packets so small that a copy costs less than pieces. Returns the
 * packet's length; 0: it would be too large.
 */
#define MUX_PREFIX_GROWTH_BYTES \
    (MUX_SEGMENT_MAX_BYTES + 7) /* '/', the field's length, 2 bytes of LENGTH */
size_t mux_prefix_write(const struct mux_prefix *prefix, struct mux_span bytes,
                        const struct mux_packet *packet, const struct mux_layout *layout,
                        uint8_t *out);

/*
 * For a packet that would grow past the limit: two packets that share its file content. The first
 * has no status, eof or tags. CRCs are computed: verify the packet before. MUX_ERROR_TOO_LARGE:
 * there is no content to split, or the other fields alone are too large.
 */
enum mux_error mux_prefix_split(const struct mux_prefix *prefix, const struct mux_packet *packet,
                                struct mux_pieces *first, struct mux_pieces *last);

/*
 * The same as mux_prefix_apply(), and the packet gets the timestamp that `packet` has, in place of
 * its own or in addition: for nodes that correct the time. `prefix` NULL: the route stays. The rest
 * of `packet` is as mux_packet_parse() found it. The CRC is patched, too.
 */
enum mux_error mux_prefix_restamp(const struct mux_prefix *prefix, struct mux_span bytes,
                                  const struct mux_packet *packet, const struct mux_layout *layout,
                                  struct mux_pieces *pieces);

/*
 * Cuts the first segment: "a/b" becomes "b"; "a" and "a/" become no route. *segment is set to what
 * was cut (a span into `bytes`). A packet without a route: segment->data is NULL and the pieces are
 * the packet unchanged. Cannot fail.
 */
void mux_strip(struct mux_span bytes, const struct mux_packet *packet,
               const struct mux_layout *layout, struct mux_span *segment,
               struct mux_pieces *pieces);

/*
 * A route as it is further up: no route becomes "front", "" becomes "front/", "r" becomes
 * "front/r"; an empty front changes nothing. Where both are there they are written to `out`, and
 * what has no room is cut: mux_route_joined_bytes() says whether that is so.
 */
static inline size_t mux_route_joined_bytes(struct mux_span front, struct mux_span route) {
    return front.len + (front.len > 0 && route.data) + route.len;
}
struct mux_span mux_route_join(struct mux_span front, struct mux_span route, struct mux_room out);

/* The first segment of a route (all of it if there is no '/'). */
struct mux_span mux_route_first(struct mux_span route);

#endif
