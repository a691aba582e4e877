#include "mux/node/message.h"
#include "mux/node/lines.h"
#include "mux/packet/hex.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const files[] = {
    [MUX_MESSAGE_WHERE] = "muxd.where", [MUX_MESSAGE_BUNDLE] = "muxd.bundle",
    [MUX_MESSAGE_LOST] = "muxd.lost",   [MUX_MESSAGE_ACK] = "muxd.ack",
    [MUX_MESSAGE_ASK] = "muxd.ask",     [MUX_MESSAGE_BEAT] = "muxd.beat",
};
#define KINDS (sizeof files / sizeof *files)

enum { ID_DIGITS = 2 * MUX_STREAM_ID_BYTES, CRC_DIGITS = 8 };

enum mux_message_kind mux_message_kind(const struct mux_packet *packet) {
    const struct mux_span name = packet->file_name;
    if (packet->test_id.data || name.len < 5 || memcmp(name.data, "muxd.", 5) != 0)
        return MUX_MESSAGE_NONE;
    for (unsigned kind = MUX_MESSAGE_WHERE; kind < KINDS; kind++)
        if (mux_span_equal(name, mux_span_text(files[kind])))
            return (enum mux_message_kind)kind;
    return MUX_MESSAGE_NONE;
}

bool mux_message_goes_up(enum mux_message_kind kind) {
    return kind == MUX_MESSAGE_WHERE || kind == MUX_MESSAGE_BUNDLE || kind == MUX_MESSAGE_LOST;
}

static size_t write_message(enum mux_message_kind kind, const char *content, size_t len,
                            struct mux_span route, uint8_t out[MUX_MESSAGE_PACKET_BYTES]) {
    struct mux_packet packet = {
        .runnable = true,
        .eof = true,
        .file_name = mux_span_text(files[kind]),
        .file_content = mux_span(content, len),
        .route = route,
    };
    assert(len <= MUX_MESSAGE_CONTENT_BYTES && route.len <= MUX_BUNDLE_ROUTE_MAX_BYTES);
    enum mux_error error = mux_packet_encode(&packet, out, MUX_MESSAGE_PACKET_BYTES, &len);
    assert(!error);
    (void)error;
    return len;
}

static const char *id_text(const uint8_t id[MUX_STREAM_ID_BYTES], char text[ID_DIGITS + 1]) {
    *mux_hex_write_bytes(text, id, MUX_STREAM_ID_BYTES) = '\0';
    return text;
}

size_t mux_where_write(const struct mux_where *where, struct mux_span route,
                       uint8_t out[MUX_MESSAGE_PACKET_BYTES]) {
    char content[MUX_MESSAGE_CONTENT_BYTES], id[ID_DIGITS + 1];
    size_t len =
        (size_t)snprintf(content, sizeof content,
                         "stream=%s\nepoch=%" PRIu32 "\nbase=%" PRIu64 "\ncrc=%08" PRIx32 "\n",
                         id_text(where->stream, id), where->epoch, where->base, where->crc);
    if (where->is_final)
        len += (size_t)snprintf(content + len, sizeof content - len, "final=%" PRIu64 "\n",
                                where->len_bytes);
    return write_message(MUX_MESSAGE_WHERE, content, len, route, out);
}

size_t mux_ack_write(const struct mux_ack *ack, struct mux_span route,
                     uint8_t out[MUX_MESSAGE_PACKET_BYTES]) {
    char content[MUX_MESSAGE_CONTENT_BYTES], id[ID_DIGITS + 1], end[ID_DIGITS + 1];
    assert(ack->safe <= ack->at);
    int len = snprintf(content, sizeof content,
                       "stream=%s\nepoch=%" PRIu32 "\nat=%" PRIu64 "\nsafe=%" PRIu64
                       "\ncrc=%08" PRIx32 "\nend=%s\n",
                       id_text(ack->stream, id), ack->epoch, ack->at, ack->safe, ack->crc,
                       id_text(ack->end, end));
    return write_message(MUX_MESSAGE_ACK, content, (size_t)len, route, out);
}

size_t mux_ask_write(const struct mux_ask *ask, struct mux_span route,
                     uint8_t out[MUX_MESSAGE_PACKET_BYTES]) {
    char content[MUX_MESSAGE_CONTENT_BYTES], id[ID_DIGITS + 1];
    int len = 0;
    if (ask->has_stream)
        len = snprintf(content, sizeof content, "stream=%s\n", id_text(ask->stream, id));
    return write_message(MUX_MESSAGE_ASK, content, (size_t)len, route, out);
}

size_t mux_lost_write(struct mux_span route, uint8_t out[MUX_MESSAGE_PACKET_BYTES]) {
    return write_message(MUX_MESSAGE_LOST, "", 0, route, out);
}

size_t mux_beat_write(uint8_t out[MUX_MESSAGE_BEAT_BYTES]) {
    uint8_t bytes[MUX_MESSAGE_PACKET_BYTES];
    size_t len = write_message(MUX_MESSAGE_BEAT, "", 0, mux_span(NULL, 0), bytes);
    assert(len == MUX_MESSAGE_BEAT_BYTES);
    memcpy(out, bytes, len);
    return len;
}

/* What all of them have in common. */
static const char *read_common(const struct mux_packet *packet, struct mux_line *lines,
                               unsigned count) {
    if (packet->status || packet->has_timestamp || packet->has_tags || !packet->runnable ||
        !packet->eof)
        return "its message is malformed: it is more than a whole file";
    if (packet->route.len > MUX_BUNDLE_ROUTE_MAX_BYTES)
        return "its message is malformed: its route code is too long";
    if (packet->file_content.len > MUX_MESSAGE_CONTENT_BYTES)
        return "its message is malformed: it is too long";
    if (!mux_lines_read(packet->file_content, lines, count))
        return "its message is malformed: a key stands in it twice";
    return NULL;
}

static bool read_id(struct mux_span text, uint8_t id[MUX_STREAM_ID_BYTES]) {
    return text.len == ID_DIGITS && mux_hex_read_bytes(text.data, id, MUX_STREAM_ID_BYTES);
}

static bool read_crc(struct mux_span text, uint32_t *crc) {
    uint64_t number;
    if (text.len != CRC_DIGITS || !mux_hex_read(text.data, CRC_DIGITS, &number))
        return false;
    *crc = (uint32_t)number;
    return true;
}

static bool read_epoch(struct mux_span text, uint32_t *epoch) {
    uint64_t number;
    bool fine = mux_lines_number(text, UINT32_MAX, &number);
    *epoch = (uint32_t)number;
    return fine;
}

static bool read_offset(struct mux_span text, uint64_t *offset) {
    return mux_lines_number(text, MUX_STREAM_BYTES_MAX - 1, offset);
}

static const char bad_stream[] =
    "its message is malformed: its stream is missing or not 32 hexadecimal digits";
static const char bad_epoch[] = "its message is malformed: its epoch is missing or out of range";
static const char bad_crc[] =
    "its message is malformed: its crc is missing or not 8 hexadecimal digits";

const char *mux_where_read(const struct mux_packet *packet, struct mux_where *where) {
    enum { STREAM, EPOCH, BASE, CRC, FINAL, COUNT };
    struct mux_line lines[COUNT] = {
        [STREAM] = MUX_LINE("stream"), [EPOCH] = MUX_LINE("epoch"), [BASE] = MUX_LINE("base"),
        [CRC] = MUX_LINE("crc"),       [FINAL] = MUX_LINE("final"),
    };
    *where = (struct mux_where){0};
    const char *why = read_common(packet, lines, COUNT);
    if (why)
        return why;
    if (!read_id(lines[STREAM].value, where->stream))
        return bad_stream;
    if (!read_epoch(lines[EPOCH].value, &where->epoch))
        return bad_epoch;
    if (!read_offset(lines[BASE].value, &where->base))
        return "its message is malformed: its base is missing or out of range";
    if (!read_crc(lines[CRC].value, &where->crc))
        return bad_crc;
    where->is_final = lines[FINAL].value.data != NULL;
    if (where->is_final &&
        (!read_offset(lines[FINAL].value, &where->len_bytes) || where->len_bytes < where->base))
        return "its message is malformed: its final is out of range";
    return NULL;
}

const char *mux_ack_read(const struct mux_packet *packet, struct mux_ack *ack) {
    enum { STREAM, EPOCH, AT, SAFE, CRC, END, COUNT };
    struct mux_line lines[COUNT] = {
        [STREAM] = MUX_LINE("stream"), [EPOCH] = MUX_LINE("epoch"), [AT] = MUX_LINE("at"),
        [SAFE] = MUX_LINE("safe"),     [CRC] = MUX_LINE("crc"),     [END] = MUX_LINE("end"),
    };
    *ack = (struct mux_ack){0};
    const char *why = read_common(packet, lines, COUNT);
    if (why)
        return why;
    if (!read_id(lines[STREAM].value, ack->stream))
        return bad_stream;
    if (!read_epoch(lines[EPOCH].value, &ack->epoch))
        return bad_epoch;
    if (!read_offset(lines[AT].value, &ack->at))
        return "its message is malformed: its at is missing or out of range";
    if (!read_offset(lines[SAFE].value, &ack->safe) || ack->safe > ack->at)
        return "its message is malformed: its safe is missing, out of range or beyond its at";
    if (!read_crc(lines[CRC].value, &ack->crc))
        return bad_crc;
    if (!read_id(lines[END].value, ack->end))
        return "its message is malformed: its end is missing or not 32 hexadecimal digits";
    return NULL;
}

const char *mux_ask_read(const struct mux_packet *packet, struct mux_ask *ask) {
    struct mux_line line = MUX_LINE("stream");
    *ask = (struct mux_ask){0};
    const char *why = read_common(packet, &line, 1);
    if (why)
        return why;
    ask->has_stream = line.value.data != NULL;
    if (!ask->has_stream && packet->route.data)
        return "its message is malformed: it goes further and names no stream";
    return ask->has_stream && !read_id(line.value, ask->stream) ? bad_stream : NULL;
}

const char *mux_lost_read(const struct mux_packet *packet) {
    return read_common(packet, NULL, 0);
}

const char *mux_beat_read(const struct mux_packet *packet) {
    if (packet->route.data)
        return "its message is malformed: a beat goes no further";
    return read_common(packet, NULL, 0);
}
