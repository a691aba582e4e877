/* A program for the installed libmux: prints the test ids of a stream on stdin. */
#include <mux/framer.h>
#include <mux/report.h>
#include <mux/route.h>
#include <stdio.h>
#include <stdlib.h>

static void print(const struct mux_packet *packet) {
    const char *status = mux_status_text(packet->status);
    printf("%.*s %s\n", (int)packet->test_id.len, (const char *)packet->test_id.data,
           status ? status : "-");
}

int main(void) {
    static uint8_t memory[MUX_STORE_MAX_BYTES], bytes[65536];
    struct mux_framer framer;
    struct mux_frame frame;
    mux_framer_init(&framer, (struct mux_room){memory, sizeof memory});
    size_t len = fread(bytes, 1, sizeof bytes, stdin);
    mux_framer_feed(&framer, mux_span(bytes, len));
    while (mux_framer_next(&framer, &frame), frame.kind != MUX_FRAME_NONE) {
        if (frame.kind == MUX_FRAME_PACKET)
            print(&frame.packet);
        else if (frame.kind == MUX_FRAME_STORE)
            mux_framer_move(&framer, framer.store);
    }
    return 0;
}
