/* Prefixing and stripping, compared with packets that the tests' own writer makes. */
#include <stdio.h>

#include "mux/packet/crc.h"
#include "mux/packet/route.h"
#include "tests/unit/check.h"
#include "tests/unit/random.h"
#include "tests/unit/wire.h"

#define ABSENT mux_span(NULL, 0)

/* A packet and its parsed fields. */
struct parsed {
    struct mux_span bytes;
    struct mux_packet packet;
    struct mux_layout layout;
};

static struct parsed parse(struct mux_span bytes) {
    struct parsed parsed = {.bytes = bytes};
    assert_int_equal(mux_packet_parse(bytes, &parsed.packet, &parsed.layout), MUX_OK);
    return parsed;
}

static struct mux_prefix prefix_of(struct mux_span segment) {
    struct mux_prefix prefix;
    assert_int_equal(mux_prefix_init(&prefix, segment), MUX_OK);
    return prefix;
}

static struct wire joined(const struct mux_pieces *pieces) {
    struct wire wire = {0};
    size_t len = 0;
    for (size_t i = 0; i < pieces->count; i++)
        len += pieces->piece[i].len;
    assert_int_equal(len, pieces->len_bytes);
    assert_in_range(pieces->count, 1, MUX_PIECES_MAX);
    wire.data = malloc(len);
    wire.len = wire.capacity = len;
    assert_non_null(wire.data);
    mux_pieces_copy(pieces, wire.data);
    return wire;
}

/* The body of a packet, which must stay byte for byte. */
static struct mux_span body_of(const struct parsed *parsed) {
    return mux_span(parsed->bytes.data + parsed->layout.body_offset,
                    parsed->layout.route_offset - parsed->layout.body_offset);
}

static unsigned flags_of(struct mux_span bytes) {
    return (unsigned)bytes.data[1] << 8 | bytes.data[2];
}

/* The same body with another route, from the tests' own writer. */
static struct wire rewritten(const struct parsed *parsed, struct mux_span route) {
    struct wire wire = {0};
    wire_packet(&wire, flags_of(parsed->bytes), body_of(parsed), route, &(struct wire_widths){0});
    return wire;
}

static struct wire routed_by_rule(struct mux_span route, struct mux_span segment) {
    struct wire wire = {0};
    wire_bytes(&wire, segment.data, segment.len);
    if (route.data) {
        wire_bytes(&wire, "/", 1);
        wire_bytes(&wire, route.data, route.len);
    }
    return wire;
}

static void assert_pieces_are(const struct mux_pieces *pieces, const struct wire *expected) {
    struct wire got = joined(pieces);
    assert_int_equal(got.len, expected->len);
    assert_memory_equal(got.data, expected->data, got.len);
    wire_free(&got);
}

/* ---- prefixing ---- */

/* In one piece, into memory of exactly the size needed. */
static void check_write(const struct mux_prefix *prefix, const struct parsed *parsed,
                        const struct wire *expected) {
    uint8_t *out = malloc(parsed->bytes.len + MUX_PREFIX_GROWTH_BYTES);
    assert_non_null(out);
    size_t len = mux_prefix_write(prefix, parsed->bytes, &parsed->packet, &parsed->layout, out);
    assert_int_equal(len, expected->len > MUX_PACKET_MAX_BYTES ? 0 : expected->len);
    assert_memory_equal(out, expected->data, len);
    free(out);
}

static void check_prefix(struct mux_span bytes, struct mux_span segment) {
    struct parsed parsed = parse(bytes);
    struct mux_prefix prefix = prefix_of(segment);
    struct wire route = routed_by_rule(parsed.packet.route, segment);
    struct wire expected = rewritten(&parsed, wire_span(&route));
    struct mux_pieces pieces;
    enum mux_error error =
        mux_prefix_apply(&prefix, bytes, &parsed.packet, &parsed.layout, &pieces);
    check_write(&prefix, &parsed, &expected);
    if (expected.len > MUX_PACKET_MAX_BYTES) {
        assert_int_equal(error, MUX_ERROR_TOO_LARGE);
    } else {
        assert_int_equal(error, MUX_OK);
        assert_pieces_are(&pieces, &expected);
        assert_true(mux_packet_verify(wire_span(&expected)));
    }
    wire_free(&route);
    wire_free(&expected);
}

static void prefix_all_fields(void **state) {
    (void)state;
    uint8_t tags[WIRE_TAGS_BYTES];
    for (unsigned number = 0; number < WIRE_VARIANTS; number++) {
        struct mux_packet packet = wire_variant(number, tags);
        struct wire wire = {0};
        struct wire_widths widths = {number % 5, number % 4, number % 3};
        wire_from(&wire, &packet, &widths);
        check_prefix(wire_span(&wire), mux_span_text("7"));
        check_prefix(wire_span(&wire), mux_span_text("host.ex\xC3\xA9mple:4711"));
        wire_free(&wire);
    }
}

static const char *const routes[] = {
    "", "0", "a", "a/b", "/", "/0", "0/", "0//1", "//", "host7/w3/12", "\xC3\xA9/\xE2\x82\xAC"};

static void prefix_all_routes(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(routes); i++)
        for (unsigned width = 0; width <= 4; width++) {
            struct mux_packet packet = {.test_id = mux_span_text("t"),
                                        .route = mux_span_text(routes[i])};
            struct wire wire = {0};
            wire_from(&wire, &packet, &(struct wire_widths){width, width, width % 4});
            check_prefix(wire_span(&wire), mux_span_text("c"));
            wire_free(&wire);
        }
}

static uint8_t *content_bytes;                      /* MUX_PACKET_MAX_BYTES of them */
static char segments[4][MUX_SEGMENT_MAX_BYTES + 1]; /* with the lengths at which numbers grow */

static void check_content_length(size_t len, struct mux_span route, unsigned length_width) {
    struct mux_packet packet = {.status = MUX_STATUS_FAIL,
                                .file_name = mux_span_text("f"),
                                .file_content = mux_span(content_bytes, len),
                                .route = route};
    struct wire wire = {0};
    wire_from(&wire, &packet, &(struct wire_widths){.length = length_width});
    for (size_t i = 0; i < COUNT(segments) && wire.len <= MUX_PACKET_MAX_BYTES; i++)
        check_prefix(wire_span(&wire), mux_span_text(segments[i]));
    wire_free(&wire);
}

/* Lengths at which LENGTH, the route's number or both change their width. */
static void prefix_grows_numbers(void **state) {
    (void)state;
    struct mux_span long_route = mux_span(content_bytes, 16383 - 63);
    for (size_t len = 0; len < 90; len++)
        for (unsigned width = 1; width <= 3; width++) {
            check_content_length(len, ABSENT, width);
            check_content_length(len, mux_span_text("r"), width);
            check_content_length(16100 + 3 * len, mux_span_text(""), width);
        }
    for (size_t len = 16360; len < 16390; len++)
        check_content_length(len, ABSENT, 1);
    for (size_t len = 55; len < 70; len++)
        check_content_length(1, mux_span(content_bytes, len), 1);
    for (size_t less = 0; less < 70; less++)
        check_content_length(1, mux_span(long_route.data, 16384 - less), 1);
}

static void prefix_near_the_limit(void **state) {
    (void)state;
    for (size_t less = 0; less < 12; less++)
        check_content_length(MUX_PACKET_MAX_BYTES - 16 - less, ABSENT, 1);
    for (size_t less = 60; less < 80; less += 3)
        check_content_length(MUX_PACKET_MAX_BYTES - 16 - less, mux_span_text("r"), 1);
    for (size_t less = 260; less < 280; less += 5)
        check_content_length(MUX_PACKET_MAX_BYTES - 16 - less, ABSENT, 1);
}

/* Adds segments one by one, then strips them all again. */
static void nested(void **state) {
    (void)state;
    struct mux_packet packet = {.test_id = mux_span_text("t"), .status = MUX_STATUS_FAIL};
    struct wire level[40] = {{0}};
    char names[COUNT(level)][8];
    wire_from(&level[0], &packet, &(struct wire_widths){0});
    for (size_t i = 1; i < COUNT(level); i++) {
        snprintf(names[i], sizeof names[i], "n%zu", i * i);
        struct mux_prefix prefix = prefix_of(mux_span_text(names[i]));
        struct parsed parsed = parse(wire_span(&level[i - 1]));
        struct mux_pieces pieces;
        assert_int_equal(
            mux_prefix_apply(&prefix, parsed.bytes, &parsed.packet, &parsed.layout, &pieces),
            MUX_OK);
        level[i] = joined(&pieces);
    }
    for (size_t i = COUNT(level) - 1; i > 0; i--) {
        struct parsed parsed = parse(wire_span(&level[i]));
        struct mux_pieces pieces;
        struct mux_span segment;
        mux_strip(parsed.bytes, &parsed.packet, &parsed.layout, &segment, &pieces);
        assert_true(mux_span_equal(segment, mux_span_text(names[i])));
        assert_pieces_are(&pieces, &level[i - 1]);
        wire_free(&level[i]);
    }
    wire_free(&level[0]);
}

static void invalid_segments(void **state) {
    (void)state;
    struct mux_prefix prefix;
    uint8_t *longest = exact_copy(content_bytes, MUX_SEGMENT_MAX_BYTES);
    assert_int_equal(mux_prefix_init(&prefix, mux_span(longest, MUX_SEGMENT_MAX_BYTES)), MUX_OK);
    free(longest);
    assert_int_equal(mux_prefix_init(&prefix, mux_span(content_bytes, MUX_SEGMENT_MAX_BYTES + 1)),
                     MUX_ERROR_TOO_LARGE);
    assert_int_equal(mux_prefix_init(&prefix, mux_span_text("")), MUX_ERROR_STRING);
    assert_int_equal(mux_prefix_init(&prefix, ABSENT), MUX_ERROR_STRING);
    assert_int_equal(mux_prefix_init(&prefix, mux_span_text("/")), MUX_ERROR_STRING);
    assert_int_equal(mux_prefix_init(&prefix, mux_span_text("a/")), MUX_ERROR_STRING);
    assert_int_equal(mux_prefix_init(&prefix, mux_span("a\0b", 3)), MUX_ERROR_NUL);
    assert_int_equal(mux_prefix_init(&prefix, mux_span_text("\xED\xA0\x80")), MUX_ERROR_UTF8);
}

/* ---- stripping ---- */

static void check_strip(const struct mux_packet *packet, struct mux_span segment,
                        struct mux_span rest, const struct wire_widths *widths) {
    struct wire wire = {0};
    wire_from(&wire, packet, widths);
    struct parsed parsed = parse(wire_span(&wire));
    struct mux_pieces pieces;
    struct mux_span cut;
    struct wire expected = rewritten(&parsed, rest);
    mux_strip(parsed.bytes, &parsed.packet, &parsed.layout, &cut, &pieces);
    assert_true(mux_span_equal(cut, segment));
    assert_pieces_are(&pieces, &expected);
    wire_free(&expected);
    wire_free(&wire);
}

static void strip_routes(void **state) {
    (void)state;
    static const struct {
        const char *route, *segment, *rest; /* rest NULL: no route */
    } table[] = {
        {"a", "a", NULL},
        {"a/", "a", NULL},
        {"", "", NULL},
        {"/", "", NULL},
        {"a/b", "a", "b"},
        {"a/b/", "a", "b/"},
        {"/b", "", "b"},
        {"a//b", "a", "/b"},
        {"//", "", "/"},
        {"ab/cd/ef", "ab", "cd/ef"},
        {"\xC3\xA9/x", "\xC3\xA9", "x"},
    };
    uint8_t tags[WIRE_TAGS_BYTES];
    for (size_t i = 0; i < COUNT(table); i++)
        for (unsigned number = 0; number < WIRE_VARIANTS; number += 7) {
            struct mux_packet packet = wire_variant(number, tags);
            packet.route = mux_span_text(table[i].route);
            check_strip(&packet, mux_span_text(table[i].segment),
                        table[i].rest ? mux_span_text(table[i].rest) : ABSENT,
                        &(struct wire_widths){number % 5, number % 4, number % 3});
        }
}

/* LENGTH and the route's number shrink. */
static void strip_shrinks_numbers(void **state) {
    (void)state;
    for (size_t len = 1; len < 200; len++) {
        struct wire route = {0};
        wire_bytes(&route, "segment/", 8);
        wire_bytes(&route, content_bytes, len);
        struct mux_packet packet = {.test_id = mux_span_text("t"), .route = wire_span(&route)};
        check_strip(&packet, mux_span_text("segment"), mux_span(content_bytes, len),
                    &(struct wire_widths){0});
        packet.file_name = mux_span_text("f");
        packet.file_content = mux_span(content_bytes, 16170);
        check_strip(&packet, mux_span_text("segment"), mux_span(content_bytes, len),
                    &(struct wire_widths){0});
        wire_free(&route);
    }
}

/* Without a route nothing changes, over-long numbers included. */
static void strip_without_route(void **state) {
    (void)state;
    struct mux_packet packet = {.test_id = mux_span_text("t")};
    struct wire wire = {0};
    wire_from(&wire, &packet, &(struct wire_widths){4, 4, 3});
    struct parsed parsed = parse(wire_span(&wire));
    struct mux_pieces pieces;
    struct mux_span segment;
    mux_strip(parsed.bytes, &parsed.packet, &parsed.layout, &segment, &pieces);
    assert_null(segment.data);
    assert_pieces_are(&pieces, &wire);
    wire_free(&wire);
}

static void first_segments(void **state) {
    (void)state;
    assert_true(mux_span_equal(mux_route_first(mux_span_text("a/b")), mux_span_text("a")));
    assert_true(mux_span_equal(mux_route_first(mux_span_text("abc")), mux_span_text("abc")));
    assert_int_equal(mux_route_first(mux_span_text("/b")).len, 0);
    assert_non_null(mux_route_first(mux_span_text("/b")).data);
    assert_non_null(mux_route_first(mux_span_text("")).data);
    assert_null(mux_route_first(ABSENT).data);
}

static void assert_joined(const char *front, struct mux_span route, size_t room,
                          const char *expected) {
    uint8_t *out = malloc(room ? room : 1); /* a sanitizer sees what goes beyond it */
    struct mux_span joined =
        mux_route_join(mux_span_text(front), route, (struct mux_room){out, room});
    assert_true(mux_span_equal(joined, mux_span_text(expected)));
    size_t whole = mux_route_joined_bytes(mux_span_text(front), route);
    assert_true(joined.len == whole || (joined.len == room && whole > room));
    free(out);
}

static void segments_in_front(void **state) {
    (void)state;
    assert_joined("a/b", mux_span_text("c/d"), 7, "a/b/c/d");
    assert_joined("a", mux_span_text(""), 2, "a/");
    assert_joined("a", ABSENT, 0, "a");
    assert_joined("", mux_span_text("c"), 0, "c");
    assert_null(mux_route_join(mux_span_text(""), ABSENT, (struct mux_room){0}).data);
    for (size_t room = 0; room < 7; room++) {
        char cut[8] = "a/b/c/d";
        cut[room] = '\0';
        assert_joined("a/b", mux_span_text("c/d"), room, cut);
    }
}

/* ---- a wrong CRC stays wrong ---- */

static bool still_wrong(const struct mux_pieces *pieces, const struct wire *right) {
    struct wire got = joined(pieces);
    assert_int_equal(got.len, right->len);
    assert_memory_equal(got.data, right->data, got.len - MUX_CRC_BYTES);
    bool wrong = !mux_packet_verify(wire_span(&got));
    wire_free(&got);
    return wrong;
}

static void wrong_crc_stays_wrong(void **state) {
    (void)state;
    struct random random = {8};
    uint8_t tags[WIRE_TAGS_BYTES];
    struct mux_prefix prefix = prefix_of(mux_span_text("w3"));
    for (int round = 0; round < 20000; round++) {
        struct mux_packet packet =
            wire_variant((unsigned)random_below(&random, WIRE_VARIANTS), tags);
        packet.route = mux_span_text("w3/rest");
        struct wire wire = {0};
        wire_from(&wire, &packet, &(struct wire_widths){0});
        uint8_t *crc = wire.data + wire.len - MUX_CRC_BYTES;
        crc[random_below(&random, 4)] ^= (uint8_t)(1 + random_below(&random, 255));
        struct parsed parsed = parse(wire_span(&wire));
        struct wire up = rewritten(&parsed, mux_span_text("w3/w3/rest"));
        struct wire down = rewritten(&parsed, mux_span_text("rest"));
        struct mux_pieces pieces;
        struct mux_span segment;
        assert_int_equal(
            mux_prefix_apply(&prefix, parsed.bytes, &parsed.packet, &parsed.layout, &pieces),
            MUX_OK);
        assert_true(still_wrong(&pieces, &up));
        mux_strip(parsed.bytes, &parsed.packet, &parsed.layout, &segment, &pieces);
        assert_true(still_wrong(&pieces, &down));
        wire_free(&up);
        wire_free(&down);
        wire_free(&wire);
    }
}

/* ---- another timestamp ---- */

/* TIME as it is written, and then the bytes of all other fields before the route. */
static struct wire restamped(const struct parsed *parsed, const struct mux_packet *wanted,
                             struct mux_span route) {
    struct wire body = {0}, wire = {0};
    struct mux_packet time = {
        .has_timestamp = true, .seconds = wanted->seconds, .nanoseconds = wanted->nanoseconds};
    struct mux_span before = body_of(parsed);
    size_t cut = parsed->packet.has_timestamp ? 5u + (before.data[4] >> 6) : 0;
    wire_body(&body, &time, 0);
    wire_bytes(&body, before.data + cut, before.len - cut);
    wire_packet(&wire, flags_of(parsed->bytes) | MUX_FLAG_TIMESTAMP, wire_span(&body), route,
                &(struct wire_widths){0});
    wire_free(&body);
    return wire;
}

static void check_restamp(struct mux_span bytes, const char *segment, int64_t time_ns) {
    struct parsed parsed = parse(bytes);
    struct mux_packet wanted = parsed.packet;
    struct mux_prefix prefix = prefix_of(mux_span_text(segment ? segment : "unused"));
    struct wire route =
        segment ? routed_by_rule(parsed.packet.route, mux_span_text(segment)) : (struct wire){0};
    struct mux_pieces pieces;
    assert_true(mux_packet_set_time_ns(&wanted, time_ns));
    assert_true(mux_packet_time_ns(&wanted) == time_ns);
    struct wire expected =
        restamped(&parsed, &wanted, segment ? wire_span(&route) : parsed.packet.route);
    enum mux_error error =
        mux_prefix_restamp(segment ? &prefix : NULL, bytes, &wanted, &parsed.layout, &pieces);
    if (expected.len > MUX_PACKET_MAX_BYTES) {
        assert_int_equal(error, MUX_ERROR_TOO_LARGE);
    } else {
        assert_int_equal(error, MUX_OK);
        assert_pieces_are(&pieces, &expected);
        assert_true(mux_packet_verify(wire_span(&expected)));
    }
    wire_free(&route);
    wire_free(&expected);
}

/* Each width of the nanoseconds, and both ends of what can be expressed. */
static const int64_t times_ns[] = {
    0, 63, 64, 16384, 4194304, 999999999, 1000000000, UINT32_MAX *INT64_C(1000000000) + 999999999};

static void restamp_all_fields(void **state) {
    (void)state;
    uint8_t tags[WIRE_TAGS_BYTES];
    for (unsigned number = 0; number < WIRE_VARIANTS; number += 7) {
        struct mux_packet packet = wire_variant(number, tags);
        struct wire wire = {0};
        wire_from(&wire, &packet, &(struct wire_widths){number % 5, number % 4, number % 3});
        int64_t time_ns = times_ns[number % COUNT(times_ns)];
        check_restamp(wire_span(&wire), "7", time_ns);
        check_restamp(wire_span(&wire), NULL, time_ns);
        check_restamp(wire_span(&wire), segments[2], time_ns);
        wire_free(&wire);
    }
}

/* LENGTH changes its width, or has none that is wide enough. */
static void restamp_grows_length(void **state) {
    (void)state;
    static const size_t near[] = {30, 60, 16360, 16390, MUX_PACKET_MAX_BYTES - 12};
    for (size_t i = 0; i < COUNT(near); i++)
        for (size_t less = 0; less < 24; less++) {
            struct mux_packet packet = {.file_name = mux_span_text("f"),
                                        .file_content = mux_span(content_bytes, near[i] - less),
                                        .has_timestamp = less % 2};
            struct wire wire = {0};
            wire_from(&wire, &packet, &(struct wire_widths){0});
            for (size_t j = 0; j < COUNT(times_ns) && wire.len <= MUX_PACKET_MAX_BYTES; j++) {
                check_restamp(wire_span(&wire), "7", times_ns[j]);
                check_restamp(wire_span(&wire), NULL, times_ns[j]);
            }
            wire_free(&wire);
        }
}

static void restamped_wrong_crc_stays_wrong(void **state) {
    (void)state;
    uint8_t tags[WIRE_TAGS_BYTES];
    struct mux_prefix prefix = prefix_of(mux_span_text("w3"));
    for (unsigned number = 0; number < WIRE_VARIANTS; number += 5) {
        struct mux_packet packet = wire_variant(number, tags);
        struct wire wire = {0};
        wire_from(&wire, &packet, &(struct wire_widths){0});
        wire.data[wire.len - 1 - number % 4] ^= (uint8_t)(1 + number % 255);
        struct parsed parsed = parse(wire_span(&wire));
        struct wire route = routed_by_rule(parsed.packet.route, prefix.segment);
        struct mux_packet wanted = parsed.packet;
        mux_packet_set_time_ns(&wanted, times_ns[number % COUNT(times_ns)]);
        struct wire right = restamped(&parsed, &wanted, wire_span(&route));
        struct mux_pieces pieces;
        assert_int_equal(
            mux_prefix_restamp(&prefix, parsed.bytes, &wanted, &parsed.layout, &pieces), MUX_OK);
        assert_true(still_wrong(&pieces, &right));
        wire_free(&right);
        wire_free(&route);
        wire_free(&wire);
    }
}

/* What the wire cannot express is refused, and nothing changes. */
static void times_out_of_range(void **state) {
    (void)state;
    struct mux_packet packet = {.has_timestamp = true, .seconds = 5, .nanoseconds = 7};
    assert_false(mux_packet_set_time_ns(&packet, -1));
    assert_false(mux_packet_set_time_ns(&packet, INT64_MIN));
    assert_false(mux_packet_set_time_ns(&packet, (UINT32_MAX + INT64_C(1)) * 1000000000));
    assert_false(mux_packet_set_time_ns(&packet, INT64_MAX));
    assert_true(mux_packet_time_ns(&packet) == INT64_C(5000000007));
}

/* ---- splitting at the limit ---- */

static void assert_split(const struct mux_packet *packet, struct mux_span segment,
                         const struct mux_pieces *first, const struct mux_pieces *last) {
    struct wire wires[2] = {joined(first), joined(last)};
    struct mux_packet parts[2];
    struct wire route = routed_by_rule(packet->route, segment);
    struct wire content = {0};
    for (int i = 0; i < 2; i++) {
        assert_true(wires[i].len <= MUX_PACKET_MAX_BYTES);
        assert_true(mux_packet_verify(wire_span(&wires[i])));
        parts[i] = parse(wire_span(&wires[i])).packet;
        assert_same_field(parts[i].test_id, packet->test_id);
        assert_same_field(parts[i].mime, packet->mime);
        assert_same_field(parts[i].file_name, packet->file_name);
        assert_same_field(parts[i].route, wire_span(&route));
        assert_int_equal(parts[i].runnable, packet->runnable);
        assert_int_equal(parts[i].has_timestamp, packet->has_timestamp);
        assert_int_equal(parts[i].seconds, packet->seconds);
        assert_int_equal(parts[i].nanoseconds, packet->nanoseconds);
        wire_bytes(&content, parts[i].file_content.data, parts[i].file_content.len);
    }
    assert_true(mux_span_equal(wire_span(&content), packet->file_content));
    assert_int_equal(parts[0].status, MUX_STATUS_NONE);
    assert_false(parts[0].eof || parts[0].has_tags);
    assert_true(parts[0].file_content.len > 0);
    assert_int_equal(parts[1].status, packet->status);
    assert_int_equal(parts[1].eof, packet->eof);
    assert_int_equal(parts[1].has_tags, packet->has_tags);
    assert_int_equal(parts[1].tag_count, packet->tag_count);
    assert_true(mux_span_equal(parts[1].tags, packet->tags));
    for (int i = 0; i < 2; i++)
        wire_free(&wires[i]);
    wire_free(&route);
    wire_free(&content);
}

/* Content for which a packet with over-long numbers just reaches the limit. */
static void fill_up(struct mux_packet *packet) {
    packet->file_content = mux_span(content_bytes, 0);
    struct wire wire = {0};
    wire_from(&wire, packet, &(struct wire_widths){.fields = 3, .length = 3});
    packet->file_content.len = MUX_PACKET_MAX_BYTES - wire.len;
    wire_free(&wire);
}

static void split_all_fields(void **state) {
    (void)state;
    uint8_t tags[WIRE_TAGS_BYTES];
    for (unsigned number = 0; number < WIRE_VARIANTS; number += 149) {
        struct mux_packet packet = wire_variant(number, tags);
        packet.file_name = mux_span_text("log");
        fill_up(&packet);
        for (size_t i = 0; i < COUNT(segments); i++) {
            struct mux_prefix prefix = prefix_of(mux_span_text(segments[i]));
            struct mux_pieces first, last;
            assert_int_equal(mux_prefix_split(&prefix, &packet, &first, &last), MUX_OK);
            assert_split(&packet, prefix.segment, &first, &last);
        }
    }
}

/* Less and less content, and more of the rest: it is split, or refused with the right error. */
static void split_little_content(void **state) {
    (void)state;
    struct mux_prefix prefix = prefix_of(mux_span_text(segments[3]));
    for (size_t len = 0; len < 900; len += 13) {
        struct mux_packet packet = {.status = MUX_STATUS_FAIL,
                                    .test_id =
                                        mux_span(content_bytes, MUX_PACKET_MAX_BYTES - 18 - len),
                                    .file_name = mux_span_text("f"),
                                    .file_content = mux_span(content_bytes, len)};
        struct mux_pieces first, last;
        enum mux_error error = mux_prefix_split(&prefix, &packet, &first, &last);
        if (len < prefix.segment.len)
            assert_int_equal(error, MUX_ERROR_TOO_LARGE);
        if (len > 3 * prefix.segment.len)
            assert_int_equal(error, MUX_OK);
        if (!error)
            assert_split(&packet, prefix.segment, &first, &last);
    }
}

static void nothing_to_split(void **state) {
    (void)state;
    struct mux_prefix prefix = prefix_of(mux_span_text("7"));
    struct mux_pieces first, last;
    struct mux_packet packet = {.test_id = mux_span(content_bytes, MUX_PACKET_MAX_BYTES - 13)};
    assert_int_equal(mux_prefix_split(&prefix, &packet, &first, &last), MUX_ERROR_TOO_LARGE);
    packet.file_name = mux_span_text("");
    packet.file_content = mux_span_text("");
    assert_int_equal(mux_prefix_split(&prefix, &packet, &first, &last), MUX_ERROR_TOO_LARGE);
}

/* Tags fill the packet: they belong to the last part, which is then too large by itself. */
static void too_many_tags_to_split(void **state) {
    (void)state;
    const size_t tag_bytes = 1000;
    size_t capacity = MUX_PACKET_MAX_BYTES - 40, len = 0;
    uint8_t *tags = malloc(capacity);
    struct mux_packet packet = {.has_tags = true,
                                .file_name = mux_span_text("f"),
                                .file_content = mux_span_text("some content")};
    assert_non_null(tags);
    while (!mux_tag_append(tags, capacity, &len, mux_span(content_bytes, tag_bytes)))
        packet.tag_count++;
    packet.tags = mux_span(tags, len);
    struct mux_prefix prefix = prefix_of(mux_span_text(segments[3]));
    struct mux_pieces first, last;
    assert_int_equal(mux_prefix_split(&prefix, &packet, &first, &last), MUX_OK);
    assert_split(&packet, prefix.segment, &first, &last);
    packet.route = mux_span(content_bytes, capacity - len + 200);
    assert_int_equal(mux_prefix_split(&prefix, &packet, &first, &last), MUX_ERROR_TOO_LARGE);
    free(tags);
}

static int setup(void **state) {
    (void)state;
    static const size_t lengths[] = {1, 63, 64, MUX_SEGMENT_MAX_BYTES};
    content_bytes = malloc(MUX_PACKET_MAX_BYTES);
    assert_non_null(content_bytes);
    for (size_t i = 0; i < MUX_PACKET_MAX_BYTES; i++)
        content_bytes[i] = (uint8_t)('a' + i * 31 % 26);
    for (size_t i = 0; i < COUNT(lengths); i++)
        memset(segments[i], 's', lengths[i]);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    free(content_bytes);
    return 0;
}

static int use_portable(void **state) {
    (void)state;
    return mux_crc_use_pclmul(false);
}

static int use_pclmul(void **state) {
    (void)state;
    mux_crc_use_pclmul(true); /* test_crc reports a CPU without it */
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(prefix_all_fields, use_portable),
        cmocka_unit_test_setup(prefix_grows_numbers, use_portable),
        cmocka_unit_test_setup(strip_routes, use_portable),
        cmocka_unit_test_setup(wrong_crc_stays_wrong, use_portable),
        cmocka_unit_test_setup(restamp_all_fields, use_portable),
        cmocka_unit_test_setup(restamped_wrong_crc_stays_wrong, use_portable),
        cmocka_unit_test_setup(prefix_all_fields, use_pclmul),
        cmocka_unit_test_setup(prefix_grows_numbers, use_pclmul),
        cmocka_unit_test_setup(strip_routes, use_pclmul),
        cmocka_unit_test_setup(wrong_crc_stays_wrong, use_pclmul),
        cmocka_unit_test_setup(restamp_all_fields, use_pclmul),
        cmocka_unit_test_setup(restamped_wrong_crc_stays_wrong, use_pclmul),
        cmocka_unit_test(restamp_grows_length),
        cmocka_unit_test(times_out_of_range),
        cmocka_unit_test(prefix_all_routes),
        cmocka_unit_test(prefix_near_the_limit),
        cmocka_unit_test(nested),
        cmocka_unit_test(invalid_segments),
        cmocka_unit_test(strip_shrinks_numbers),
        cmocka_unit_test(strip_without_route),
        cmocka_unit_test(first_segments),
        cmocka_unit_test(segments_in_front),
        cmocka_unit_test(split_all_fields),
        cmocka_unit_test(split_little_content),
        cmocka_unit_test(nothing_to_split),
        cmocka_unit_test(too_many_tags_to_split),
    };
    return cmocka_run_group_tests_name("route", tests, setup, teardown);
}
