/*
 * The framer's contract with its caller: which bytes it lends and which it stores, stores, direct
 * receive, flushing, the stream's end, and linear time. tests/differential compares the frames of
 * streams with the corpora and the oracle.
 */
#include <stdio.h>
#include <time.h>

#include "mux/packet/framer.h"
#include "tests/unit/check.h"
#include "tests/unit/random.h"
#include "tests/unit/wire.h"

#define FOO             \
    "\xb3)\x01\x0c\x03" \
    "foo\x08U_\x1b"
#define FOO_BYTES (sizeof FOO - 1)

static const char foo[] = FOO FOO; /* two packets */

static struct mux_framer framer;
static struct mux_frame frame;
static uint8_t *store;

static void start(size_t store_bytes) {
    free(store);
    store = malloc(store_bytes);
    assert_non_null(store);
    mux_framer_init(&framer, (struct mux_room){store, store_bytes});
}

static void feed(const void *data, size_t len) {
    mux_framer_feed(&framer, mux_span(data, len));
}

static void assert_next(enum mux_frame_kind kind) {
    mux_framer_next(&framer, &frame);
    assert_int_equal(frame.kind, kind);
}

static void assert_next_bytes(enum mux_frame_kind kind, const void *data, size_t len) {
    assert_next(kind);
    assert_int_equal(frame.bytes.len, len);
    assert_memory_equal(frame.bytes.data, data, len);
}

static void grow_to(size_t store_bytes) {
    uint8_t *larger = malloc(store_bytes);
    assert_non_null(larger);
    mux_framer_move(&framer, (struct mux_room){larger, store_bytes});
    free(store);
    store = larger;
}

static void whole_packets_are_lent(void **state) {
    (void)state;
    start(MUX_STORE_MIN_BYTES);
    feed(foo, 2 * FOO_BYTES);
    for (size_t i = 0; i < 2; i++) {
        assert_next(MUX_FRAME_PACKET);
        assert_false(frame.in_store);
        assert_ptr_equal(frame.bytes.data, foo + i * FOO_BYTES);
        assert_int_equal(frame.bytes.len, FOO_BYTES);
        assert_ptr_equal(frame.packet.test_id.data, foo + i * FOO_BYTES + 5);
        assert_int_equal(frame.layout.length, FOO_BYTES);
    }
    assert_next(MUX_FRAME_NONE);
    assert_int_equal(mux_framer_stored(&framer), 0);
}

/* A cut packet is stored, wherever it is cut; the packets after it in the next span are lent. */
static void cut_packets_are_stored(void **state) {
    (void)state;
    for (size_t cut = 1; cut < FOO_BYTES; cut++) {
        uint8_t *head = exact_copy(FOO, cut);
        uint8_t *tail = exact_copy(foo + cut, 2 * FOO_BYTES - cut);
        start(MUX_STORE_MIN_BYTES);
        feed(head, cut);
        assert_next(MUX_FRAME_NONE);
        free(head);
        assert_int_equal(mux_framer_stored(&framer), cut);
        assert_int_equal(mux_framer_chatter(&framer), 0);
        feed(tail, 2 * FOO_BYTES - cut);
        assert_next_bytes(MUX_FRAME_PACKET, FOO, FOO_BYTES);
        assert_true(frame.in_store);
        assert_true(frame.bytes.data >= store && frame.bytes.data < store + MUX_STORE_MIN_BYTES);
        assert_next_bytes(MUX_FRAME_PACKET, FOO, FOO_BYTES);
        assert_next(MUX_FRAME_NONE);
        free(tail);
    }
}

static void direct_receive(void **state) {
    (void)state;
    const size_t header = 5, step = 3;
    start(MUX_STORE_MIN_BYTES);
    assert_null(mux_framer_room(&framer).data);
    feed(FOO, header);
    assert_next(MUX_FRAME_NONE);
    for (size_t have = header; have < FOO_BYTES;) {
        struct mux_room room = mux_framer_room(&framer);
        assert_int_equal(room.len, FOO_BYTES - have);
        assert_true(room.data >= store && room.data + room.len <= store + MUX_STORE_MIN_BYTES);
        size_t len = room.len < step ? room.len : step;
        memcpy(room.data, foo + have, len);
        mux_framer_filled(&framer, len);
        have += len;
        if (have < FOO_BYTES)
            assert_next(MUX_FRAME_NONE);
    }
    assert_next_bytes(MUX_FRAME_PACKET, FOO, FOO_BYTES);
    assert_next(MUX_FRAME_NONE);
    assert_int_equal(mux_framer_room(&framer).len, 0);
}

/* Only an unfinished packet offers room for direct receive. */
static void no_room_for_others(void **state) {
    (void)state;
    start(MUX_STORE_MIN_BYTES);
    feed("half a line", 11);
    assert_next(MUX_FRAME_NONE);
    assert_null(mux_framer_room(&framer).data);
    feed("\xb3\x29", 2); /* the packet's length is not known yet */
    assert_next(MUX_FRAME_NONE);
    assert_null(mux_framer_room(&framer).data);
}

/* A small store is filled before a larger one is asked for; only that one has room for a packet. */
static void no_room_in_a_small_store(void **state) {
    (void)state;
    static uint8_t content[MUX_STORE_MIN_BYTES];
    start(MUX_STORE_MIN_BYTES);
    feed("\xb3\x20\x40\x80\x40", 5);
    assert_next(MUX_FRAME_NONE);
    feed("\x00\x01"
         "f\x7f\xf2",
         5); /* 16384 bytes */
    assert_next(MUX_FRAME_NONE);
    assert_null(mux_framer_room(&framer).data);
    feed(content, MUX_STORE_MIN_BYTES - 10);
    assert_next(MUX_FRAME_NONE);
    feed(content, 1);
    assert_next(MUX_FRAME_STORE);
    assert_true(frame.store_bytes >= 16384);
    grow_to(frame.store_bytes);
    assert_next(MUX_FRAME_NONE);
    assert_int_equal(mux_framer_room(&framer).len, 16384 - MUX_STORE_MIN_BYTES - 1);
}

/* A packet that its writer abandoned, with another stream after it (rule 8). */
static void an_abandoned_packet_is_searched(void **state) {
    (void)state;
    const char begun[] = "\xb3\x20\x40\xbf\xff\xff\x01"
                         "f\xbf\xff\xf0";
    start(MUX_STORE_MIN_BYTES);
    feed(begun, sizeof begun - 1);
    assert_next(MUX_FRAME_NONE);
    assert_false(mux_framer_resynchronise(&framer)); /* only the beginning is stored */
    feed(foo, FOO_BYTES - 1);
    assert_next(MUX_FRAME_NONE);
    assert_false(mux_framer_resynchronise(&framer)); /* no whole packet */
    feed(foo + FOO_BYTES - 1, 6);
    assert_next(MUX_FRAME_NONE);
    assert_true(mux_framer_resynchronise(&framer)); /* one whole packet; the next is cut */
    assert_next(MUX_FRAME_DAMAGE);
    assert_int_equal(frame.why, MUX_ERROR_ABANDONED);
    assert_int_equal(frame.bytes.len, sizeof begun - 1);
    assert_next(MUX_FRAME_PACKET);
    assert_memory_equal(frame.bytes.data, FOO, FOO_BYTES);
    assert_next(MUX_FRAME_NONE);
    feed(foo + 5, FOO_BYTES - 5);
    assert_next(MUX_FRAME_PACKET);
    assert_next(MUX_FRAME_NONE);
    assert_int_equal(mux_framer_stored(&framer), 0);
}

/* When the bytes of an unfinished packet refute it, it is chatter and its room is gone. */
static void room_of_a_refuted_packet(void **state) {
    (void)state;
    start(MUX_STORE_MIN_BYTES);
    feed("\xb3)\x01\x0c", 4);
    assert_next(MUX_FRAME_NONE);
    struct mux_room room = mux_framer_room(&framer);
    assert_int_equal(room.len, 8);
    room.data[0] = 0x3F; /* the test id would run past the end */
    mux_framer_filled(&framer, 1);
    assert_next(MUX_FRAME_NONE);
    assert_null(mux_framer_room(&framer).data);
    assert_int_equal(mux_framer_chatter(&framer), 5);
}

/* ---- stores ---- */

static struct wire packet_of(size_t content_len) {
    uint8_t *content = calloc(1, content_len);
    struct mux_packet packet = {.file_name = mux_span_text("f"),
                                .file_content = mux_span(content, content_len)};
    struct wire wire = {0};
    wire_from(&wire, &packet, &(struct wire_widths){0});
    free(content);
    return wire;
}

/*
 * A packet that comes in pieces and is larger than the store asks for a store that is large enough
 * for it, at most for the largest.
 */
static void small_store_asks(void **state) {
    (void)state;
    static const size_t contents[] = {100, 4000, 4086, 4096, 10000, 1000000, 4194280};
    for (size_t i = 0; i < COUNT(contents); i++) {
        struct wire wire = packet_of(contents[i]);
        unsigned asked = 0;
        start(MUX_STORE_MIN_BYTES);
        for (size_t at = 0; at < wire.len; at += 1000) {
            feed(wire.data + at, wire.len - at < 1000 ? wire.len - at : 1000);
            mux_framer_next(&framer, &frame);
            while (frame.kind == MUX_FRAME_STORE) {
                assert_true(frame.store_bytes >= wire.len);
                assert_true(frame.store_bytes <= MUX_STORE_MAX_BYTES);
                grow_to(frame.store_bytes);
                mux_framer_next(&framer, &frame);
                asked++;
            }
            assert_int_equal(frame.kind, at + 1000 < wire.len ? MUX_FRAME_NONE : MUX_FRAME_PACKET);
        }
        assert_true(asked <= 1);
        assert_true(asked == 1 || wire.len <= MUX_STORE_MIN_BYTES);
        assert_true(mux_span_equal(frame.bytes, wire_span(&wire)));
        wire_free(&wire);
    }
}

/* A packet that arrived whole needs no store, however large it is. */
static void whole_needs_no_store(void **state) {
    (void)state;
    struct wire wire = packet_of(4194280);
    start(MUX_STORE_MIN_BYTES);
    feed(wire.data, wire.len);
    assert_next(MUX_FRAME_PACKET);
    assert_ptr_equal(frame.bytes.data, wire.data);
    assert_next(MUX_FRAME_NONE);
    wire_free(&wire);
}

/* A move, to another store or within one, keeps the stored bytes and the framer's position. */
static void moves_keep_all(void **state) {
    (void)state;
    start(MUX_STORE_MIN_BYTES);
    feed("line\nrest" FOO, 9 + 7);
    assert_next_bytes(MUX_FRAME_CHATTER, "line\n", 5);
    mux_framer_move(&framer, framer.store);
    assert_next(MUX_FRAME_NONE);
    assert_int_equal(mux_framer_stored(&framer), 4 + 7); /* "rest" is stored, with a small packet */
    assert_int_equal(mux_framer_room(&framer).len, 0);
    mux_framer_flush(&framer);
    assert_next_bytes(MUX_FRAME_CHATTER, "rest", 4);
    assert_next(MUX_FRAME_NONE);
    assert_int_equal(mux_framer_stored(&framer), 7);
    mux_framer_move(&framer, framer.store);
    grow_to(2 * MUX_STORE_MIN_BYTES);
    assert_int_equal(mux_framer_stored(&framer), 7);
    assert_int_equal(mux_framer_room(&framer).len, FOO_BYTES - 7);
    feed(foo + 7, FOO_BYTES - 7);
    assert_next_bytes(MUX_FRAME_PACKET, FOO, FOO_BYTES);
}

/* ---- chatter ---- */

static void chatter_waits_for_its_newline(void **state) {
    (void)state;
    start(MUX_STORE_MIN_BYTES);
    feed("ab", 2);
    assert_next(MUX_FRAME_NONE);
    assert_int_equal(mux_framer_chatter(&framer), 2);
    feed("cd\nef", 5);
    assert_next_bytes(MUX_FRAME_CHATTER, "abcd\n", 5);
    assert_next(MUX_FRAME_NONE);
    assert_int_equal(mux_framer_chatter(&framer), 2);
    feed(FOO, FOO_BYTES);
    assert_next_bytes(MUX_FRAME_CHATTER, "ef", 2);
    assert_next(MUX_FRAME_PACKET);
    assert_next(MUX_FRAME_NONE);
    assert_int_equal(mux_framer_chatter(&framer), 0);
}

static void flushed(void **state) {
    (void)state;
    start(MUX_STORE_MIN_BYTES);
    mux_framer_flush(&framer); /* nothing is stored: no effect, now or later */
    assert_next(MUX_FRAME_NONE);
    feed("ab", 2);
    assert_next(MUX_FRAME_NONE);
    mux_framer_flush(&framer);
    assert_next_bytes(MUX_FRAME_CHATTER, "ab", 2);
    assert_next(MUX_FRAME_NONE);
    feed("cd", 2);
    assert_next(MUX_FRAME_NONE); /* the next one waits again */
    feed("\xb3", 1);
    assert_next(MUX_FRAME_NONE);
    mux_framer_flush(&framer);
    assert_next_bytes(MUX_FRAME_CHATTER, "cd", 2);
    assert_next(MUX_FRAME_NONE);
    assert_int_equal(mux_framer_stored(&framer), 1); /* the signature may still begin a packet */
    mux_framer_flush(&framer);
    assert_next(MUX_FRAME_NONE);
    feed(foo + 1, FOO_BYTES - 1);
    assert_next_bytes(MUX_FRAME_PACKET, FOO, FOO_BYTES);
}

/* A flush does not cut a character: its rest may still follow. */
static void flush_in_a_character(void **state) {
    (void)state;
    start(MUX_STORE_MIN_BYTES);
    feed("x\xe3", 2);
    assert_next(MUX_FRAME_NONE);
    mux_framer_flush(&framer);
    assert_next_bytes(MUX_FRAME_CHATTER, "x", 1);
    assert_next(MUX_FRAME_NONE);
    feed("\xb3\x8a\n" FOO, 3 + FOO_BYTES);
    assert_next_bytes(MUX_FRAME_CHATTER, "\xe3\xb3\x8a\n", 4);
    assert_next(MUX_FRAME_PACKET);
    assert_next(MUX_FRAME_NONE);
}

/* Chatter never comes a frame per byte: not lines that arrive together, and not an endless line. */
static void chatter_comes_in_large_frames(void **state) {
    (void)state;
    const size_t lines = 20000, long_line_bytes = 200000, least_mean_bytes = 512;
    struct wire text = {0};
    for (size_t i = 0; i < lines; i++)
        wire_bytes(&text, "a line\n", 7);
    start(MUX_STORE_MIN_BYTES);
    feed(text.data, text.len);
    size_t frames = 0;
    for (mux_framer_next(&framer, &frame); frame.kind; mux_framer_next(&framer, &frame), frames++)
        assert_int_equal(frame.kind, MUX_FRAME_CHATTER);
    assert_in_range(frames, 1, text.len / least_mean_bytes);
    wire_free(&text);
    for (size_t i = frames = 0; i < long_line_bytes; i++) {
        feed(&"\xE2\x82\xAC"[i % 3], 1);
        for (mux_framer_next(&framer, &frame); frame.kind; mux_framer_next(&framer, &frame)) {
            assert_true(frame.kind == MUX_FRAME_CHATTER || frame.kind == MUX_FRAME_STORE);
            if (frame.kind == MUX_FRAME_STORE) {
                assert_true(frame.store_bytes <= MUX_STORE_MIN_BYTES);
                mux_framer_move(&framer, framer.store);
            }
            frames += frame.kind == MUX_FRAME_CHATTER;
        }
    }
    assert_in_range(frames, 1, long_line_bytes / least_mean_bytes);
}

/* ---- the end ---- */

static void assert_ends_with(const char *stream, size_t len, enum mux_frame_kind kind,
                             enum mux_error why) {
    for (int drained = 0; drained < 2; drained++) {
        start(MUX_STORE_MIN_BYTES);
        uint8_t *fed = exact_copy(stream, len);
        feed(fed, len);
        if (drained)
            assert_next(MUX_FRAME_NONE);
        mux_framer_end(&framer);
        assert_next_bytes(kind, stream, len);
        if (kind == MUX_FRAME_DAMAGE)
            assert_int_equal(frame.why, why);
        assert_next(MUX_FRAME_NONE);
        assert_next(MUX_FRAME_NONE);
        assert_int_equal(mux_framer_stored(&framer), 0);
        free(fed);
    }
}

static void ends(void **state) {
    (void)state;
    for (size_t len = 1; len < 4; len++)
        assert_ends_with(FOO, len, MUX_FRAME_DAMAGE, MUX_ERROR_SHORT_HEADER);
    for (size_t len = 4; len < FOO_BYTES; len++)
        assert_ends_with(FOO, len, MUX_FRAME_DAMAGE, MUX_ERROR_SHORT_PACKET);
    assert_ends_with("no newline", 10, MUX_FRAME_CHATTER, MUX_OK);
    assert_ends_with("\xe2\x82", 2, MUX_FRAME_CHATTER, MUX_OK);
    start(MUX_STORE_MIN_BYTES);
    mux_framer_end(&framer);
    assert_next(MUX_FRAME_NONE);
}

/* The end comes when half of a packet is stored and its rest was fed but not yet read. */
static void ends_with_fed_bytes_left(void **state) {
    (void)state;
    start(MUX_STORE_MIN_BYTES);
    feed(foo, 7);
    assert_next(MUX_FRAME_NONE);
    feed(foo + 7, FOO_BYTES - 7 + 3);
    mux_framer_end(&framer);
    assert_next_bytes(MUX_FRAME_PACKET, FOO, FOO_BYTES);
    assert_next_bytes(MUX_FRAME_DAMAGE, FOO, 3);
    assert_next(MUX_FRAME_NONE);
}

/* ---- linear time ---- */

#define GROWTH 8           /* the second stream is this many times longer */
#define GROWTH_ALLOWED 24  /* linear: 8, quadratic: 64 */
#define SLACK_SECONDS 0.02 /* the cost of a clock tick or a page fault */

struct hostile {
    const char *name;
    const char *unit; /* the stream is a repetition of this */
    size_t unit_bytes;
    size_t piece_bytes;
    size_t stream_bytes; /* length of the shorter stream */
};

#define UNIT(literal) literal, sizeof(literal) - 1
#define MIB ((size_t)1 << 20)

/*
 * LENGTH is 4194303; the test id is 2 MiB, or nearly all of the packet, and the route code after
 * it refutes the candidate: each candidate stands for long, and one begins every 9 bytes.
 */
#define BELIEVED_FOR_2_MIB "\xb3\x2c\x01\xbf\xff\xff\xa0\x00\x00"
#define BELIEVED_TO_THE_END "\xb3\x2c\x01\xbf\xff\xff\xbf\xff\xf0"
#define BELIEVED_FOR_32_KIB \
    "\xb3\x2c\x01\x81\x86\xa0\x80\x80\x00" /* LENGTH 100000: another store */
#define BELIEVED_FOR_16_KIB "\xb3\x2c\x01\xbf\xff\xff\x7f\xff"

static const struct hostile hostile[] = {
    {"signatures", UNIT("\xb3"), 4096, MIB},
    {"signatures, a byte at a time", UNIT("\xb3"), 1, MIB / 2},
    {"half headers", UNIT("\xb3\x20"), 4096, MIB},
    {"half headers, a byte at a time", UNIT("\xb3\x20"), 1, MIB / 2},
    {"believed for 16 KiB", UNIT(BELIEVED_FOR_16_KIB), 1, MIB / 2},
    {"believed for 32 KiB of 100000 bytes", UNIT(BELIEVED_FOR_32_KIB), 100, MIB},
    {"believed for 2 MiB", UNIT(BELIEVED_FOR_2_MIB), 16384, 6 * MIB},
    {"believed for 2 MiB, whole", UNIT(BELIEVED_FOR_2_MIB), SIZE_MAX, 6 * MIB},
    {"believed to the end", UNIT(BELIEVED_TO_THE_END), 16384, 12 * MIB},
    {"a line without an end", UNIT("a"), 4096, MIB},
    {"a line without an end, a byte at a time", UNIT("a"), 1, MIB / 2},
    {"characters, a byte at a time", UNIT("\xe2\x82\xac"), 1, MIB / 2},
    {"half characters", UNIT("\xf0\x9f"), 100, MIB},
    {"lines", UNIT("\n"), 1, MIB / 2},
    {"packets, a byte at a time", UNIT(FOO), 1, MIB / 2},
    {"packets between text", UNIT("x" FOO), 7, MIB},
};

static double cpu_seconds(void) {
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void take_all(void) {
    for (mux_framer_next(&framer, &frame); frame.kind; mux_framer_next(&framer, &frame)) {
        if (frame.kind != MUX_FRAME_STORE)
            continue;
        assert_true(frame.store_bytes <= MUX_STORE_MAX_BYTES);
        if (frame.store_bytes > framer.store.len)
            grow_to(frame.store_bytes);
        else
            mux_framer_move(&framer, framer.store);
    }
}

static double time_of(const struct hostile *what, const uint8_t *stream, size_t len) {
    start(MUX_STORE_MIN_BYTES);
    double before = cpu_seconds();
    for (size_t at = 0; at < len;) {
        size_t piece = len - at < what->piece_bytes ? len - at : what->piece_bytes;
        feed(stream + at, piece);
        take_all();
        at += piece;
    }
    mux_framer_end(&framer);
    take_all();
    return cpu_seconds() - before;
}

static double least_time_of(const struct hostile *what, const uint8_t *stream, size_t len) {
    double least = time_of(what, stream, len);
    for (int again = 0; again < 2; again++) {
        double time = time_of(what, stream, len);
        least = time < least ? time : least;
    }
    return least;
}

static void linear_time(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(hostile); i++) {
        size_t len = GROWTH * hostile[i].stream_bytes;
        uint8_t *stream = malloc(len);
        assert_non_null(stream);
        for (size_t at = 0; at < len; at++)
            stream[at] = (uint8_t)hostile[i].unit[at % hostile[i].unit_bytes];
        double small = least_time_of(&hostile[i], stream, hostile[i].stream_bytes);
        double large = time_of(&hostile[i], stream, len);
        if (large > SLACK_SECONDS + GROWTH_ALLOWED * small)
            fail_msg("%s: %.3f s for %zu bytes, but %.3f s for %d times as many", hostile[i].name,
                     small, hostile[i].stream_bytes, large, GROWTH);
        free(stream);
    }
}

static int teardown(void **state) {
    (void)state;
    free(store);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_packets_are_lent),
        cmocka_unit_test(cut_packets_are_stored),
        cmocka_unit_test(direct_receive),
        cmocka_unit_test(no_room_for_others),
        cmocka_unit_test(no_room_in_a_small_store),
        cmocka_unit_test(an_abandoned_packet_is_searched),
        cmocka_unit_test(room_of_a_refuted_packet),
        cmocka_unit_test(small_store_asks),
        cmocka_unit_test(whole_needs_no_store),
        cmocka_unit_test(moves_keep_all),
        cmocka_unit_test(chatter_waits_for_its_newline),
        cmocka_unit_test(flushed),
        cmocka_unit_test(flush_in_a_character),
        cmocka_unit_test(chatter_comes_in_large_frames),
        cmocka_unit_test(ends),
        cmocka_unit_test(ends_with_fed_bytes_left),
        cmocka_unit_test(linear_time),
    };
    return cmocka_run_group_tests_name("framer", tests, NULL, teardown);
}
