#include "tools/results/screen.h"

#include "mux/packet/framer.h"

#include <errno.h>
#include <stdlib.h>

struct screen {
    struct mux_framer framer;
    uint8_t *store;
    struct summary *summary;
};

struct screen *screen_create(uint64_t now_ns) {
    struct screen *screen = calloc(1, sizeof *screen);
    if (!screen)
        return NULL;
    screen->store = malloc(MUX_STORE_MAX_BYTES);
    screen->summary = summary_create(now_ns);
    if (!screen->store || !screen->summary) {
        free(screen->store);
        free(screen);
        return NULL;
    }
    mux_framer_init(&screen->framer, (struct mux_room){screen->store, MUX_STORE_MAX_BYTES});
    return screen;
}

bool screen_finish(struct screen *screen, uint64_t now_ns) {
    if (!screen)
        return true;
    bool written = summary_finish(screen->summary, now_ns);
    int error = errno;
    free(screen->store);
    free(screen);
    errno = error;
    return written;
}

struct summary *screen_summary(struct screen *screen) {
    return screen->summary;
}

static void take_frames(struct screen *screen, uint64_t now_ns) {
    struct mux_frame frame;
    do {
        mux_framer_next(&screen->framer, &frame);
        if (frame.kind == MUX_FRAME_PACKET)
            summary_packet(screen->summary, &frame.packet, now_ns);
        else if (frame.kind == MUX_FRAME_STORE)
            mux_framer_move(&screen->framer, (struct mux_room){screen->store, MUX_STORE_MAX_BYTES});
    } while (frame.kind != MUX_FRAME_NONE);
}

void screen_packets(struct screen *screen, const struct mux_gather *packets, uint64_t now_ns) {
    for (size_t i = 0; i < packets->count; i++) {
        mux_framer_feed(&screen->framer, packets->spans[i]);
        take_frames(screen, now_ns);
    }
}
