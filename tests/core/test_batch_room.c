/*
 * A batch with a few bytes more or less than the largest frame needs, and then that frame: of every
 * kind, received whole. The mux already holds as many buffers as it may, so that everything is
 * copied, unless the frame is longer: then it is referenced all the same.
 */
#include "tests/unit/check.h"

#include "mux/node/mux_internal.h"

#define INPUTS 4
#define LINKS 2

/* More than a frame can grow by: each byte of that growth crosses the limit once. */
#define OFFSETS (FRAME_PACKETS * FRAME_GROWTH_BYTES + 64)

static uint8_t rooms[INPUTS][MUX_INPUT_MAX_BYTES];
static struct mux_buffer buffers[INPUTS];
static struct mux *mux;
static struct mux_link *link;

static void keep(struct mux_buffer *buffer) {
    (void)buffer;
}

static void say(void *user, const char *line) {
    (void)user, (void)line;
}

static int open_mux(void **state) {
    static uint8_t memory[MUX_MEMORY_MIN_BYTES];
    (void)state;
    struct mux_config config = {
        .memory = {memory, sizeof memory},
        .links_max = LINKS,
        .inputs_max = INPUTS,
        .input_bytes_max = MUX_INPUT_MAX_BYTES,
        .reference_least_bytes = REFERENCE_LEAST_MAX_BYTES,
        .gather_max = 1024,
        .segment_by = MUX_SEGMENT_BY_HOST,
        .hello = {.version = MUX_HELLO_VERSION, .identity = "0e1f", .name = "rig"},
        .log = say,
    };
    mux = mux_create(&config);
    assert_non_null(mux);
    for (unsigned i = 0; i < INPUTS; i++)
        buffers[i] = (struct mux_buffer){rooms[i], MUX_INPUT_MAX_BYTES, 0, keep, NULL};
    /* its segment has the greatest length */
    struct mux_link_config of_link = {"peer", "fe80:1111:2222:3333:4444:5555:6666:7777%enp193s0f1",
                                      true, NULL};
    link = mux_link_open(mux, &of_link);
    return 0;
}

static int close_mux(void **state) {
    (void)state;
    mux_destroy(mux);
    return 0;
}

static struct mux_buffer *free_buffer(void) {
    unsigned i = 0;
    while (i < INPUTS - 1 && buffers[i].holders > 0)
        i++;
    assert_int_equal(buffers[i].holders, 0);
    return &buffers[i];
}

static void give(struct mux_buffer *buffer, size_t len) {
    buffer->holders = 1;
    mux_link_received(link, buffer, mux_span(buffer->data, len), 1);
    mux_run(mux, 1);
}

/* A packet of exactly `len` bytes. */
static void make_packet(uint8_t *out, size_t len, bool route) {
    static uint8_t content[MUX_INPUT_MAX_BYTES];
    for (size_t content_bytes = len - 40; content_bytes < len; content_bytes++) {
        struct mux_packet packet = {.test_id = mux_span_text("t"),
                                    .file_name = mux_span_text("f"),
                                    .file_content = mux_span(content, content_bytes)};
        size_t written;
        if (route)
            packet.route = mux_span_text("r");
        if (mux_packet_encode(&packet, out, len, &written) == MUX_OK && written == len)
            return;
    }
    fail_msg("no packet has %zu bytes", len);
}

static void give_packet(size_t len) {
    struct mux_buffer *buffer = free_buffer();
    make_packet(buffer->data, len, false);
    give(buffer, len);
}

/* The mux holds as many buffers as it may: from now on everything is copied. */
static void hold_half(void) {
    for (unsigned i = 0; i < INPUTS / 2; i++)
        give_packet(REFERENCE_LEAST_MAX_BYTES + 1000);
    assert_int_equal(mux->fill->held_count, INPUTS / 2);
}

static size_t left(void) {
    return mux->fill->capacity_bytes - mux->fill->used_bytes;
}

/* Fills the batch until exactly `left_bytes` are left. The last packet is sized to fit. */
static void fill_but(size_t left_bytes) {
    const size_t last_bytes = 10000;
    size_t before = left();
    give_packet(last_bytes);
    size_t growth = before - left() - last_bytes;
    while (left() > left_bytes + 100000)
        give_packet(60000);
    while (left() > left_bytes + last_bytes + 6000)
        give_packet(5000);
    give_packet(left() - left_bytes - growth);
    assert_int_equal(left(), left_bytes);
}

enum kind { GOOD, ROUTED, DAMAGED, CHATTER, KINDS };

static void give_largest(enum kind kind) {
    struct mux_buffer *buffer = free_buffer();
    if (kind == CHATTER)
        memset(buffer->data, 'c', FRAME_COPIED_MAX_BYTES);
    else
        make_packet(buffer->data, FRAME_COPIED_MAX_BYTES, kind == ROUTED);
    if (kind == DAMAGED)
        buffer->data[FRAME_COPIED_MAX_BYTES / 2] ^= 1;
    give(buffer, FRAME_COPIED_MAX_BYTES);
}

static void send_all(void) {
    while (mux_upstream_take(mux)) {
        mux_upstream_sent(mux);
        mux_run(mux, 1);
    }
}

static void any_frame_fits(void **state) {
    (void)state;
    for (unsigned kind = 0; kind < KINDS; kind++)
        for (size_t offset = 0; offset < OFFSETS; offset += 7) {
            hold_half();
            fill_but(FRAME_COPIED_MAX_BYTES + offset);
            give_largest((enum kind)kind);
            send_all();
            assert_int_equal(mux_unframed_bytes(mux), 0);
        }
}

/* The longest that is received whole. */
static void a_longer_frame_is_referenced(void **state) {
    (void)state;
    hold_half();
    fill_but(FRAME_COPIED_BYTES);
    give_packet(MUX_INPUT_MAX_BYTES);
    assert_int_equal(mux->fill->held_count, INPUTS / 2 + 1);
    assert_int_equal(mux_unframed_bytes(mux), 0);
    send_all();
    for (unsigned i = 0; i < INPUTS; i++)
        assert_int_equal(buffers[i].holders, 0);
}

/* The largest packet; every field but its content is just too short to be sent by reference. */
static size_t make_split_packet(uint8_t *out) {
    static char text[REFERENCE_LEAST_MAX_BYTES];
    static uint8_t content[MUX_PACKET_MAX_BYTES], tags[REFERENCE_LEAST_MAX_BYTES];
    size_t written, tags_len = 0;
    memset(text, 't', sizeof text - 1);
    struct mux_packet packet = {.test_id = mux_span_text(text),
                                .mime = mux_span_text(text),
                                .file_name = mux_span_text(text),
                                .route = mux_span_text(text),
                                .has_tags = true,
                                .tag_count = 1};
    mux_tag_append(tags, sizeof tags, &tags_len, mux_span(text, sizeof text - 8));
    packet.tags = mux_span(tags, tags_len);
    packet.file_content =
        mux_span(content, MUX_PACKET_MAX_BYTES - 5 * REFERENCE_LEAST_MAX_BYTES - 30);
    assert_int_equal(mux_packet_encode(&packet, out, MUX_PACKET_MAX_BYTES, &written), MUX_OK);
    return written;
}

static void give_all(const uint8_t *bytes, size_t len) {
    while (len > 0) {
        struct mux_room room = mux_link_offer(link);
        struct mux_buffer *buffer = room.len ? NULL : free_buffer();
        if (buffer)
            room = (struct mux_room){buffer->data, buffer->size_bytes};
        size_t some = len < room.len ? len : room.len;
        memcpy(room.data, bytes, some);
        if (buffer)
            give(buffer, some);
        else
            mux_link_filled(link, some, 1);
        mux_run(mux, 1);
        bytes += some;
        len -= some;
    }
}

static void a_split_packet_fits(void **state) {
    static uint8_t packet[MUX_PACKET_MAX_BYTES];
    (void)state;
    hold_half();
    fill_but(FRAME_COPIED_BYTES);
    give_all(packet, make_split_packet(packet));
    assert_int_equal(mux->counters.value[MUX_COUNT_split_packets], 1);
    assert_true(left() > 0);
    send_all();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_frame_fits, open_mux, close_mux),
        cmocka_unit_test_setup_teardown(a_longer_frame_is_referenced, open_mux, close_mux),
        cmocka_unit_test_setup_teardown(a_split_packet_fits, open_mux, close_mux),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
