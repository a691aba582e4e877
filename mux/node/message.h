/*
 * The messages between a leaf, where packets enter a tree of nodes, and its end, where they leave
 * it: what makes that nothing between them is lost. Each is an ordinary packet: a whole file
 * without test id and status, whose content is lines KEY=VALUE, each known key at most once;
 * unknown keys are for later versions.
 *
 * where   file "muxd.where", upwards: asks the end up to where it has a stream.
 *   stream, epoch
 *   base, crc   where the leaf can begin, and the CRC of all before
 *   final       the stream's length, when nothing will be added to it
 *
 * ack     file "muxd.ack", downwards: up to where the end has it.
 *   stream, epoch
 *   at, crc     up to where it has come, and the CRC of all before
 *   safe        up to where the sink keeps it
 *   end         who says so: the end's identity
 *
 * ask     file "muxd.ask", downwards: say `where` again.
 *   stream      without it, of a neighbour: all streams
 *
 * lost    file "muxd.lost", upwards: the link at this route was lost, with all below it.
 *
 * beat    file "muxd.beat", both ways, of a neighbour: it lives.
 *
 * The bundles themselves: mux/packet/bundle.h. On the way up each node puts its segment in front of
 * a message's route, on the way down it cuts it.
 */
#ifndef MUX_MESSAGE_H
#define MUX_MESSAGE_H

#include "mux/packet/bundle.h"

/* Most bytes of a content, and of a whole message with its route. */
#define MUX_MESSAGE_CONTENT_BYTES 512
#define MUX_MESSAGE_PACKET_BYTES (MUX_MESSAGE_CONTENT_BYTES + MUX_BUNDLE_HEAD_BYTES)

/* A beat: signature, flags, length, name, an empty content, CRC. */
#define MUX_MESSAGE_BEAT_BYTES 19

enum mux_message_kind {
    MUX_MESSAGE_NONE, /* an ordinary packet */
    MUX_MESSAGE_WHERE,
    MUX_MESSAGE_BUNDLE,
    MUX_MESSAGE_LOST,
    MUX_MESSAGE_ACK,
    MUX_MESSAGE_ASK,
    MUX_MESSAGE_BEAT,
};

/* By its file name alone: valid or not. */
enum mux_message_kind mux_message_kind(const struct mux_packet *packet);

/* Where, bundle and lost go up; ack and ask go down. A beat goes nowhere. */
bool mux_message_goes_up(enum mux_message_kind kind);

struct mux_where {
    uint8_t stream[MUX_STREAM_ID_BYTES];
    uint32_t epoch;
    uint64_t base;
    uint32_t crc;
    bool is_final;
    uint64_t len_bytes; /* if is_final */
};

struct mux_ack {
    uint8_t stream[MUX_STREAM_ID_BYTES];
    uint32_t epoch;
    uint64_t at, safe; /* safe <= at */
    uint32_t crc;
    uint8_t end[MUX_STREAM_ID_BYTES];
};

struct mux_ask {
    bool has_stream;
    uint8_t stream[MUX_STREAM_ID_BYTES];
};

/*
 * Write the packet with this route (data NULL: none), of at most MUX_BUNDLE_ROUTE_MAX_BYTES; return
 * its length.
 */
size_t mux_where_write(const struct mux_where *where, struct mux_span route,
                       uint8_t out[MUX_MESSAGE_PACKET_BYTES]);
size_t mux_ack_write(const struct mux_ack *ack, struct mux_span route,
                     uint8_t out[MUX_MESSAGE_PACKET_BYTES]);
size_t mux_ask_write(const struct mux_ask *ask, struct mux_span route,
                     uint8_t out[MUX_MESSAGE_PACKET_BYTES]);
size_t mux_lost_write(struct mux_span route, uint8_t out[MUX_MESSAGE_PACKET_BYTES]);
size_t mux_beat_write(uint8_t out[MUX_MESSAGE_BEAT_BYTES]); /* without a route */

/* Read a packet of that kind. NULL, or one clause that says why it is not valid. */
const char *mux_where_read(const struct mux_packet *packet, struct mux_where *where);
const char *mux_ack_read(const struct mux_packet *packet, struct mux_ack *ack);
const char *mux_ask_read(const struct mux_packet *packet, struct mux_ask *ask);
const char *mux_lost_read(const struct mux_packet *packet);
const char *mux_beat_read(const struct mux_packet *packet);

#endif
