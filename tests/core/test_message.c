/* The messages of the reliable protocol: their bytes, and what is refused, in words. */
#include "tests/unit/check.h"

#include "mux/node/hello.h"
#include "mux/node/message.h"

#include <stdio.h>

/* The examples of docs/protocol.md. */
static const char where_hex[] = "b32550405f0a6d7578642e7768657265404573747265616d3d3030313132323333"
                                "343435353636373738383939616162"
                                "6263636464656566660a65706f63683d310a626173653d31320a6372633d313032"
                                "65306265660a03372f334fe910f9";
static const char ack_hex[] =
    "b325504086086d7578642e61636b407073747265616d3d303031313232333334343535363637373838393961616262"
    "63"
    "636464656566660a65706f63683d310a61743d32340a736166653d31320a6372633d66343561363132300a656e643d"
    "66"
    "666565646463636262616139393838373736363535343433333232313130300a013318f84528";
static const char ask_hex[] = "b3215012086d7578642e61736b001a0a4da9";
static const char lost_hex[] = "b3255015096d7578642e6c6f7374000133e745408c";

static const uint8_t stream[MUX_STREAM_ID_BYTES] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                                    0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};

static uint8_t out[MUX_MESSAGE_PACKET_BYTES];

/* What was written to `out`, parsed; it has these bytes. */
static struct mux_packet written(size_t len, enum mux_message_kind kind, const char *hex) {
    static char text[2 * MUX_MESSAGE_PACKET_BYTES + 1];
    struct mux_packet packet;
    for (size_t i = 0; i < len; i++)
        sprintf(text + 2 * i, "%02x", out[i]);
    if (hex)
        assert_string_equal(text, hex);
    assert_true(mux_packet_verify(mux_span(out, len)));
    assert_int_equal(mux_packet_parse(mux_span(out, len), &packet, NULL), MUX_OK);
    assert_int_equal(mux_message_kind(&packet), kind);
    return packet;
}

static void test_where(void **state) {
    (void)state;
    struct mux_where where = {.epoch = 1, .base = 12, .crc = 0x102e0bef}, got;
    memcpy(where.stream, stream, sizeof stream);
    struct mux_packet packet =
        written(mux_where_write(&where, mux_span_text("7/3"), out), MUX_MESSAGE_WHERE, where_hex);
    assert_null(mux_where_read(&packet, &got));
    assert_memory_equal(got.stream, stream, sizeof stream);
    assert_true(got.epoch == 1 && got.base == 12 && got.crc == where.crc && !got.is_final);
    where.is_final = true;
    where.len_bytes = where.base = MUX_STREAM_BYTES_MAX - 1;
    where.epoch = UINT32_MAX;
    packet = written(mux_where_write(&where, mux_span(NULL, 0), out), MUX_MESSAGE_WHERE, NULL);
    assert_null(mux_where_read(&packet, &got));
    assert_true(got.epoch == UINT32_MAX && got.base == where.base && got.is_final);
    assert_true(got.len_bytes == where.len_bytes);
}

static void test_ack(void **state) {
    (void)state;
    struct mux_ack ack = {.epoch = 1, .at = 24, .safe = 12, .crc = 0xf45a6120}, got;
    memcpy(ack.stream, stream, sizeof stream);
    for (unsigned i = 0; i < sizeof ack.end; i++)
        ack.end[i] = stream[sizeof stream - 1 - i];
    struct mux_packet packet =
        written(mux_ack_write(&ack, mux_span_text("3"), out), MUX_MESSAGE_ACK, ack_hex);
    assert_null(mux_ack_read(&packet, &got));
    assert_memory_equal(got.stream, stream, sizeof stream);
    assert_memory_equal(got.end, ack.end, sizeof ack.end);
    assert_true(got.epoch == 1 && got.at == 24 && got.safe == 12 && got.crc == ack.crc);
}

static void test_ask_and_lost(void **state) {
    (void)state;
    const struct mux_span none = {NULL, 0};
    struct mux_ask ask = {.has_stream = false}, got;
    struct mux_packet packet = written(mux_ask_write(&ask, none, out), MUX_MESSAGE_ASK, ask_hex);
    assert_null(mux_ask_read(&packet, &got));
    assert_false(got.has_stream);
    packet.route = mux_span_text("3");
    assert_non_null(strstr(mux_ask_read(&packet, &got), "names no stream"));
    ask.has_stream = true;
    memcpy(ask.stream, stream, sizeof stream);
    packet = written(mux_ask_write(&ask, mux_span_text("7/3"), out), MUX_MESSAGE_ASK, NULL);
    assert_null(mux_ask_read(&packet, &got));
    assert_true(got.has_stream);
    assert_memory_equal(got.stream, stream, sizeof stream);
    packet = written(mux_lost_write(mux_span_text("3"), out), MUX_MESSAGE_LOST, lost_hex);
    assert_null(mux_lost_read(&packet));
    packet = written(mux_beat_write(out), MUX_MESSAGE_BEAT, NULL);
    assert_null(mux_beat_read(&packet));
    packet.route = mux_span_text("3");
    assert_non_null(strstr(mux_beat_read(&packet), "goes no further"));
}

/* A name alone decides; words of node links and ordinary packets are none of these. */
static void test_kinds(void **state) {
    (void)state;
    static const struct {
        const char *name;
        enum mux_message_kind kind;
        bool goes_up;
    } cases[] = {
        {"muxd.where", MUX_MESSAGE_WHERE, true}, {"muxd.bundle", MUX_MESSAGE_BUNDLE, true},
        {"muxd.lost", MUX_MESSAGE_LOST, true},   {"muxd.ack", MUX_MESSAGE_ACK, false},
        {"muxd.ask", MUX_MESSAGE_ASK, false},    {"muxd.asks", MUX_MESSAGE_NONE, false},
        {"muxd.as", MUX_MESSAGE_NONE, false},    {"muxd", MUX_MESSAGE_NONE, false},
        {"muxd.hello", MUX_MESSAGE_NONE, false}, {"", MUX_MESSAGE_NONE, false},
        {"muxd.beat", MUX_MESSAGE_BEAT, false},  {"muxd.beats", MUX_MESSAGE_NONE, false},
    };
    for (unsigned i = 0; i < COUNT(cases); i++) {
        struct mux_packet packet = {.file_name = mux_span_text(cases[i].name)};
        assert_int_equal(mux_message_kind(&packet), cases[i].kind);
        assert_int_equal(mux_message_goes_up(cases[i].kind), cases[i].goes_up);
        packet.test_id = mux_span_text("t");
        assert_int_equal(mux_message_kind(&packet), MUX_MESSAGE_NONE);
    }
    assert_int_equal(mux_message_kind(&(struct mux_packet){0}), MUX_MESSAGE_NONE);
}

#define ID "stream=00112233445566778899aabbccddeeff\n"
#define END "end=00112233445566778899aabbccddeeff\n"

static struct mux_packet message(const char *file, const char *content) {
    return (struct mux_packet){.runnable = true,
                               .eof = true,
                               .file_name = mux_span_text(file),
                               .file_content = mux_span_text(content)};
}

static const char *read_any(const struct mux_packet *packet) {
    struct mux_where where;
    struct mux_ack ack;
    struct mux_ask ask;
    switch (mux_message_kind(packet)) {
    case MUX_MESSAGE_WHERE:
        return mux_where_read(packet, &where);
    case MUX_MESSAGE_ACK:
        return mux_ack_read(packet, &ack);
    case MUX_MESSAGE_ASK:
        return mux_ask_read(packet, &ask);
    default:
        return mux_lost_read(packet);
    }
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *file, *content, *why; /* NULL: taken */
    } cases[] = {
        {"muxd.where", ID "epoch=1\nbase=0\ncrc=00000000\nlater=x\n", NULL},
        {"muxd.where", "crc=00000000\nbase=0\nepoch=1\nfinal=0\n" ID, NULL},
        {"muxd.where", "", "stream is missing"},
        {"muxd.where", "stream=\nepoch=1\nbase=0\ncrc=00000000\n", "stream is missing"},
        {"muxd.where", "stream=00112233445566778899AABBCCDDEEFF\nepoch=1\nbase=0\ncrc=00000000\n",
         "stream is missing"},
        {"muxd.where", ID ID "epoch=1\nbase=0\ncrc=00000000\n", "twice"},
        {"muxd.where", ID "base=0\ncrc=00000000\n", "epoch"},
        {"muxd.where", ID "epoch=4294967296\nbase=0\ncrc=00000000\n", "epoch"},
        {"muxd.where", ID "epoch=-1\nbase=0\ncrc=00000000\n", "epoch"},
        {"muxd.where", ID "epoch=1\nbase=9223372036854775808\ncrc=00000000\n", "base"},
        {"muxd.where", ID "epoch=1\nbase=99999999999999999999999\ncrc=00000000\n", "base"},
        {"muxd.where", ID "epoch=1\nbase= 1\ncrc=00000000\n", "base"},
        {"muxd.where", ID "epoch=1\nbase=0\ncrc=0000000\n", "crc"},
        {"muxd.where", ID "epoch=1\nbase=0\ncrc=0000000g\n", "crc"},
        {"muxd.where", ID "epoch=1\nbase=12\ncrc=00000000\nfinal=11\n", "final"},
        {"muxd.where", ID "epoch=1\nbase=12\ncrc=00000000\nfinal=\n", "final"},
        {"muxd.ack", ID "epoch=1\nat=5\nsafe=5\ncrc=00000000\n" END, NULL},
        {"muxd.ack", "epoch=1\nat=5\nsafe=5\ncrc=00000000\n" END, "stream is missing"},
        {"muxd.ack", ID "at=5\nsafe=5\ncrc=00000000\n" END, "epoch"},
        {"muxd.ack", ID "epoch=1\nsafe=5\ncrc=00000000\n" END, "its at"},
        {"muxd.ack", ID "epoch=1\nat=5\nsafe=6\ncrc=00000000\n" END, "safe"},
        {"muxd.ack", ID "epoch=1\nat=5\nsafe=5\n" END, "crc"},
        {"muxd.ack", ID "epoch=1\nat=5\nsafe=5\ncrc=00000000\n", "its end"},
        {"muxd.ask", "stream=0\n", "stream is missing"},
        {"muxd.ask", "later=x\n", NULL},
        {"muxd.lost", "later=x\n", NULL},
    };
    for (unsigned i = 0; i < COUNT(cases); i++) {
        struct mux_packet packet = message(cases[i].file, cases[i].content);
        const char *why = read_any(&packet);
        if (!cases[i].why)
            assert_null(why);
        else if (!why || !strstr(why, cases[i].why))
            fail_msg("%s %s: %s", cases[i].file, cases[i].content, why ? why : "taken");
    }
}

/* What all of them have in common. */
static void test_form(void **state) {
    (void)state;
    static const char *const files[] = {"muxd.where", "muxd.ack", "muxd.ask", "muxd.lost"};
    static const char content[] = ID "epoch=1\nbase=0\nat=0\nsafe=0\ncrc=00000000\n" END;
    static char long_content[MUX_MESSAGE_CONTENT_BYTES + 2];
    memset(long_content, '\n', sizeof long_content - 1);
    memcpy(long_content, content, sizeof content - 1);
    for (unsigned i = 0; i < COUNT(files); i++) {
        struct mux_packet right = message(files[i], content), packet;
        assert_null(read_any(&right));
        packet = right, packet.status = MUX_STATUS_SUCCESS;
        assert_non_null(strstr(read_any(&packet), "more than a whole file"));
        packet = right, packet.eof = false;
        assert_non_null(strstr(read_any(&packet), "more than a whole file"));
        packet = right, packet.has_timestamp = true;
        assert_non_null(strstr(read_any(&packet), "more than a whole file"));
        packet = right, packet.route = mux_span("", MUX_BUNDLE_ROUTE_MAX_BYTES + 1);
        assert_non_null(strstr(read_any(&packet), "route code is too long"));
        packet = message(files[i], long_content);
        assert_non_null(strstr(read_any(&packet), "it is too long"));
        packet.file_content.len--;
        assert_null(read_any(&packet));
    }
}

/* Who takes bundles says so in its hello; a node of the version before says nothing. */
static void test_hello(void **state) {
    (void)state;
    static const struct {
        const char *line, *why;
        bool takes_bundles;
    } cases[] = {
        {"", NULL, false},
        {"bundles=0\n", NULL, false},
        {"bundles=1\n", NULL, true},
        {"bundles=2\n", NULL, true},
        {"bundles=\n", "no number", false},
        {"bundles=yes\n", "no number", false},
        {"bundles=1\nbundles=1\n", "twice", false},
    };
    for (unsigned i = 0; i < COUNT(cases); i++) {
        char content[128];
        struct mux_hello hello;
        snprintf(content, sizeof content, "version=1\nidentity=0a\nname=leaf\n%s", cases[i].line);
        struct mux_packet packet = message("muxd.hello", content);
        const char *why = mux_hello_read(&packet, &hello);
        assert_int_equal(why != NULL, cases[i].why != NULL);
        if (why)
            assert_non_null(strstr(why, cases[i].why));
        else
            assert_int_equal(hello.takes_bundles, cases[i].takes_bundles);
    }
}

/* What is said is the example of the reliable protocol, byte for byte; else there is no such line.
 */
static void test_hello_written(void **state) {
    (void)state;
    static const char says[] = "version=1\nidentity=00112233445566778899aabbccddeeff\nname=leaf\n";
    uint8_t bytes[MUX_HELLO_PACKET_BYTES];
    for (unsigned takes = 0; takes < 2; takes++) {
        struct mux_hello hello;
        struct mux_packet packet;
        char wanted[128];
        mux_hello_init(&hello, "00112233445566778899aabbccddeeff", "leaf");
        hello.takes_bundles = takes;
        size_t len = mux_hello_write(&hello, bytes);
        assert_int_equal(mux_packet_parse(mux_span(bytes, len), &packet, NULL), MUX_OK);
        snprintf(wanted, sizeof wanted, "%s%s", says, takes ? "bundles=1\n" : "");
        assert_same_field(packet.file_content, mux_span_text(wanted));
        if (takes)
            assert_int_equal(mux_packet_crc(mux_span(bytes, len)), 0x91d092df);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where),        cmocka_unit_test(test_ack),
        cmocka_unit_test(test_ask_and_lost), cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_form),
        cmocka_unit_test(test_hello),        cmocka_unit_test(test_hello_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
