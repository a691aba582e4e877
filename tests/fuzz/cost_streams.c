#include "tests/fuzz/cost_streams.h"

#include <stdio.h>
#include <stdlib.h>

#define PIECE_BYTES 65536
#define RECEIVE_BYTES 65536
#define LARGE_BYTES 4000000
#define GOOD_CONTENT_BYTES 45 /* makes the packet 100 bytes long */

static void add(struct bytes *stream, const void *bytes, size_t len) {
    bytes_append(stream, mux_span(bytes, len));
}

/* Repeats the same bytes. */
static void fill(struct bytes *stream, const void *bytes, size_t len) {
    for (size_t at = 0; at < PIECE_BYTES; at += len)
        add(stream, bytes, len);
}

#define FILL(stream, literal) fill(stream, literal, sizeof(literal) - 1)

static size_t encode(const struct mux_packet *packet, uint8_t *out, size_t capacity) {
    size_t written;
    enum mux_error error = mux_packet_encode(packet, out, capacity, &written);
    assert(!error);
    return written;
}

static void add_packet(struct bytes *stream, const struct mux_packet *packet) {
    static uint8_t out[MUX_PACKET_MAX_BYTES];
    add(stream, out, encode(packet, out, sizeof out));
}

static void fill_packet(struct bytes *stream, const struct mux_packet *packet) {
    uint8_t out[PIECE_BYTES];
    size_t len = encode(packet, out, sizeof out);
    fill(stream, out, len);
}

static void fill_broken(struct bytes *stream, const struct mux_packet *packet) {
    uint8_t out[PIECE_BYTES];
    size_t len = encode(packet, out, sizeof out);
    out[len - 1] ^= 1;
    fill(stream, out, len);
}

static struct mux_packet good_packet(enum mux_status status) {
    static const uint8_t content[GOOD_CONTENT_BYTES];
    return (struct mux_packet){
        .status = status,
        .runnable = true,
        .has_timestamp = true,
        .seconds = 1700000000,
        .nanoseconds = 123456789,
        .test_id = mux_span_text("package.module.Class.test_a"),
        .mime = mux_span_text("text"),
        .file_name = mux_span_text("log"),
        .file_content = mux_span(content, sizeof content),
    };
}

/* A test begins and ends. */
static void good(struct bytes *stream) {
    for (size_t at = 0; at < PIECE_BYTES; at += 200) {
        struct mux_packet begin = good_packet(MUX_STATUS_INPROGRESS);
        struct mux_packet end = good_packet(MUX_STATUS_SUCCESS);
        add_packet(stream, &begin);
        add_packet(stream, &end);
    }
}

static void good_8(struct bytes *stream) {
    fill_packet(stream, &(struct mux_packet){.eof = true});
}

static void good_16_routed(struct bytes *stream) {
    fill_packet(stream, &(struct mux_packet){.route = mux_span_text("abcdefg")});
}

static void broken_8(struct bytes *stream) {
    fill_broken(stream, &(struct mux_packet){.eof = true});
}

static void broken_20(struct bytes *stream) {
    fill_broken(stream, &(struct mux_packet){.test_id = mux_span_text("abcdefghijk")});
}

static void broken_100(struct bytes *stream) {
    struct mux_packet packet = good_packet(MUX_STATUS_SUCCESS);
    fill_broken(stream, &packet);
}

static void broken_all_lengths(struct bytes *stream) {
    char text[200];
    memset(text, 'a', sizeof text);
    for (size_t len = 1; len <= sizeof text; len++) {
        uint8_t out[300];
        struct mux_packet packet = {.test_id = mux_span(text, len)};
        size_t written = encode(&packet, out, sizeof out);
        out[written - 1] ^= 1;
        add(stream, out, written);
    }
}

/* A good CRC, but a NUL in the test id. */
static void malformed_10(struct bytes *stream) {
    uint8_t packet[] = {0xB3, 0x28, 0, 10, 1, 0, 1, 1, 1, 1};
    repair_packets(packet, sizeof packet);
    fill(stream, packet, sizeof packet);
}

static void byte_and_good_8(struct bytes *stream) {
    uint8_t out[32] = {'x'};
    size_t len = encode(&(struct mux_packet){.eof = true}, out + 1, sizeof out - 1);
    fill(stream, out, 1 + len);
}

static void byte_and_broken_8(struct bytes *stream) {
    uint8_t out[32] = {'x'};
    size_t len = encode(&(struct mux_packet){.eof = true}, out + 1, sizeof out - 1);
    out[len] ^= 1;
    fill(stream, out, 1 + len);
}

static void signatures(struct bytes *stream) {
    FILL(stream, "\xB3");
}

static void half_headers(struct bytes *stream) {
    FILL(stream, "\xB3\x20");
}

static void insane_lengths(struct bytes *stream) {
    FILL(stream, "\xB3\x20\x10\xC0");
}

/* Many fields are checked before the last one does not end at the CRC. */
static void refuted_late(struct bytes *stream) {
    FILL(stream, "\xB3\x2E\x60\x17\1\2\3\4\5\0\0\0\0\1");
}

static void refuted_early(struct bytes *stream) {
    FILL(stream, "\xB3\x28\x00\x08\x3F");
}

/* Each is refuted only 1500 bytes later, by the bytes there; the next begins inside it. */
static void refuted_far(struct bytes *stream) {
    FILL(stream, "\xB3\x28\x20\x4B\xB8\x45\xD9\0");
}

static void newlines(struct bytes *stream) {
    FILL(stream, "\n");
}

static void letters(struct bytes *stream) {
    FILL(stream, "x");
}

static void short_lines(struct bytes *stream) {
    FILL(stream, "x\n");
}

static void not_utf8(struct bytes *stream) {
    FILL(stream, "\xFF\n");
}

static void two_byte_characters(struct bytes *stream) {
    FILL(stream, "\xC3\xB3");
}

static void broken_characters(struct bytes *stream) {
    FILL(stream, "\xF0\xB3\xB3\n");
}

static void empty_tags(struct bytes *stream) {
    static const uint8_t tags[4000];
    fill_packet(stream, &(struct mux_packet){.has_tags = true,
                                             .tag_count = sizeof tags,
                                             .tags = mux_span(tags, sizeof tags)});
}

static void short_tags(struct bytes *stream) {
    static uint8_t tags[4000];
    for (size_t i = 0; i < sizeof tags; i += 2)
        tags[i] = 1, tags[i + 1] = 'a';
    fill_packet(stream, &(struct mux_packet){.has_tags = true,
                                             .tag_count = sizeof tags / 2,
                                             .tags = mux_span(tags, sizeof tags)});
}

static void fill_id(struct bytes *stream, const char *character, size_t len) {
    char id[4000];
    for (size_t at = 0; at + len <= sizeof id; at += len)
        memcpy(id + at, character, len);
    fill_packet(stream, &(struct mux_packet){.test_id = mux_span(id, sizeof id / len * len)});
}

static void two_byte_id(struct bytes *stream) {
    fill_id(stream, "\xC3\xA9", 2);
}

static void mixed_id(struct bytes *stream) {
    fill_id(stream, "a\xC3\xA9", 3);
}

static void long_route(struct bytes *stream) {
    char route[4000];
    memset(route, 'r', sizeof route);
    fill_packet(stream, &(struct mux_packet){.route = mux_span(route, sizeof route)});
}

static void many_segments(struct bytes *stream) {
    char route[4000];
    memset(route, '/', sizeof route);
    fill_packet(stream, &(struct mux_packet){.route = mux_span(route, sizeof route)});
}

static void fill_tests(struct bytes *stream, enum mux_status status, unsigned from) {
    char id[16];
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "%05u", from + i);
        add_packet(stream, &(struct mux_packet){.status = status, .test_id = mux_span_text(id)});
    }
}

/* Tests that begin and never end, and ends of tests that never began. */
static void endless_tests(struct bytes *stream) {
    fill_tests(stream, MUX_STATUS_INPROGRESS, 0);
    fill_tests(stream, MUX_STATUS_SUCCESS, 10000);
    fill_tests(stream, MUX_STATUS_INPROGRESS, 20000);
}

static void tests(struct bytes *stream) {
    fill_tests(stream, MUX_STATUS_INPROGRESS, 0);
    fill_tests(stream, MUX_STATUS_SUCCESS, 0);
}

/* A packet that never becomes whole, and inside it packets that rule 8 searches for, all broken. */
static void add_half(struct bytes *stream, const void *inner, size_t len) {
    static uint8_t content[LARGE_BYTES], out[MUX_PACKET_MAX_BYTES];
    for (size_t at = 0; at + len <= sizeof content; at += len)
        memcpy(content + at, inner, len);
    struct mux_packet packet = {.file_name = mux_span_text("f"),
                                .file_content = mux_span(content, sizeof content)};
    add(stream, out, encode(&packet, out, sizeof out) - 100);
}

static void half_of_broken(struct bytes *stream) {
    uint8_t out[64];
    size_t len = encode(&(struct mux_packet){.eof = true}, out, sizeof out);
    out[len - 1] ^= 1;
    add_half(stream, out, len);
}

static void half_of_good(struct bytes *stream) {
    uint8_t out[64] = {0};
    size_t len = encode(&(struct mux_packet){.eof = true}, out, sizeof out);
    add_half(stream, out, len + 1);
}

static void half_of_signatures(struct bytes *stream) {
    add_half(stream, "\xB3", 1);
}

static void large(struct bytes *stream) {
    static const uint8_t content[LARGE_BYTES];
    add_packet(stream, &(struct mux_packet){.file_name = mux_span_text("f"),
                                            .file_content = mux_span(content, sizeof content)});
}

static void middle(struct bytes *stream) {
    static const uint8_t content[3000];
    fill_packet(stream, &(struct mux_packet){.file_name = mux_span_text("f"),
                                             .file_content = mux_span(content, sizeof content)});
}

const struct stream cost_streams[] = {
    {"good 100 B packets", good, RECEIVE_BYTES},
    {"good 8 B packets", good_8, RECEIVE_BYTES},
    {"good 16 B, routed", good_16_routed, RECEIVE_BYTES},
    {"bad CRC, 8 B", broken_8, RECEIVE_BYTES},
    {"bad CRC, 20 B", broken_20, RECEIVE_BYTES},
    {"bad CRC, 100 B", broken_100, RECEIVE_BYTES},
    {"bad CRC, all lengths", broken_all_lengths, RECEIVE_BYTES},
    {"malformed, 10 B", malformed_10, RECEIVE_BYTES},
    {"chatter byte, good 8 B", byte_and_good_8, RECEIVE_BYTES},
    {"chatter byte, bad CRC 8 B", byte_and_broken_8, RECEIVE_BYTES},
    {"0xB3 storm", signatures, RECEIVE_BYTES},
    {"half headers", half_headers, RECEIVE_BYTES},
    {"insane lengths", insane_lengths, RECEIVE_BYTES},
    {"refuted at the last field", refuted_late, RECEIVE_BYTES},
    {"refuted at the first field", refuted_early, RECEIVE_BYTES},
    {"refuted far behind", refuted_far, RECEIVE_BYTES},
    {"good 100 B packets by 100", good, 100},
    {"refuted far, by 100", refuted_far, 100},
    {"refuted at the last, by 100", refuted_late, 100},
    {"newlines", newlines, RECEIVE_BYTES},
    {"chatter, no newline", letters, RECEIVE_BYTES},
    {"lines of 1 byte", short_lines, RECEIVE_BYTES},
    {"lines not UTF-8", not_utf8, RECEIVE_BYTES},
    {"2 byte characters of 0xB3", two_byte_characters, RECEIVE_BYTES},
    {"broken characters of 0xB3", broken_characters, RECEIVE_BYTES},
    {"empty tags", empty_tags, RECEIVE_BYTES},
    {"1 byte tags", short_tags, RECEIVE_BYTES},
    {"test id of 2 byte chars", two_byte_id, RECEIVE_BYTES},
    {"test id of mixed chars", mixed_id, RECEIVE_BYTES},
    {"route of 4000 B", long_route, RECEIVE_BYTES},
    {"route of 4000 slashes", many_segments, RECEIVE_BYTES},
    {"tests begin and end", tests, RECEIVE_BYTES},
    {"tests without end", endless_tests, RECEIVE_BYTES},
    {"good 100 B packets by 1024", good, 1024},
    {"half packet of bad ones", half_of_broken, 1024},
    {"half packet of good ones", half_of_good, 1024},
    {"half packet of 0xB3", half_of_signatures, 1024},
    {"4 MB packets", large, RECEIVE_BYTES},
    {"3 KB packets by 1024", middle, 1024},
    {"good 100 B packets by 1", good, 1},
    {"chatter by 1", letters, 1},
    {"newlines by 1", newlines, 1},
    {"bad CRC, 8 B, by 1", broken_8, 1},
    {"0xB3 storm by 1", signatures, 1},
    {NULL, NULL, 0},
};
