/* Packets that a node makes itself: read back, they are as the oracle's rules 6 and 7 demand. */
#include "mux/packet/report.h"
#include "tests/unit/check.h"
#include "tests/unit/wire.h"

static uint8_t *content_bytes; /* MUX_PACKET_MAX_BYTES of them */

/* A report read back. The caller frees wire.data. */
struct read_back {
    struct wire wire;
    struct mux_packet packet;
};

static struct read_back read_back(const struct mux_pieces *pieces) {
    struct read_back result = {.wire = {0}};
    for (size_t i = 0; i < pieces->count; i++)
        wire_bytes(&result.wire, pieces->piece[i].data, pieces->piece[i].len);
    assert_true(result.wire.len <= MUX_PACKET_MAX_BYTES);
    assert_true(mux_packet_verify(wire_span(&result.wire)));
    assert_int_equal(mux_packet_parse(wire_span(&result.wire), &result.packet, NULL), MUX_OK);
    assert_true(result.packet.runnable);
    assert_false(result.packet.has_timestamp || result.packet.has_tags);
    return result;
}

static struct mux_span routes(size_t i) {
    static const size_t lengths[] = {0, 1, 7, MUX_REPORT_ROUTE_MAX_BYTES};
    return i == 0 ? mux_span(NULL, 0) : mux_span(content_bytes, lengths[i]);
}

#define ROUTES 4

static void chatter(void **state) {
    (void)state;
    static const size_t lengths[] = {1, 2, 53, 54, 1024, 65536, MUX_REPORT_CHATTER_MAX_BYTES};
    for (size_t i = 0; i < COUNT(lengths) * ROUTES; i++) {
        struct mux_span bytes = mux_span(content_bytes, lengths[i / ROUTES]);
        struct mux_pieces pieces;
        mux_report_chatter(MUX_REPORT_STDOUT, bytes, routes(i % ROUTES), &pieces);
        struct read_back back = read_back(&pieces);
        assert_null(back.packet.test_id.data);
        assert_null(back.packet.mime.data);
        assert_int_equal(back.packet.status, MUX_STATUS_NONE);
        assert_false(back.packet.eof);
        assert_same_field(back.packet.file_name, mux_span_text("stdout"));
        assert_same_field(back.packet.file_content, bytes);
        assert_same_field(back.packet.route, routes(i % ROUTES));
        wire_free(&back.wire);
    }
}

static void assert_parser_event(const struct mux_packet *packet, const char *file_name,
                                const char *mime, struct mux_span route) {
    assert_same_field(packet->test_id, mux_span_text("subunit.parser"));
    assert_same_field(packet->file_name, mux_span_text(file_name));
    assert_same_field(packet->mime, mux_span_text(mime));
    assert_same_field(packet->route, route);
}

static void check_damage(size_t len, enum mux_error why, struct mux_span route) {
    struct mux_pieces pieces[MUX_REPORT_DAMAGE_PACKETS];
    unsigned count = mux_report_damage(mux_span(content_bytes, len), why, route, pieces);
    struct wire content = {0};
    assert_in_range(count, 2, MUX_REPORT_DAMAGE_PACKETS);
    for (unsigned i = 0; i < count - 1; i++) {
        struct read_back back = read_back(&pieces[i]);
        assert_parser_event(&back.packet, "Packet data", "application/octet-stream", route);
        assert_int_equal(back.packet.status, MUX_STATUS_NONE);
        assert_int_equal(back.packet.eof, i == count - 2);
        wire_bytes(&content, back.packet.file_content.data, back.packet.file_content.len);
        wire_free(&back.wire);
    }
    assert_true(mux_span_equal(wire_span(&content), mux_span(content_bytes, len)));
    struct read_back back = read_back(&pieces[count - 1]);
    assert_parser_event(&back.packet, "Parser Error", "text/plain;charset=utf8", route);
    assert_int_equal(back.packet.status, MUX_STATUS_FAIL);
    assert_true(back.packet.eof);
    assert_same_field(back.packet.file_content, mux_span_text(mux_error_text(why)));
    wire_free(&back.wire);
    wire_free(&content);
}

static void damage(void **state) {
    (void)state;
    for (int why = MUX_ERROR_SHORT_HEADER; why <= MUX_ERROR_ABANDONED; why++)
        check_damage(1 + (size_t)why, (enum mux_error)why, routes((size_t)why % ROUTES));
}

/* From the damage that one packet can carry to the greatest damage. */
static void large_damage(void **state) {
    (void)state;
    for (size_t i = 0; i < ROUTES; i++) {
        check_damage(MUX_PACKET_MAX_BYTES, MUX_ERROR_CRC, routes(i));
        check_damage(MUX_PACKET_MAX_BYTES - MUX_REPORT_ROUTE_MAX_BYTES, MUX_ERROR_CRC, routes(i));
        for (size_t less = 250; less < 262; less++)
            check_damage(MUX_PACKET_MAX_BYTES - MUX_REPORT_ROUTE_MAX_BYTES - less, MUX_ERROR_CRC,
                         routes(i));
    }
}

static void message(void **state) {
    (void)state;
    for (size_t i = 0; i < ROUTES; i++) {
        struct mux_span reason = mux_span_text("no link 12: \xC3\xA9");
        struct mux_pieces pieces;
        mux_report_message(MUX_STATUS_FAIL, reason, mux_span(NULL, 0), routes(i), &pieces);
        struct read_back back = read_back(&pieces);
        assert_null(back.packet.test_id.data);
        assert_int_equal(back.packet.status, MUX_STATUS_FAIL);
        assert_same_field(back.packet.file_name, mux_span_text("muxd"));
        assert_same_field(back.packet.mime, mux_span_text("text/plain;charset=utf8"));
        assert_same_field(back.packet.file_content, reason);
        assert_same_field(back.packet.route, routes(i));
        wire_free(&back.wire);
    }
}

static void assert_same_bytes(const struct mux_packet *event, struct mux_span route,
                              const struct mux_pieces *pieces) {
    struct mux_packet routed = *event;
    struct mux_pieces mine;
    routed.route = route;
    assert_int_equal(mux_packet_gather(&routed, &mine), MUX_OK);
    struct read_back a = read_back(&mine), b = read_back(pieces);
    assert_true(mux_span_equal(wire_span(&a.wire), wire_span(&b.wire)));
    wire_free(&a.wire);
    wire_free(&b.wire);
}

/* The reports as fields are the same packets. */
static void events(void **state) {
    (void)state;
    struct mux_span bytes = mux_span(content_bytes, 1000);
    for (size_t i = 0; i < ROUTES; i++) {
        struct mux_packet event[MUX_REPORT_DAMAGE_EVENTS];
        struct mux_pieces pieces[MUX_REPORT_DAMAGE_PACKETS];
        for (int stream = MUX_REPORT_STDOUT; stream <= MUX_REPORT_STDERR; stream++) {
            mux_report_chatter(stream, bytes, routes(i), pieces);
            mux_report_chatter_event(stream, bytes, event);
            assert_same_bytes(event, routes(i), pieces);
        }
        assert_int_equal(mux_report_damage(bytes, MUX_ERROR_CRC, routes(i), pieces), 2);
        mux_report_damage_events(bytes, MUX_ERROR_CRC, event);
        for (unsigned part = 0; part < 2; part++)
            assert_same_bytes(&event[part], routes(i), &pieces[part]);
    }
}

static int setup(void **state) {
    (void)state;
    content_bytes = malloc(MUX_PACKET_MAX_BYTES);
    assert_non_null(content_bytes);
    for (size_t i = 0; i < MUX_PACKET_MAX_BYTES; i++)
        content_bytes[i] = (uint8_t)('a' + i * 31 % 26);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    free(content_bytes);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chatter), cmocka_unit_test(damage), cmocka_unit_test(large_damage),
        cmocka_unit_test(message), cmocka_unit_test(events),
    };
    return cmocka_run_group_tests_name("report", tests, setup, teardown);
}
