/*
 * The framer: for any cuts, any store, and bytes fed or received into the store, the same packets,
 * chatter and damage come out, and together they are the stream.
 *
 * Input: mode, count, `count` bytes with the cuts, the stream.
 */
#include "tests/fuzz/fuzz.h"

#include "mux/packet/framer.h"

#include <stdlib.h>

#define MODE_REPAIR 1 /* CRCs are corrected */
#define MODE_LARGE 2  /* the store is large from the start */
#define MODE_ROOM 4   /* bytes are received into the store where it offers room */
#define MODE_FLUSH 8  /* chatter does not wait */
#define MODE_LOOK 16  /* rule 8 may apply: only the bytes that the frames cover are compared */

/* A cut's byte: the piece's length, 0 for the rest; and a flush or search after it. */
#define CUT_LENGTH 0x7F
#define CUT_FLUSH 0x80

/* The frames. Chatter may be cut anywhere, so neighbours are joined. */
struct outcome {
    struct bytes record, stream;
    bool in_chatter;
};

static void add(struct outcome *outcome, const struct mux_frame *frame) {
    bool chatter = frame->kind == MUX_FRAME_CHATTER;
    if (!chatter || !outcome->in_chatter) {
        uint8_t head[] = {(uint8_t)frame->kind, frame->kind == MUX_FRAME_DAMAGE ? frame->why : 0};
        bytes_append(&outcome->record, mux_span(head, sizeof head));
    }
    outcome->in_chatter = chatter;
    bytes_append(&outcome->record, frame->bytes);
    bytes_append(&outcome->stream, frame->bytes);
}

static void check_frame(const struct mux_frame *frame) {
    assert(frame->bytes.len > 0);
    if (frame->kind != MUX_FRAME_PACKET)
        return;
    struct mux_packet packet;
    assert(frame->layout.length == frame->bytes.len && mux_packet_verify(frame->bytes));
    assert(mux_packet_parse(frame->bytes, &packet, NULL) == MUX_OK);
    assert(same_fields(&packet, &frame->packet));
}

/* Everything fed is used up; the store grows on request. */
static void take_frames(struct mux_framer *framer, struct outcome *outcome) {
    struct mux_frame frame;
    while (mux_framer_next(framer, &frame), frame.kind != MUX_FRAME_NONE) {
        if (frame.kind != MUX_FRAME_STORE) {
            check_frame(&frame);
            add(outcome, &frame);
            continue;
        }
        if (frame.store_bytes <= framer->store.len) {
            mux_framer_move(framer, framer->store);
            continue;
        }
        uint8_t *old = framer->store.data;
        assert(frame.store_bytes <= MUX_STORE_MAX_BYTES);
        struct mux_room store = {malloc(frame.store_bytes), frame.store_bytes};
        assert(store.data);
        mux_framer_move(framer, store);
        free(old);
    }
}

static void give(struct mux_framer *framer, struct mux_span bytes, uint8_t mode,
                 struct outcome *outcome) {
    struct mux_room room = mux_framer_room(framer);
    if ((mode & MODE_ROOM) && room.len) {
        size_t len = bytes.len < room.len ? bytes.len : room.len;
        memcpy(room.data, bytes.data, len);
        mux_framer_filled(framer, len);
        take_frames(framer, outcome);
        bytes = mux_span(bytes.data + len, bytes.len - len);
    }
    uint8_t *copy = copy_of(bytes);
    mux_framer_feed(framer, mux_span(copy, bytes.len));
    take_frames(framer, outcome);
    free(copy); /* the framer refers to none of it */
}

static void run(struct script cuts, struct script stream, uint8_t mode, struct outcome *outcome) {
    struct mux_framer framer;
    size_t store_bytes = mode & MODE_LARGE ? MUX_STORE_MAX_BYTES : MUX_STORE_MIN_BYTES;
    mux_framer_init(&framer, (struct mux_room){malloc(store_bytes), store_bytes});
    assert(framer.store.data);
    struct script again = cuts;
    while (stream.rest.len) {
        if (!again.rest.len)
            again = cuts;
        uint8_t cut = script_byte(&again);
        size_t len = cut & CUT_LENGTH;
        give(&framer, script_take(&stream, len ? len : SIZE_MAX), mode, outcome);
        if ((mode & MODE_FLUSH) && (cut & CUT_FLUSH))
            mux_framer_flush(&framer);
        if ((mode & MODE_LOOK) && (cut & CUT_FLUSH))
            mux_framer_resynchronise(&framer);
        take_frames(&framer, outcome);
    }
    mux_framer_end(&framer);
    take_frames(&framer, outcome);
    assert(mux_framer_stored(&framer) == 0 && mux_framer_chatter(&framer) == 0);
    free(framer.store.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct script script = {mux_span(data, size)}, none = {mux_span(data, 0)};
    struct outcome whole = {0}, cut = {0};
    uint8_t mode = script_byte(&script);
    struct script cuts = {script_take(&script, script_byte(&script))};
    uint8_t *stream = copy_of(script.rest);
    if (mode & MODE_REPAIR)
        repair_packets(stream, script.rest.len);
    struct mux_span bytes = mux_span(stream, script.rest.len);
    run(none, (struct script){bytes}, 0, &whole);
    run(cuts, (struct script){bytes}, mode, &cut);
    assert(mux_span_equal(mux_span(cut.stream.data, cut.stream.len), bytes));
    assert((mode & MODE_LOOK) || mux_span_equal(mux_span(whole.record.data, whole.record.len),
                                                mux_span(cut.record.data, cut.record.len)));
    free(whole.record.data);
    free(whole.stream.data);
    free(cut.record.data);
    free(cut.stream.data);
    free(stream);
    return 0;
}
