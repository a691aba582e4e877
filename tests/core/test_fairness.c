/* Deficit round robin by bytes: large packets gain nothing, a flood delays no other link long. */
#include "tests/unit/check.h"

#include "mux/node/mux.h"
#include "mux/packet/packet.h"

#define INPUT_BYTES 65536
#define INPUTS 8
#define LINKS 3
/* The bytes of a turn, with the last packet that exceeds it: see QUANTUM_BYTES. */
#define TURN_BYTES (16384 + 6000)

/* The packets of a turn, however small they are: see FRAME_LEAST_BYTES. */
#define TURN_PACKETS ((16384 + 80 - 1) / 80)

static void keep(struct mux_buffer *buffer) {
    (void)buffer;
}

static void say(void *user, const char *line) {
    (void)user, (void)line;
}

/* A buffer full of packets of one size. */
static struct mux_span fill(struct mux_buffer *buffer, size_t content_bytes) {
    static uint8_t content[INPUT_BYTES];
    struct mux_packet packet = {.test_id = mux_span_text("t"), .file_name = mux_span_text("f")};
    packet.file_content = mux_span(content, content_bytes);
    size_t len = 0, written;
    while (!mux_packet_encode(&packet, buffer->data + len, buffer->size_bytes - len, &written))
        len += written;
    return mux_span(buffer->data, len);
}

static uint8_t memory[MUX_MEMORY_MIN_BYTES];
static uint8_t input[LINKS][INPUT_BYTES];
static struct mux_buffer buffers[LINKS];

static struct mux *open_mux(void) {
    const struct mux_config config = {
        .memory = {memory, sizeof memory},
        .links_max = LINKS,
        .inputs_max = INPUTS,
        .input_bytes_max = INPUT_BYTES,
        .reference_least_bytes = SIZE_MAX,
        .gather_max = 1024,
        .log = say,
    };
    struct mux *mux = mux_create(&config);
    assert_non_null(mux);
    for (unsigned i = 0; i < LINKS; i++)
        buffers[i] = (struct mux_buffer){input[i], INPUT_BYTES, 1, keep, NULL};
    return mux;
}

/* Completes the batch that was taken. */
static void close_mux(struct mux *mux) {
    mux_upstream_sent(mux);
    mux_destroy(mux);
}

/* A new link sends these bytes and no more. */
static void give(struct mux *mux, struct mux_buffer *buffer, struct mux_span bytes) {
    const struct mux_link_config link = {"peer", "", true, NULL};
    mux_link_received(mux_link_open(mux, &link), buffer, bytes, 1);
}

static void test_bytes_are_shared(void **state) {
    (void)state;
    static const size_t content_bytes[] = {50, 5000, 50};
    struct mux *mux = open_mux();
    for (unsigned i = 0; i < 3; i++) {
        struct mux_span bytes = fill(&buffers[i], content_bytes[i]);
        uint32_t length, header_bytes;
        assert_int_equal(mux_header_parse(bytes, &length, &header_bytes), MUX_OK);
        if (i == 2) /* one packet after two floods */
            bytes.len = length;
        give(mux, &buffers[i], bytes);
    }
    mux_run(mux, 1);
    const struct mux_gather *gather = mux_upstream_take(mux);
    assert_non_null(gather);

    size_t sent[3] = {0};
    bool single_seen = false;
    for (size_t span = 0; span < gather->count; span++) {
        const uint8_t *at = gather->spans[span].data;
        size_t left = gather->spans[span].len;
        while (left > 0) {
            uint32_t length, header_bytes;
            struct mux_packet packet;
            assert_int_equal(mux_header_parse(mux_span(at, left), &length, &header_bytes), MUX_OK);
            assert_int_equal(mux_packet_parse(mux_span(at, length), &packet, NULL), MUX_OK);
            unsigned link = packet.route.data[0] - '0';
            sent[link] += length;
            if (link == 2) {
                single_seen = true;
                assert_true(sent[0] + sent[1] <= 2 * TURN_BYTES);
            }
            /* while both have more, neither is ahead of the other by more than a turn */
            if (sent[0] < 40000 && sent[1] < 40000)
                assert_true(sent[0] <= sent[1] + TURN_BYTES && sent[1] <= sent[0] + TURN_BYTES);
            at += length;
            left -= length;
        }
    }
    assert_true(single_seen);
    assert_true(sent[0] > 40000 && sent[1] > 40000);
    close_mux(mux);
}

/* Tiny packets do not make a worker's turn much longer in CPU time. */
static void test_small_packets_are_few_a_turn(void **state) {
    (void)state;
    struct mux *mux = open_mux();
    for (unsigned i = 0; i < 2; i++) {
        struct mux_span bytes = fill(&buffers[i], 0);
        give(mux, &buffers[i], bytes);
    }
    mux_run(mux, 1);
    const struct mux_gather *gather = mux_upstream_take(mux);
    assert_int_equal(gather->count, 1);

    struct mux_span rest = gather->spans[0];
    unsigned run = 0, runs = 0, last = 0;
    while (rest.len > 0) {
        uint32_t length, header_bytes;
        struct mux_packet packet;
        assert_int_equal(mux_header_parse(rest, &length, &header_bytes), MUX_OK);
        assert_int_equal(mux_packet_parse(mux_span(rest.data, length), &packet, NULL), MUX_OK);
        unsigned link = packet.route.data[0] - '0';
        runs += link != last;
        run = link == last ? run + 1 : 1;
        last = link;
        assert_in_range(run, 1, TURN_PACKETS);
        rest = mux_span(rest.data + length, rest.len - length);
    }
    assert_true(runs > 10);
    close_mux(mux);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bytes_are_shared),
                                       cmocka_unit_test(test_small_packets_are_few_a_turn)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
