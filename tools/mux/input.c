#include "tools/mux/input.h"

#include "mux/report.h"

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

static bool take_frames(struct mux_framer *framer, const struct input_handler *handler) {
    struct mux_frame frame;
    while (true) {
        mux_framer_next(framer, &frame);
        if (frame.kind == MUX_FRAME_NONE)
            return true;
        if (frame.kind == MUX_FRAME_STORE)
            mux_framer_move(framer, framer->store);
        else if (!handler->frame(handler->user, &frame))
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

int input_read(int fd, const struct input_handler *handler) {
    static uint8_t bytes[READ_BYTES];
    struct mux_framer framer;
    mux_framer_init(&framer, (struct mux_room){store, sizeof store});
    while (true) {
        if (!pause_input(fd, &framer, handler))
            return -1;
        ssize_t len = input_read_some(fd, bytes, sizeof bytes);
        if (len < 0)
            return errno;
        if (len == 0)
            break;
        mux_framer_feed(&framer, mux_span(bytes, (size_t)len));
        if (!take_frames(&framer, handler))
            return -1;
    }
    mux_framer_end(&framer);
    return take_frames(&framer, handler) && handler->pause(handler->user) ? 0 : -1;
}

bool input_report(const struct mux_frame *frame, struct mux_span route,
                  bool (*packet)(void *user, struct mux_span bytes), void *user) {
    static uint8_t bytes[MUX_PACKET_MAX_BYTES];
    struct mux_pieces pieces[MUX_REPORT_DAMAGE_PACKETS];
    unsigned count = 1;
    if (frame->kind == MUX_FRAME_CHATTER)
        mux_report_chatter(frame->bytes, route, &pieces[0]);
    else
        count = mux_report_damage(frame->bytes, frame->why, route, pieces);
    for (unsigned i = 0; i < count; i++) {
        mux_pieces_copy(&pieces[i], bytes);
        if (!packet(user, mux_span(bytes, pieces[i].len_bytes)))
            return false;
    }
    return true;
}
