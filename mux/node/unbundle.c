/*
 * The end of bundles at this node: end.h knows their streams, and here is who calls it. What comes
 * is taken apart, each packet goes into the batch under its stream's pin, and is acknowledged when
 * the upstream has it for good. A bundle that needs more room than one batch has goes on in the
 * next one, and nothing else goes into either between.
 */
#include "mux/node/mux_internal.h"
#include "mux/packet/crc.h"
#include "mux/packet/hex.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Relays bring many leaves: for each link so many streams. */
#define STREAMS_PER_LINK 4

/* Of a packet that is copied: its route may grow, and damage becomes three packets. */
#define COPIED_GROWTH_BYTES (FRAME_PACKETS * (size_t)MUX_BUNDLE_HEAD_BYTES)

_Static_assert(FRAME_COPIED_BYTES + COPIED_GROWTH_BYTES <= BATCH_BYTES,
               "an empty batch takes any packet of a bundle");

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static bool init_tests(struct mux *mux, unsigned lists_max) {
    const unsigned common_cells[MUX_PROGRESS_KINDS] = {[MUX_PROGRESS_NODE] =
                                                           mux_nodes_common_cells(mux)};
    return mux_progress_init(&mux->unbundle->tests, lists_max, common_cells, mux->config.hash_key,
                             &mux->counters.value[MUX_COUNT_tests_untracked]);
}

bool mux_unbundle_init(struct mux *mux) {
    if (mux->role != MUX_IS_END)
        return true;
    uint64_t streams = earlier((uint64_t)STREAMS_PER_LINK * mux->config.links_max, MUX_END_STREAMS);
    struct mux_unbundle *unbundle = mux->unbundle = calloc(1, sizeof *unbundle);
    struct mux_end_config config = {
        .streams_max = (unsigned)streams,
        .grace_ns = mux->config.node_grace_ns,
        .late_ns = earlier(mux->config.ack_ns ? mux->config.ack_ns : MUX_ACK_LATE_NS,
                           mux_stall_ns(mux) / 4),
        .hash_key = mux->config.hash_key,
    };
    if (!unbundle)
        return false;
    config.tests = &unbundle->tests;
    bool fine = mux_hex_read_bytes((const uint8_t *)mux->handshake.identity, config.id,
                                   MUX_STREAM_ID_BYTES);
    assert(fine);
    (void)fine;
    if (!init_tests(mux, config.streams_max + 1))
        return false;
    mux_progress_open(&unbundle->tests, &unbundle->orphans, MUX_PROGRESS_NODE);
    return mux_end_init(&unbundle->end, &config, 0);
}

static void release(struct mux_unbundle *unbundle) {
    if (unbundle->buffer)
        mux_buffer_release(unbundle->buffer);
    unbundle->buffer = NULL;
    unbundle->left = mux_span(NULL, 0);
    unbundle->stream = NULL;
}

void mux_unbundle_fini(struct mux *mux) {
    if (!mux->unbundle)
        return;
    release(mux->unbundle);
    if (mux->unbundle->tests.cells)
        mux_progress_close(&mux->unbundle->tests, &mux->unbundle->orphans);
    if (mux->unbundle->end.by_pin)
        mux_end_fini(&mux->unbundle->end);
    mux_progress_fini(&mux->unbundle->tests);
    free(mux->unbundle);
}

/*
 * ---- what the batches have of whom ----
 */

static struct mux_batch_items *items_of(const struct mux *mux, const struct mux_batch *batch) {
    return &mux->unbundle->of[batch == &mux->batches[1]];
}

static void add_item(struct mux_batch_items *items, const struct mux_batch_item *item) {
    assert(items->count < MUX_BATCH_ITEMS);
    items->item[items->count++] = *item;
}

/* What went into the batch beside bundles since the last item. */
static void note_plain(struct mux *mux, struct mux_batch *batch) {
    struct mux_batch_items *items = items_of(mux, batch);
    uint64_t bytes = batch->gather.len_bytes - items->noted_bytes;
    items->noted_bytes = batch->gather.len_bytes;
    if (bytes > 0)
        add_item(items, &(struct mux_batch_item){.bytes = bytes, .output_bytes = bytes});
}

/* What went into the batch since then is of this stream, and `more` of it is to come. */
static void note_stream(struct mux *mux, struct mux_end_stream *stream, uint64_t more) {
    if (mux->config.sink) {
        mux_unbundle_note_given(mux, stream);
        return;
    }
    struct mux_batch_items *items = items_of(mux, mux->fill);
    uint64_t bytes = mux->fill->gather.len_bytes - items->noted_bytes;
    bool is_promised = mux->unbundle->is_promised;
    items->noted_bytes = mux->fill->gather.len_bytes;
    add_item(items, &(struct mux_batch_item){.stream = stream,
                                             .bytes = bytes,
                                             .output_bytes = is_promised ? 0 : bytes + more,
                                             .at = stream->known.at,
                                             .crc = stream->known.crc,
                                             .is_partial = more > 0});
    mux->unbundle->is_promised = more > 0;
}

/* Each item of a batch takes a place until what it stands for is safe. */
static bool has_places(const struct mux *mux) {
    const struct mux_unbundle *unbundle = mux->unbundle;
    return unbundle->of[0].count + unbundle->of[1].count + 4 < MUX_BATCH_ITEMS;
}

bool mux_unbundle_has_room(const struct mux *mux) {
    return !mux->unbundle->stream && !mux->unbundle->is_held && has_places(mux);
}

uint64_t mux_unbundle_pending_bytes(const struct mux *mux) {
    return mux->unbundle ? mux->unbundle->left.len : 0;
}

/*
 * ---- a bundle's packets ----
 */

/* Its large pieces may be sent from there; NULL: they are copied. As buffer_of() of links. */
static struct mux_buffer *source_of(const struct mux *mux, size_t len) {
    size_t held = mux->fill->held_count + mux->flight->held_count;
    bool must_copy = held >= mux->config.inputs_max / 2 && len <= FRAME_COPIED_MAX_BYTES;
    return must_copy ? NULL : mux->unbundle->buffer;
}

/* Room for the next packet, or the damage, at the front of what is left. */
static bool has_room_for_next(const struct mux *mux, struct mux_span left) {
    uint32_t length, header_bytes;
    size_t len = left.len;
    if (!mux_header_parse(left, &length, &header_bytes) && length < len)
        len = length;
    if (len > FRAME_COPIED_BYTES)
        len = FRAME_COPIED_BYTES;
    return mux_batch_has_room(mux->fill, len + COPIED_GROWTH_BYTES, FRAME_PACKETS);
}

static void add_pieces(struct mux *mux, const struct mux_pieces *pieces,
                       struct mux_buffer *buffer) {
    size_t referenced = mux_batch_add(mux->fill, pieces, buffer, mux->config.reference_least_bytes);
    mux_count_forwarded(mux, 1, pieces->len_bytes, referenced);
}

static void put_packet(struct mux *mux, const struct mux_bundle_item *item) {
    const struct mux_prefix *prefix = &mux->unbundle->stream->prefix;
    struct mux_pieces pieces;
    if (item->bytes.len < mux->config.reference_least_bytes) {
        uint8_t *out = mux_batch_room(mux->fill).data;
        size_t len = mux_prefix_write(prefix, item->bytes, &item->packet, &item->layout, out);
        mux_batch_filled(mux->fill, len);
        mux_count_forwarded(mux, 1, len, 0);
        return;
    }
    enum mux_error error =
        mux_prefix_apply_path(prefix, item->bytes, &item->packet, &item->layout, &pieces);
    assert(!error); /* a bundle leaves room for the longest pin */
    (void)error;
    add_pieces(mux, &pieces, source_of(mux, item->bytes.len));
}

void mux_unbundle_note_damage(struct mux *mux, struct mux_span bytes, enum mux_error why) {
    struct mux_span pin = mux->unbundle->stream->pin;
    MUX_COUNT(&mux->counters, damages, 1);
    MUX_COUNT(&mux->counters, damage_bytes, bytes.len);
    if (mux_limiter_allow(&mux->damage_lines, mux->ran_ns))
        mux_log(mux, "a bundle of the stream at %.*s has %zu bytes of damage: %s", (int)pin.len,
                (const char *)pin.data, bytes.len, mux_error_text(why));
    else
        MUX_COUNT(&mux->counters, log_lines_suppressed, 1);
}

static void put_damage(struct mux *mux, struct mux_span bytes, enum mux_error why) {
    struct mux_pieces packets[MUX_REPORT_DAMAGE_PACKETS];
    unsigned count = mux_report_damage(bytes, why, mux->unbundle->stream->pin, packets);
    for (unsigned i = 0; i < count; i++)
        add_pieces(mux, &packets[i], source_of(mux, bytes.len));
    mux_unbundle_note_damage(mux, bytes, why);
}

static struct mux_room room_of_route(struct mux_unbundle *unbundle) {
    return (struct mux_room){unbundle->route, sizeof unbundle->route};
}

struct mux_span mux_unbundle_route(struct mux_unbundle *unbundle, struct mux_span route) {
    return mux_route_join(unbundle->stream->pin, route, room_of_route(unbundle));
}

/* Who looks at output sees it at the link that it has come by. */
static void show(struct mux *mux, const struct mux_packet *packet) {
    const struct mux_room *path = &mux->unbundle->stream->path;
    struct mux_span route = mux_span(path->data, path->len), first = mux_route_first(route);
    struct mux_link *link = mux_link_find(mux, first);
    struct mux_packet shown = *packet;
    size_t cut = first.len < route.len ? first.len + 1 : first.len;
    shown.route = mux_route_join(mux_span(route.data + cut, route.len - cut), packet->route,
                                 room_of_route(mux->unbundle));
    if (link)
        mux_output_packet(link, &shown);
}

void mux_unbundle_follow(struct mux *mux, const struct mux_packet *packet) {
    struct mux_unbundle *unbundle = mux->unbundle;
    struct mux_packet routed = *packet;
    if (mux->output && packet->file_name.data)
        show(mux, packet);
    if (!packet->test_id.data)
        return;
    mux_count_result(mux, packet);
    if (packet->status == MUX_STATUS_NONE)
        return;
    routed.route = mux_unbundle_route(unbundle, packet->route);
    mux_end_follow(&unbundle->end, unbundle->stream, &routed);
}

/* Takes packets off what is left. False: there is no room for the next one. */
static bool put_packets(struct mux *mux) {
    struct mux_unbundle *unbundle = mux->unbundle;
    struct mux_bundle_item item;
    while (unbundle->left.len > 0) {
        if (!has_room_for_next(mux, unbundle->left))
            return false;
        enum mux_error error = mux_bundle_next(&unbundle->left, &item);
        MUX_COUNT(&mux->counters, unbundled_packets, !error);
        if (error) {
            put_damage(mux, item.bytes, error);
        } else {
            put_packet(mux, &item);
            mux_unbundle_follow(mux, &item.packet);
        }
    }
    return true;
}

/* Goes on with the bundle at hand. False: it needs another batch, or the sink takes nothing. */
static bool go_on(struct mux *mux) {
    struct mux_unbundle *unbundle = mux->unbundle;
    struct mux_end_stream *stream = unbundle->stream;
    if (mux->config.sink ? !mux_unbundle_give(mux) : !put_packets(mux))
        return false;
    note_stream(mux, stream, 0);
    release(unbundle);
    mux_end_bundle_done(&unbundle->end, stream, mux->ran_ns);
    return true;
}

/* The memory that the frame lies in is kept until then; a small store is the link's, and copied. */
static void keep_content(struct mux *mux, bool is_in_buffer) {
    struct mux_unbundle *unbundle = mux->unbundle;
    if (is_in_buffer) {
        mux_buffer_hold(unbundle->buffer);
        return;
    }
    assert(unbundle->left.len <= sizeof unbundle->copy);
    memcpy(unbundle->copy, unbundle->left.data, unbundle->left.len);
    unbundle->left.data = unbundle->copy;
}

static void take_content(struct mux_link *link, const struct mux_frame *frame,
                         struct mux_end_stream *stream) {
    struct mux *mux = link->mux;
    struct mux_unbundle *unbundle = mux->unbundle;
    note_plain(mux, mux->fill);
    unbundle->stream = stream;
    unbundle->left = frame->packet.file_content;
    unbundle->buffer =
        frame->in_store || !link->inputs.first ? link->slot : link->inputs.first->buffer;
    MUX_COUNT(&mux->counters, bundles_taken, 1);
    keep_content(mux, unbundle->buffer != NULL);
    go_on(mux);
}

/*
 * ---- messages from below ----
 */

/* A node that has heard that this one ends sends nothing more, and reads what it is told. */
static bool queue_down(struct mux_link *link, const struct mux_pieces *pieces) {
    bool has_ended = link->input != MUX_INPUT_OPEN;
    if (has_ended && mux_is_leaving(link->mux) && !mux_link_is_away(link))
        return mux_down_queue(link, pieces);
    return link->has_bundles && mux_down_offer(link, pieces);
}

/* Down by that link. Nobody waits for it: who misses it asks anew (rules 17, 19). */
static void send_down(struct mux_link *link, const uint8_t *out, size_t len) {
    struct mux_pieces pieces = {.piece = {mux_span(out, len)}, .count = 1, .len_bytes = len};
    if (!queue_down(link, &pieces))
        MUX_COUNT(&link->mux->counters, messages_dropped, 1);
}

static void send_ack(struct mux_link *link, const struct mux_ack *ack, struct mux_span route) {
    uint8_t out[MUX_MESSAGE_PACKET_BYTES];
    MUX_COUNT(&link->mux->counters, acks_sent, 1);
    send_down(link, out, mux_ack_write(ack, route, out));
}

static void send_ask(struct mux_link *link, const uint8_t *stream, struct mux_span route) {
    uint8_t out[MUX_MESSAGE_PACKET_BYTES];
    struct mux_ask ask = {.has_stream = true};
    memcpy(ask.stream, stream, MUX_STREAM_ID_BYTES);
    send_down(link, out, mux_ask_write(&ask, route, out));
}

/* Of which a peer can make many. */
static void say(struct mux *mux, struct mux_span path, const char *what) {
    if (mux_limiter_allow(&mux->damage_lines, mux->ran_ns))
        mux_log(mux, "the stream at %.*s %s", (int)path.len, (const char *)path.data, what);
    else
        MUX_COUNT(&mux->counters, log_lines_suppressed, 1);
}

/* Rule 22: nobody has these bytes any more. */
static void pass_hole(struct mux *mux, struct mux_end_stream *stream,
                      const struct mux_known_hole *hole) {
    MUX_COUNT(&mux->counters, stream_holes, 1);
    MUX_COUNT(&mux->counters, stream_hole_bytes, hole->to - hole->from);
    mux_message(mux, MUX_STATUS_FAIL, mux->ran_ns,
                "bytes %" PRIu64 " to %" PRIu64 " of the stream at %.*s have not come to this end, "
                "and its node has them no more",
                hole->from, hole->to, (int)stream->pin.len, (const char *)stream->pin.data);
    note_plain(mux, mux->fill);
    note_stream(mux, stream, 0);
}

static void say_opened(struct mux *mux, struct mux_span path, const struct mux_where *where) {
    char what[128];
    MUX_COUNT(&mux->counters, streams_opened, 1);
    if (where->base == 0)
        return;
    snprintf(what, sizeof what,
             "begins at byte %" PRIu64 ": what was before has not come to this end", where->base);
    say(mux, path, what);
}

static const char *take_where(struct mux_link *link, const struct mux_packet *packet,
                              struct mux_span path) {
    struct mux *mux = link->mux;
    struct mux_where where;
    const char *why = mux_where_read(packet, &where);
    if (why)
        return why;
    struct mux_end_answer got = mux_end_where(&mux->unbundle->end, path, &where, mux->ran_ns);
    if (got.found == MUX_END_WHERE_FULL || got.found == MUX_END_WHERE_BAD)
        MUX_COUNT(&mux->counters, streams_refused, 1);
    if (got.found == MUX_END_WHERE_FULL)
        say(mux, path, "is not taken: there are too many");
    if (got.found == MUX_END_WHERE_BAD)
        say(mux, path, "is not taken: no place can be given to it");
    if (!got.stream)
        return NULL;
    if (got.found == MUX_END_WHERE_OPENED)
        say_opened(mux, path, &where);
    if (got.hole.to > got.hole.from)
        pass_hole(mux, got.stream, &got.hole);
    if (mux->config.came && got.found != MUX_END_WHERE_LATE)
        mux->config.came(mux->config.user, got.stream->pin);
    send_ack(link, &got.ack, packet->route);
    return NULL;
}

static const char *take_bundle(struct mux_link *link, const struct mux_frame *frame) {
    struct mux *mux = link->mux;
    const struct mux_packet *packet = &frame->packet;
    struct mux_end_stream *stream;
    struct mux_bundle bundle;
    const char *why = mux_bundle_read(packet, &bundle);
    if (why)
        return why;
    const struct mux_bundle_run content = {.len_bytes = (uint32_t)packet->file_content.len,
                                           .crc = mux_crc(0, packet->file_content)};
    enum mux_known_verdict verdict =
        mux_end_bundle(&mux->unbundle->end, &bundle, &content, &stream, mux->ran_ns);
    if (verdict == MUX_KNOWN_TAKEN) {
        take_content(link, frame, stream);
        return NULL;
    }
    MUX_COUNT(&mux->counters, bundles_dropped, 1);
    if (verdict == MUX_KNOWN_DROPPED_ASK)
        send_ask(link, bundle.stream, packet->route);
    return NULL;
}

static const char *take_lost(struct mux *mux, const struct mux_packet *packet,
                             struct mux_span path) {
    const char *why = mux_lost_read(packet);
    if (!why)
        mux_end_lost(&mux->unbundle->end, path, mux->ran_ns);
    return why;
}

const char *mux_unbundle_take(struct mux_link *link, const struct mux_frame *frame,
                              enum mux_message_kind kind) {
    const struct mux_packet *packet = &frame->packet;
    uint8_t route[MUX_REPORT_ROUTE_MAX_BYTES];
    link->has_streams = true;
    if (kind == MUX_MESSAGE_BUNDLE)
        return take_bundle(link, frame);
    struct mux_span path = mux_link_full_route(link, packet->route, route);
    if (kind == MUX_MESSAGE_WHERE)
        return take_where(link, packet, path);
    return take_lost(link->mux, packet, path);
}

void mux_unbundle_lose(struct mux_link *link) {
    if (link->has_streams)
        mux_end_lost(&link->mux->unbundle->end, mux_span_text(link->segment), link->mux->ran_ns);
}

/* Is something taken, and not acknowledged? */
static bool owes_acks(const struct mux_unbundle *unbundle) {
    return unbundle->stream || unbundle->of[0].count || unbundle->of[1].count ||
           !mux_list_empty(&unbundle->end.soon) || !mux_list_empty(&unbundle->end.late);
}

/* Who hears of no acknowledgement sends it all to the next end, which may not have heard of it. */
bool mux_unbundle_awaits_acks(const struct mux_link *link) {
    const struct mux *mux = link->mux;
    return mux->unbundle && mux_is_leaving(mux) && link->has_streams && !mux_link_is_away(link) &&
           (link->down.bytes > 0 || owes_acks(mux->unbundle));
}

/*
 * ---- time ----
 */

static void send_acks(struct mux *mux) {
    struct mux_ack ack;
    struct mux_span path;
    while (mux_end_ack_next(&mux->unbundle->end, mux->ran_ns, &ack, &path)) {
        struct mux_span first = mux_route_first(path);
        struct mux_link *link = mux_link_find(mux, first);
        struct mux_span rest = mux_span(NULL, 0);
        if (first.len < path.len)
            rest = mux_span(path.data + first.len + 1, path.len - first.len - 1);
        if (link)
            send_ack(link, &ack, rest);
        else
            MUX_COUNT(&mux->counters, messages_dropped, 1);
    }
}

static bool put_report(struct mux *mux, const struct mux_packet *packet) {
    struct mux_pieces pieces;
    if (mux->config.sink && !mux_sink_offer(mux, NULL, packet))
        return false;
    if (mux->config.sink) {
        mux_count_forwarded(mux, 1, 0, 0);
        return true;
    }
    enum mux_error error = mux_packet_gather(packet, &pieces);
    assert(!error);
    (void)error;
    mux_up_add(mux, &pieces);
    return true;
}

/* A test that has failed; test_id.data NULL: `unnamed` ones. False: the sink does not take it now.
 */
static bool put_failure(struct mux *mux, const char *why, const struct mux_progress_name *test,
                        uint64_t unnamed) {
    struct mux_packet packet;
    char text[192], while_what[64] = "while this test was in progress";
    if (!test->test_id.data)
        snprintf(while_what, sizeof while_what, "and %" PRIu64 " more tests were in progress",
                 unnamed);
    snprintf(text, sizeof text, "%s %s\n", why, while_what);
    mux_report_message_event(MUX_STATUS_FAIL, mux_span_text(text), test->test_id, test->route,
                             &packet);
    mux_clock_change_own(mux, &packet);
    if (!put_report(mux, &packet))
        return false;
    MUX_COUNT(&mux->counters, tests_failed, unnamed ? unnamed : 1);
    return true;
}

/* The owner hears of a stream whose tests were all told. */
static void tell_gone(struct mux *mux, const struct mux_end_verdict *verdict) {
    if (mux->config.gone)
        mux->config.gone(mux->config.user, NULL, verdict->stream->pin);
}

static bool put_verdict(struct mux *mux, const struct mux_end_verdict *verdict) {
    char why[64] = "its node has ended";
    struct mux_progress_name test = verdict->test;
    if (!test.test_id.data)
        test.route = verdict->stream->pin;
    if (!verdict->is_final)
        snprintf(why, sizeof why, "its node was unreachable for %g s",
                 (double)mux->config.node_grace_ns / 1e9);
    return put_failure(mux, why, &test, verdict->unnamed);
}

/* Rule 39: their workers' connections ended with the node. */
static bool fail_orphan(struct mux *mux) {
    struct mux_unbundle *unbundle = mux->unbundle;
    struct mux_progress_name test = {.route = mux_span(NULL, 0)};
    uint64_t unnamed = 0;
    if (!mux_progress_take(&unbundle->tests, &unbundle->orphans, &test))
        unnamed = mux_progress_take_unnamed(&unbundle->orphans);
    if (!test.test_id.data && unnamed == 0)
        return false;
    put_failure(mux, "the node that its worker was connected to was started again", &test, unnamed);
    return true;
}

/* Those that had to wait for room, in front of what links send. */
static void put_verdicts(struct mux *mux) {
    struct mux_unbundle *unbundle = mux->unbundle;
    struct mux_end_verdict *verdict = &unbundle->verdict;
    while (unbundle->fails_orphans && mux_up_has_room(mux))
        unbundle->fails_orphans = fail_orphan(mux);
    while (mux_up_has_room(mux)) {
        if (!unbundle->has_verdict && !mux_end_verdict_next(&unbundle->end, mux->ran_ns, verdict))
            return;
        if (verdict->is_over)
            tell_gone(mux, verdict);
        unbundle->has_verdict = !verdict->is_over && !put_verdict(mux, verdict);
    }
}

/* They may be finished now. */
static void attend_nodes(struct mux *mux) {
    for (struct mux_list *at = mux->nodes.next; at != &mux->nodes; at = at->next)
        mux_link_attend(MUX_LIST_ITEM(at, struct mux_link, node_entry));
}

void mux_unbundle_run(struct mux *mux) {
    struct mux_unbundle *unbundle = mux->unbundle;
    if (!unbundle)
        return;
    if (unbundle->stream)
        go_on(mux);
    mux_end_tick(&unbundle->end, mux_up_has_room(mux), mux->ran_ns);
    put_verdicts(mux);
    send_acks(mux);
    if (mux_is_leaving(mux))
        attend_nodes(mux);
}

uint64_t mux_unbundle_deadline_ns(const struct mux *mux) {
    return mux->unbundle ? mux_end_deadline(&mux->unbundle->end) : UINT64_MAX;
}

/*
 * ---- what becomes of it ----
 */

uint64_t mux_unbundle_rest_bytes(const struct mux *mux) {
    const struct mux_unbundle *unbundle = mux->unbundle;
    struct mux_span left = unbundle->left;
    struct mux_bundle_item item;
    struct mux_pieces damage[MUX_REPORT_DAMAGE_PACKETS];
    uint64_t bytes = 0;
    while (left.len > 0) {
        enum mux_error error = mux_bundle_next(&left, &item);
        if (!error) {
            bytes +=
                mux_prefix_bytes(&unbundle->stream->prefix, item.bytes, &item.packet, &item.layout);
            continue;
        }
        unsigned count = mux_report_damage(item.bytes, error, unbundle->stream->pin, damage);
        for (unsigned i = 0; i < count; i++)
            bytes += damage[i].len_bytes;
    }
    return bytes;
}

void mux_unbundle_seal(struct mux *mux) {
    struct mux_unbundle *unbundle = mux->unbundle;
    if (!unbundle)
        return;
    if (unbundle->stream)
        note_stream(mux, unbundle->stream, mux_unbundle_rest_bytes(mux));
    else
        note_plain(mux, mux->fill);
}

void mux_unbundle_clear(struct mux *mux, const struct mux_batch *batch) {
    struct mux_batch_items *items = mux->unbundle ? items_of(mux, batch) : NULL;
    if (items)
        items->count = 0, items->noted_bytes = 0, items->is_recorded = false;
}

void mux_unbundle_sent(struct mux *mux) {
    if (!mux->unbundle)
        return;
    struct mux_batch_items *items = items_of(mux, mux->flight);
    for (unsigned i = 0; i < items->count; i++) {
        const struct mux_batch_item *item = &items->item[i];
        if (item->stream && !item->is_partial)
            mux_end_safe(&mux->unbundle->end, item->stream, item->at, item->crc, mux->ran_ns);
    }
}
