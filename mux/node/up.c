/* The way up: links take turns; their frames go into batches, with the segment in front. */
#include "mux/node/mux_internal.h"
#include "mux/packet/bytes.h"
#include "mux/packet/report.h"

#include <inttypes.h>
#include <stdio.h>

bool mux_up_has_room(const struct mux *mux) {
    if (mux->config.sink)
        return mux_sink_takes(mux) && (!mux->unbundle || mux_unbundle_has_room(mux));
    if (mux_has_stream(mux))
        return mux_leaf_has_room(mux);
    if (mux->unbundle && !mux_unbundle_has_room(mux))
        return false;
    return mux_leaf_pending_bytes(mux) == 0 && mux_batch_takes_frame(mux);
}

bool mux_up_has_room_for(const struct mux *mux, size_t len_bytes) {
    if (mux_has_stream(mux))
        return mux_leaf_has_room(mux);
    if (mux->unbundle && !mux_unbundle_has_room(mux))
        return false;
    return mux_leaf_pending_bytes(mux) == 0 && mux_batch_has_room(mux->fill, len_bytes, 1);
}

void mux_up_add(struct mux *mux, const struct mux_pieces *packet) {
    if (mux_has_stream(mux))
        mux_leaf_add(mux, packet);
    else
        mux_batch_add(mux->fill, packet, NULL, SIZE_MAX);
    mux_count_forwarded(mux, 1, packet->len_bytes, 0);
}

enum mux_error mux_up_split(const struct mux *mux, const struct mux_prefix *prefix,
                            const struct mux_packet *packet, struct mux_pieces packets[2]) {
    const struct mux_prefix none = {0};
    if (!prefix)
        prefix = &none;
    return mux_has_stream(mux) ? mux_bundle_split(prefix, packet, &packets[0], &packets[1])
                               : mux_prefix_split(prefix, packet, &packets[0], &packets[1]);
}

bool mux_batch_takes_frame(const struct mux *mux) {
    size_t edit_bytes = mux->config.editor ? MUX_EDIT_BYTES : 0;
    unsigned edit_packets = mux->config.editor ? MUX_EDIT_PACKETS : 0;
    return mux->fill->gather.len_bytes < BATCH_MOST_BYTES &&
           mux_batch_has_room(mux->fill, FRAME_COPIED_BYTES + edit_bytes,
                              FRAME_PACKETS + edit_packets);
}

/* The buffer that a frame's large pieces may be sent from; NULL: they are copied. */
static struct mux_buffer *buffer_of(struct mux_link *link, const struct mux_frame *frame) {
    struct mux *mux = link->mux;
    if (frame->in_store || !link->inputs.first)
        return link->slot;
    /* held buffers must never leave too few to receive into */
    size_t held = mux->fill->held_count + mux->flight->held_count;
    bool must_copy =
        held >= mux->config.inputs_max / 2 && frame->bytes.len <= FRAME_COPIED_MAX_BYTES;
    return must_copy ? NULL : link->inputs.first->buffer;
}

static size_t forward_in_stream(struct mux *mux, const struct mux_pieces *packets, unsigned count) {
    size_t bytes = 0;
    for (unsigned i = 0; i < count; bytes += packets[i++].len_bytes)
        mux_up_add(mux, &packets[i]);
    return bytes;
}

size_t mux_up_forward(struct mux_link *link, const struct mux_frame *frame,
                      const struct mux_pieces *packets, unsigned count) {
    struct mux *mux = link->mux;
    if (mux_has_stream(mux))
        return forward_in_stream(mux, packets, count);
    return mux_up_pass(link, frame, packets, count);
}

size_t mux_up_pass(struct mux_link *link, const struct mux_frame *frame,
                   const struct mux_pieces *packets, unsigned count) {
    struct mux *mux = link->mux;
    struct mux_buffer *buffer = buffer_of(link, frame);
    size_t bytes = 0, referenced = 0;
    for (unsigned i = 0; i < count; i++) {
        referenced +=
            mux_batch_add(mux->fill, &packets[i], buffer, mux->config.reference_least_bytes);
        bytes += packets[i].len_bytes;
    }
    mux_count_forwarded(mux, count, bytes, referenced);
    return bytes;
}

/* Formatting a line costs more than all else about a small packet: the rate limit comes first. */
static void log_damage(struct mux_link *link, const struct mux_frame *frame, enum mux_error why) {
    struct mux *mux = link->mux;
    if (mux_limiter_allow(&mux->damage_lines, mux->ran_ns))
        mux_log(mux, "%s (link %s): %zu bytes of damage: %s", link->peer, link->segment,
                frame->bytes.len, mux_error_text(why));
    else
        MUX_COUNT(&mux->counters, log_lines_suppressed, 1);
}

/* Does the owner change what comes from this link? */
static bool is_edited(const struct mux_link *link) {
    return link->mux->config.editor && !mux_link_is_node(link);
}

/* One event of a report as a packet, with a time if that is wanted. False: it is too large. */
static bool gather_timed(struct mux_link *link, struct mux_packet *event,
                         struct mux_pieces *pieces) {
    event->route = mux_link_route(link);
    mux_clock_change(link, event);
    return !mux_packet_gather(event, pieces) && mux_up_fits(link->mux, pieces->len_bytes);
}

/* False: it does not fit two packets; the report is made without times. */
static bool report_damage_timed(struct mux_link *link, const struct mux_frame *frame,
                                enum mux_error why, struct mux_pieces *packets) {
    struct mux_packet events[MUX_REPORT_DAMAGE_EVENTS];
    mux_report_damage_events(frame->bytes, why, events);
    return gather_timed(link, &events[0], &packets[0]) &&
           gather_timed(link, &events[1], &packets[1]);
}

static size_t forward_damage(struct mux_link *link, const struct mux_frame *frame,
                             enum mux_error why) {
    struct mux *mux = link->mux;
    struct mux_pieces packets[MUX_REPORT_DAMAGE_PACKETS];
    MUX_COUNT(&mux->counters, damages, 1);
    MUX_COUNT(&mux->counters, damage_bytes, frame->bytes.len);
    log_damage(link, frame, why);
    if (mux->config.sink)
        return mux_sink_damage(link, frame, why);
    if (is_edited(link))
        return mux_edit_damage(link, frame, why);
    if (mux_clock_changes(mux) && report_damage_timed(link, frame, why, packets))
        return mux_up_forward(link, frame, packets, MUX_REPORT_DAMAGE_EVENTS);
    unsigned count = mux_report_damage(frame->bytes, why, mux_link_route(link), packets);
    return mux_up_forward(link, frame, packets, count);
}

static size_t forward_chatter(struct mux_link *link, const struct mux_frame *frame) {
    struct mux *mux = link->mux;
    struct mux_pieces packet;
    struct mux_packet event;
    enum mux_report_stream stream =
        link->kind == MUX_LINK_STDERR ? MUX_REPORT_STDERR : MUX_REPORT_STDOUT;
    MUX_COUNT(&mux->counters, chatter_bytes, frame->bytes.len);
    MUX_COUNT(&mux->counters, chatter_packets, 1);
    if (mux->config.sink || !is_edited(link))
        mux_output_chatter(link, frame->bytes);
    if (mux->config.sink)
        return mux_sink_chatter(link, frame);
    if (is_edited(link))
        return mux_edit_chatter(link, frame);
    mux_report_chatter_event(stream, frame->bytes, &event);
    if (!mux_clock_changes(mux) || !gather_timed(link, &event, &packet))
        mux_report_chatter(stream, frame->bytes, mux_link_route(link), &packet);
    return mux_up_forward(link, frame, &packet, 1);
}

/* A packet that would be too large with its segment. */
static size_t forward_split(struct mux_link *link, const struct mux_frame *frame) {
    struct mux *mux = link->mux;
    struct mux_pieces packets[2];
    if (mux_up_split(mux, link->is_bare ? NULL : &link->prefix, &frame->packet, packets)) {
        MUX_COUNT(&mux->counters, oversize_packets, 1);
        return forward_damage(link, frame, MUX_ERROR_TOO_LARGE);
    }
    MUX_COUNT(&mux->counters, split_packets, 1);
    return mux_up_forward(link, frame, packets, 2);
}

/*
 * The names of tests that may be reported as failed must be UTF-8. Strings of a trusted link were
 * not checked.
 */
static bool is_readable(const struct mux_link *link, const struct mux_packet *packet) {
    return !link->framer.trusted || packet->status != MUX_STATUS_INPROGRESS ||
           (!mux_string_check(packet->test_id) && !mux_string_check(packet->route));
}

/* Most packets: copied once, into the batch. */
static size_t forward_small(struct mux_link *link, const struct mux_frame *frame) {
    struct mux *mux = link->mux;
    struct mux_room room = mux_batch_room(mux->fill);
    assert(room.len >= frame->bytes.len + MUX_PREFIX_GROWTH_BYTES);
    size_t bytes =
        mux_prefix_write(&link->prefix, frame->bytes, &frame->packet, &frame->layout, room.data);
    mux_batch_filled(mux->fill, bytes);
    mux_count_forwarded(mux, 1, bytes, 0);
    return bytes;
}

/* Of any length: the body may be sent from the buffer that it came in. */
static size_t forward_large(struct mux_link *link, const struct mux_frame *frame) {
    struct mux_pieces packet;
    if (mux_prefix_apply(&link->prefix, frame->bytes, &frame->packet, &frame->layout, &packet) ||
        !mux_up_fits(link->mux, packet.len_bytes))
        return forward_split(link, frame);
    return mux_up_forward(link, frame, &packet, 1);
}

/* A small one into the stream, when it does not lie at both ends of the ring. */
static size_t forward_small_in_stream(struct mux_link *link, const struct mux_frame *frame) {
    struct mux *mux = link->mux;
    struct mux_stream *stream = &mux->leaf.stream;
    struct mux_room room = mux_stream_room(stream);
    if (room.len < frame->bytes.len + MUX_PREFIX_GROWTH_BYTES)
        return forward_large(link, frame);
    size_t bytes =
        mux_prefix_write(&link->prefix, frame->bytes, &frame->packet, &frame->layout, room.data);
    mux_stream_filled(stream, bytes, mux->ran_ns);
    mux_count_forwarded(mux, 1, bytes, 0);
    return bytes;
}

/* A bare link's packet: sent unchanged. */
static size_t forward_as_is(struct mux_link *link, const struct mux_frame *frame) {
    struct mux_pieces packet = {.piece = {frame->bytes}, .count = 1, .len_bytes = frame->bytes.len};
    if (!mux_up_fits(link->mux, packet.len_bytes))
        return forward_split(link, frame);
    return mux_up_forward(link, frame, &packet, 1);
}

/* With the timestamp that frame->packet has now. */
static size_t forward_restamped(struct mux_link *link, const struct mux_frame *frame) {
    const struct mux_prefix *prefix = link->is_bare ? NULL : &link->prefix;
    struct mux_pieces packet;
    if (!mux_prefix_restamp(prefix, frame->bytes, &frame->packet, &frame->layout, &packet) &&
        mux_up_fits(link->mux, packet.len_bytes))
        return mux_up_forward(link, frame, &packet, 1);
    if (prefix || mux_has_stream(link->mux))
        return forward_split(link, frame);
    MUX_COUNT(&link->mux->counters, timestamps_kept, 1); /* as large as a packet can be */
    return forward_as_is(link, frame);
}

static size_t forward_timed(struct mux_link *link, const struct mux_frame *frame) {
    struct mux_frame timed = *frame;
    bool is_changed = mux_clock_change(link, &timed.packet);
    size_t bytes = link->mux->config.sink ? mux_sink_packet(link, &timed)
                   : is_changed           ? forward_restamped(link, &timed)
                   : link->is_bare        ? forward_as_is(link, frame)
                                          : forward_large(link, frame);
    mux_clock_settle(link);
    return bytes;
}

/* Packets that get no segment here, or perhaps another timestamp. */
MUX_RARE size_t forward_unusual(struct mux_link *link, const struct mux_frame *frame) {
    if (mux_clock_changes(link->mux))
        return forward_timed(link, frame);
    return link->mux->config.sink ? mux_sink_packet(link, frame) : forward_as_is(link, frame);
}

/* A route this deep has gone round a loop. */
static bool is_too_deep(struct mux_span route) {
    unsigned depth = 1;
    if (route.len < 2 * MUX_NODES_DEEP_MAX)
        return false;
    for (size_t i = 0; i < route.len; i++)
        depth += route.data[i] == '/';
    return depth > MUX_NODES_DEEP_MAX;
}

/* A worker uses a file of nodes: the owner decides. Results go up in any case. */
static inline bool is_refused(struct mux_link *link, const struct mux_packet *packet) {
    const struct mux_config *config = &link->mux->config;
    bool is_asked_about = !packet->test_id.data && packet->status == MUX_STATUS_NONE &&
                          config->refuse && !mux_link_is_node(link) &&
                          mux_report_is_own_file(packet->file_name);
    return is_asked_about && config->refuse(config->user, link, packet);
}

/*
 * An ordinary packet on a link with bundles, of a later version: from now on the link waits for
 * room for both. False: there is no memory for it.
 */
static bool mix(struct mux_link *link, const struct mux_frame *frame) {
    struct mux *mux = link->mux;
    link->is_mixed = true;
    if (mux_up_has_room(mux) ||
        (mux_has_stream(mux) && mux_leaf_fits(mux, frame->bytes.len + FRAME_GROWTH_BYTES)))
        return true;
    MUX_COUNT(&mux->counters, nodes_cut_bytes, frame->bytes.len);
    mux_log(mux, "%s (link %s): a packet among its bundles is dropped: there is no room for it",
            link->peer, link->segment);
    return false;
}

static size_t forward_packet(struct mux_link *link, const struct mux_frame *frame) {
    struct mux *mux = link->mux;
    MUX_COUNT(&mux->counters, received_packets, 1);
    link->received_packets++;
    enum mux_message_kind kind =
        link->has_bundles ? mux_message_kind(&frame->packet) : MUX_MESSAGE_NONE;
    bool may_be_word = mux_link_is_node(link) || link->role == MUX_ROLE_UNKNOWN;
    if (may_be_word && mux_node_handle_word(link, &frame->packet))
        return 0;
    if (is_refused(link, &frame->packet))
        return 0;
    if (is_too_deep(frame->packet.route)) {
        mux_link_refuse_loop(link);
        return 0;
    }
    if (kind != MUX_MESSAGE_NONE)
        return mux_relay_up(link, frame, kind);
    if (link->has_bundles && !mix(link, frame))
        return 0;
    if (mux->below.lost_count && frame->packet.status != MUX_STATUS_NONE)
        mux_below_settle(link, &frame->packet);
    mux_progress_update(&mux->tests, &link->tests, &frame->packet,
                        is_readable(link, &frame->packet));
    if (frame->packet.test_id.data)
        mux_count_result(mux, &frame->packet);
    if (frame->packet.file_name.data && !is_edited(link))
        mux_output_packet(link, &frame->packet);
    if (is_edited(link))
        return mux_edit_packet(link, frame);
    if (!link->is_routed)
        return forward_unusual(link, frame);
    if (frame->bytes.len >= mux->config.reference_least_bytes)
        return forward_large(link, frame);
    return mux_has_stream(mux) ? forward_small_in_stream(link, frame) : forward_small(link, frame);
}

struct mux_span mux_link_route(const struct mux_link *link) {
    return link->is_bare ? mux_span(NULL, 0) : mux_span_text(link->segment);
}

struct mux_span mux_link_full_route(const struct mux_link *link, struct mux_span route,
                                    uint8_t out[MUX_REPORT_ROUTE_MAX_BYTES]) {
    struct mux_span front = mux_link_route(link);
    assert(mux_route_joined_bytes(front, route) < MUX_REPORT_ROUTE_MAX_BYTES);
    return mux_route_join(front, route, (struct mux_room){out, MUX_REPORT_ROUTE_MAX_BYTES});
}

#define MESSAGE_BYTES (REASON_BYTES + PEER_TEXT_BYTES + 96)

_Static_assert(MUX_PROGRESS_ROUTE_BYTES + MUX_SEGMENT_TEXT_BYTES + 1 <= MUX_REPORT_ROUTE_MAX_BYTES,
               "a remembered test's route fits a report, this node's segment in front");
_Static_assert(MUX_PROGRESS_NAME_BYTES + MUX_SEGMENT_TEXT_BYTES + MESSAGE_BYTES + 256 <=
                   FRAME_COPIED_BYTES,
               "a remembered test's report is copied into the batch");

/*
 * A test that was in progress when its link ended has failed: why the link ended, then `what`.
 * False: the sink does not take it now.
 */
static bool forward_failure(struct mux_link *link, const char *what, struct mux_span test_id,
                            struct mux_span route) {
    struct mux *mux = link->mux;
    struct mux_frame frame = {0};
    struct mux_packet packet;
    struct mux_pieces pieces;
    char text[MESSAGE_BYTES];
    bool is_node = mux_link_is_node(link);
    snprintf(text, sizeof text, "%s%s%s%s %s\n", is_node ? "" : "worker ",
             is_node ? "" : link->peer, is_node ? "" : ": ", link->reason, what);
    mux_report_message_event(MUX_STATUS_FAIL, mux_span_text(text), test_id, route, &packet);
    mux_clock_change_own(mux, &packet);
    if (mux->config.sink) {
        bool taken = mux_sink_offer(mux, link, &packet);
        link->credit_bytes -= FRAME_LEAST_BYTES;
        mux_count_forwarded(mux, taken, 0, 0);
        return taken;
    }
    if (is_edited(link)) {
        mux_edit_failure(link, &packet);
        return true;
    }
    enum mux_error error = mux_packet_gather(&packet, &pieces);
    assert(!error);
    (void)error;
    link->credit_bytes -= (int64_t)mux_up_forward(link, &frame, &pieces, 1);
    return true;
}

/* The route of a test's report. The sink knows the link, and an edited packet gets its segment. */
static struct mux_span report_route(const struct mux_link *link, struct mux_span route,
                                    uint8_t out[MUX_REPORT_ROUTE_MAX_BYTES]) {
    return link->mux->config.sink || is_edited(link) ? route
                                                     : mux_link_full_route(link, route, out);
}

/* Reports the tests that have no name here, all in one packet. */
static enum mux_link_step fail_unnamed(struct mux_link *link) {
    char what[64];
    uint64_t count = link->tests.unnamed;
    struct mux_span none = mux_span(NULL, 0);
    if (!count)
        return MUX_LINK_IDLE;
    snprintf(what, sizeof what, "and %" PRIu64 " more tests were in progress", count);
    bool has_no_route = link->mux->config.sink || is_edited(link);
    if (!forward_failure(link, what, none, has_no_route ? none : mux_link_route(link)))
        return MUX_LINK_FULL;
    mux_progress_take_unnamed(&link->tests);
    mux_log(link->mux, "%s (link %s) ended: its tests in progress are reported failed, %s",
            link->peer, link->segment, what);
    MUX_COUNT(&link->mux->counters, tests_failed, count);
    return MUX_LINK_MORE;
}

/* Reports the oldest test that was in progress when its link ended. IDLE: there is none (left). */
static enum mux_link_step fail_test(struct mux_link *link) {
    struct mux *mux = link->mux;
    struct mux_progress_name name;
    uint64_t age_ns;
    uint8_t route[MUX_REPORT_ROUTE_MAX_BYTES];
    if (!mux_progress_oldest(&mux->tests, &link->tests, &name, &age_ns))
        return fail_unnamed(link);
    if (!forward_failure(link, "while this test was in progress", name.test_id,
                         report_route(link, name.route, route)))
        return MUX_LINK_FULL;
    mux_progress_take(&mux->tests, &link->tests, &name);
    MUX_COUNT(&mux->counters, tests_failed, 1);
    return MUX_LINK_MORE;
}

/* Only the last hop to a process judges it dead. */
static bool must_fail_tests(const struct mux_link *link) {
    bool is_last_hop = !mux_link_is_node(link);
    bool has_left_none = link->role == MUX_ROLE_LEAVING && !link->nodes_left;
    return link->framer.ended &&
           (is_last_hop || has_left_none || link->entry == MUX_ENTRY_GIVEN_UP);
}

/* All frames were taken: tests in progress fail if the link has ended, else it goes on. */
static enum mux_link_step take_none(struct mux_link *link) {
    if (link->framer.ended && is_edited(link) && !link->is_edited_out)
        mux_edit_end(link);
    enum mux_link_step outcome = must_fail_tests(link) ? fail_test(link) : MUX_LINK_IDLE;
    return outcome == MUX_LINK_IDLE ? mux_link_next_input(link) : outcome;
}

/* May this be its first frame? */
static bool may_open_with(const struct mux_link *link, const struct mux_frame *frame) {
    bool is_hello = frame->kind == MUX_FRAME_PACKET && mux_hello_is(&frame->packet);
    bool is_frame = frame->kind != MUX_FRAME_NONE && frame->kind != MUX_FRAME_STORE;
    return link->kind != MUX_LINK_NODE || is_hello || !is_frame;
}

static bool is_damage(const struct mux_frame *frame) {
    return frame->kind == MUX_FRAME_DAMAGE || frame->kind == MUX_FRAME_CHATTER;
}

/* Part of a stream may be missing: its leaf has it, and sends it on another connection (rule 33).
 */
static void break_off_damaged(struct mux_link *link, const struct mux_frame *frame) {
    MUX_COUNT(&link->mux->counters, nodes_cut_bytes, frame->bytes.len);
    log_damage(link, frame, frame->kind == MUX_FRAME_DAMAGE ? frame->why : MUX_ERROR_HEADER);
    mux_link_break_off(link, "what comes from it is damaged");
}

/* Takes one frame of a link. There is room for it. */
static enum mux_link_step take_frame(struct mux_link *link) {
    struct mux_frame frame;
    mux_framer_next(&link->framer, &frame);
    size_t bytes = 0;
    if (link->role == MUX_ROLE_UNKNOWN && !may_open_with(link, &frame)) {
        mux_link_refuse_stranger(link);
        return MUX_LINK_MORE;
    }
    if (link->has_bundles && is_damage(&frame)) {
        break_off_damaged(link, &frame);
        return MUX_LINK_MORE;
    }
    switch (frame.kind) {
    case MUX_FRAME_NONE:
        return take_none(link);
    case MUX_FRAME_STORE:
        return mux_link_get_store(link, frame.store_bytes);
    case MUX_FRAME_PACKET:
        bytes = forward_packet(link, &frame);
        break;
    case MUX_FRAME_CHATTER:
        bytes = forward_chatter(link, &frame);
        break;
    case MUX_FRAME_DAMAGE:
        bytes = forward_damage(link, &frame, frame.why);
        break;
    }
    link->credit_bytes -= (int64_t)(bytes > FRAME_LEAST_BYTES ? bytes : FRAME_LEAST_BYTES);
    if (link->role == MUX_ROLE_UNKNOWN)
        mux_link_has_frame(link);
    mux_link_progressed(link);
    mux_link_leave_slot(link);
    return MUX_LINK_MORE;
}

static bool has_room_for(const struct mux_link *link) {
    if (link->has_bundles && !mux_relay_has_room(link->mux))
        return false;
    return (link->has_bundles && !link->is_mixed) || mux_up_has_room(link->mux);
}

/*
 * A packet that is a batch by itself goes into one only when nothing is in flight: what comes
 * meanwhile, small packets of others, goes first. The kernel's own buffer keeps the upstream busy.
 * The packet has come whole: until then its link goes on receiving it.
 */
static bool is_late(const struct mux_link *link) {
    const struct mux_framer *framer = &link->framer;
    return framer->candidate > BATCH_MOST_BYTES && link->mux->flight->gather.len_bytes > 0 &&
           mux_framer_stored(framer) + framer->fed.len >= framer->candidate;
}

static enum mux_link_step step(struct mux_link *link) {
    if (link->predecessor)
        return MUX_LINK_IDLE; /* the older connection's bytes come first */
    if (mux_link_drops_input(link))
        return mux_link_drop_input(link);
    if (!mux_link_has_started(link))
        return mux_link_enter(link);
    if (!has_room_for(link))
        return MUX_LINK_FULL;
    return is_late(link) ? MUX_LINK_LATE : take_frame(link);
}

/* Do its bytes begin with a whole hello? */
static bool has_hello(const struct mux_link *link) {
    uint8_t bytes[MUX_HELLO_PACKET_BYTES];
    uint32_t length, header_bytes;
    struct mux_packet packet;
    struct mux_span head = mux_span(bytes, mux_link_peek(link, bytes, sizeof bytes));
    if (mux_header_parse(head, &length, &header_bytes) || length > head.len)
        return false;
    head.len = length;
    return mux_packet_verify(head) && !mux_packet_parse(head, &packet, NULL) &&
           mux_hello_is(&packet);
}

/*
 * Answers hellos while no packet can go up: an upstream that stands still must not make another
 * node believe that this one is not a node.
 */
static void take_hellos(struct mux *mux) {
    while (!mux_list_empty(&mux->fresh)) {
        struct mux_link *link = MUX_LIST_ITEM(mux->fresh.next, struct mux_link, fresh_entry);
        mux_list_remove(&link->fresh_entry);
        if (!has_hello(link))
            continue;
        while (link->role == MUX_ROLE_UNKNOWN && !mux_link_drops_input(link))
            mux_link_has_started(link) ? take_frame(link) : mux_link_enter(link);
    }
}

/* A link's turn: until its credit is used up. */
static enum mux_link_step serve(struct mux_link *link) {
    enum mux_link_step outcome = MUX_LINK_MORE;
    while (outcome == MUX_LINK_MORE && link->credit_bytes > 0)
        outcome = step(link);
    return outcome;
}

static void end_turn(struct mux_link *link, enum mux_link_step outcome) {
    if (outcome == MUX_LINK_MORE)
        mux_link_set_turn(link, MUX_TURN_ACTIVE); /* behind all others */
    else if (outcome == MUX_LINK_PINNED)
        mux_link_set_turn(link, MUX_TURN_PINNED);
    else if (!mux_link_waits_for_slot(link))
        mux_link_set_turn(link, MUX_TURN_IDLE);
    /* credit is not saved up; debt stays */
    if (outcome == MUX_LINK_IDLE && link->credit_bytes > 0)
        link->credit_bytes = 0;
    mux_link_sane(link);
}

/* The turn of this node's own stream. False: there is no room for it, and it is held. */
static bool serve_stream(struct mux *mux, struct mux_list *held) {
    struct mux_list *entry = &mux->leaf.turn_entry;
    enum mux_link_step outcome = mux_leaf_serve(mux, QUANTUM_BYTES);
    if (outcome == MUX_LINK_MORE)
        mux_list_append(&mux->active, entry);
    else if (outcome == MUX_LINK_FULL)
        mux_list_append(held, entry);
    else
        mux_list_remove(entry);
    return outcome != MUX_LINK_FULL;
}

/* A relay's messages wait for other room than what goes into its own stream. */
static bool waits_apart(const struct mux_link *link) {
    return link->has_bundles && mux_is_relay(link->mux) && !mux_relay_has_room(link->mux);
}

/*
 * Links take turns until nothing is left, or there is no room: their turns continue when there is
 * again. Messages and packets may wait for different room. False: some wait.
 */
static bool serve_all(struct mux *mux) {
    struct mux_list held;
    bool is_full = false, is_relay_full = !mux_is_relay(mux);
    mux_list_init(&held);
    while (!mux_list_empty(&mux->active) && !(is_full && is_relay_full)) {
        if (mux->active.next == &mux->leaf.turn_entry) {
            is_relay_full = !serve_stream(mux, &held) || is_relay_full;
            continue;
        }
        struct mux_link *link = MUX_LIST_ITEM(mux->active.next, struct mux_link, turn_entry);
        if (link->credit_bytes <= 0)
            link->credit_bytes += QUANTUM_BYTES;
        enum mux_link_step outcome = serve(link);
        if (outcome != MUX_LINK_FULL && outcome != MUX_LINK_LATE) {
            end_turn(link, outcome);
            continue;
        }
        if (outcome == MUX_LINK_FULL)
            *(waits_apart(link) ? &is_relay_full : &is_full) = true;
        mux_list_append(&held, &link->turn_entry);
    }
    bool is_done = mux_list_empty(&held);
    mux_list_prepend(&mux->active, &held);
    return is_done;
}

void mux_up_run(struct mux *mux) {
    mux_sink_run(mux);
    mux_leaf_drain(mux);
    mux_unbundle_run(mux);
    mux_below_say(mux);
    mux_retell_run(mux);
    mux_clock_say(mux);
    if (mux_clock_waits(mux)) {
        take_hellos(mux);
        return;
    }
    mux_leaf_wake(mux);
    bool is_done = serve_all(mux);
    mux_leaf_flush(mux);
    if (!is_done) {
        take_hellos(mux);
        mux_clock_note_full(mux, true);
        return;
    }
    mux_clock_note_full(mux, false);
    mux_clock_say(mux);
}
