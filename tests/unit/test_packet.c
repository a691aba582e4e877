/* Reading and writing packets: those of python-subunit's tests, all fields, lengths and damage. */
#include "mux/packet/packet.h"
#include "tests/unit/check.h"
#include "tests/unit/random.h"
#include "tests/unit/wire.h"

#define SPAN(literal) mux_span(literal, sizeof(literal) - 1)

static void assert_same_packet(const struct mux_packet *a, const struct mux_packet *b) {
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->runnable, b->runnable);
    assert_int_equal(a->eof, b->eof);
    assert_int_equal(a->has_timestamp, b->has_timestamp);
    assert_int_equal(a->has_tags, b->has_tags);
    if (a->has_timestamp) {
        assert_int_equal(a->seconds, b->seconds);
        assert_int_equal(a->nanoseconds, b->nanoseconds);
    }
    if (a->has_tags) {
        assert_int_equal(a->tag_count, b->tag_count);
        assert_same_field(a->tags, b->tags);
    }
    assert_same_field(a->test_id, b->test_id);
    assert_same_field(a->mime, b->mime);
    assert_same_field(a->file_name, b->file_name);
    assert_same_field(a->file_content, b->file_content);
    assert_same_field(a->route, b->route);
}

static void assert_encodes_to(const struct mux_packet *packet, struct mux_span expected) {
    uint8_t *out = malloc(expected.len);
    size_t written = 0;
    assert_non_null(out);
    assert_int_equal(mux_packet_encode(packet, out, expected.len, &written), MUX_OK);
    assert_int_equal(written, expected.len);
    assert_memory_equal(out, expected.data, expected.len);
    free(out);
}

/* Reads the bytes in memory of exactly their length, and compares the fields. */
static void assert_reads_as(struct mux_span wire, const struct mux_packet *expected) {
    struct mux_packet packet;
    struct mux_layout layout;
    uint8_t *copy = exact_copy(wire.data, wire.len);
    struct mux_span bytes = mux_span(copy, wire.len);
    assert_int_equal(mux_packet_parse(bytes, &packet, &layout), MUX_OK);
    assert_true(mux_packet_verify(bytes));
    assert_same_packet(&packet, expected);
    assert_int_equal(layout.length, wire.len);
    assert_int_equal(layout.body_offset, 4 + (copy[3] >> 6));
    if (packet.route.data) {
        unsigned width = (copy[layout.route_offset] >> 6) + 1;
        assert_ptr_equal(copy + layout.route_offset + width, packet.route.data);
        assert_ptr_equal(packet.route.data + packet.route.len, copy + wire.len - MUX_CRC_BYTES);
    } else {
        assert_int_equal(layout.route_offset, wire.len - MUX_CRC_BYTES);
    }
    assert_int_equal(mux_packet_parse(bytes, &packet, NULL), MUX_OK);
    free(copy);
}

struct upstream {
    struct mux_span wire;
    struct mux_packet packet;
};

#define ID(text) .test_id = {(const uint8_t *)(text), sizeof(text) - 1}
#define WIRE(bytes) \
    { (const uint8_t *)(bytes), sizeof(bytes) - 1 }

/* From python/tests/test_test_protocol2.py of testing-cabal/subunit: to be read and written. */
static const struct upstream upstream[] = {
    {WIRE("\xb3)\x01\x0c\x03"
          "foo\x08U_\x1b"),
     {ID("foo"), .runnable = true, .status = MUX_STATUS_EXISTS}},
    {WIRE("\xb3)\x02\x0c\x03"
          "foo\x8e\xc1-\xb5"),
     {ID("foo"), .runnable = true, .status = MUX_STATUS_INPROGRESS}},
    {WIRE("\xb3)\x03\x0c\x03"
          "fooE\x9d\xfe\x10"),
     {ID("foo"), .runnable = true, .status = MUX_STATUS_SUCCESS}},
    {WIRE("\xb3)\x04\x0c\x03"
          "fooX\x98\xce\xa8"),
     {ID("foo"), .runnable = true, .status = MUX_STATUS_UXSUCCESS}},
    {WIRE("\xb3)\x05\x0c\x03"
          "foo\x93\xc4\x1d\r"),
     {ID("foo"), .runnable = true, .status = MUX_STATUS_SKIP}},
    {WIRE("\xb3)\x06\x0c\x03"
          "foo\x15Po\xa3"),
     {ID("foo"), .runnable = true, .status = MUX_STATUS_FAIL}},
    {WIRE("\xb3)\x07\x0c\x03"
          "foo\xde\x0c\xbc\x06"),
     {ID("foo"), .runnable = true, .status = MUX_STATUS_XFAIL}},
    {WIRE("\xb3!\x10\x08S\x15\x88\xdc"), {.runnable = true, .eof = true}},
    {WIRE("\xb3!@\x13\x06"
          "barney\x03wooA5\xe3\x8c"),
     {.runnable = true, .file_name = WIRE("barney"), .file_content = WIRE("woo")}},
    {WIRE("\xb3! #\x1a"
          "application/foo; charset=1x3Q\x15"),
     {.runnable = true, .mime = WIRE("application/foo; charset=1")}},
    {WIRE("\xb3+\x03\x13<\x17T\xcf\x80\xaf\xc8\x03"
          "barI\x96>-"),
     {ID("bar"), .runnable = true, .status = MUX_STATUS_SUCCESS, .has_timestamp = true,
      .seconds = 1008161999, .nanoseconds = 45000}},
    {WIRE("\xb3-\x03\x13\x03"
          "bar\x06source\x9cY9\x19"),
     {ID("bar"), .runnable = true, .status = MUX_STATUS_SUCCESS, .route = WIRE("source")}},
    {WIRE("\xb3(\x03\x0c\x03"
          "foo\xe3\xea\xf5\xa4"),
     {ID("foo"), .status = MUX_STATUS_SUCCESS}},
    {WIRE("\xb3)\x80\x15\x03"
          "bar\x02\x03"
          "foo\x03"
          "barTHn\xb4"),
     {ID("bar"), .runnable = true, .has_tags = true, .tag_count = 2,
      .tags = WIRE("\x03"
                   "foo\x03"
                   "bar")}},
    {WIRE("\xb3)\x80\x15\x03"
          "bar\x02\x03"
          "bar\x03"
          "foo\xf8\xf1\x91o"),
     {ID("bar"), .runnable = true, .has_tags = true, .tag_count = 2,
      .tags = WIRE("\x03"
                   "bar\x03"
                   "foo")}},
};

static void upstream_packets(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(upstream); i++) {
        assert_reads_as(upstream[i].wire, &upstream[i].packet);
        assert_encodes_to(&upstream[i].packet, upstream[i].wire);
    }
}

/* Packets that its reader rejects, and the error that we reject them with. */
static void upstream_damage(void **state) {
    (void)state;
    static const struct {
        struct mux_span wire;
        enum mux_error why;
    } table[] = {
        {WIRE("\xb3!@\x13\x06"
              "barney\x04woo\xdc\xe2\xdb\x35"),
         MUX_ERROR_CONTENT},
        {WIRE("\xb3!@\xc0\x00\x11"), MUX_ERROR_HEADER},
        {WIRE("\xb3-\x03\x13\x03\xb4"
              "ar\x06source\xce\x56\xc6\x17"),
         MUX_ERROR_UTF8},
        {WIRE("\xb3-\x03\x13\x03"
              "b\x00r\x06source\xd7\x41\xac\xfe"),
         MUX_ERROR_NUL},
        {WIRE("\xb3-\x03\x13\x3f"
              "bar\x06source\xbe\x29\xe0\xc2"),
         MUX_ERROR_STRING},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct mux_packet packet;
        assert_int_equal(mux_packet_parse(table[i].wire, &packet, NULL), table[i].why);
    }
    assert_false(mux_packet_verify(SPAN("\xb3! #\x1a"
                                        "application/foo; charset=1x3Q\x00")));
}

/* Every combination of fields: our writer and the tests' own agree, and reading inverts both. */
static void all_fields(void **state) {
    (void)state;
    uint8_t tags[WIRE_TAGS_BYTES];
    for (unsigned number = 0; number < WIRE_VARIANTS; number++) {
        struct mux_packet packet = wire_variant(number, tags);
        struct wire wire = {0};
        wire_from(&wire, &packet, &(struct wire_widths){0});
        assert_encodes_to(&packet, wire_span(&wire));
        assert_reads_as(wire_span(&wire), &packet);
        wire_free(&wire);
    }
}

/* Over-long numbers mean the same; writing the packet again makes them minimal. */
static void over_long_numbers(void **state) {
    (void)state;
    uint8_t tags[WIRE_TAGS_BYTES];
    for (unsigned number = 5; number < WIRE_VARIANTS; number += 61) {
        struct mux_packet packet = wire_variant(number, tags);
        struct wire minimal = {0};
        wire_from(&minimal, &packet, &(struct wire_widths){0});
        for (unsigned i = 0; i < 4 * 4 * 3; i++) {
            struct wire wire = {0};
            wire_from(&wire, &packet, &(struct wire_widths){1 + i % 4, 1 + i / 4 % 4, 1 + i / 16});
            assert_reads_as(wire_span(&wire), &packet);
            struct mux_packet read;
            assert_int_equal(mux_packet_parse(wire_span(&wire), &read, NULL), MUX_OK);
            assert_encodes_to(&read, wire_span(&minimal));
            wire_free(&wire);
        }
        wire_free(&minimal);
    }
}

static const uint8_t *content_bytes; /* MUX_PACKET_MAX_BYTES of them */

/* Compares a packet with `len` bytes of content with the tests' own writer; 0: it is too large. */
static size_t length_with_content(size_t len) {
    struct mux_packet packet = {.file_name = SPAN(""),
                                .file_content = mux_span(content_bytes, len)};
    uint8_t *out = malloc(MUX_PACKET_MAX_BYTES);
    size_t written = 0;
    assert_non_null(out);
    enum mux_error error = mux_packet_encode(&packet, out, MUX_PACKET_MAX_BYTES, &written);
    free(out);
    if (error) {
        assert_int_equal(error, MUX_ERROR_TOO_LARGE);
        return 0;
    }
    struct wire wire = {0};
    wire_from(&wire, &packet, &(struct wire_widths){0});
    assert_int_equal(written, wire.len);
    assert_encodes_to(&packet, wire_span(&wire));
    assert_reads_as(wire_span(&wire), &packet);
    wire_free(&wire);
    return written;
}

/* The table of python-subunit's writer tests, and the lengths around the edges of LENGTH. */
static void lengths(void **state) {
    (void)state;
    assert_int_equal(length_with_content(0), 10);
    assert_int_equal(length_with_content(53), 63);
    assert_int_equal(length_with_content(54), 65); /* 64 does not exist: LENGTH grows too */
    assert_int_equal(length_with_content(16371), 16383);
    assert_int_equal(length_with_content(16372), 16385);
    assert_int_equal(length_with_content(4194289), 4194303);
    for (size_t len = 0; len < 300; len++)
        assert_true(length_with_content(len) > len);
    for (size_t len = 16300; len < 16400; len++)
        assert_true(length_with_content(len) > len);
    assert_true(length_with_content(4194288) > 0);
    assert_int_equal(length_with_content(4194290), 0);
    assert_int_equal(length_with_content(MUX_PACKET_MAX_BYTES), 0);
}

/* Lengths of 64 and 16384 are never written, but are read: their LENGTH is wider than necessary. */
static void lengths_never_written(void **state) {
    (void)state;
    static const struct {
        size_t content;
        unsigned width;
        size_t length;
    } table[] = {{53, 2, 64}, {52, 2, 63}, {52, 3, 64}, {16371, 3, 16384}, {16370, 3, 16383}};
    for (size_t i = 0; i < COUNT(table); i++) {
        struct mux_packet packet = {.file_name = SPAN(""),
                                    .file_content = mux_span(content_bytes, table[i].content)};
        struct wire wire = {0};
        wire_from(&wire, &packet, &(struct wire_widths){.length = table[i].width});
        assert_int_equal(wire.len, table[i].length);
        assert_reads_as(wire_span(&wire), &packet);
        wire_free(&wire);
    }
}

static enum mux_error header(const uint8_t *bytes, size_t len, uint32_t *length, uint32_t *used) {
    uint8_t *copy = exact_copy(bytes, len);
    enum mux_error error = mux_header_parse(mux_span(copy, len), length, used);
    free(copy);
    return error;
}

static void headers_by_flags(void **state) {
    (void)state;
    uint32_t length, used;
    for (unsigned flags = 0; flags < 0x10000; flags++) {
        uint8_t bytes[] = {0xB3, (uint8_t)(flags >> 8), (uint8_t)flags, 8};
        bool version = flags >> 12 == 2, bad = !version || flags & 8;
        assert_int_equal(header(bytes, 4, &length, &used), bad ? MUX_ERROR_HEADER : MUX_OK);
        assert_int_equal(header(bytes, 3, &length, &used),
                         bad ? MUX_ERROR_HEADER : MUX_ERROR_SHORT_HEADER);
        assert_int_equal(header(bytes, 2, &length, &used),
                         version ? MUX_ERROR_SHORT_HEADER : MUX_ERROR_HEADER);
    }
    for (unsigned first = 0; first < 256; first++)
        assert_int_equal(header(&(uint8_t){(uint8_t)first}, 1, &length, &used),
                         first == 0xB3 ? MUX_ERROR_SHORT_HEADER : MUX_ERROR_HEADER);
    assert_int_equal(header(NULL, 0, &length, &used), MUX_ERROR_SHORT_HEADER);
}

static void check_length(uint32_t value, unsigned width) {
    uint8_t bytes[8] = {0xB3, 0x20, 0x00};
    uint32_t length = 0, used = 0;
    for (unsigned i = 0; i < width; i++)
        bytes[3 + i] = (uint8_t)(value >> 8 * (width - 1 - i));
    bytes[3] |= (uint8_t)((width - 1) << 6);
    bool good = value >= 8 && value >= 3 + width + 4;
    if (mux_header_parse(mux_span(bytes, 3 + width), &length, &used) !=
        (good ? MUX_OK : MUX_ERROR_HEADER))
        fail_msg("LENGTH %u in %u bytes", value, width);
    if (good && (length != value || used != 3 + width))
        fail_msg("LENGTH %u in %u bytes is read as %u in %u", value, width, length, used);
    for (unsigned have = 4; have < 3 + width; have++)
        if (mux_header_parse(mux_span(bytes, have), &length, &used) != MUX_ERROR_SHORT_HEADER)
            fail_msg("LENGTH %u: %u bytes of %u", value, have, 3 + width);
}

static void headers_by_length(void **state) {
    (void)state;
    for (unsigned width = 1; width <= 3; width++)
        for (uint32_t value = 0; value < 1u << (8 * width - 2); value++)
            check_length(value, width);
    uint32_t length, used;
    for (unsigned first = 0xC0; first < 0x100; first++)
        assert_int_equal(header((uint8_t[]){0xB3, 0x20, 0, (uint8_t)first}, 4, &length, &used),
                         MUX_ERROR_HEADER);
}

static struct wire rich_packet(void) {
    uint8_t tags[WIRE_TAGS_BYTES];
    struct mux_packet packet = wire_variant(WIRE_VARIANTS - 1, tags);
    struct wire wire = {0};
    wire_from(&wire, &packet, &(struct wire_widths){0});
    return wire;
}

/* No part of a packet is a packet, and no beginning of a good packet is refuted. */
static void truncated(void **state) {
    (void)state;
    struct wire wire = rich_packet();
    for (size_t len = 0; len < wire.len; len++) {
        struct mux_packet packet;
        uint8_t *copy = exact_copy(wire.data, len);
        assert_int_equal(mux_packet_parse(mux_span(copy, len), &packet, NULL),
                         len < 5 ? MUX_ERROR_SHORT_HEADER : MUX_ERROR_SHORT_PACKET);
        if (len >= 5)
            assert_true(mux_packet_fits(mux_span(copy, len), (uint32_t)wire.len, 5));
        free(copy);
    }
    wire_bytes(&wire, "x", 1);
    struct mux_packet packet;
    assert_int_equal(mux_packet_parse(wire_span(&wire), &packet, NULL), MUX_ERROR_TRAILING);
    wire_free(&wire);
}

static void assert_inside(struct mux_span field, const uint8_t *data, size_t len) {
    if (field.data)
        assert_true(field.data >= data && field.data + field.len <= data + len);
}

/* If it parses: its fields lie inside, it can be written again, and no beginning is refuted. */
static void check_hostile(const uint8_t *data, size_t len) {
    uint32_t length, used;
    struct mux_packet packet;
    if (mux_header_parse(mux_span(data, len), &length, &used) || length != len)
        return;
    bool parsed = mux_packet_parse(mux_span(data, len), &packet, NULL) == MUX_OK;
    bool fitted = true;
    for (size_t have = used; have <= len; have++) {
        bool fits = mux_packet_fits(mux_span(data, have), length, used);
        assert_true(!fits || fitted); /* once refuted, always refuted */
        assert_true(fits || !parsed);
        fitted = fits;
    }
    if (!parsed)
        return;
    const struct mux_span fields[] = {packet.test_id,   packet.tags,         packet.mime,
                                      packet.file_name, packet.file_content, packet.route};
    for (size_t i = 0; i < COUNT(fields); i++)
        assert_inside(fields[i], data + used, len - used - MUX_CRC_BYTES);
    uint8_t out[1024];
    size_t written;
    assert_int_equal(mux_packet_encode(&packet, out, sizeof out, &written), MUX_OK);
    assert_true(written <= len);
    assert_reads_as(mux_span(out, written), &packet);
}

static void every_byte_changed(void **state) {
    (void)state;
    struct wire wire = rich_packet();
    assert_true(wire.len < 1024);
    for (size_t at = 1; at < wire.len - MUX_CRC_BYTES; at++)
        for (unsigned value = 0; value < 256; value++) {
            uint8_t *copy = exact_copy(wire.data, wire.len);
            copy[at] = (uint8_t)value;
            bool same = value == wire.data[at];
            assert_int_equal(mux_packet_verify(mux_span(copy, wire.len)), same);
            check_hostile(copy, wire.len);
            free(copy);
        }
    wire_free(&wire);
}

/* A good header, random flags, and a body of small numbers and letters. */
static void random_bodies(void **state) {
    (void)state;
    static const uint8_t likely[] = {0, 1, 2, 3, 4, 5, 'a', 'b', 0x40, 0x80, 0xC0, 0xC2, 0xB3};
    struct random random = {7};
    size_t good = 0;
    for (int round = 0; round < 400000; round++) {
        uint8_t bytes[40] = {0xB3};
        size_t len = MUX_PACKET_MIN_BYTES + random_below(&random, sizeof bytes - 8);
        unsigned flags = (unsigned)(random_next(&random) & random_next(&random) & 0xFF7);
        bytes[1] = (uint8_t)(0x20 | flags >> 8);
        bytes[2] = (uint8_t)flags;
        bytes[3] = (uint8_t)len;
        for (size_t i = 4; i < len; i++)
            bytes[i] = likely[random_below(&random, sizeof likely)];
        struct mux_packet packet;
        good += mux_packet_parse(mux_span(bytes, len), &packet, NULL) == MUX_OK;
        uint8_t *copy = exact_copy(bytes, len);
        wire_seal(copy, len);
        check_hostile(copy, len);
        free(copy);
    }
    assert_true(good > 1000); /* enough of them are valid to test something */
}

static void every_capacity(void **state) {
    (void)state;
    uint8_t tags[WIRE_TAGS_BYTES];
    struct wire wire = rich_packet();
    struct mux_packet packet = wire_variant(WIRE_VARIANTS - 1, tags);
    for (size_t capacity = 0; capacity < wire.len; capacity++) {
        uint8_t *out = exact_copy("", 0);
        size_t written;
        out = realloc(out, capacity ? capacity : 1);
        assert_int_equal(mux_packet_encode(&packet, out, capacity, &written), MUX_ERROR_TOO_LARGE);
        free(out);
    }
    wire_free(&wire);
}

static enum mux_error encode(const struct mux_packet *packet) {
    static uint8_t out[1024];
    size_t written;
    return mux_packet_encode(packet, out, sizeof out, &written);
}

static void packets_that_are_not_written(void **state) {
    (void)state;
    const struct mux_span nul = SPAN("a\0b"), bad = SPAN("a\xFF");
    const struct mux_span strings[] = {nul, bad};
    const enum mux_error errors[] = {MUX_ERROR_NUL, MUX_ERROR_UTF8};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(encode(&(struct mux_packet){.test_id = strings[i]}), errors[i]);
        assert_int_equal(encode(&(struct mux_packet){.mime = strings[i]}), errors[i]);
        assert_int_equal(encode(&(struct mux_packet){.route = strings[i]}), errors[i]);
        assert_int_equal(encode(&(struct mux_packet){.file_name = strings[i], .file_content = nul}),
                         errors[i]);
        uint8_t tags[16];
        size_t len = 0;
        assert_int_equal(mux_tag_append(tags, sizeof tags, &len, SPAN("fine")), MUX_OK);
        assert_int_equal(mux_tag_append(tags, sizeof tags, &len, strings[i]), MUX_OK);
        assert_int_equal(encode(&(struct mux_packet){
                             .has_tags = true, .tag_count = 2, .tags = mux_span(tags, len)}),
                         errors[i]);
    }
    assert_int_equal(encode(&(struct mux_packet){.file_name = bad, .file_content = nul}),
                     MUX_ERROR_UTF8);
    assert_int_equal(encode(&(struct mux_packet){.file_name = SPAN("f")}), MUX_ERROR_CONTENT);
    assert_int_equal(encode(&(struct mux_packet){.file_content = nul}), MUX_ERROR_CONTENT);
    assert_int_equal(encode(&(struct mux_packet){.has_timestamp = true, .nanoseconds = 1u << 30}),
                     MUX_ERROR_TOO_LARGE);
}

/* Tags with a wrong count or wrong bytes would make a packet that every reader rejects. */
static void wrong_tags_are_not_written(void **state) {
    (void)state;
    const struct mux_span tags = SPAN("\x01"
                                      "a\x01"
                                      "b"),
                          cut = SPAN("\x01"
                                     "a\x02"
                                     "b");
    struct mux_packet packet = {.has_tags = true, .tags = tags, .tag_count = 2};
    assert_int_equal(encode(&packet), MUX_OK);
    for (uint32_t count = 0; count < 5; count++) {
        packet.tag_count = count;
        assert_int_equal(encode(&packet), count == 2 ? MUX_OK : MUX_ERROR_STRING);
    }
    packet = (struct mux_packet){.has_tags = true, .tags = cut, .tag_count = 1};
    assert_int_equal(encode(&packet), MUX_ERROR_STRING);
}

static void tags_one_by_one(void **state) {
    (void)state;
    const size_t sizes[] = {0, 1, 62, 63, 64, 65, 16383, 16384};
    uint8_t *tags = malloc(40000);
    size_t len = 0;
    assert_non_null(tags);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct mux_span tag = mux_span(content_bytes + i, sizes[i]);
        size_t before = len, needed = sizes[i] + (sizes[i] < 64 ? 1 : sizes[i] < 16384 ? 2 : 3);
        assert_int_equal(mux_tag_append(tags, len + needed - 1, &len, tag), MUX_ERROR_TOO_LARGE);
        assert_int_equal(len, before);
        assert_int_equal(mux_tag_append(tags, len + needed, &len, tag), MUX_OK);
        assert_int_equal(len, before + needed);
    }
    struct mux_span rest = mux_span(tags, len), tag;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        assert_true(mux_tag_next(&rest, &tag));
        assert_true(mux_span_equal(tag, mux_span(content_bytes + i, sizes[i])));
    }
    assert_false(mux_tag_next(&rest, &tag));
    free(tags);
}

/* A packet in pieces has the same bytes, and only a small packet's content is copied. */
static void in_pieces(void **state) {
    (void)state;
    uint8_t tags[WIRE_TAGS_BYTES];
    for (unsigned number = 0; number < WIRE_VARIANTS; number += 3) {
        struct mux_packet packet = wire_variant(number, tags);
        struct mux_pieces pieces;
        struct wire wire = {0};
        wire_from(&wire, &packet, &(struct wire_widths){0});
        assert_int_equal(mux_packet_gather(&packet, &pieces), MUX_OK);
        assert_int_equal(pieces.len_bytes, wire.len);
        assert_in_range(pieces.count, 1, MUX_PIECES_MAX);
        uint8_t *out = malloc(pieces.len_bytes);
        mux_pieces_copy(&pieces, out);
        assert_memory_equal(out, wire.data, wire.len);
        free(out);
        wire_free(&wire);
        bool lent = pieces.len_bytes <= MUX_PIECES_SCRATCH_BYTES || packet.file_content.len <= 16;
        for (size_t i = 0; i < pieces.count; i++)
            lent |= pieces.piece[i].data == packet.file_content.data;
        assert_true(lent);
    }
    struct mux_packet large = {.test_id = mux_span(content_bytes, MUX_PACKET_MAX_BYTES)};
    struct mux_pieces pieces;
    assert_int_equal(mux_packet_gather(&large, &pieces), MUX_ERROR_TOO_LARGE);
}

static void texts(void **state) {
    (void)state;
    for (int error = MUX_OK; error <= MUX_ERROR_ABANDONED; error++) {
        const char *text = mux_error_text((enum mux_error)error);
        assert_true(strlen(text) > 5 && text[strlen(text) - 1] != '.');
        for (int other = MUX_OK; other < error; other++)
            assert_string_not_equal(text, mux_error_text((enum mux_error)other));
    }
    assert_null(mux_status_text(MUX_STATUS_NONE));
    static const char *const names[] = {"exists", "inprogress", "success", "uxsuccess",
                                        "skip",   "fail",       "xfail"};
    for (int i = 0; i < 7; i++)
        assert_string_equal(mux_status_text((enum mux_status)(i + 1)), names[i]);
}

static int make_content(void **state) {
    (void)state;
    uint8_t *bytes = malloc(MUX_PACKET_MAX_BYTES);
    assert_non_null(bytes);
    for (size_t i = 0; i < MUX_PACKET_MAX_BYTES; i++)
        bytes[i] = (uint8_t)('a' + i * 31 % 26);
    content_bytes = bytes;
    return 0;
}

static int free_content(void **state) {
    (void)state;
    free((void *)(uintptr_t)content_bytes);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upstream_packets),
        cmocka_unit_test(upstream_damage),
        cmocka_unit_test(all_fields),
        cmocka_unit_test(over_long_numbers),
        cmocka_unit_test(lengths),
        cmocka_unit_test(lengths_never_written),
        cmocka_unit_test(headers_by_flags),
        cmocka_unit_test(headers_by_length),
        cmocka_unit_test(truncated),
        cmocka_unit_test(every_byte_changed),
        cmocka_unit_test(random_bodies),
        cmocka_unit_test(every_capacity),
        cmocka_unit_test(packets_that_are_not_written),
        cmocka_unit_test(wrong_tags_are_not_written),
        cmocka_unit_test(tags_one_by_one),
        cmocka_unit_test(in_pieces),
        cmocka_unit_test(texts),
    };
    return cmocka_run_group_tests_name("packet", tests, make_content, free_content);
}
