#include "mux/report.h"

#define TEXT_MIME "text/plain;charset=utf8"

/*
 * Most damaged bytes in one packet: what is left of the largest when test id, names, mime and the
 * longest route are in it.
 */
#define DAMAGE_PACKET_BYTES (MUX_PACKET_MAX_BYTES - MUX_REPORT_ROUTE_MAX_BYTES - 256)

static void gather(const struct mux_packet *packet, struct mux_pieces *pieces) {
    assert(packet->route.len <= MUX_REPORT_ROUTE_MAX_BYTES);
    enum mux_error error = mux_packet_gather(packet, pieces);
    assert(!error);
    (void)error;
}

void mux_report_chatter(struct mux_span bytes, struct mux_span route, struct mux_pieces *pieces) {
    assert(bytes.len <= MUX_REPORT_CHATTER_MAX_BYTES);
    struct mux_packet packet = {
        .runnable = true,
        .file_name = mux_span_text("stdout"),
        .file_content = bytes,
        .route = route,
    };
    gather(&packet, pieces);
}

static void damaged_bytes(struct mux_span bytes, bool last, struct mux_span route,
                          struct mux_pieces *pieces) {
    struct mux_packet packet = {
        .test_id = mux_span_text("subunit.parser"),
        .runnable = true,
        .eof = last,
        .mime = mux_span_text("application/octet-stream"),
        .file_name = mux_span_text("Packet data"),
        .file_content = bytes,
        .route = route,
    };
    gather(&packet, pieces);
}

unsigned mux_report_damage(struct mux_span bytes, enum mux_error why, struct mux_span route,
                           struct mux_pieces pieces[MUX_REPORT_DAMAGE_PACKETS]) {
    unsigned count = 0;
    if (bytes.len > DAMAGE_PACKET_BYTES) {
        damaged_bytes(mux_span(bytes.data, DAMAGE_PACKET_BYTES), false, route, &pieces[count++]);
        bytes = mux_span(bytes.data + DAMAGE_PACKET_BYTES, bytes.len - DAMAGE_PACKET_BYTES);
    }
    damaged_bytes(bytes, true, route, &pieces[count++]);
    struct mux_packet packet = {
        .test_id = mux_span_text("subunit.parser"),
        .status = MUX_STATUS_FAIL,
        .runnable = true,
        .eof = true,
        .mime = mux_span_text(TEXT_MIME),
        .file_name = mux_span_text("Parser Error"),
        .file_content = mux_span_text(mux_error_text(why)),
        .route = route,
    };
    gather(&packet, &pieces[count++]);
    return count;
}

void mux_report_message(enum mux_status status, struct mux_span reason, struct mux_span test_id,
                        struct mux_span route, struct mux_pieces *pieces) {
    struct mux_packet packet = {
        .test_id = test_id,
        .status = status,
        .runnable = true,
        .eof = true,
        .mime = mux_span_text(TEXT_MIME),
        .file_name = mux_span_text("muxd"),
        .file_content = reason,
        .route = route,
    };
    gather(&packet, pieces);
}
