/* The editor: the owner changes what goes up from workers. */
#include "mux/node/mux_internal.h"

#include <stdio.h>

/* One call of the editor. */
struct mux_edit {
    struct mux_link *link;
    const struct mux_frame *frame;
    const struct mux_packet *packet; /* that it is shown; NULL: none */
    bool is_whole;                   /* `packet` is the frame, byte for byte */
    size_t bytes;                    /* given */
};

static void forward(struct mux_edit *edit, const struct mux_pieces *pieces, unsigned count) {
    edit->bytes += mux_up_forward(edit->link, edit->frame, pieces, count);
}

void mux_edit_give(struct mux_edit *edit, const struct mux_packet *packet) {
    struct mux_packet routed = *packet;
    struct mux_pieces pieces[2];
    uint8_t route[MUX_REPORT_ROUTE_MAX_BYTES];
    mux_output_packet(edit->link, packet);
    routed.route = mux_link_full_route(edit->link, packet->route, route);
    if (!mux_packet_gather(&routed, &pieces[0]) &&
        mux_up_fits(edit->link->mux, pieces[0].len_bytes)) {
        forward(edit, pieces, 1);
    } else if (!mux_up_split(edit->link->mux, NULL, &routed, pieces)) {
        MUX_COUNT(&edit->link->mux->counters, split_packets, 1);
        forward(edit, pieces, 2);
    } else {
        MUX_COUNT(&edit->link->mux->counters, oversize_packets, 1);
        mux_log(edit->link->mux, "%s (link %s): an edited packet was dropped: it is too large",
                edit->link->peer, edit->link->segment);
    }
}

void mux_edit_pass(struct mux_edit *edit) {
    assert(edit->packet);
    if (!edit->is_whole || edit->link->is_routed ||
        !mux_up_fits(edit->link->mux, edit->frame->bytes.len)) {
        mux_edit_give(edit, edit->packet);
        return;
    }
    mux_output_packet(edit->link, edit->packet);
    const struct mux_pieces whole = {
        .piece = {edit->frame->bytes}, .count = 1, .len_bytes = edit->frame->bytes.len};
    forward(edit, &whole, 1);
}

static size_t show(struct mux_link *link, const struct mux_frame *frame, struct mux_packet *packet,
                   bool is_whole) {
    const struct mux_editor *editor = link->mux->config.editor;
    const struct mux_packet came = *packet;
    struct mux_edit edit = {.link = link, .frame = frame, .packet = &came, .is_whole = is_whole};
    editor->packet(editor->user, link->user, packet, &edit);
    return edit.bytes;
}

size_t mux_edit_packet(struct mux_link *link, const struct mux_frame *frame) {
    struct mux_packet packet = frame->packet;
    return show(link, frame, &packet, true);
}

size_t mux_edit_chatter(struct mux_link *link, const struct mux_frame *frame) {
    struct mux_packet packet;
    bool is_stderr = link->kind == MUX_LINK_STDERR;
    mux_report_chatter_event(is_stderr ? MUX_REPORT_STDERR : MUX_REPORT_STDOUT, frame->bytes,
                             &packet);
    return show(link, frame, &packet, false);
}

size_t mux_edit_damage(struct mux_link *link, const struct mux_frame *frame, enum mux_error why) {
    struct mux_packet packets[MUX_REPORT_DAMAGE_EVENTS];
    size_t bytes = 0;
    char text[128]; /* the editor may write to it */
    int len = snprintf(text, sizeof text, "%s", mux_error_text(why));
    mux_report_damage_events(frame->bytes, why, packets);
    packets[MUX_REPORT_DAMAGE_EVENTS - 1].file_content = mux_span(text, (size_t)len);
    for (unsigned i = 0; i < MUX_REPORT_DAMAGE_EVENTS; i++)
        bytes += show(link, frame, &packets[i], false);
    return bytes;
}

static const struct mux_frame no_frame;

void mux_edit_end(struct mux_link *link) {
    const struct mux_editor *editor = link->mux->config.editor;
    struct mux_edit edit = {.link = link, .frame = &no_frame};
    link->is_edited_out = true;
    editor->ended(editor->user, link->user, &edit);
    link->credit_bytes -= (int64_t)edit.bytes;
}

void mux_edit_failure(struct mux_link *link, struct mux_packet *packet) {
    const struct mux_editor *editor = link->mux->config.editor;
    const struct mux_packet came = *packet;
    struct mux_edit edit = {.link = link, .frame = &no_frame, .packet = &came};
    editor->failed(editor->user, link->user, packet, &edit);
    link->credit_bytes -= (int64_t)edit.bytes;
}
