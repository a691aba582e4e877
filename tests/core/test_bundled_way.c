/*
 * The whole way as bytes: a leaf's stream, two relays that see packets only, an end. What comes out
 * is byte for byte what nodes without bundles would have made of the same packets; acknowledgements
 * come back and empty the leaf's window.
 */
#include "tests/unit/check.h"
#include "tests/unit/random.h"

#include "mux/node/known.h"
#include "mux/node/stream.h"

#define SEEDS 150
#define PACKETS 60
#define WINDOW_BYTES 65536
#define PACKET_MOST_BYTES 4096
#define BUFFER_BYTES (2 * MUX_STREAM_RECORD_MOST_BYTES + MUX_BUNDLE_HEAD_BYTES)

static unsigned long all_bundles;

static const struct mux_stream_limits limits = {WINDOW_BYTES, 2000000000, 15000000000};
static const uint8_t id[MUX_STREAM_ID_BYTES] = {0xfe, 1};
static uint8_t ring[MUX_STREAM_RING_BYTES(WINDOW_BYTES)];
static struct mux_stream_record records[MUX_STREAM_RECORDS(WINDOW_BYTES)];

/* Bytes in one piece, of a packet or of several. */
struct bytes {
    size_t len;
    uint8_t data[BUFFER_BYTES];
};
static struct bytes plain, taken, message;

struct world {
    struct random random;
    struct mux_stream stream;
    struct mux_known known;
    bool is_known;
    unsigned bundles;
};

static void append(struct bytes *bytes, struct mux_span more) {
    assert_true(more.len <= sizeof bytes->data - bytes->len);
    memcpy(bytes->data + bytes->len, more.data, more.len);
    bytes->len += more.len;
}

/* What a node does to a packet on the way up: its last one in `bytes`, from `at` on. */
static void prefix_last(struct bytes *bytes, size_t at, const char *segment) {
    static uint8_t out[BUFFER_BYTES];
    struct mux_span packet = mux_span(bytes->data + at, bytes->len - at);
    struct mux_prefix prefix;
    struct mux_packet fields;
    struct mux_layout layout;
    struct mux_pieces pieces;
    assert_int_equal(mux_prefix_init(&prefix, mux_span_text(segment)), MUX_OK);
    assert_int_equal(mux_packet_parse(packet, &fields, &layout), MUX_OK);
    assert_int_equal(mux_prefix_apply(&prefix, packet, &fields, &layout, &pieces), MUX_OK);
    mux_pieces_copy(&pieces, out);
    bytes->len = at;
    append(bytes, mux_span(out, pieces.len_bytes));
}

static void strip(struct bytes *bytes) {
    static uint8_t out[BUFFER_BYTES];
    struct mux_packet fields;
    struct mux_layout layout;
    struct mux_pieces pieces;
    struct mux_span packet = mux_span(bytes->data, bytes->len), segment;
    assert_int_equal(mux_packet_parse(packet, &fields, &layout), MUX_OK);
    mux_strip(packet, &fields, &layout, &segment, &pieces);
    mux_pieces_copy(&pieces, out);
    bytes->len = 0;
    append(bytes, mux_span(out, pieces.len_bytes));
}

static struct mux_packet parsed(const struct bytes *bytes) {
    struct mux_packet packet;
    struct mux_span span = mux_span(bytes->data, bytes->len);
    assert_true(mux_packet_verify(span));
    assert_int_equal(mux_packet_parse(span, &packet, NULL), MUX_OK);
    return packet;
}

/* Adds a packet that lies in one piece. */
static void add_span(struct mux_stream *stream, struct mux_span packet, uint64_t now_ns) {
    mux_stream_add(stream,
                   &(struct mux_pieces){.piece = {packet}, .count = 1, .len_bytes = packet.len},
                   now_ns);
}

/* A worker's packet, with its link's segment at the leaf; and the same as relays would pass it. */
static void add_packet(struct world *world) {
    static uint8_t content[PACKET_MOST_BYTES], encoded[2 * PACKET_MOST_BYTES];
    size_t len, content_len = random_below(&world->random, 8) ? random_below(&world->random, 80)
                                                              : PACKET_MOST_BYTES;
    struct mux_packet packet = {.status = MUX_STATUS_SUCCESS, .test_id = mux_span_text("t")};
    for (size_t i = 0; i < content_len; i++)
        content[i] = (uint8_t)random_next(&world->random);
    packet.file_name = mux_span_text("f");
    packet.file_content = mux_span(content, content_len);
    if (random_below(&world->random, 2))
        packet.route = mux_span_text(random_below(&world->random, 2) ? "" : "inner/most");
    assert_int_equal(mux_packet_encode(&packet, encoded, sizeof encoded, &len), MUX_OK);
    size_t at = plain.len;
    append(&plain, mux_span(encoded, len));
    prefix_last(&plain, at, random_below(&world->random, 2) ? "w" : "worker2");
    add_span(&world->stream, mux_span(plain.data + at, plain.len - at), 0);
    prefix_last(&plain, at, "3");
    prefix_last(&plain, at, "seventh");
}

/* The end's answer, under the leaf's path; each relay cuts a segment. */
static void acknowledge(struct world *world, struct mux_span path) {
    uint8_t out[MUX_MESSAGE_PACKET_BYTES];
    struct mux_ack ack = mux_known_ack(&world->known, id);
    message.len = 0;
    append(&message, mux_span(out, mux_ack_write(&ack, path, out)));
    strip(&message);
    strip(&message);
    struct mux_packet packet = parsed(&message);
    assert_null(packet.route.data);
    assert_int_equal(mux_message_kind(&packet), MUX_MESSAGE_ACK);
    assert_null(mux_ack_read(&packet, &ack));
    mux_stream_acked(&world->stream, &ack, 0);
}

static void end_takes_where(struct world *world, const struct mux_packet *packet) {
    struct mux_where where;
    struct mux_known_hole hole;
    assert_null(mux_where_read(packet, &where));
    assert_memory_equal(where.stream, id, sizeof id);
    if (world->is_known)
        assert_true(mux_known_where(&world->known, &where, &hole));
    else
        mux_known_open(&world->known, &where);
    world->is_known = true;
}

/* Each packet of it goes to the sink under the bundle's route. */
static void end_takes_bundle(struct world *world, const struct mux_packet *packet) {
    static uint8_t out[BUFFER_BYTES + MUX_PREFIX_PATH_GROWTH_BYTES];
    struct mux_bundle bundle;
    struct mux_bundle_run run = {0};
    struct mux_bundle_item item;
    struct mux_prefix prefix;
    struct mux_span rest = packet->file_content;
    assert_null(mux_bundle_read(packet, &bundle));
    assert_int_equal(mux_prefix_init_path(&prefix, packet->route), MUX_OK);
    while (rest.len > 0) {
        assert_int_equal(mux_bundle_next(&rest, &item), MUX_OK);
        mux_bundle_run_add(&run, item.bytes);
        append(&taken, mux_span(out, mux_prefix_write(&prefix, item.bytes, &item.packet,
                                                      &item.layout, out)));
    }
    assert_int_equal(mux_known_bundle(&world->known, &bundle, &run), MUX_KNOWN_TAKEN);
    mux_known_safe(&world->known, world->known.at);
    world->bundles++;
}

/* One message of the leaf to the end. False: it has none. */
static bool pass(struct world *world) {
    struct mux_stream_out out;
    struct mux_bundle_wrap wrap;
    message.len = 0;
    switch (mux_stream_next(&world->stream, true, 0, &out)) {
    case MUX_STREAM_NOTHING:
    case MUX_STREAM_SPOOLED:
        return false;
    case MUX_STREAM_WHERE:
        message.len = mux_where_write(&out.where, mux_span(NULL, 0), message.data);
        break;
    case MUX_STREAM_BUNDLE:
        mux_bundle_wrap(&out.bundle, &out.content, &wrap);
        append(&message, mux_span(wrap.front, wrap.front_len_bytes));
        append(&message, out.spans[0]);
        append(&message, out.spans[1]);
        append(&message, mux_span(wrap.crc, sizeof wrap.crc));
    }
    prefix_last(&message, 0, "3");
    prefix_last(&message, 0, "seventh");
    struct mux_packet packet = parsed(&message);
    assert_true(mux_span_equal(packet.route, mux_span_text("seventh/3")));
    if (mux_message_kind(&packet) == MUX_MESSAGE_WHERE)
        end_takes_where(world, &packet);
    else
        end_takes_bundle(world, &packet);
    acknowledge(world, mux_span_text("seventh/3"));
    return true;
}

static void run(unsigned seed) {
    static struct world world;
    world = (struct world){.random = {seed}};
    plain.len = taken.len = 0;
    mux_stream_init(&world.stream, id, &limits, (struct mux_room){ring, sizeof ring}, records);
    mux_stream_set_rate(&world.stream, seed % 2 ? 0 : SIZE_MAX);
    for (unsigned i = 0; i < PACKETS; i++) {
        if (plain.len < BUFFER_BYTES / 2 && mux_stream_has_room(&world.stream))
            add_packet(&world);
        if (random_below(&world.random, 6) == 0)
            pass(&world);
        if (random_below(&world.random, 20) == 0)
            mux_stream_ask_anew(&world.stream);
    }
    mux_stream_finish(&world.stream);
    while (pass(&world))
        ;
    assert_true(mux_stream_is_done(&world.stream) && mux_known_is_done(&world.known));
    assert_same_field(mux_span(taken.data, taken.len), mux_span(plain.data, plain.len));
    all_bundles += world.bundles;
}

static void test_seeds(void **state) {
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++)
        run(seed);
    assert_true(all_bundles > 3 * SEEDS);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_seeds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
