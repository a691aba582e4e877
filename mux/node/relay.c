/*
 * A node between leaf and end: it puts its link's segment in front of what comes up, cuts it on the
 * way down, and keeps nothing of any stream (rules 18, 32 to 35 of the reliable protocol). Whether
 * the tests below a lost link have failed is for the end alone to say.
 */
#include "mux/node/message.h"
#include "mux/node/mux_internal.h"

bool mux_relay_has_room(const struct mux *mux) {
    if (mux->unbundle)
        return mux_up_has_room(mux);
    return mux_handshake_sends_packets(mux) && mux_batch_takes_frame(mux);
}

/* The neighbour's own message, which it must know how to write. */
static const char *read_own(const struct mux_packet *packet, enum mux_message_kind kind) {
    union {
        struct mux_where where;
        struct mux_bundle bundle;
    } read;
    switch (kind) {
    case MUX_MESSAGE_WHERE:
        return mux_where_read(packet, &read.where);
    case MUX_MESSAGE_BUNDLE:
        return mux_bundle_read(packet, &read.bundle);
    default:
        return "its message is malformed: it has no route code";
    }
}

/* What can be wrong with a message from further below, of whose content only the end knows. */
static const char *look_at(const struct mux_link *link, const struct mux_packet *packet,
                           enum mux_message_kind kind) {
    bool is_too_long =
        kind != MUX_MESSAGE_BUNDLE && packet->file_content.len > MUX_MESSAGE_CONTENT_BYTES;
    if (!mux_message_goes_up(kind))
        return "it goes down";
    if (packet->route.len + 1 + link->prefix.segment.len > MUX_BUNDLE_ROUTE_MAX_BYTES)
        return "its route code is too long";
    return is_too_long ? "it is too long" : NULL;
}

static void drop(struct mux_link *link, const char *why) {
    struct mux *mux = link->mux;
    MUX_COUNT(&mux->counters, messages_dropped, 1);
    if (mux_limiter_allow(&mux->damage_lines, mux->ran_ns))
        mux_log(mux, "%s (link %s): a message about a stream below it is dropped: %s", link->peer,
                link->segment, why);
    else
        MUX_COUNT(&mux->counters, log_lines_suppressed, 1);
}

/* NULL, or why not. */
static const char *pass(struct mux_link *link, const struct mux_frame *frame,
                        enum mux_message_kind kind) {
    struct mux_pieces pieces;
    const struct mux_packet *packet = &frame->packet;
    const char *why = packet->route.data ? NULL : read_own(packet, kind);
    if (why)
        return why;
    if (mux_prefix_apply(&link->prefix, frame->bytes, packet, &frame->layout, &pieces))
        return "it is too long";
    link->has_streams = true;
    MUX_COUNT(&link->mux->counters, messages_relayed, 1);
    if (kind == MUX_MESSAGE_BUNDLE)
        mux_output_bundle(link, packet);
    mux_up_pass(link, frame, &pieces, 1);
    return NULL;
}

size_t mux_relay_up(struct mux_link *link, const struct mux_frame *frame,
                    enum mux_message_kind kind) {
    const char *why = look_at(link, &frame->packet, kind);
    if (!why)
        why = link->mux->unbundle ? mux_unbundle_take(link, frame, kind) : pass(link, frame, kind);
    if (!why)
        return frame->bytes.len;
    if (frame->packet.route.data)
        drop(link, why);
    else
        mux_link_break_off(link, why);
    return 0;
}

/*
 * Nearly always there is room: frames leave some. Without it the connection upwards is closed, for
 * then all that is below says anew where it is.
 */
void mux_relay_lose(struct mux_link *link) {
    struct mux *mux = link->mux;
    uint8_t out[MUX_MESSAGE_PACKET_BYTES];
    if (mux->unbundle)
        mux_unbundle_lose(link);
    if (!link->has_bundles || !link->has_streams || !mux_is_relay(mux) ||
        !mux_handshake_sends_packets(mux))
        return;
    struct mux_span bytes = mux_span(out, mux_lost_write(link->prefix.segment, out));
    if (!mux_batch_has_room(mux->fill, bytes.len, 1)) {
        mux_handshake_give_up(mux, "there is no room to say which links were lost");
        return;
    }
    struct mux_pieces pieces = {.piece = {bytes}, .count = 1, .len_bytes = bytes.len};
    mux_batch_add(mux->fill, &pieces, NULL, SIZE_MAX);
    mux_count_forwarded(mux, 1, bytes.len, 0);
}

/* Rule 18: all below says again where it is. One that cannot be told now asks after its wait. */
void mux_relay_ask_below(struct mux *mux) {
    uint8_t out[MUX_MESSAGE_PACKET_BYTES];
    struct mux_span bytes =
        mux_span(out, mux_ask_write(&(struct mux_ask){0}, mux_span(NULL, 0), out));
    const struct mux_pieces ask = {.piece = {bytes}, .count = 1, .len_bytes = bytes.len};
    for (struct mux_list *at = mux->nodes.next; at != &mux->nodes; at = at->next) {
        struct mux_link *link = MUX_LIST_ITEM(at, struct mux_link, node_entry);
        if (link->has_bundles)
            mux_down_offer(link, &ask);
    }
}

/*
 * ---- the way down ----
 */

/* For this node itself. */
static void take_own(struct mux *mux, const struct mux_packet *packet, enum mux_message_kind kind) {
    struct mux_ack ack;
    struct mux_ask ask;
    if (kind == MUX_MESSAGE_BEAT)
        return; /* it was heard */
    const char *why =
        kind == MUX_MESSAGE_ACK ? mux_ack_read(packet, &ack) : mux_ask_read(packet, &ask);
    if (!why && kind == MUX_MESSAGE_ACK && mux_leaf_acked(mux, &ack))
        return;
    if (why || kind == MUX_MESSAGE_ACK) {
        MUX_COUNT(&mux->counters, messages_dropped, 1);
        return;
    }
    mux_leaf_asked(mux, &ask);
    if (ask.has_stream)
        return;
    mux_clock_ask_anew(mux);
    mux_relay_ask_below(mux);
}

/* One for nobody is dropped: answers are never answered (rule 34). */
void mux_relay_down(struct mux *mux, const struct mux_frame *frame, enum mux_message_kind kind) {
    struct mux_span segment;
    struct mux_pieces pieces;
    if (!frame->packet.route.data && !mux_message_goes_up(kind)) {
        take_own(mux, &frame->packet, kind);
        return;
    }
    mux_strip(frame->bytes, &frame->packet, &frame->layout, &segment, &pieces);
    bool goes_further = kind == MUX_MESSAGE_ACK || kind == MUX_MESSAGE_ASK;
    struct mux_link *link = goes_further ? mux_link_find(mux, segment) : NULL;
    if (link && link->has_bundles && mux_down_offer(link, &pieces))
        MUX_COUNT(&mux->counters, down_forwarded_packets, 1);
    else
        MUX_COUNT(&mux->counters, messages_dropped, 1);
}
