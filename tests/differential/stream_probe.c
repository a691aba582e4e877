/*
 * Runs whole streams through libmux for the tests that compare it with other readers: many streams
 * in one process, each cut as the request says.
 *
 * stdin: requests, stdout: answers, both in little endian.
 *   request:  u32 operation, u32 flags (below), u32 seed, u32 length, the stream
 *   answer:   u32 length, then the result of the operation
 * Operations:
 *   'f'  the frames: u8 kind ('P', 'C', 'D') and its fields, see write_frame()
 *   'e'  the stream with every packet parsed and encoded again
 *   'p'  the stream with every packet prefixed by the route "7", split where it must be
 *   's'  the stream with every packet stripped of its first segment
 * In the last three, chatter and damage are reported as packets, by 'p' under the route "7"; a
 * packet that cannot be prefixed stays as it is.
 *
 * Every byte fed is overwritten once the framer no longer needs it, and stores are exactly as large
 * as requested, so that a read through a stale pointer is detected. The largest store is kept for
 * the next stream: memory that is fresh each time costs page faults, which took most of the time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "mux/packet/framer.h"
#include "mux/packet/report.h"
#include "mux/packet/route.h"
#include "tests/unit/random.h"

enum {
    PIECES_WHOLE = 0,
    PIECES_BYTES = 1, /* a byte at a time */
    PIECES_RANDOM = 2,
    PIECES_MASK = 3,
    STORE_SMALL = 4,    /* starts with the least store, grows when asked, shrinks when empty */
    RECEIVE_DIRECT = 8, /* into mux_framer_room() where there is one */
    FLUSH = 16,         /* now and then, as a timer would */
};

#define SEGMENT "7"
#define OVERWRITTEN 0xDB
#define STREAM_MAX_BYTES (64u << 20) /* a request beyond this is a mistake of the caller */

struct output {
    uint8_t *data;
    size_t len;
    size_t capacity;
};

struct run {
    uint32_t operation;
    uint32_t flags;
    struct random random;
    struct mux_span rest; /* of the stream */
    struct mux_framer framer;
    struct output *output;
    struct mux_prefix prefix;
};

static void fail(const char *what) {
    fprintf(stderr, "stream_probe: %s\n", what);
    abort();
}

#define CHECK(condition)      \
    do {                      \
        if (!(condition))     \
            fail(#condition); \
    } while (0)

static uint8_t *allocate(size_t len) {
    uint8_t *memory = malloc(len ? len : 1);
    CHECK(memory);
    return memory;
}

static void discard(uint8_t *memory, size_t len) {
    memset(memory, OVERWRITTEN, len);
    free(memory);
}

/* One store of the largest size is in use at a time. */
static struct mux_room open_store(size_t len) {
    static uint8_t *largest;
    if (len != MUX_STORE_MAX_BYTES)
        return (struct mux_room){allocate(len), len};
    if (!largest)
        largest = allocate(len);
    return (struct mux_room){largest, len};
}

static void close_store(struct mux_room store) {
    if (store.len == MUX_STORE_MAX_BYTES)
        memset(store.data, OVERWRITTEN, store.len);
    else
        discard(store.data, store.len);
}

static uint8_t *extend(struct output *output, size_t len) {
    if (output->capacity - output->len < len) {
        output->capacity = 2 * (output->len + len);
        output->data = realloc(output->data, output->capacity);
        CHECK(output->data);
    }
    uint8_t *at = output->data + output->len;
    output->len += len;
    return at;
}

static void write_bytes(struct output *output, struct mux_span span) {
    if (span.len)
        memcpy(extend(output, span.len), span.data, span.len);
}

static void write_u32(struct output *output, uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8)
        *extend(output, 1) = (uint8_t)(value >> shift);
}

/* u32 length and the bytes; an absent field has the length 0xFFFFFFFF */
static void write_field(struct output *output, struct mux_span span) {
    write_u32(output, span.data ? (uint32_t)span.len : UINT32_MAX);
    write_bytes(output, span);
}

static void write_packet(struct output *output, const struct mux_packet *packet) {
    write_u32(output, packet->status);
    write_u32(output, packet->runnable);
    write_u32(output, packet->eof);
    write_u32(output, packet->has_timestamp);
    write_u32(output, packet->seconds);
    write_u32(output, packet->nanoseconds);
    write_u32(output, packet->has_tags);
    write_u32(output, packet->tag_count);
    write_field(output, packet->test_id);
    write_field(output, packet->tags);
    write_field(output, packet->mime);
    write_field(output, packet->file_name);
    write_field(output, packet->file_content);
    write_field(output, packet->route);
}

static void write_frame(struct output *output, const struct mux_frame *frame) {
    static const char kinds[] = {
        [MUX_FRAME_PACKET] = 'P', [MUX_FRAME_CHATTER] = 'C', [MUX_FRAME_DAMAGE] = 'D'};
    *extend(output, 1) = (uint8_t)kinds[frame->kind];
    if (frame->kind == MUX_FRAME_PACKET)
        write_packet(output, &frame->packet);
    else
        write_field(output, frame->bytes);
    if (frame->kind == MUX_FRAME_DAMAGE)
        write_field(output, mux_span_text(mux_error_text(frame->why)));
}

static void write_pieces(struct output *output, const struct mux_pieces *pieces) {
    mux_pieces_copy(pieces, extend(output, pieces->len_bytes));
}

static void write_encoded(struct output *output, const struct mux_frame *frame) {
    size_t written;
    uint8_t *at = extend(output, frame->bytes.len);
    enum mux_error error = mux_packet_encode(&frame->packet, at, frame->bytes.len, &written);
    CHECK(!error && written <= frame->bytes.len);
    output->len -= frame->bytes.len - written;
}

static void write_prefixed(struct run *run, const struct mux_frame *frame) {
    struct mux_pieces pieces, last;
    if (!mux_prefix_apply(&run->prefix, frame->bytes, &frame->packet, &frame->layout, &pieces)) {
        write_pieces(run->output, &pieces);
    } else if (!mux_prefix_split(&run->prefix, &frame->packet, &pieces, &last)) {
        write_pieces(run->output, &pieces);
        write_pieces(run->output, &last);
    } else {
        write_bytes(run->output, frame->bytes);
    }
}

static void write_stripped(struct run *run, const struct mux_frame *frame) {
    struct mux_pieces pieces;
    struct mux_span segment;
    mux_strip(frame->bytes, &frame->packet, &frame->layout, &segment, &pieces);
    write_pieces(run->output, &pieces);
}

static void write_report(struct run *run, const struct mux_frame *frame) {
    struct mux_pieces pieces[MUX_REPORT_DAMAGE_PACKETS];
    struct mux_span route = run->operation == 'p' ? mux_span_text(SEGMENT) : mux_span(NULL, 0);
    unsigned count = 1;
    if (frame->kind == MUX_FRAME_DAMAGE)
        count = mux_report_damage(frame->bytes, frame->why, route, pieces);
    else
        mux_report_chatter(MUX_REPORT_STDOUT, frame->bytes, route, pieces);
    for (unsigned i = 0; i < count; i++)
        write_pieces(run->output, &pieces[i]);
}

static void take_frame(struct run *run, const struct mux_frame *frame) {
    CHECK(frame->bytes.len > 0);
    if (run->operation == 'f')
        write_frame(run->output, frame);
    else if (frame->kind != MUX_FRAME_PACKET)
        write_report(run, frame);
    else if (run->operation == 'e')
        write_encoded(run->output, frame);
    else if (run->operation == 'p')
        write_prefixed(run, frame);
    else if (run->operation == 's')
        write_stripped(run, frame);
    else
        fail("unknown operation");
}

/* Another store of this size, or a move to the front when the present store is as large. */
static void give_store(struct run *run, size_t store_bytes) {
    struct mux_room old = run->framer.store;
    if (store_bytes == old.len) {
        mux_framer_move(&run->framer, old);
        return;
    }
    mux_framer_move(&run->framer, open_store(store_bytes));
    close_store(old);
}

static void answer_store_request(struct run *run, size_t store_bytes) {
    size_t have = run->framer.store.len;
    CHECK(store_bytes <= MUX_STORE_MAX_BYTES);
    give_store(run, store_bytes > have ? store_bytes : have);
}

static void take_frames(struct run *run) {
    struct mux_frame frame;
    bool asked = false;
    for (;;) {
        mux_framer_next(&run->framer, &frame);
        if (frame.kind == MUX_FRAME_NONE)
            return;
        if (frame.kind == MUX_FRAME_STORE) {
            CHECK(!asked); /* it has just got a store */
            answer_store_request(run, frame.store_bytes);
        } else {
            take_frame(run, &frame);
        }
        asked = frame.kind == MUX_FRAME_STORE;
    }
}

static size_t piece_bytes(struct run *run, size_t most) {
    size_t bytes = most;
    if ((run->flags & PIECES_MASK) == PIECES_BYTES)
        bytes = 1;
    if ((run->flags & PIECES_MASK) == PIECES_RANDOM) {
        unsigned magnitude = (unsigned)random_below(&run->random, 17);
        bytes = 1 + random_below(&run->random, (size_t)1 << magnitude);
    }
    return bytes < most ? bytes : most;
}

static void advance(struct run *run, size_t len) {
    run->rest = mux_span(run->rest.data + len, run->rest.len - len);
}

static bool receive_direct(struct run *run) {
    struct mux_room room = mux_framer_room(&run->framer);
    if (room.len == 0)
        return false;
    size_t len = piece_bytes(run, room.len < run->rest.len ? room.len : run->rest.len);
    memcpy(room.data, run->rest.data, len);
    mux_framer_filled(&run->framer, len);
    advance(run, len);
    take_frames(run);
    return true;
}

static void feed_piece(struct run *run) {
    size_t len = piece_bytes(run, run->rest.len);
    uint8_t *fed = allocate(len);
    memcpy(fed, run->rest.data, len);
    advance(run, len);
    mux_framer_feed(&run->framer, mux_span(fed, len));
    take_frames(run);
    discard(fed, len);
}

static void maybe_flush(struct run *run) {
    if (!(run->flags & FLUSH) || random_below(&run->random, 4))
        return;
    mux_framer_flush(&run->framer);
    take_frames(run);
    CHECK(mux_framer_chatter(&run->framer) == 0);
}

static void run_stream(struct run *run) {
    size_t least = run->flags & STORE_SMALL ? MUX_STORE_MIN_BYTES : MUX_STORE_MAX_BYTES;
    mux_framer_init(&run->framer, open_store(least));
    while (run->rest.len) {
        if (!(run->flags & RECEIVE_DIRECT) || !receive_direct(run))
            feed_piece(run);
        maybe_flush(run);
        if (run->framer.store.len > least && mux_framer_stored(&run->framer) == 0)
            give_store(run, least);
    }
    mux_framer_end(&run->framer);
    take_frames(run);
    CHECK(mux_framer_stored(&run->framer) == 0);
    if (run->framer.store.len !=
        MUX_STORE_MAX_BYTES) /* else nothing reads it before it is filled anew */
        close_store(run->framer.store);
}

static uint32_t get_u32(const uint8_t *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static bool read_all(uint8_t *data, size_t len) {
    return fread(data, 1, len, stdin) == len;
}

static void answer_request(const uint8_t request[16]) {
    struct output output = {0};
    size_t len = get_u32(request + 12);
    CHECK(len <= STREAM_MAX_BYTES);
    uint8_t *stream = allocate(len);
    CHECK(read_all(stream, len));
    struct run run = {.operation = get_u32(request),
                      .flags = get_u32(request + 4),
                      .random = {get_u32(request + 8)},
                      .rest = mux_span(stream, len),
                      .output = &output};
    CHECK(!mux_prefix_init(&run.prefix, mux_span_text(SEGMENT)));
    write_u32(&output, 0);
    run_stream(&run);
    free(stream);
    for (int i = 0; i < 4; i++)
        output.data[i] = (uint8_t)((output.len - 4) >> 8 * i);
    CHECK(fwrite(output.data, 1, output.len, stdout) == output.len && fflush(stdout) == 0);
    free(output.data);
}

int main(void) {
    uint8_t request[16];
    while (read_all(request, sizeof request))
        answer_request(request);
    return 0;
}
