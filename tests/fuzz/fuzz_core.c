/*
 * The node's core, driven by a script: links that come and go, bytes in rooms and buffers, an
 * upstream that is slow or lost, time that passes. The packets that go up from a link must be those
 * that a separate framer finds in the link's bytes, in order and once.
 *
 * Input: mode, then operations: kind, peer, operands.
 */
#include "tests/fuzz/node.h"

#include "mux/packet/framer.h"
#include "mux/packet/report.h"
#include "mux/packet/route.h"

#include <stdlib.h>

#define MODE_GATHER 3  /* two bits: the greatest length of a gather list */
#define MODE_LEAST 12  /* two bits: the least body that is not copied */
#define MODE_NODE 16   /* the upstream is a node */
#define MODE_INPUTS 32 /* buffers have the greatest size */
#define MODE_OFFERS 64 /* links are asked for room after each turn */
#define MODE_CLOCK 128 /* timestamps are corrected, and missing ones added */

#define OPERATIONS_MOST 200
#define TICK_SHORT_NS 1000000u /* chatter waits 30 of them */
#define TICK_LONG_NS 100000000u

/*
 * The unit of a content length in the script: for more than a link's own store holds, or up to the
 * largest packet. The budget is for all contents of a run, so that runs are short.
 */
#define CONTENT_UNIT_BYTES 1
#define CONTENT_LARGE_UNIT_BYTES 64
#define CONTENT_BUDGET_BYTES 500000
#define PUSHES_MOST 300 /* a large packet in pieces */

enum operation {
    CONNECT,
    GIVE,
    GIVE_PACKET,
    OFFER,
    END,
    TAKE,
    SENT,
    GIVE_DOWN,
    ADDRESS_DOWN,
    UP_TAKE,
    UP_SENT,
    UP_LOST,
    WAIT_SHORT,
    WAIT_LONG,
    RUN,
    HELLO,
    UP_CONNECTED,
    OPERATIONS
};

/*
 * ---- operations ----
 */

/* A packet with much content, whole or without its last bytes; it may be broken. */
static struct bytes large_packet(struct script *script, const struct node *node) {
    static uint8_t content[MUX_PACKET_MAX_BYTES], out[MUX_PACKET_MAX_BYTES];
    uint8_t look = script_byte(script);
    size_t unit_bytes = look & 64 ? CONTENT_LARGE_UNIT_BYTES : CONTENT_UNIT_BYTES;
    size_t content_bytes = script_number(script, UINT16_MAX) * unit_bytes;
    if (node_count(node, MUX_COUNT_received_bytes) > CONTENT_BUDGET_BYTES)
        content_bytes = 0;
    struct mux_packet packet = {
        .status = (enum mux_status)(look & MUX_FLAG_STATUS_MASK),
        .runnable = true,
        .test_id = mux_span_text(look & 8 ? "a" : "b"),
        .file_name = mux_span_text("f"),
        .file_content = mux_span(content, content_bytes),
    };
    size_t written;
    struct bytes bytes = {0};
    if (mux_packet_encode(&packet, out, sizeof out, &written))
        return bytes;
    if (look & 16)
        out[written / 2] ^= 1;
    if (look & 32)
        written -= script_number(script, UINT16_MAX) * written / 65536;
    bytes_append(&bytes, mux_span(out, written));
    return bytes;
}

/* Gives bytes while the link takes them: a paused link's peer does not send the rest. */
static void give_all(struct node *node, struct peer *peer, struct mux_span bytes, bool offer) {
    for (unsigned i = 0; bytes.len && i < PUSHES_MOST; i++) {
        size_t before = peer->given.len;
        if (offer)
            node_offer(peer);
        if (!node_give(node, peer, bytes))
            return;
        size_t len = peer->given.len - before;
        bytes = mux_span(bytes.data + len, bytes.len - len);
        node_run(node);
        if (offer)
            continue;
        node_up_take(node);
        node_up_sent(node);
    }
}

static void give_packet(struct node *node, struct peer *peer, struct script *script) {
    bool offer = script_byte(script) & 1;
    struct bytes bytes = large_packet(script, node);
    if (bytes.len)
        give_all(node, peer, mux_span(bytes.data, bytes.len), offer);
    free(bytes.data);
}

static void give_some(struct node *node, struct peer *peer, struct script *script) {
    struct mux_span bytes = script_take(script, script_byte(script));
    uint8_t *copy = copy_of(bytes);
    repair_packets(copy, bytes.len);
    node_give(node, peer, mux_span(copy, bytes.len));
    free(copy);
}

static void give_down(struct node *node, struct script *script) {
    struct mux_span bytes = script_take(script, script_byte(script));
    uint8_t *copy = copy_of(bytes);
    repair_packets(copy, bytes.len);
    node_give_down(node, mux_span(copy, bytes.len));
    free(copy);
}

static void address_down(struct node *node, struct peer *peer, struct script *script) {
    static uint8_t content[NODE_INPUT_BYTES], out[NODE_INPUT_BYTES];
    size_t written;
    struct mux_packet packet = {
        .file_name = mux_span_text("stdin"),
        .file_content = mux_span(content, script_number(script, NODE_INPUT_BYTES - 64)),
        .route = mux_span_text(peer->link ? mux_link_segment(peer->link) : "x"),
    };
    enum mux_error error = mux_packet_encode(&packet, out, sizeof out, &written);
    assert(!error);
    node_give_down(node, mux_span(out, written));
}

/* A peer says that it is a node: one of three, or this one itself. */
static void hello(struct node *node, struct peer *peer, struct script *script) {
    static const char *const identities[] = {NODE_IDENTITY, "a", "b", "c"};
    struct mux_hello hello;
    uint8_t out[MUX_HELLO_PACKET_BYTES];
    mux_hello_init(&hello, identities[script_byte(script) % 4], "peer");
    node_give(node, peer, mux_span(out, mux_hello_write(&hello, out)));
}

static void operate_on_peer(struct node *node, struct script *script, enum operation operation) {
    struct peer *peer = &node->peers[script_byte(script) % NODE_LINKS];
    switch (operation) {
    case CONNECT:
        node_connect(node, peer, script_byte(script) & 1);
        break;
    case GIVE:
        give_some(node, peer, script);
        break;
    case GIVE_PACKET:
        give_packet(node, peer, script);
        break;
    case OFFER:
        node_offer(peer);
        break;
    case END:
        node_end(peer);
        break;
    case TAKE:
        node_take(peer);
        break;
    case SENT:
        node_sent(peer);
        break;
    case HELLO:
        hello(node, peer, script);
        break;
    default:
        address_down(node, peer, script);
    }
}

static void operate(struct node *node, struct script *script) {
    enum operation operation = (enum operation)(script_byte(script) % OPERATIONS);
    switch (operation) {
    case GIVE_DOWN:
        give_down(node, script);
        break;
    case UP_TAKE:
        node_up_take(node);
        break;
    case UP_SENT:
        node_up_sent(node);
        break;
    case UP_LOST:
        node_up_lost(node, script_number(script, UINT16_MAX));
        break;
    case WAIT_SHORT:
        node->now_ns += TICK_SHORT_NS * script_byte(script);
        break;
    case WAIT_LONG:
        node->now_ns += (uint64_t)TICK_LONG_NS * script_byte(script);
        break;
    case RUN:
        node_run(node);
        break;
    case UP_CONNECTED:
        node_up_connected(node);
        break;
    default:
        operate_on_peer(node, script, operation);
    }
}

/*
 * ---- the expected output ----
 */

/* The packets that went up under a segment, one by one, and chatter, joined. */
struct record {
    struct bytes bytes;
    bool in_chatter;
};

/* The node's own message about tests that were in progress on a link. */
static bool is_own(const struct mux_packet *packet) {
    return mux_span_equal(packet->file_name, mux_span_text("muxd"));
}

static bool is_chatter(const struct mux_packet *packet) {
    return !packet->test_id.data && !packet->status && !packet->has_timestamp &&
           mux_span_equal(packet->file_name, mux_span_text("stdout"));
}

static void add(struct record *record, struct mux_span bytes) {
    struct mux_packet packet;
    assert(mux_packet_parse(bytes, &packet, NULL) == MUX_OK);
    if (is_own(&packet))
        return;
    if (!is_chatter(&packet)) {
        bytes_append(&record->bytes, mux_span("P", 1));
        bytes_append(&record->bytes, bytes);
        record->in_chatter = false;
        return;
    }
    if (!record->in_chatter)
        bytes_append(&record->bytes, mux_span("C", 1));
    record->in_chatter = true;
    bytes_append(&record->bytes, packet.file_content);
}

static void add_pieces(struct record *record, const struct mux_pieces *pieces, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        uint8_t *copy = malloc(pieces[i].len_bytes);
        assert(copy);
        mux_pieces_copy(&pieces[i], copy);
        add(record, mux_span(copy, pieces[i].len_bytes));
        free(copy);
    }
}

static void add_frame(struct record *record, const struct mux_prefix *prefix,
                      const struct mux_frame *frame) {
    struct mux_pieces pieces[MUX_REPORT_DAMAGE_PACKETS];
    unsigned count = 1;
    if (frame->kind == MUX_FRAME_CHATTER) {
        mux_report_chatter(MUX_REPORT_STDOUT, frame->bytes, prefix->segment, pieces);
    } else if (frame->kind == MUX_FRAME_DAMAGE) {
        count = mux_report_damage(frame->bytes, frame->why, prefix->segment, pieces);
    } else if (mux_prefix_apply(prefix, frame->bytes, &frame->packet, &frame->layout, pieces)) {
        count = 2;
        if (mux_prefix_split(prefix, &frame->packet, &pieces[0], &pieces[1]))
            count = mux_report_damage(frame->bytes, MUX_ERROR_TOO_LARGE, prefix->segment, pieces);
    }
    add_pieces(record, pieces, count);
}

static struct record expected(const struct past *past) {
    static uint8_t store[MUX_STORE_MAX_BYTES];
    struct record record = {0};
    struct mux_framer framer;
    struct mux_frame frame;
    struct mux_prefix prefix;
    assert(mux_prefix_init(&prefix, mux_span_text(past->segment)) == MUX_OK);
    mux_framer_init(&framer, (struct mux_room){store, sizeof store});
    mux_framer_feed(&framer, mux_span(past->given.data, past->given.len));
    mux_framer_end(&framer);
    while (mux_framer_next(&framer, &frame), frame.kind != MUX_FRAME_NONE) {
        if (frame.kind == MUX_FRAME_STORE)
            mux_framer_move(&framer, framer.store);
        else
            add_frame(&record, &prefix, &frame);
    }
    return record;
}

/* The packet at `*at` of what went up; moves *at past it. */
static struct mux_span next_up(const struct node *node, size_t *at) {
    uint32_t length, header_bytes;
    struct mux_span rest = mux_span(node->up.data + *at, node->up.len - *at);
    assert(mux_header_parse(rest, &length, &header_bytes) == MUX_OK && length <= rest.len);
    *at += length;
    return mux_span(rest.data, length);
}

static struct record found(const struct node *node, struct mux_span segment) {
    struct record record = {0};
    size_t at = 0;
    while (at < node->up.len) {
        struct mux_packet packet;
        struct mux_span bytes = next_up(node, &at);
        assert(mux_packet_parse(bytes, &packet, NULL) == MUX_OK);
        if (packet.route.data && mux_span_equal(mux_route_first(packet.route), segment))
            add(&record, bytes);
    }
    return record;
}

/*
 * A framer alone does not model: a packet that was searched (rule 8); nodes, whose connections
 * share a segment and which send cut packets again; timestamps that are changed.
 */
static bool is_comparable(const struct node *node) {
    return !node->setup.has_clock && !node_count(node, MUX_COUNT_abandoned_packets) &&
           !node_count(node, MUX_COUNT_nodes_connected) &&
           !node_count(node, MUX_COUNT_nodes_refused);
}

/* Only whole packets with good CRCs went up; a node's strings are not checked. */
static void check_up(const struct node *node) {
    bool trusted = node_count(node, MUX_COUNT_nodes_connected) > 0;
    size_t at = 0;
    while (at < node->up.len) {
        struct mux_packet packet;
        struct mux_span bytes = next_up(node, &at);
        assert(mux_packet_verify(bytes));
        assert(!(trusted ? mux_packet_parse_trusted : mux_packet_parse)(bytes, &packet, NULL));
    }
}

static void check_past(const struct node *node, const struct past *past) {
    if (past->given.len == 0)
        return;
    struct record want = expected(past), have = found(node, mux_span_text(past->segment));
    assert(mux_span_equal(mux_span(have.bytes.data, have.bytes.len),
                          mux_span(want.bytes.data, want.bytes.len)));
    free(want.bytes.data);
    free(have.bytes.data);
}

static struct node_setup setup_of(uint8_t mode) {
    return (struct node_setup){
        .reference_least_bytes = (size_t)64 << (mode & MODE_LEAST) / 2,
        .gather_max = MUX_GATHER_MIN << (mode & MODE_GATHER),
        .input_bytes = mode & MODE_INPUTS ? MUX_INPUT_MAX_BYTES : NODE_INPUT_BYTES,
        .upstream_is_node = mode & MODE_NODE,
        .offers = mode & MODE_OFFERS,
        .has_clock = mode & MODE_CLOCK,
    };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct node node;
    struct script script = {mux_span(data, size)};
    struct node_setup setup = setup_of(script_byte(&script));
    node_open(&node, &setup);
    for (unsigned i = 0; script.rest.len && i < OPERATIONS_MOST; i++)
        operate(&node, &script);
    node_settle(&node);
    check_up(&node);
    for (unsigned i = 0; is_comparable(&node) && i < node.past_count; i++)
        check_past(&node, &node.pasts[i]);
    node_close(&node);
    return 0;
}
