/*
 * This node's own stream among the bundles that go up: what comes from workers and from nodes
 * without bundles, and its own reports (rules 4 to 19 and 31 of the reliable protocol; stream.h has
 * the rules, here is who calls it). Packets are copied into its window once; bundles are sent from
 * there.
 */
#include "mux/node/mux_internal.h"
#include "mux/packet/hex.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The first wait for an answer, and the least when the grace is short. */
#define STALL_MOST_NS UINT64_C(2000000000)
#define STALL_LEAST_NS UINT64_C(100000000)

/* A record is about what the way up takes in this time. */
#define RATE_NS UINT64_C(10000000)

static uint64_t limited(uint64_t number, uint64_t least, uint64_t most) {
    return number < least ? least : number < most ? number : most;
}

/* Hexadecimal digits, of which a short identity has fewer. */
static void id_of(const char *identity, uint8_t id[MUX_STREAM_ID_BYTES]) {
    char text[2 * MUX_STREAM_ID_BYTES + 1];
    snprintf(text, sizeof text, "%032d", 0);
    memcpy(text + sizeof text - 1 - strlen(identity), identity, strlen(identity));
    bool fine = mux_hex_read_bytes((const uint8_t *)text, id, MUX_STREAM_ID_BYTES);
    assert(fine);
    (void)fine;
}

/* Another id: nobody can know it, nor will a copy of this node have the same one. */
static void draw_id(struct mux *mux, uint8_t id[MUX_STREAM_ID_BYTES]) {
    char text[128], drawn[MUX_IDENTITY_BYTES];
    snprintf(text, sizeof text, "%s stream %u at %" PRIu64, mux->config.hello.identity,
             ++mux->leaf.ids_drawn, mux->ran_ns);
    mux_node_secret(mux, text, drawn);
    id_of(drawn, id);
}

uint64_t mux_stall_ns(const struct mux *mux) {
    return limited(mux->config.node_grace_ns / 6, STALL_LEAST_NS, STALL_MOST_NS);
}

struct mux_stream_limits mux_leaf_limits(const struct mux *mux) {
    uint64_t grace_ns = mux->config.node_grace_ns;
    uint64_t stall_ns = mux_stall_ns(mux);
    return (struct mux_stream_limits){
        .window_bytes = mux->config.window_bytes,
        .saves_memory = mux->config.window_saves_memory,
        .stall_ns = stall_ns,
        .wait_most_ns = limited(grace_ns / 2, stall_ns, UINT64_MAX),
    };
}

static void begin(struct mux *mux, const uint8_t id[MUX_STREAM_ID_BYTES]) {
    struct mux_leaf *leaf = &mux->leaf;
    const struct mux_stream_limits limits = mux_leaf_limits(mux);
    mux_stream_init(&leaf->stream, id, &limits,
                    (struct mux_room){leaf->ring.data, leaf->ring.size_bytes}, leaf->records);
    leaf->must_restart = false;
    leaf->news_from = leaf->news_to = 0;
    mux_leaf_begin_spool(mux);
}

static void keep_ring(struct mux_buffer *ring) {
    (void)ring;
}

bool mux_leaf_init(struct mux *mux, struct mux_room ring) {
    struct mux_leaf *leaf = &mux->leaf;
    uint8_t id[MUX_STREAM_ID_BYTES];
    mux_list_init(&leaf->turn_entry);
    leaf->lent_from[0] = leaf->lent_from[1] = UINT64_MAX;
    if (mux->config.window_bytes == 0)
        return true;
    leaf->records = calloc(MUX_STREAM_RECORDS(mux->config.window_bytes), sizeof *leaf->records);
    if (!leaf->records)
        return false;
    leaf->ring = (struct mux_buffer){ring.data, ring.len, 1, keep_ring, NULL};
    id_of(mux->config.hello.identity, id);
    begin(mux, id);
    return true;
}

void mux_leaf_fini(struct mux *mux) {
    free(mux->leaf.records);
}

/*
 * ---- packets come in ----
 */

static uint64_t *lent_from(struct mux *mux, const struct mux_batch *batch) {
    return &mux->leaf.lent_from[batch == &mux->batches[1]];
}

static void note_lent(struct mux *mux) {
    const uint64_t *from = mux->leaf.lent_from;
    mux_stream_lend(&mux->leaf.stream, from[0] < from[1] ? from[0] : from[1]);
}

bool mux_leaf_has_room(const struct mux *mux) {
    return !mux->leaf.must_restart && mux_stream_has_room(&mux->leaf.stream);
}

bool mux_leaf_fits(const struct mux *mux, size_t len_bytes) {
    return !mux->leaf.must_restart && mux_stream_fits(&mux->leaf.stream, len_bytes);
}

void mux_leaf_add(struct mux *mux, const struct mux_pieces *packet) {
    mux_stream_add(&mux->leaf.stream, packet, mux->ran_ns);
}

/* Where the next packet begins. */
static uint64_t end_of(const struct mux_leaf *leaf) {
    return leaf->stream.len_bytes + leaf->stream.cut.len_bytes;
}

bool mux_add_news(struct mux *mux, const struct mux_packet *packet) {
    struct mux_leaf *leaf = &mux->leaf;
    uint64_t from = end_of(leaf);
    if (!mux_add_up(mux, NULL, packet))
        return false;
    if (leaf->news_to != from)
        leaf->news_from = from;
    leaf->news_to = end_of(leaf);
    return true;
}

bool mux_leaf_is_news(const struct mux *mux) {
    const struct mux_leaf *leaf = &mux->leaf;
    return mux->config.window_bytes && !leaf->has_earlier && leaf->stream.safe >= leaf->news_from &&
           leaf->news_to == end_of(leaf);
}

uint64_t mux_leaf_pending_bytes(const struct mux *mux) {
    return mux->config.window_bytes ? mux_stream_held_bytes(&mux->leaf.stream) : 0;
}

/*
 * ---- and go up ----
 */

/* The parts of a bundle, or plain packets; the content is sent from where it lies. */
static void add_to_batch(struct mux *mux, const struct mux_pieces *pieces,
                         struct mux_buffer *buffer, uint64_t offset) {
    struct mux_batch *batch = mux->fill;
    uint64_t *from = lent_from(mux, batch);
    size_t referenced = mux_batch_add(batch, pieces, buffer, mux->config.reference_least_bytes);
    mux_count_forwarded(mux, 0, 0, referenced);
    if (referenced && buffer == &mux->leaf.ring && offset < *from)
        *from = offset;
    note_lent(mux);
}

static const struct mux_batch **where_in(struct mux *mux, const struct mux_stream *stream) {
    return stream == &mux->leaf.stream ? &mux->leaf.where_in : &mux->leaf.earlier_where_in;
}

static void send_where(struct mux *mux, struct mux_stream *stream, const struct mux_where *where) {
    uint8_t out[MUX_MESSAGE_PACKET_BYTES];
    struct mux_span bytes = mux_span(out, mux_where_write(where, mux_span(NULL, 0), out));
    struct mux_pieces pieces = {.piece = {bytes}, .count = 1, .len_bytes = bytes.len};
    mux_batch_add(mux->fill, &pieces, NULL, SIZE_MAX);
    *where_in(mux, stream) = mux->fill;
    mux_stream_where_queued(stream);
    mux->leaf.credit_bytes -= (int64_t)bytes.len;
}

void mux_leaf_send_bundle(struct mux *mux, const struct mux_stream_out *out,
                          struct mux_buffer *buffer) {
    struct mux_bundle_wrap wrap;
    mux_bundle_wrap(&out->bundle, &out->content, &wrap);
    const struct mux_pieces pieces = {
        .piece = {mux_span(wrap.front, wrap.front_len_bytes), out->spans[0], out->spans[1],
                  mux_span(wrap.crc, sizeof wrap.crc)},
        .count = 4,
        .len_bytes = wrap.front_len_bytes + out->content.len_bytes + sizeof wrap.crc,
    };
    MUX_COUNT(&mux->counters, bundles, 1);
    mux->leaf.credit_bytes -= (int64_t)pieces.len_bytes;
    add_to_batch(mux, &pieces, buffer, out->bundle.offset);
}

static bool is_open(const struct mux *mux) {
    return mux_is_relay(mux) && mux_handshake_sends_packets(mux);
}

void mux_leaf_wake(struct mux *mux) {
    struct mux_leaf *leaf = &mux->leaf;
    bool has_next = mux_stream_has_next(&leaf->stream) ||
                    (leaf->has_earlier && mux_stream_has_next(&leaf->earlier));
    if (is_open(mux) && mux_list_empty(&leaf->turn_entry) && has_next)
        mux_list_append(&mux->active, &leaf->turn_entry);
}

/* Sends one message of the stream, for which there is room. False: it has none. */
static bool send_next(struct mux *mux, struct mux_stream *stream, bool is_idle) {
    struct mux_stream_out out;
    switch (mux_stream_next(stream, is_idle, mux->ran_ns, &out)) {
    case MUX_STREAM_WHERE:
        send_where(mux, stream, &out.where);
        return true;
    case MUX_STREAM_BUNDLE:
        mux_leaf_send_bundle(mux, &out, &mux->leaf.ring);
        return true;
    case MUX_STREAM_SPOOLED:
        return mux_leaf_send_spooled(mux, stream);
    default:
        return false;
    }
}

/* Sends one message: rule 12b, streams take turns. MORE: there may be others. */
static enum mux_link_step step(struct mux *mux) {
    struct mux_leaf *leaf = &mux->leaf;
    if (!mux_batch_takes_frame(mux))
        return MUX_LINK_FULL;
    for (unsigned i = 0; i < 2; i++) {
        leaf->sends_earlier = leaf->has_earlier && !leaf->sends_earlier;
        if (send_next(mux, leaf->sends_earlier ? &leaf->earlier : &leaf->stream, false))
            return MUX_LINK_MORE;
    }
    return MUX_LINK_IDLE;
}

enum mux_link_step mux_leaf_serve(struct mux *mux, int64_t quantum_bytes) {
    struct mux_leaf *leaf = &mux->leaf;
    enum mux_link_step outcome = is_open(mux) ? MUX_LINK_MORE : MUX_LINK_IDLE;
    if (leaf->credit_bytes <= 0)
        leaf->credit_bytes += quantum_bytes;
    while (outcome == MUX_LINK_MORE && leaf->credit_bytes > 0)
        outcome = step(mux);
    if (outcome == MUX_LINK_IDLE && leaf->credit_bytes > 0)
        leaf->credit_bytes = 0;
    return outcome;
}

/* Nothing waits for the upstream: what was begun goes at once. */
void mux_leaf_flush(struct mux *mux) {
    bool is_idle = mux->in_flight == MUX_IN_FLIGHT_NOTHING && mux->fill->gather.len_bytes == 0 &&
                   mux->flight->gather.len_bytes == 0;
    if (is_open(mux) && is_idle && mux_batch_takes_frame(mux))
        send_next(mux, &mux->leaf.stream, true);
}

void mux_leaf_send_plain(struct mux *mux, struct mux_span content, struct mux_buffer *buffer) {
    const struct mux_pieces pieces = {.piece = {content}, .count = 1, .len_bytes = content.len};
    mux->leaf.must_restart = true;
    add_to_batch(mux, &pieces, buffer, UINT64_MAX);
}

/* The upstream knows no bundles: what is here goes in front of all else. */
void mux_leaf_drain(struct mux *mux) {
    struct mux_leaf *leaf = &mux->leaf;
    struct mux_span spans[2];
    if (mux->role != MUX_IS_PLAIN || mux->config.window_bytes == 0)
        return;
    while (mux_batch_takes_frame(mux) && mux_leaf_drain_spooled(mux))
        ;
    uint64_t base = leaf->stream.base;
    while (mux_batch_takes_frame(mux) && mux_stream_take_plain(&leaf->stream, spans)) {
        struct mux_pieces pieces = {
            .piece = {spans[0], spans[1]}, .count = 2, .len_bytes = spans[0].len + spans[1].len};
        leaf->must_restart = true;
        add_to_batch(mux, &pieces, &leaf->ring, base);
        base = leaf->stream.base;
    }
}

/*
 * ---- what becomes of it ----
 */

static void note_rate(struct mux *mux, size_t sent_bytes) {
    struct mux_leaf *leaf = &mux->leaf;
    uint64_t elapsed_ns = mux->ran_ns - leaf->rate_since_ns;
    leaf->rate_bytes += sent_bytes;
    if (elapsed_ns < RATE_NS)
        return;
    mux_stream_set_rate(&leaf->stream, (size_t)(leaf->rate_bytes * RATE_NS / elapsed_ns));
    leaf->rate_since_ns = mux->ran_ns;
    leaf->rate_bytes = 0;
}

/* What was drained as plain packets is out of the ring: offsets begin anew, under another id. */
void mux_leaf_restart(struct mux *mux) {
    struct mux_leaf *leaf = &mux->leaf;
    uint8_t id[MUX_STREAM_ID_BYTES];
    bool is_all_back = leaf->lent_from[0] == UINT64_MAX && leaf->lent_from[1] == UINT64_MAX;
    if (!leaf->must_restart || !is_all_back || mux_spool_is_busy(mux) ||
        mux_stream_held_bytes(&leaf->stream) > 0)
        return;
    mux_leaf_settle(mux, &leaf->stream);
    draw_id(mux, id);
    begin(mux, id);
}

void mux_leaf_batch_is_back(struct mux *mux, const struct mux_batch *batch, size_t sent_bytes) {
    struct mux_leaf *leaf = &mux->leaf;
    if (mux->config.window_bytes == 0)
        return;
    note_rate(mux, sent_bytes);
    *lent_from(mux, batch) = UINT64_MAX;
    note_lent(mux);
    if (leaf->where_in == batch) {
        leaf->where_in = NULL;
        mux_stream_where_left(&leaf->stream, mux->ran_ns);
    }
    if (leaf->earlier_where_in == batch) {
        leaf->earlier_where_in = NULL;
        mux_stream_where_left(&leaf->earlier, mux->ran_ns);
    }
    mux_leaf_restart(mux);
}

static void ask_anew(struct mux_stream *stream) {
    if (stream->state != MUX_STREAM_NEW)
        mux_stream_ask_anew(stream);
}

void mux_leaf_ask_anew(struct mux *mux) {
    if (mux->config.window_bytes > 0)
        ask_anew(&mux->leaf.stream);
    if (mux->leaf.has_earlier)
        ask_anew(&mux->leaf.earlier);
}

/* NULL: it is another's. */
static struct mux_stream *stream_of(struct mux *mux, const uint8_t id[MUX_STREAM_ID_BYTES]) {
    struct mux_leaf *leaf = &mux->leaf;
    if (memcmp(leaf->stream.id, id, MUX_STREAM_ID_BYTES) == 0)
        return &leaf->stream;
    bool is_earlier = leaf->has_earlier && memcmp(leaf->earlier.id, id, MUX_STREAM_ID_BYTES) == 0;
    return is_earlier ? &leaf->earlier : NULL;
}

/* Another node goes on under its id: it is a copy of this one, or was it once. */
void mux_leaf_fork(struct mux *mux, struct mux_stream *stream) {
    uint8_t from[MUX_STREAM_ID_BYTES], id[MUX_STREAM_ID_BYTES];
    if (stream->state != MUX_STREAM_FORKED)
        return;
    draw_id(mux, id);
    memcpy(from, stream->id, sizeof from);
    mux_stream_fork(stream, id);
    mux_leaf_renamed(mux, stream, from);
    MUX_COUNT(&mux->counters, streams_forked, 1);
    mux_log(mux, "%s: what is not acknowledged goes on as a stream of its own",
            stream == &mux->leaf.stream
                ? "another node has the identity of this one"
                : "another node has sent other packets as those of an earlier life of this one");
}

bool mux_leaf_acked(struct mux *mux, const struct mux_ack *ack) {
    struct mux_stream *stream = stream_of(mux, ack->stream);
    if (!stream)
        return false;
    mux_stream_acked(stream, ack, mux->ran_ns);
    mux_leaf_fork(mux, stream);
    mux_leaf_settle(mux, stream);
    return true;
}

void mux_leaf_asked(struct mux *mux, const struct mux_ask *ask) {
    struct mux_stream *stream = ask->has_stream ? stream_of(mux, ask->stream) : NULL;
    if (!ask->has_stream)
        mux_leaf_ask_anew(mux);
    else if (stream)
        ask_anew(stream);
}

void mux_leaf_run(struct mux *mux) {
    struct mux_leaf *leaf = &mux->leaf;
    if (!mux_has_stream(mux))
        return;
    mux_stream_tick(&leaf->stream, mux->ran_ns);
    mux_leaf_fork(mux, &leaf->stream);
    if (is_open(mux))
        mux_leaf_begin_earlier(mux);
    if (!leaf->has_earlier)
        return;
    mux_stream_tick(&leaf->earlier, mux->ran_ns);
    mux_leaf_fork(mux, &leaf->earlier);
}

uint64_t mux_leaf_deadline_ns(const struct mux *mux) {
    const struct mux_leaf *leaf = &mux->leaf;
    uint64_t at_ns = mux_leaf_spool_deadline_ns(mux);
    if (!mux_has_stream(mux))
        return at_ns;
    if (mux_stream_deadline(&leaf->stream) < at_ns)
        at_ns = mux_stream_deadline(&leaf->stream);
    if (leaf->has_earlier && mux_stream_deadline(&leaf->earlier) < at_ns)
        at_ns = mux_stream_deadline(&leaf->earlier);
    return at_ns;
}

/* Rule 13: the end is to know that nothing more comes, if it knows of the stream. */
bool mux_leaf_leaves(struct mux *mux) {
    struct mux_stream *stream = &mux->leaf.stream;
    if (!is_open(mux) || stream->len_bytes == 0 || mux_stream_is_done(stream))
        return false;
    if (!stream->is_final)
        mux_stream_finish(stream);
    mux->is_due = true;
    return true;
}
