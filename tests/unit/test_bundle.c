/* Bundles: their bytes, their CRC by algebra, and what no bundle is. */
#include "check.h"
#include "wire.h"

#include "mux/packet/bundle.h"
#include "mux/packet/crc.h"

#include <stdio.h>

/* The reliable protocol's example: the packet "foo exists", at offset 12, under route 7/3. */
static const uint8_t foo[] = {0xb3, 0x29, 0x01, 0x0c, 0x03, 0x66,
                              0x6f, 0x6f, 0x08, 0x55, 0x5f, 0x1b};
static const char example[] =
    "b32570408d40656170706c69636174696f6e2f782d6d7578642d62756e646c653b733d303031313232333334343535"
    "36363737383839396161626263636464656566663b653d30303030303030313b6f3d30303030303030303030303030"
    "3030633b633d31303265306265660b6d7578642e62756e646c650cb329010c03666f6f08555f1b03372f33575dc56"
    "4";
static const struct mux_bundle place = {
    .stream = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd,
               0xee, 0xff},
    .epoch = 1,
    .offset = 12,
    .crc = 0x102e0bef,
};

static void assert_hex(struct mux_span bytes, const char *hex) {
    char *text = malloc(2 * bytes.len + 1);
    assert_non_null(text);
    for (size_t i = 0; i < bytes.len; i++)
        sprintf(text + 2 * i, "%02x", bytes.data[i]);
    assert_string_equal(text, hex);
    free(text);
}

/* The bundle of this content, in one piece that the caller frees. */
static struct mux_span wrapped(const struct mux_bundle *bundle, struct mux_span content) {
    struct mux_bundle_run run = {0};
    struct mux_bundle_wrap wrap;
    struct mux_bundle_item item;
    struct mux_span rest = content;
    while (rest.len > 0) {
        mux_bundle_next(&rest, &item);
        mux_bundle_run_add(&run, item.bytes);
    }
    assert_int_equal(run.len_bytes, content.len);
    assert_int_equal(run.crc, mux_crc(0, content));
    mux_bundle_wrap(bundle, &run, &wrap);
    size_t len = wrap.front_len_bytes + content.len + MUX_CRC_BYTES;
    uint8_t *out = malloc(len);
    assert_non_null(out);
    memcpy(out, wrap.front, wrap.front_len_bytes);
    memcpy(out + wrap.front_len_bytes, content.data, content.len);
    memcpy(out + len - MUX_CRC_BYTES, wrap.crc, MUX_CRC_BYTES);
    assert_true(mux_packet_verify(mux_span(out, len)));
    return mux_span(out, len);
}

/* A relay's work; frees what it was given. */
static struct mux_span prefixed(struct mux_span bytes, const char *segment) {
    struct mux_prefix prefix;
    struct mux_packet packet;
    struct mux_layout layout;
    struct mux_pieces pieces;
    assert_int_equal(mux_prefix_init(&prefix, mux_span_text(segment)), MUX_OK);
    assert_int_equal(mux_packet_parse(bytes, &packet, &layout), MUX_OK);
    assert_int_equal(mux_prefix_apply(&prefix, bytes, &packet, &layout, &pieces), MUX_OK);
    uint8_t *out = malloc(pieces.len_bytes);
    assert_non_null(out);
    mux_pieces_copy(&pieces, out);
    free((uint8_t *)bytes.data);
    return mux_span(out, pieces.len_bytes);
}

static void test_example(void **state) {
    (void)state;
    struct mux_span bytes = wrapped(&place, mux_span(foo, sizeof foo));
    bytes = prefixed(prefixed(bytes, "3"), "7");
    assert_hex(bytes, example);
    struct mux_packet packet;
    struct mux_bundle bundle;
    assert_int_equal(mux_packet_parse(bytes, &packet, NULL), MUX_OK);
    assert_true(mux_bundle_is(&packet));
    assert_null(mux_bundle_read(&packet, &bundle));
    assert_memory_equal(bundle.stream, place.stream, sizeof place.stream);
    assert_true(bundle.epoch == 1 && bundle.offset == 12 && bundle.crc == place.crc);
    assert_same_field(packet.file_content, mux_span(foo, sizeof foo));
    free((uint8_t *)bytes.data);
}

/* Many packets of all kinds; the CRC of all is found without a look at them. */
static void test_many(void **state) {
    (void)state;
    struct wire wire = {0};
    unsigned count = 0;
    for (unsigned i = 0; i < WIRE_VARIANTS; i += 97, count++) {
        uint8_t tags[WIRE_TAGS_BYTES];
        struct mux_packet packet = wire_variant(i, tags);
        wire_from(&wire, &packet, &(struct wire_widths){1 + i % 4, 1 + i % 3, 0});
    }
    struct mux_span bytes = wrapped(&place, wire_span(&wire)), rest;
    struct mux_packet packet;
    struct mux_bundle_item item;
    assert_int_equal(mux_packet_parse(bytes, &packet, NULL), MUX_OK);
    for (rest = packet.file_content; rest.len > 0; count--)
        assert_int_equal(mux_bundle_next(&rest, &item), MUX_OK);
    assert_int_equal(count, 0);
    free((uint8_t *)bytes.data);
    wire_free(&wire);
}

/* A packet of the largest content, with a route, is not longer than a packet may be. */
static void test_largest(void **state) {
    (void)state;
    uint8_t *content = calloc(1, MUX_BUNDLE_CONTENT_MAX_BYTES);
    assert_non_null(content);
    struct mux_packet packet = {
        .file_name = mux_span_text("f"),
        .file_content = mux_span(content, MUX_BUNDLE_CONTENT_MAX_BYTES - 15),
    };
    struct wire wire = {0};
    wire_from(&wire, &packet, &(struct wire_widths){0});
    assert_int_equal(wire.len, MUX_BUNDLE_CONTENT_MAX_BYTES);
    struct mux_span bytes = wrapped(&place, wire_span(&wire));
    assert_true(bytes.len + 2 + MUX_BUNDLE_ROUTE_MAX_BYTES <= MUX_PACKET_MAX_BYTES);
    assert_int_equal(mux_packet_parse(bytes, &packet, NULL), MUX_OK);
    struct mux_bundle bundle;
    assert_null(mux_bundle_read(&packet, &bundle));
    free((uint8_t *)bytes.data);
    wire_free(&wire);
    free(content);
}

/* Both parts of what was split fit a bundle, and have all of it. */
static void check_parts(const struct mux_pieces parts[2], struct mux_span content) {
    size_t at = 0;
    for (unsigned i = 0; i < 2; i++) {
        struct mux_packet part;
        uint8_t *out = malloc(parts[i].len_bytes);
        assert_non_null(out);
        mux_pieces_copy(&parts[i], out);
        assert_true(parts[i].len_bytes <= MUX_BUNDLE_CONTENT_MAX_BYTES);
        assert_true(mux_packet_verify(mux_span(out, parts[i].len_bytes)));
        assert_int_equal(mux_packet_parse(mux_span(out, parts[i].len_bytes), &part, NULL), MUX_OK);
        assert_int_equal(part.status, i == 0 ? MUX_STATUS_NONE : MUX_STATUS_FAIL);
        assert_same_field(part.route, mux_span_text("7/r"));
        assert_memory_equal(part.file_content.data, content.data + at, part.file_content.len);
        at += part.file_content.len;
        free(out);
    }
    assert_int_equal(at, content.len);
}

/* What is longer than a bundle may be goes as two packets; the first is as long as it may be. */
static void test_split(void **state) {
    (void)state;
    static uint8_t bytes[MUX_PACKET_MAX_BYTES];
    static const size_t beyond[] = {0, 1, 50, MUX_BUNDLE_HEAD_BYTES - 40};
    struct mux_pieces parts[2];
    struct mux_prefix prefix;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)('a' + i * 31 % 26);
    assert_int_equal(mux_prefix_init(&prefix, mux_span_text("7")), MUX_OK);
    struct mux_packet packet = {
        .status = MUX_STATUS_FAIL, .file_name = mux_span_text("f"), .route = mux_span_text("r")};
    for (unsigned i = 0; i < COUNT(beyond); i++) {
        packet.file_content = mux_span(bytes, MUX_BUNDLE_CONTENT_MAX_BYTES + beyond[i]);
        assert_int_equal(mux_bundle_split(&prefix, &packet, &parts[0], &parts[1]), MUX_OK);
        check_parts(parts, packet.file_content);
        assert_true(parts[0].len_bytes + 8 > MUX_BUNDLE_CONTENT_MAX_BYTES);
    }
    /* without enough content to split, either part is too long */
    packet.test_id = mux_span(bytes, MUX_BUNDLE_CONTENT_MAX_BYTES - 10);
    packet.file_content = mux_span(bytes, 100);
    assert_int_equal(mux_bundle_split(&prefix, &packet, &parts[0], &parts[1]), MUX_ERROR_TOO_LARGE);
    packet.test_id.len -= 100;
    packet.has_tags = true;
    packet.tag_count = 4;
    packet.tags = mux_span("\x3c"
                           "ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss"
                           "\x3c"
                           "tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt"
                           "\x00\x00",
                           124);
    assert_int_equal(mux_bundle_split(&prefix, &packet, &parts[0], &parts[1]), MUX_ERROR_TOO_LARGE);
}

static void test_damage(void **state) {
    (void)state;
    uint8_t bytes[3 * sizeof foo];
    struct mux_bundle_item item;
    for (unsigned i = 0; i < 3; i++)
        memcpy(bytes + i * sizeof foo, foo, sizeof foo);
    /* a wrong CRC: this packet alone */
    bytes[sizeof foo - 1] ^= 1;
    struct mux_span rest = mux_span(bytes, sizeof bytes);
    assert_int_equal(mux_bundle_next(&rest, &item), MUX_ERROR_CRC);
    assert_int_equal(item.bytes.len, sizeof foo);
    assert_int_equal(mux_bundle_next(&rest, &item), MUX_OK);
    /* no packet: all that is left */
    bytes[2 * sizeof foo] = 'x';
    assert_int_equal(mux_bundle_next(&rest, &item), MUX_ERROR_HEADER);
    assert_int_equal(item.bytes.len, sizeof foo);
    assert_int_equal(rest.len, 0);
    /* cut off */
    rest = mux_span(bytes + sizeof foo, sizeof foo - 1);
    assert_int_equal(mux_bundle_next(&rest, &item), MUX_ERROR_SHORT_PACKET);
    assert_int_equal(item.bytes.len, sizeof foo - 1);
    assert_int_equal(rest.len, 0);
}

/* The packet with a path in front is the one with that route, whatever it had. */
static void check_path(struct mux_span path, const struct mux_packet *packet) {
    struct wire wire = {0}, wanted = {0}, route = {0};
    struct mux_packet parsed, with_route = *packet;
    struct mux_layout layout;
    struct mux_prefix prefix;
    wire_from(&wire, packet, &(struct wire_widths){0});
    wire_bytes(&route, path.data, path.len);
    if (packet->route.data) {
        wire_bytes(&route, "/", 1);
        wire_bytes(&route, packet->route.data, packet->route.len);
    }
    with_route.route = wire_span(&route);
    wire_from(&wanted, &with_route, &(struct wire_widths){0});
    assert_int_equal(mux_prefix_init_path(&prefix, path), MUX_OK);
    assert_int_equal(mux_packet_parse(wire_span(&wire), &parsed, &layout), MUX_OK);
    uint8_t *out = malloc(wire.len + MUX_PREFIX_PATH_GROWTH_BYTES);
    assert_non_null(out);
    size_t len = mux_prefix_write(&prefix, wire_span(&wire), &parsed, &layout, out);
    assert_same_field(mux_span(out, len), wire_span(&wanted));
    free(out);
    wire_free(&wire);
    wire_free(&wanted);
    wire_free(&route);
}

static void test_path(void **state) {
    (void)state;
    static uint8_t path[MUX_ROUTE_PATH_MAX_BYTES + 1];
    static const size_t lens[] = {1, 3, 15, 16, 255, 256, 600, MUX_ROUTE_PATH_MAX_BYTES};
    struct mux_prefix prefix;
    for (size_t i = 0; i < sizeof path; i++)
        path[i] = i % 7 == 1 ? '/' : (uint8_t)('a' + i % 26);
    for (unsigned i = 0; i < COUNT(lens); i++)
        for (unsigned variant = 0; variant < WIRE_VARIANTS; variant += 397) {
            uint8_t tags[WIRE_TAGS_BYTES];
            struct mux_packet packet = wire_variant(variant, tags);
            check_path(mux_span(path, lens[i]), &packet);
        }
    assert_int_equal(mux_prefix_init_path(&prefix, mux_span(path, sizeof path)),
                     MUX_ERROR_TOO_LARGE);
    assert_int_equal(mux_prefix_init_path(&prefix, mux_span(path, 0)), MUX_ERROR_STRING);
    path[2] = 0;
    assert_int_equal(mux_prefix_init_path(&prefix, mux_span(path, 3)), MUX_ERROR_NUL);
    path[2] = 'a';
}

static void refused(const struct mux_packet *packet, const char *why) {
    struct mux_bundle bundle;
    const char *got = mux_bundle_read(packet, &bundle);
    assert_non_null(got);
    assert_non_null(strstr(got, why));
}

static void test_refused(void **state) {
    (void)state;
    struct mux_span bytes = wrapped(&place, mux_span(foo, sizeof foo));
    struct mux_packet right, packet;
    assert_int_equal(mux_packet_parse(bytes, &right, NULL), MUX_OK);
    packet = right, packet.status = MUX_STATUS_FAIL, refused(&packet, "more than a whole file");
    packet = right, packet.eof = false, refused(&packet, "more than a whole file");
    packet = right, packet.runnable = false, refused(&packet, "more than a whole file");
    packet = right, packet.has_timestamp = true, refused(&packet, "more than a whole file");
    packet = right, packet.has_tags = true, refused(&packet, "more than a whole file");
    packet = right, packet.mime = mux_span(NULL, 0), refused(&packet, "MIME type");
    packet = right, packet.mime.len--, refused(&packet, "MIME type");
    packet = right, packet.file_content.len = 0, refused(&packet, "empty");
    packet = right, packet.file_content.len = MUX_BUNDLE_CONTENT_MAX_BYTES + 1;
    refused(&packet, "too long");
    packet = right, packet.route = mux_span("", MUX_BUNDLE_ROUTE_MAX_BYTES + 1);
    refused(&packet, "route code is too long");
    packet = right, packet.test_id = mux_span_text("t");
    assert_false(mux_bundle_is(&packet));
    /* every byte of the MIME type counts, and none may be an upper-case digit */
    uint8_t mime[MUX_BUNDLE_MIME_BYTES];
    packet = right, packet.mime = mux_span(mime, sizeof mime);
    for (size_t i = 0; i < sizeof mime; i++) {
        memcpy(mime, right.mime.data, sizeof mime);
        mime[i] = 'G';
        refused(&packet, "MIME type");
    }
    struct mux_bundle far = place;
    far.offset = MUX_STREAM_BYTES_MAX - sizeof foo + 1;
    struct mux_span beyond = wrapped(&far, mux_span(foo, sizeof foo));
    assert_int_equal(mux_packet_parse(beyond, &packet, NULL), MUX_OK);
    refused(&packet, "out of range");
    free((uint8_t *)beyond.data);
    free((uint8_t *)bytes.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example), cmocka_unit_test(test_many),
        cmocka_unit_test(test_largest), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_split),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
