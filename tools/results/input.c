#include "tools/results/input.h"

#include "mux/packet/report.h"
#include "tools/base/text.h"
#include "tools/results/through.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

/* As muxd does it. */
#define CHATTER_SILENCE_MS 30

#define READ_BYTES 65536

/* One for the process: whole packets are put together in it. */
static uint8_t store[MUX_STORE_MAX_BYTES];

bool input_silent(int fd, int timeout_ms) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, timeout_ms) < 1; /* stopped and continued: a flush too many is fine */
}

ssize_t input_read_some(int fd, void *bytes, size_t most) {
    while (true) {
        ssize_t len = read(fd, bytes, most);
        if (len >= 0 || (errno != EINTR && errno != EAGAIN))
            return len;
        if (errno == EAGAIN)
            input_silent(fd, -1);
    }
}

static bool take_frame(const struct mux_frame *frame, const struct input_handler *handler) {
    struct through through = {handler->frame, handler->user, false};
    if (handler->raw || !through_is(frame))
        return handler->frame(handler->user, frame);
    bool goes_on = through_take(&through, frame);
    if (handler->seen)
        handler->seen->damaged_bundle |= through.damaged;
    return goes_on;
}

static bool take_frames(struct mux_framer *framer, const struct input_handler *handler) {
    struct mux_frame frame;
    while (true) {
        mux_framer_next(framer, &frame);
        if (frame.kind == MUX_FRAME_NONE)
            return true;
        if (frame.kind == MUX_FRAME_PACKET && handler->seen)
            handler->seen->packets++;
        if (frame.kind == MUX_FRAME_STORE)
            mux_framer_move(framer, framer->store);
        else if (!take_frame(&frame, handler))
            return false;
    }
}

/* Before a read that may block. */
static bool pause_input(int fd, struct mux_framer *framer, const struct input_handler *handler) {
    if (!input_silent(fd, 0))
        return true;
    if (mux_framer_chatter(framer) && input_silent(fd, CHATTER_SILENCE_MS)) {
        mux_framer_flush(framer);
        if (!take_frames(framer, handler))
            return false;
    }
    do
        if (!handler->pause(handler->user))
            return false;
    while (handler->pause_ms >= 0 && input_silent(fd, handler->pause_ms));
    return true;
}

static const uint8_t byte_order_mark[] = {0xEF, 0xBB, 0xBF};

static void see(struct input_seen *seen, struct mux_span bytes) {
    size_t room = sizeof seen->head - seen->head_len;
    size_t len = bytes.len < room ? bytes.len : room;
    memcpy(seen->head + seen->head_len, bytes.data, len);
    seen->head_len += len;
    seen->bytes += bytes.len;
}

static bool take_bytes(struct mux_framer *framer, const struct input_handler *handler,
                       struct mux_span bytes) {
    if (handler->seen)
        see(handler->seen, bytes);
    mux_framer_feed(framer, bytes);
    return take_frames(framer, handler);
}

/*
 * Leaves a mark out at the beginning. Returns how many bytes are held back: they may become one.
 */
static size_t skip_mark(struct mux_span *bytes) {
    const size_t whole = sizeof byte_order_mark;
    size_t len = bytes->len < whole ? bytes->len : whole;
    if (memcmp(bytes->data, byte_order_mark, len) != 0)
        return 0;
    if (len == whole)
        *bytes = mux_span(bytes->data + whole, bytes->len - whole);
    return len < whole ? len : 0;
}

int input_read(int fd, const struct input_handler *handler) {
    static uint8_t bytes[READ_BYTES];
    struct mux_framer framer;
    bool at_beginning = handler->seen != NULL;
    size_t held = 0;
    ssize_t len;
    mux_framer_init(&framer, (struct mux_room){store, sizeof store});
    do {
        if (!pause_input(fd, &framer, handler))
            return -1;
        len = input_read_some(fd, bytes + held, sizeof bytes - held);
        if (len < 0)
            return errno;
        struct mux_span read = mux_span(bytes, held + (size_t)len);
        held = at_beginning && len > 0 ? skip_mark(&read) : 0;
        at_beginning = held > 0;
        if (held == 0 && read.len > 0 && !take_bytes(&framer, handler, read))
            return -1;
    } while (len > 0);
    mux_framer_end(&framer);
    return take_frames(&framer, handler) && handler->pause(handler->user) ? 0 : -1;
}

bool input_was_stream(const char *command, const char *path, const struct input_seen *seen) {
    const char *name = strcmp(path, "-") == 0 ? "stdin" : path;
    struct mux_span head = mux_span(seen->head, seen->head_len);
    if (seen->packets && !looks_packed(head))
        return true;
    if (seen->packets)
        text_complain("mux %s: %s: what was found is not all that is in it: it looks like %s",
                      command, name, looks_packed(head));
    else if (seen->bytes == 0)
        text_complain("mux %s: %s: it is empty: not one subunit v2 packet", command, name);
    else
        text_complain("mux %s: %s: not one subunit v2 packet in %llu bytes: it looks like %s",
                      command, name, (unsigned long long)seen->bytes, looks_like(head));
    return false;
}

bool input_report(const struct mux_frame *frame, struct mux_span route,
                  bool (*packet)(void *user, struct mux_span bytes), void *user) {
    static uint8_t bytes[MUX_PACKET_MAX_BYTES];
    struct mux_pieces pieces[MUX_REPORT_DAMAGE_PACKETS];
    unsigned count = 1;
    if (frame->kind == MUX_FRAME_CHATTER)
        mux_report_chatter(MUX_REPORT_STDOUT, frame->bytes, route, &pieces[0]);
    else
        count = mux_report_damage(frame->bytes, frame->why, route, pieces);
    for (unsigned i = 0; i < count; i++) {
        mux_pieces_copy(&pieces[i], bytes);
        if (!packet(user, mux_span(bytes, pieces[i].len_bytes)))
            return false;
    }
    return true;
}
