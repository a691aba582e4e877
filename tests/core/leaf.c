#include "tests/core/leaf.h"

#include "mux/packet/crc.h"

#include <stdio.h>

struct mux_link *leaf_relay;

struct leaf leaf;

uint8_t leaf_content[1 << 20];
size_t leaf_content_bytes;

static struct mux_span route_of(const char *path) {
    return path ? mux_span_text(path) : mux_span(NULL, 0);
}

void leaf_where(const struct leaf *from, uint64_t final_bytes) {
    uint8_t bytes[MUX_MESSAGE_PACKET_BYTES];
    struct mux_where where = {.stream = {from->id},
                              .epoch = from->epoch,
                              .base = from->offset,
                              .crc = from->crc,
                              .is_final = final_bytes > 0,
                              .len_bytes = final_bytes};
    rig_give(leaf_relay, bytes, mux_where_write(&where, route_of(from->path), bytes));
}

void leaf_lost(const char *path) {
    uint8_t bytes[MUX_MESSAGE_PACKET_BYTES];
    rig_give(leaf_relay, bytes, mux_lost_write(mux_span_text(path), bytes));
}

void leaf_add(size_t file_bytes, const char *route, unsigned number, enum mux_status status) {
    static uint8_t zeros[1 << 20];
    char id[16];
    size_t len;
    snprintf(id, sizeof id, "t%u", number);
    struct mux_packet packet = {
        .test_id = mux_span_text(id), .status = status, .route = route_of(route)};
    if (file_bytes > 0) {
        packet.file_name = mux_span_text("f");
        packet.file_content = mux_span(zeros, file_bytes);
    }
    assert_int_equal(mux_packet_encode(&packet, leaf_content + leaf_content_bytes,
                                       sizeof leaf_content - leaf_content_bytes, &len),
                     MUX_OK);
    leaf_content_bytes += len;
}

void leaf_bundle(struct leaf *from, bool goes_on) {
    static uint8_t bytes[RIG_PACKET_BYTES];
    char mime[128];
    size_t len;
    snprintf(mime, sizeof mime, "application/x-muxd-bundle;s=%02x%030d;e=%08x;o=%016llx;c=%08x",
             from->id, 0, from->epoch, (unsigned long long)from->offset, from->crc);
    struct mux_packet packet = {.runnable = true,
                                .eof = true,
                                .mime = mux_span_text(mime),
                                .file_name = mux_span_text("muxd.bundle"),
                                .file_content = mux_span(leaf_content, leaf_content_bytes),
                                .route = route_of(from->path)};
    assert_int_equal(mux_packet_encode(&packet, bytes, sizeof bytes, &len), MUX_OK);
    rig_give(leaf_relay, bytes, len);
    if (goes_on) {
        from->crc = mux_crc_concat(from->crc, mux_crc(0, packet.file_content), leaf_content_bytes);
        from->offset += leaf_content_bytes;
    }
    leaf_content_bytes = 0;
}

int leaf_open_end(void **state) {
    leaf_content_bytes = 0;
    leaf = (struct leaf){.id = 7, .path = "3", .epoch = 1};
    if (rig_open_as_end(state))
        return 1;
    leaf_relay = rig_connect();
    return !rig_say_hello(leaf_relay, "a1", true).takes_bundles;
}

struct mux_packet leaf_read_down(enum mux_message_kind kind) {
    struct mux_packet packet;
    size_t len = rig_read_down(leaf_relay);
    assert_true(len > 0);
    assert_int_equal(mux_packet_parse(mux_span(rig_down, len), &packet, NULL), MUX_OK);
    assert_int_equal(mux_message_kind(&packet), kind);
    return packet;
}

struct mux_ack leaf_read_ack(void) {
    struct mux_packet packet = leaf_read_down(MUX_MESSAGE_ACK);
    struct mux_ack ack;
    assert_null(mux_ack_read(&packet, &ack));
    assert_true(mux_span_equal(packet.route, route_of(leaf.path)));
    return ack;
}

void leaf_wait(void) {
    for (unsigned i = 0; i < 10; i++)
        rig_run(now_ns + SECOND_NS / 10);
}

void leaf_open_stream(void) {
    leaf_where(&leaf, 0);
    assert_int_equal(leaf_read_ack().at, leaf.offset);
}
