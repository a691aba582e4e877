/* Output on its way up is shown to the owner of the mux, which may let people look at it. */
#include "mux/node/mux_internal.h"

void mux_show_output(struct mux *mux, mux_output *output) {
    mux->output = output;
}

/* What a test prints, which a runner gives its id, is the worker's output, too. */
static bool is_output(const struct mux_packet *packet) {
    return packet->file_name.data &&
           (!packet->test_id.data || mux_span_equal(packet->file_name, mux_span_text("stdout")) ||
            mux_span_equal(packet->file_name, mux_span_text("stderr")));
}

static void show(struct mux *mux, struct mux_link *link, const struct mux_packet *packet) {
    if (is_output(packet))
        mux->output(mux->config.user, link, packet);
}

void mux_output_packet(struct mux_link *link, const struct mux_packet *packet) {
    if (link->mux->output)
        show(link->mux, link, packet);
}

static bool has_file(struct mux_span packet) {
    return packet.data[2] & MUX_FLAG_FILE;
}

/* Of a bundle that goes on as it is: only packets with a file are read. */
void mux_output_bundle(struct mux_link *link, const struct mux_packet *bundle) {
    struct mux_span left = bundle->file_content;
    uint8_t route[MUX_JOINED_ROUTE_BYTES];
    uint32_t length, header_bytes;
    if (!link->mux->output)
        return;
    while (!mux_header_parse(left, &length, &header_bytes) && length <= left.len) {
        struct mux_packet packet;
        struct mux_span bytes = mux_span(left.data, length);
        left = mux_span(left.data + length, left.len - length);
        if (!has_file(bytes) || mux_packet_parse(bytes, &packet, NULL))
            continue;
        packet.route =
            mux_route_join(bundle->route, packet.route, (struct mux_room){route, sizeof route});
        show(link->mux, link, &packet);
    }
}

void mux_output_chatter(struct mux_link *link, struct mux_span bytes) {
    struct mux_packet packet;
    if (!link->mux->output)
        return;
    bool is_stderr = link->kind == MUX_LINK_STDERR;
    mux_report_chatter_event(is_stderr ? MUX_REPORT_STDERR : MUX_REPORT_STDOUT, bytes, &packet);
    show(link->mux, link, &packet);
}

void mux_output_message(struct mux *mux, enum mux_status status, const char *text) {
    struct mux_packet packet;
    const struct mux_span none = mux_span(NULL, 0);
    if (!mux->output)
        return;
    mux_report_message_event(status, mux_span_text(text), none, none, &packet);
    show(mux, NULL, &packet);
}
