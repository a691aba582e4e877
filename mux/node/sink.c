/*
 * The sink: packets go to the owner of the mux as fields, not to an upstream as bytes. What it does
 * not take now is kept, with a hold on the memory where it lies, and no link has a turn until then.
 */
#include "mux/node/mux_internal.h"

bool mux_sink_takes(const struct mux *mux) {
    return mux->sink.state == MUX_SINK_TAKES && mux->sink.count == 0;
}

bool mux_sink_offer(struct mux *mux, struct mux_link *link, const struct mux_packet *packet) {
    if (mux->config.sink(mux->config.user, link, packet))
        return true;
    mux->sink.state = MUX_SINK_BLOCKED;
    return false;
}

static void release(struct mux_sink *sink) {
    if (sink->buffer)
        mux_buffer_release(sink->buffer);
    *sink = (struct mux_sink){.state = sink->state};
}

void mux_sink_run(struct mux *mux) {
    struct mux_sink *sink = &mux->sink;
    while (sink->next < sink->count && sink->state == MUX_SINK_TAKES)
        sink->next += mux_sink_offer(mux, sink->link, &sink->packets[sink->next]);
    if (sink->count && sink->next == sink->count)
        release(sink);
}

/* The memory that the frame's spans lie in, if it is not the link's own store. */
static struct mux_buffer *memory_of(struct mux_link *link, const struct mux_frame *frame) {
    return frame->in_store || !link->inputs.first ? link->slot : link->inputs.first->buffer;
}

static size_t give(struct mux_link *link, const struct mux_frame *frame,
                   const struct mux_packet *packets, unsigned count) {
    struct mux *mux = link->mux;
    struct mux_sink *sink = &mux->sink;
    unsigned taken = 0;
    mux_count_forwarded(mux, count, frame->bytes.len, frame->bytes.len);
    while (taken < count && mux_sink_offer(mux, link, &packets[taken]))
        taken++;
    if (taken == count)
        return frame->bytes.len;
    sink->link = link;
    sink->buffer = memory_of(link, frame);
    sink->bytes = frame->bytes.len;
    if (sink->buffer)
        mux_buffer_hold(sink->buffer);
    while (taken < count)
        sink->packets[sink->count++] = packets[taken++];
    return frame->bytes.len;
}

size_t mux_sink_packet(struct mux_link *link, const struct mux_frame *frame) {
    return give(link, frame, &frame->packet, 1);
}

size_t mux_sink_chatter(struct mux_link *link, const struct mux_frame *frame) {
    struct mux_packet packet;
    bool is_stderr = link->kind == MUX_LINK_STDERR;
    mux_report_chatter_event(is_stderr ? MUX_REPORT_STDERR : MUX_REPORT_STDOUT, frame->bytes,
                             &packet);
    if (mux_clock_changes(link->mux))
        mux_clock_change(link, &packet);
    return give(link, frame, &packet, 1);
}

size_t mux_sink_damage(struct mux_link *link, const struct mux_frame *frame, enum mux_error why) {
    struct mux_packet packets[MUX_REPORT_DAMAGE_EVENTS];
    mux_report_damage_events(frame->bytes, why, packets);
    for (unsigned i = 0; mux_clock_changes(link->mux) && i < MUX_REPORT_DAMAGE_EVENTS; i++)
        mux_clock_change(link, &packets[i]);
    return give(link, frame, packets, MUX_REPORT_DAMAGE_EVENTS);
}

void mux_sink_forget(struct mux_link *link) {
    struct mux *mux = link->mux;
    if (mux->sink.link != link)
        return;
    MUX_COUNT(&mux->counters, unsent_bytes, mux->sink.bytes);
    mux_log(mux, "%s (link %s) was closed with a packet that was not taken yet: dropped",
            link->peer, link->segment);
    release(&mux->sink);
}

void mux_sink_ready(struct mux *mux) {
    mux->is_due = mux->is_due || mux->sink.state == MUX_SINK_BLOCKED;
    mux->sink.state = MUX_SINK_TAKES;
}

void mux_sink_safe(struct mux *mux) {
    if (mux->unbundle)
        mux_unbundle_given_is_safe(mux);
}

/*
 * ---- packets of this node's owner ----
 */

/* Into the batch. False: it is too large. */
static bool add_to_batch(struct mux *mux, struct mux_link *link, const struct mux_packet *packet) {
    struct mux_packet routed = *packet;
    struct mux_pieces pieces;
    uint8_t route[MUX_REPORT_ROUTE_MAX_BYTES];
    if (packet->route.len > MUX_PROGRESS_ROUTE_BYTES)
        return false;
    if (link)
        routed.route = mux_link_full_route(link, packet->route, route);
    mux_clock_change_own(mux, &routed);
    if (mux_packet_gather(&routed, &pieces) || pieces.len_bytes > MUX_ADD_UP_MAX_BYTES)
        return false;
    mux_up_add(mux, &pieces);
    return true;
}

bool mux_add_up(struct mux *mux, struct mux_link *link, const struct mux_packet *packet) {
    if (!mux_up_has_room(mux) || (link && !mux_link_start(link)))
        return false;
    if (mux->config.sink) {
        struct mux_packet timed = *packet;
        mux_clock_change_own(mux, &timed);
        if (!mux_sink_offer(mux, link, &timed))
            return false;
        mux_count_forwarded(mux, 1, 0, 0);
    } else if (!add_to_batch(mux, link, packet)) {
        MUX_COUNT(&mux->counters, oversize_packets, 1);
        mux_log(mux, "a packet of this node's own was dropped: it is too large");
        return true;
    }
    mux_progress_update(&mux->tests, link ? &link->tests : &mux->own_tests, packet, true);
    if (link)
        mux_output_packet(link, packet);
    return true;
}
