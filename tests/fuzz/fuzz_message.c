/*
 * The messages of leaf and end: any packet is an ordinary one, is refused with a reason, or gives a
 * message that can be written again and reads back unchanged.
 *
 * Input: mode, the content or the whole packet.
 */
#include "tests/fuzz/fuzz.h"

#include "mux/node/message.h"

#include <stdlib.h>

#define MODE_PACKET 4 /* a packet, not the content of the message with this number */

static uint8_t out[MUX_MESSAGE_PACKET_BYTES];

static struct mux_packet parsed(size_t len, enum mux_message_kind kind) {
    struct mux_packet packet;
    assert(len <= sizeof out && mux_packet_verify(mux_span(out, len)));
    assert(mux_packet_parse(mux_span(out, len), &packet, NULL) == MUX_OK);
    assert(mux_message_kind(&packet) == kind);
    return packet;
}

static const char *check_where(const struct mux_packet *packet) {
    struct mux_where where, again;
    const char *why = mux_where_read(packet, &where);
    if (why)
        return why;
    struct mux_packet copy = parsed(mux_where_write(&where, packet->route, out), MUX_MESSAGE_WHERE);
    assert(mux_where_read(&copy, &again) == NULL && same_span(copy.route, packet->route));
    assert(memcmp(where.stream, again.stream, sizeof where.stream) == 0);
    assert(where.epoch == again.epoch && where.base == again.base && where.crc == again.crc &&
           where.is_final == again.is_final && where.len_bytes == again.len_bytes);
    return NULL;
}

static const char *check_ack(const struct mux_packet *packet) {
    struct mux_ack ack, again;
    const char *why = mux_ack_read(packet, &ack);
    if (why)
        return why;
    struct mux_packet copy = parsed(mux_ack_write(&ack, packet->route, out), MUX_MESSAGE_ACK);
    assert(mux_ack_read(&copy, &again) == NULL && same_span(copy.route, packet->route));
    assert(memcmp(ack.stream, again.stream, sizeof ack.stream) == 0);
    assert(memcmp(ack.end, again.end, sizeof ack.end) == 0);
    assert(ack.epoch == again.epoch && ack.at == again.at && ack.safe == again.safe &&
           ack.crc == again.crc && ack.safe <= ack.at);
    return NULL;
}

static const char *check_ask(const struct mux_packet *packet) {
    struct mux_ask ask, again;
    const char *why = mux_ask_read(packet, &ask);
    if (why)
        return why;
    struct mux_packet copy = parsed(mux_ask_write(&ask, packet->route, out), MUX_MESSAGE_ASK);
    assert(mux_ask_read(&copy, &again) == NULL && ask.has_stream == again.has_stream);
    assert(memcmp(ask.stream, again.stream, sizeof ask.stream) == 0);
    return NULL;
}

static const char *check(const struct mux_packet *packet) {
    struct mux_bundle bundle;
    enum mux_message_kind kind = mux_message_kind(packet);
    switch (kind) {
    case MUX_MESSAGE_NONE:
        return NULL;
    case MUX_MESSAGE_WHERE:
        return check_where(packet);
    case MUX_MESSAGE_ACK:
        return check_ack(packet);
    case MUX_MESSAGE_ASK:
        return check_ask(packet);
    case MUX_MESSAGE_LOST:
        return mux_lost_read(packet);
    case MUX_MESSAGE_BEAT:
        return mux_beat_read(packet);
    case MUX_MESSAGE_BUNDLE:
        assert(mux_bundle_is(packet));
        return mux_bundle_read(packet, &bundle);
    }
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const files[] = {"muxd.where", "muxd.ack", "muxd.ask", "muxd.lost"};
    struct script script = {mux_span(data, size)};
    uint8_t mode = script_byte(&script);
    uint8_t *copy = copy_of(script.rest);
    struct mux_span bytes = mux_span(copy, script.rest.len);
    struct mux_packet packet = {.runnable = true,
                                .eof = true,
                                .file_name = mux_span_text(files[mode % 4]),
                                .file_content = bytes};
    if (!(mode & MODE_PACKET) || mux_packet_parse(bytes, &packet, NULL) == MUX_OK) {
        const char *why = check(&packet);
        assert(!why || *why);
    }
    free(copy);
    return 0;
}
