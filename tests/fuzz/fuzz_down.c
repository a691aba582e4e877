/*
 * The way down: for any bytes from the upstream, in any pieces, each link is sent the packets for
 * its segment, with that segment stripped, and nothing else.
 *
 * Input: mode, number of repetitions of the stream (a byte), number of cuts (a byte), a byte for
 * each: the piece's length and whether the upstream is lost after it; the stream.
 */
#include "tests/fuzz/node.h"

#include "mux/packet/framer.h"
#include "mux/packet/route.h"

#include <stdlib.h>

#define MODE_DEAF 1 /* one link does not read until the end */
#define MODE_MUTE 2 /* one link has no way down */
#define MODE_END 4  /* one link has ended */
#define PEER_DEAF 0
#define PEER_MUTE 1
#define PEER_END 2

#define CUT_LENGTH 0x7F
#define CUT_LOST 0x80

#define REPEATS_MOST 40
#define STEP_NS 50000000u /* small beside the second that a link may be behind */

/* The packets that each link must be sent when all read in time, found by a separate framer. */
struct model {
    struct mux_framer framer;
    struct bytes want[NODE_LINKS];
};

static void connect_all(struct node *node, uint8_t mode) {
    for (unsigned i = 0; i < NODE_LINKS; i++) {
        node_connect(node, &node->peers[i], !((mode & MODE_MUTE) && i == PEER_MUTE));
        node_give(node, &node->peers[i], mux_span_text("\n")); /* this gives it a segment */
    }
    node_run(node);
    if (mode & MODE_END)
        node_end(&node->peers[PEER_END]); /* it is finished after its next turn */
}

static void expect(struct model *model, const struct node *node, const struct mux_frame *frame) {
    struct mux_span segment;
    struct mux_pieces pieces;
    mux_strip(frame->bytes, &frame->packet, &frame->layout, &segment, &pieces);
    for (unsigned i = 0; i < NODE_LINKS; i++) {
        const struct mux_link *link = node->peers[i].link;
        if (!segment.data || !link ||
            !mux_span_equal(segment, mux_span_text(mux_link_segment(link))))
            continue;
        for (size_t piece = 0; piece < pieces.count; piece++)
            bytes_append(&model->want[i], pieces.piece[piece]);
    }
}

static void model_feed(struct model *model, const struct node *node, struct mux_span bytes) {
    struct mux_frame frame;
    mux_framer_feed(&model->framer, bytes);
    while (mux_framer_next(&model->framer, &frame), frame.kind != MUX_FRAME_NONE) {
        if (frame.kind == MUX_FRAME_STORE)
            mux_framer_move(&model->framer, model->framer.store);
        else if (frame.kind == MUX_FRAME_PACKET)
            expect(model, node, &frame);
    }
}

static void read_all(struct node *node, uint8_t mode) {
    for (unsigned i = 0; i < NODE_LINKS; i++) {
        if ((mode & MODE_DEAF) && i == PEER_DEAF)
            continue;
        node_take(&node->peers[i]);
        node_sent(&node->peers[i]);
    }
}

/* The mux takes the piece in the end: it waits for a link for at most a second. */
static void give(struct node *node, struct mux_span piece, uint8_t mode) {
    while (!node_give_down(node, piece)) {
        node->now_ns += STEP_NS;
        node_run(node);
    }
    node_run(node);
    read_all(node, mode);
    node_up_take(node);
    node_up_sent(node);
}

static void run(struct node *node, struct model *model, struct script cuts, struct mux_span stream,
                uint8_t mode) {
    struct script again = cuts, rest = {stream};
    while (rest.rest.len) {
        if (!again.rest.len)
            again = cuts;
        uint8_t cut = script_byte(&again);
        size_t len = cut & CUT_LENGTH;
        struct mux_span piece = script_take(&rest, len ? len : SIZE_MAX);
        model_feed(model, node, piece);
        give(node, piece, mode);
        if (cut & CUT_LOST) {
            node_up_lost(node, 0);
            mux_framer_init(&model->framer, model->framer.store);
        }
    }
}

/* The peer was sent whole packets; with `exact`, all of them. */
static void check_peer(const struct peer *peer, const struct bytes *want, bool exact) {
    struct mux_span rest = mux_span(peer->read.data, peer->read.len);
    assert(!exact || mux_span_equal(rest, mux_span(want->data, want->len)));
    while (rest.len) {
        uint32_t length, header_bytes;
        struct mux_packet packet;
        assert(mux_header_parse(rest, &length, &header_bytes) == MUX_OK && length <= rest.len);
        struct mux_span bytes = mux_span(rest.data, length);
        assert(mux_packet_verify(bytes) && mux_packet_parse(bytes, &packet, NULL) == MUX_OK);
        rest = mux_span(rest.data + length, rest.len - length);
    }
}

static void check_counters(const struct node *node) {
    uint64_t bytes = 0;
    for (unsigned i = 0; i < NODE_LINKS; i++)
        bytes += node->peers[i].read.len;
    assert(node_count(node, MUX_COUNT_down_sent_bytes) == bytes);
    assert(node_count(node, MUX_COUNT_down_undelivered_bytes) == 0);
    assert(node_count(node, MUX_COUNT_down_received_packets) ==
           node_count(node, MUX_COUNT_down_forwarded_packets) +
               node_count(node, MUX_COUNT_down_unknown_packets) +
               node_count(node, MUX_COUNT_down_refused_packets) +
               node_count(node, MUX_COUNT_down_own_packets));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct node node;
    static uint8_t store[MUX_STORE_MAX_BYTES];
    struct model model = {0};
    struct script script = {mux_span(data, size)};
    uint8_t mode = script_byte(&script), repeats = script_byte(&script) % REPEATS_MOST;
    struct script cuts = {script_take(&script, script_byte(&script))};
    uint8_t *stream = copy_of(script.rest);
    repair_packets(stream, script.rest.len);
    node_open(&node, &(struct node_setup){.reference_least_bytes = SIZE_MAX,
                                          .gather_max = MUX_GATHER_MIN,
                                          .input_bytes = NODE_INPUT_BYTES});
    mux_framer_init(&model.framer, (struct mux_room){store, sizeof store});
    connect_all(&node, mode);
    for (unsigned i = 0; i <= repeats; i++)
        run(&node, &model, cuts, mux_span(stream, script.rest.len), mode);
    read_all(&node, 0);
    for (unsigned i = 0; i < NODE_LINKS; i++) {
        bool hindered = mode & (MODE_DEAF | MODE_MUTE | MODE_END);
        check_peer(&node.peers[i], &model.want[i], !hindered);
        free(model.want[i].data);
    }
    node_settle(&node);
    check_counters(&node);
    node_close(&node);
    free(stream);
    return 0;
}
