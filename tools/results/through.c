#include "tools/results/through.h"

#include "mux/packet/bundle.h"
#include "mux/packet/report.h"

/* One for the process, for a packet with its new route. */
static uint8_t rewritten[MUX_PACKET_MAX_BYTES + MUX_PREFIX_PATH_GROWTH_BYTES];

bool through_is(const struct mux_frame *frame) {
    struct mux_bundle bundle;
    return frame->kind == MUX_FRAME_PACKET && mux_bundle_is(&frame->packet) &&
           !mux_bundle_read(&frame->packet, &bundle);
}

/* A packet that was checked. */
static bool give(struct through *through, struct mux_span bytes) {
    struct mux_frame frame = {.kind = MUX_FRAME_PACKET, .bytes = bytes};
    enum mux_error error = mux_packet_parse_trusted(bytes, &frame.packet, &frame.layout);
    assert(!error);
    (void)error;
    return through->packet(through->user, &frame);
}

static bool give_damage(struct through *through, struct mux_span bytes, enum mux_error why,
                        struct mux_span route) {
    struct mux_pieces pieces[MUX_REPORT_DAMAGE_PACKETS];
    unsigned count = mux_report_damage(bytes, why, route, pieces);
    through->damaged = true;
    for (unsigned i = 0; i < count; i++) {
        mux_pieces_copy(&pieces[i], rewritten);
        if (!give(through, mux_span(rewritten, pieces[i].len_bytes)))
            return false;
    }
    return true;
}

static bool give_routed(struct through *through, const struct mux_bundle_item *item,
                        struct mux_span route) {
    struct mux_prefix prefix;
    if (mux_prefix_init_path(&prefix, route))
        return give(through, item->bytes); /* its route code is empty */
    size_t len = mux_prefix_write(&prefix, item->bytes, &item->packet, &item->layout, rewritten);
    assert(len > 0); /* a bundle leaves room for its route code */
    return give(through, mux_span(rewritten, len));
}

bool through_take(struct through *through, const struct mux_frame *frame) {
    struct mux_span content = frame->packet.file_content, route = frame->packet.route;
    struct mux_bundle_item item;
    bool goes_on = true;
    while (goes_on && content.len > 0) {
        enum mux_error error = mux_bundle_next(&content, &item);
        goes_on = error        ? give_damage(through, item.bytes, error, route)
                  : route.data ? give_routed(through, &item, route)
                               : give(through, item.bytes);
    }
    return goes_on;
}
