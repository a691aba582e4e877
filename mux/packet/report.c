#include "report.h"
#include "bundle.h"
#include "pieces_internal.h"

#define TEXT_MIME "text/plain;charset=utf8"

/*
 * Most damaged bytes in one packet: what remains of the largest one in a bundle beside test id,
 * names, mime and the longest route.
 */
#define DAMAGE_PACKET_BYTES (MUX_BUNDLE_CONTENT_MAX_BYTES - MUX_REPORT_ROUTE_MAX_BYTES - 256)

_Static_assert(2 * DAMAGE_PACKET_BYTES >= MUX_PACKET_MAX_BYTES, "two packets take all damage");
_Static_assert(MUX_REPORT_CHATTER_MAX_BYTES <= DAMAGE_PACKET_BYTES, "one packet takes chatter");

/*
 * The fields of reports that floods of damage and chatter provoke, in wire form, each with its
 * length in front (octal): one piece instead of six.
 */
#define DATA_FIELDS "\016" MUX_REPORT_PARSER_ID "\030application/octet-stream\013Packet data"
#define ERROR_FIELDS "\016" MUX_REPORT_PARSER_ID "\027" TEXT_MIME "\014Parser Error"
_Static_assert(sizeof MUX_REPORT_PARSER_ID - 1 == 016, "its length stands in front of it");
static const char *const chatter_fields[] = {
    [MUX_REPORT_STDOUT] = "\006stdout",
    [MUX_REPORT_STDERR] = "\006stderr",
};

/*
 * A packet of these fields, the content of the file that they name last, and a route if it has
 * data.
 */
static void gather_event(unsigned flags, struct mux_span fields, struct mux_span content,
                         struct mux_span route, struct mux_pieces *pieces) {
    assert(route.len <= MUX_REPORT_ROUTE_MAX_BYTES);
    size_t route_bytes = mux_route_field_bytes(route, mux_span(NULL, 0));
    size_t length = mux_length_with_varint(3 + fields.len + mux_varint_bytes(content.len) +
                                           content.len + route_bytes + MUX_CRC_BYTES);
    flags |= MUX_FLAG_VERSION_2 | MUX_FLAG_RUNNABLE | MUX_FLAG_FILE;
    flags |= route.data ? MUX_FLAG_ROUTE : 0;
    assert(length <= MUX_PACKET_MAX_BYTES);
    mux_pieces_add_head(pieces, mux_head_of(flags, length), length);
    mux_pieces_add_span(pieces, fields);
    mux_pieces_add_varint(pieces, content.len);
    mux_pieces_add_span(pieces, content);
    mux_pieces_add_route(pieces, route, mux_span(NULL, 0));
    mux_pieces_seal(pieces);
    assert(pieces->len_bytes == length);
}

void mux_report_chatter(enum mux_report_stream stream, struct mux_span bytes, struct mux_span route,
                        struct mux_pieces *pieces) {
    assert(bytes.len <= MUX_REPORT_CHATTER_MAX_BYTES);
    gather_event(0, mux_span_text(chatter_fields[stream]), bytes, route, pieces);
}

static void damaged_bytes(struct mux_span bytes, unsigned eof, struct mux_span route,
                          struct mux_pieces *pieces) {
    gather_event(MUX_FLAG_TEST_ID | MUX_FLAG_MIME | eof, mux_span_text(DATA_FIELDS), bytes, route,
                 pieces);
}

unsigned mux_report_damage(struct mux_span bytes, enum mux_error why, struct mux_span route,
                           struct mux_pieces pieces[MUX_REPORT_DAMAGE_PACKETS]) {
    unsigned count = 0;
    if (bytes.len > DAMAGE_PACKET_BYTES) {
        damaged_bytes(mux_span(bytes.data, DAMAGE_PACKET_BYTES), 0, route, &pieces[count++]);
        bytes = mux_span(bytes.data + DAMAGE_PACKET_BYTES, bytes.len - DAMAGE_PACKET_BYTES);
    }
    damaged_bytes(bytes, MUX_FLAG_EOF, route, &pieces[count++]);
    gather_event(MUX_FLAG_TEST_ID | MUX_FLAG_MIME | MUX_FLAG_EOF | MUX_STATUS_FAIL,
                 mux_span_text(ERROR_FIELDS), mux_span_text(mux_error_text(why)), route,
                 &pieces[count++]);
    return count;
}

bool mux_report_is_own_file(struct mux_span name) {
    const struct mux_span message = mux_span_text(MUX_REPORT_MESSAGE_FILE);
    return name.len >= message.len && memcmp(name.data, message.data, message.len) == 0 &&
           (name.len == message.len || name.data[message.len] == '.');
}

void mux_report_message_event(enum mux_status status, struct mux_span reason,
                              struct mux_span test_id, struct mux_span route,
                              struct mux_packet *packet) {
    *packet = (struct mux_packet){
        .test_id = test_id,
        .status = status,
        .runnable = true,
        .eof = true,
        .mime = mux_span_text(TEXT_MIME),
        .file_name = mux_span_text(MUX_REPORT_MESSAGE_FILE),
        .file_content = reason,
        .route = route,
    };
}

void mux_report_message(enum mux_status status, struct mux_span reason, struct mux_span test_id,
                        struct mux_span route, struct mux_pieces *pieces) {
    struct mux_packet packet;
    mux_report_message_event(status, reason, test_id, route, &packet);
    enum mux_error error = mux_packet_gather(&packet, pieces);
    assert(!error);
    (void)error;
}

/*
 * ---- as fields ----
 */

void mux_report_chatter_event(enum mux_report_stream stream, struct mux_span bytes,
                              struct mux_packet *packet) {
    *packet = (struct mux_packet){
        .runnable = true,
        .file_name = mux_span_text(stream == MUX_REPORT_STDERR ? "stderr" : "stdout"),
        .file_content = bytes,
    };
}

static struct mux_packet parser_event(const char *mime, const char *name, struct mux_span content) {
    return (struct mux_packet){
        .test_id = mux_span_text(MUX_REPORT_PARSER_ID),
        .runnable = true,
        .eof = true,
        .mime = mux_span_text(mime),
        .file_name = mux_span_text(name),
        .file_content = content,
    };
}

void mux_report_damage_events(struct mux_span bytes, enum mux_error why,
                              struct mux_packet packets[MUX_REPORT_DAMAGE_EVENTS]) {
    packets[0] = parser_event("application/octet-stream", "Packet data", bytes);
    packets[1] = parser_event(TEXT_MIME, "Parser Error", mux_span_text(mux_error_text(why)));
    packets[1].status = MUX_STATUS_FAIL;
}
