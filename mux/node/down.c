/*
 * The way down: packets from the upstream, and the owner's, to the link that the first segment of
 * their route names.
 */
#include "mux/node/mux_internal.h"

#include <stdlib.h>

/* Segments in messages are cut to this length. */
#define SHOWN_SEGMENT_BYTES 64

bool mux_down_init(struct mux *mux, struct mux_room store, struct mux_room blocks) {
    struct mux_down *down = &mux->down;
    down->store = store;
    mux_framer_init(&down->framer, store);
    down->block_count = blocks.len / DOWN_BLOCK_BYTES;
    down->blocks = calloc(down->block_count, sizeof *down->blocks);
    if (!down->blocks)
        return false;
    for (size_t i = down->block_count; i-- > 0;) {
        down->blocks[i] = (struct mux_block){.data = blocks.data + i * DOWN_BLOCK_BYTES,
                                             .next = down->free_blocks};
        down->free_blocks = &down->blocks[i];
    }
    down->free_count = down->block_count;
    return true;
}

void mux_down_fini(struct mux *mux) {
    mux_inputs_drop(mux, &mux->down.inputs);
    free(mux->down.blocks);
}

/*
 * ---- a link's queue ----
 */

static void free_first(struct mux_link *link) {
    struct mux_down *down = &link->mux->down;
    struct mux_block *block = link->down.first;
    link->down.first = block->next;
    if (!link->down.first)
        link->down.last = NULL;
    block->next = down->free_blocks;
    down->free_blocks = block;
    down->free_count++;
    down->starved = false;
}

size_t mux_down_drop(struct mux_link *link) {
    size_t bytes = link->down.bytes;
    while (link->down.first)
        free_first(link);
    link->down = (struct mux_down_queue){0};
    return bytes;
}

static size_t room_in_last(const struct mux_link *link) {
    return link->down.last ? DOWN_BLOCK_BYTES - link->down.last->end : 0;
}

static size_t blocks_for(const struct mux_link *link, size_t len) {
    size_t in_last = room_in_last(link);
    return len > in_last ? (len - in_last + DOWN_BLOCK_BYTES - 1) / DOWN_BLOCK_BYTES : 0;
}

/*
 * Is there memory? A third is reserved for the first small packets of links that have nothing
 * queued.
 */
static bool has_memory(const struct mux_link *link, size_t len) {
    const struct mux_down *down = &link->mux->down;
    size_t blocks = blocks_for(link, len);
    bool is_first = link->down.bytes == 0 && len <= DOWN_QUEUE_BYTES;
    size_t reserved = is_first ? 0 : down->block_count / 3;
    return blocks == 0 || reserved + blocks <= down->free_count;
}

static bool is_behind(const struct mux_link *link, size_t len) {
    return link->down.bytes > 0 && link->down.bytes + len > DOWN_QUEUE_BYTES;
}

static void add_block(struct mux_link *link) {
    struct mux_down *down = &link->mux->down;
    struct mux_block *block = down->free_blocks;
    down->free_blocks = block->next;
    down->free_count--;
    block->start = block->end = 0;
    block->next = NULL;
    if (link->down.last)
        link->down.last->next = block;
    else
        link->down.first = block;
    link->down.last = block;
}

static void append(struct mux_link *link, struct mux_span bytes) {
    link->down.bytes += bytes.len;
    while (bytes.len > 0) {
        if (room_in_last(link) == 0)
            add_block(link);
        struct mux_block *block = link->down.last;
        size_t len = bytes.len < room_in_last(link) ? bytes.len : room_in_last(link);
        memcpy(block->data + block->end, bytes.data, len);
        block->end += len;
        bytes = mux_span(bytes.data + len, bytes.len - len);
    }
}

const struct mux_gather *mux_link_take(struct mux_link *link) {
    struct mux_down_queue *queue = &link->down;
    if (queue->gather.len_bytes || queue->bytes == 0)
        return NULL;
    queue->gather = (struct mux_gather){queue->spans, 0, 0};
    for (struct mux_block *block = queue->first; block && queue->gather.count < DOWN_SPANS;
         block = block->next) {
        struct mux_span span = mux_span(block->data + block->start, block->end - block->start);
        queue->spans[queue->gather.count++] = span;
        queue->gather.len_bytes += span.len;
    }
    return &queue->gather;
}

void mux_link_sent(struct mux_link *link) {
    struct mux_down_queue *queue = &link->down;
    assert(queue->gather.len_bytes > 0);
    MUX_COUNT(&link->mux->counters, down_sent_bytes, queue->gather.len_bytes);
    link->sent_down_bytes += queue->gather.len_bytes;
    queue->bytes -= queue->gather.len_bytes;
    for (size_t i = 0; i < queue->gather.count; i++) {
        queue->first->start += queue->spans[i].len;
        if (queue->first->start == queue->first->end)
            free_first(link);
    }
    queue->gather.len_bytes = 0;
    queue->stalled = false;
    mux_link_attend(link);
}

static void queue(struct mux_link *link, const struct mux_pieces *pieces) {
    for (size_t i = 0; i < pieces->count; i++)
        append(link, pieces->piece[i]);
    mux_link_attend(link);
}

bool mux_down_queue(struct mux_link *link, const struct mux_pieces *packet) {
    if (!link->way_down || link->is_raw || !has_memory(link, packet->len_bytes))
        return false;
    queue(link, packet);
    return true;
}

bool mux_link_input_ended(const struct mux_link *link) {
    return link->down.ended && link->down.bytes == 0;
}

/*
 * ---- packets ----
 */

static int shown(struct mux_span segment) {
    size_t len = segment.len < SHOWN_SEGMENT_BYTES ? segment.len : SHOWN_SEGMENT_BYTES;
    while (len < segment.len && len > 0 && (segment.data[len] & 0xC0) == 0x80)
        len--; /* not inside a character: the message stays UTF-8 */
    return (int)len;
}

static void refuse(struct mux *mux, struct mux_span segment, const char *why, uint64_t now_ns) {
    MUX_COUNT(&mux->counters, down_refused_packets, 1);
    if (segment.len == 0 && mux->bare)
        mux_message(mux, MUX_STATUS_FAIL, now_ns, "input for the command was dropped: %s", why);
    else
        mux_message(mux, MUX_STATUS_FAIL, now_ns, "a packet for link \"%.*s\" was dropped: %s",
                    shown(segment), (const char *)segment.data, why);
}

#define BIT(state) (1u << (state))

/* follows[state]: the states that may come next, as bits. */
static const unsigned follows[] = {
    [MUX_DOWN_READS] = BIT(MUX_DOWN_WAITS) | BIT(MUX_DOWN_CUT),
    [MUX_DOWN_WAITS] = BIT(MUX_DOWN_READS) | BIT(MUX_DOWN_CUT_WAITS),
    [MUX_DOWN_CUT] = BIT(MUX_DOWN_READS) | BIT(MUX_DOWN_CUT_WAITS),
    [MUX_DOWN_CUT_WAITS] = BIT(MUX_DOWN_CUT),
};

static void set_state(struct mux_down *down, enum mux_down_state state) {
    assert(state == down->state || follows[down->state] & BIT(state));
    down->state = state;
}

/* The packet at hand begins to wait for room, or stops. */
static void set_waits(struct mux_down *down, bool waits) {
    if (mux_down_is_cut(down))
        set_state(down, waits ? MUX_DOWN_CUT_WAITS : MUX_DOWN_CUT);
    else
        set_state(down, waits ? MUX_DOWN_WAITS : MUX_DOWN_READS);
}

/* Did the packet at hand wait long enough? Begins the wait if it did not wait yet. */
static bool waited(struct mux_down *down, uint64_t now_ns) {
    if (!mux_down_waits(down))
        down->wait_until_ns = now_ns + DOWN_WAIT_NS;
    return now_ns >= down->wait_until_ns;
}

/* A packet for a link that is behind with reading. False: the way down waits for the link. */
static bool give_up_packet(struct mux_link *link, uint64_t now_ns) {
    if (!link->down.stalled && !waited(&link->mux->down, now_ns))
        return false;
    link->down.stalled = true;
    refuse(link->mux, link->prefix.segment, "it does not read what is sent to it", now_ns);
    return true;
}

static const char too_large[] = "it is larger than the memory for the way down allows";

/* Can a packet of this length ever be queued? A third is reserved for others: see has_memory(). */
static bool fits_memory(const struct mux_down *down, size_t len) {
    return len <= (down->block_count - down->block_count / 3) * DOWN_BLOCK_BYTES;
}

/* A packet for which there is no memory. False: the way down waits for some. */
static bool give_up_memory(struct mux_link *link, size_t len, uint64_t now_ns) {
    struct mux_down *down = &link->mux->down;
    bool ever = fits_memory(down, len);
    if (ever && !down->starved && !waited(down, now_ns))
        return false;
    down->starved = down->starved || ever;
    refuse(link->mux, link->prefix.segment,
           ever ? "other links do not read what is sent to them: there is no memory for it"
                : too_large,
           now_ns);
    return true;
}

/* Somebody types at this node, which is no worker. An upstream that is no muxd gets no answer. */
static void drop_input(struct mux *mux, uint64_t now_ns) {
    static const char why[] = MUX_REPORT_NO_WORKER ", which would name a link of this node";
    if (mux->config.upstream_is_node)
        mux_message(mux, MUX_STATUS_FAIL, now_ns, "%s", why);
    else
        mux_log(mux, "%s", why);
}

/*
 * A packet for this node itself: part of the handshake, or a message from another node, which is
 * logged. Anything else was meant for a worker.
 */
static void take_own(struct mux *mux, const struct mux_packet *packet, uint64_t now_ns) {
    struct mux_span text = packet->file_content;
    MUX_COUNT(&mux->counters, down_own_packets, 1);
    if (!mux_report_is_own_file(packet->file_name))
        drop_input(mux, now_ns);
    if (mux_handshake_handle(mux, packet))
        return;
    if (mux_span_equal(packet->file_name, mux_span_text(MUX_REPORT_MESSAGE_FILE)) && text.len)
        mux_log(mux, "the upstream says: %.*s", (int)(text.len < 400 ? text.len : 400),
                (const char *)text.data);
}

/* Input for a process that may take none from this upstream. */
static void refuse_input(struct mux *mux, uint64_t now_ns) {
    MUX_COUNT(&mux->counters, down_refused_packets, 1);
    if (!mux->down.has_refused)
        mux_message(mux, MUX_STATUS_FAIL, now_ns, "input is dropped: %s",
                    mux->config.input_refusal);
    mux->down.has_refused = true;
}

/* The link that a packet is for. NULL: the packet has been dealt with. */
static struct mux_link *receiver_of(struct mux *mux, const struct mux_packet *packet,
                                    struct mux_span segment, uint64_t now_ns) {
    if (!packet->route.data && mux->bare && !mux_report_is_own_file(packet->file_name)) {
        if (!mux->config.input_refusal)
            return mux->bare;
        refuse_input(mux, now_ns);
        return NULL;
    }
    if (!packet->route.data) {
        take_own(mux, packet, now_ns);
        return NULL;
    }
    struct mux_link *link = mux_link_find(mux, segment);
    if (!link) {
        MUX_COUNT(&mux->counters, down_unknown_packets, 1);
        mux_message(mux, MUX_STATUS_FAIL, now_ns, MUX_REPORT_NO_LINK "\"%.*s\"", shown(segment),
                    (const char *)segment.data);
    }
    return link;
}

/* Rule 41: of one whose stream is lost or has ended. */
static const char not_there[] = "its node is unreachable, or has ended";

/* Why nothing can be sent to a link; NULL: something can. */
static const char *why_not(const struct mux_link *link) {
    return mux_link_is_away(link)          ? "its node is unreachable"
           : link->input != MUX_INPUT_OPEN ? "it has ended"
           : !link->way_down               ? "there is no way down to it"
           : link->down.ended              ? "its input has ended"
                                           : NULL;
}

const char *mux_down_obstacle(const struct mux *mux, struct mux_span route) {
    struct mux_span path, rest;
    if (mux_string_check(route))
        return "a route is UTF-8 without NUL";
    enum mux_end_way way = mux->unbundle
                               ? mux_end_way_down(&mux->unbundle->end, route, &path, &rest)
                               : MUX_END_WAY_OTHER;
    if (way == MUX_END_WAY_NONE)
        return not_there;
    const struct mux_link *link =
        mux_link_find(mux, mux_route_first(way == MUX_END_WAY_DOWN ? path : route));
    return link ? why_not(link) : "no link has its first segment";
}

bool mux_down_is_worker(const struct mux *mux, struct mux_span route) {
    const struct mux_link *link = mux_link_find(mux, mux_route_first(route));
    return link && (link->role == MUX_ROLE_UNKNOWN || link->role == MUX_ROLE_WORKER);
}

bool mux_down_offer(struct mux_link *link, const struct mux_pieces *packet) {
    return !why_not(link) && !is_behind(link, packet->len_bytes) && mux_down_queue(link, packet);
}

/* A raw link gets only the content of a packet's file. */
static void cut_for_raw(const struct mux_link *link, const struct mux_packet *packet,
                        struct mux_pieces *pieces) {
    if (link->is_raw)
        *pieces = (struct mux_pieces){.piece = {packet->file_content},
                                      .count = packet->file_content.len > 0,
                                      .len_bytes = packet->file_content.len};
}

static void hand_over(struct mux_link *link, const struct mux_packet *packet,
                      const struct mux_pieces *pieces) {
    queue(link, pieces);
    if (!mux_report_is_own_file(packet->file_name))
        link->typed_ns = link->mux->ran_ns;
    link->down.ended = link->is_raw && packet->eof;
    MUX_COUNT(&link->mux->counters, down_forwarded_packets, 1);
}

/* Shows it to the owner, if it is for nodes or for one job. False: it goes its way. */
static bool show(struct mux *mux, const struct mux_packet *packet, enum mux_taking *taking) {
    bool is_shown = packet->test_id.data || mux_report_is_own_file(packet->file_name);
    if (!mux->config.take || !is_shown || mux->down.was_shown)
        return false;
    *taking = mux->config.take(mux->config.user, packet);
    mux->down.was_shown = *taking == MUX_TAKES_NOT;
    MUX_COUNT(&mux->counters, down_own_packets, *taking == MUX_TAKES);
    if (*taking == MUX_TAKES_LATER)
        mux->down.wait_until_ns = UINT64_MAX;
    return *taking != MUX_TAKES_NOT;
}

/* Returns false when it waits for room, or for the owner. */
static bool deliver(struct mux *mux, const struct mux_frame *frame, uint64_t now_ns) {
    struct mux_span segment;
    struct mux_pieces pieces;
    enum mux_taking taking;
    enum mux_message_kind kind =
        mux_is_relay(mux) ? mux_message_kind(&frame->packet) : MUX_MESSAGE_NONE;
    if (kind != MUX_MESSAGE_NONE) {
        mux_relay_down(mux, frame, kind);
        return true;
    }
    if (show(mux, &frame->packet, &taking))
        return taking == MUX_TAKES;
    struct mux_link *link = NULL;
    enum mux_end_way way = mux_unbundle_way_down(mux, &frame->packet, &link, &pieces);
    if (way == MUX_END_WAY_OTHER) {
        mux_strip(frame->bytes, &frame->packet, &frame->layout, &segment, &pieces);
        link = receiver_of(mux, &frame->packet, segment, now_ns);
        if (!link)
            return true;
    }
    const char *why = way == MUX_END_WAY_NONE ? not_there : why_not(link);
    if (why) {
        refuse(mux, mux_route_first(frame->packet.route), why, now_ns);
        return true;
    }
    cut_for_raw(link, &frame->packet, &pieces);
    if (is_behind(link, pieces.len_bytes))
        return give_up_packet(link, now_ns);
    if (!has_memory(link, pieces.len_bytes))
        return give_up_memory(link, pieces.len_bytes, now_ns);
    hand_over(link, &frame->packet, &pieces);
    return true;
}

/*
 * ---- packets of this node's owner ----
 */

/*
 * Copies the packet to *rest without its first segment. Returns that segment; data == NULL: the
 * packet had no route.
 */
static struct mux_span cut_route(const struct mux_packet *packet, struct mux_packet *rest) {
    *rest = *packet;
    if (!packet->route.data)
        return packet->route;
    struct mux_span first = mux_route_first(packet->route);
    size_t used = first.len < packet->route.len ? first.len + 1 : first.len;
    rest->route = mux_span(packet->route.data + used, packet->route.len - used);
    if (rest->route.len == 0)
        rest->route.data = NULL;
    return first;
}

bool mux_add_down(struct mux *mux, const struct mux_packet *packet) {
    struct mux_packet rest;
    struct mux_pieces pieces;
    struct mux_link *link = NULL;
    struct mux_span segment = cut_route(packet, &rest);
    enum mux_end_way way = mux_unbundle_way_down(mux, packet, &link, &pieces);
    if (way == MUX_END_WAY_OTHER)
        link = receiver_of(mux, packet, segment, mux->ran_ns);
    if (way == MUX_END_WAY_OTHER && !link)
        return true;
    const char *why = way == MUX_END_WAY_NONE ? not_there : why_not(link);
    if (!why && way == MUX_END_WAY_OTHER && !link->is_raw && mux_packet_gather(&rest, &pieces))
        why = "it is larger than a packet can be";
    if (!why)
        cut_for_raw(link, &rest, &pieces);
    if (!why && !fits_memory(&mux->down, pieces.len_bytes))
        why = too_large;
    if (why) {
        refuse(mux, segment, why, mux->ran_ns);
        return true;
    }
    if (is_behind(link, pieces.len_bytes) || !has_memory(link, pieces.len_bytes))
        return false;
    hand_over(link, packet, &pieces);
    return true;
}

/*
 * ---- packets from the upstream ----
 */

/* The lost upstream's input is used up but for the beginning of a packet. */
static void drop_half(struct mux *mux) {
    struct mux_down *down = &mux->down;
    size_t dropped = mux_framer_stored(&down->framer);
    mux_framer_init(&down->framer, down->store);
    set_state(down, MUX_DOWN_READS);
    if (dropped) {
        MUX_COUNT(&mux->counters, down_damage_bytes, dropped);
        mux_log(mux, "the upstream was lost inside a packet: %zu bytes of it dropped", dropped);
    }
}

static bool next_input(struct mux *mux) {
    struct mux_down *down = &mux->down;
    if (mux_input_next(mux, &down->inputs, &down->framer))
        return true;
    if (mux_down_is_cut(down))
        drop_half(mux);
    return false;
}

/* Acknowledgements may be missing: all is asked anew on another connection (rule 33). */
static void give_up_damaged(struct mux *mux) {
    if (mux_is_relay(mux))
        mux_handshake_give_up(mux, "what comes from it is damaged");
}

/* Takes one frame. False: there is nothing to do now. */
static bool step(struct mux *mux, uint64_t now_ns) {
    struct mux_down *down = &mux->down;
    struct mux_frame *frame = &down->frame;
    bool waits = mux_down_waits(down);
    if (!waits) {
        mux_framer_next(&down->framer, frame);
        down->was_shown = false;
    }
    switch (frame->kind) {
    case MUX_FRAME_NONE:
        return next_input(mux);
    case MUX_FRAME_STORE:
        mux_framer_move(&down->framer, down->store);
        return true;
    case MUX_FRAME_PACKET:
        if (!waits)
            MUX_COUNT(&mux->counters, down_received_packets, 1);
        set_waits(down, !deliver(mux, frame, now_ns));
        return !mux_down_waits(down);
    case MUX_FRAME_CHATTER:
        give_up_damaged(mux);
        MUX_COUNT(&mux->counters, down_chatter_bytes, frame->bytes.len);
        mux_log(mux, "%zu bytes from the upstream are not subunit: dropped", frame->bytes.len);
        return true;
    case MUX_FRAME_DAMAGE:
        give_up_damaged(mux);
        MUX_COUNT(&mux->counters, down_damage_bytes, frame->bytes.len);
        mux_message(mux, MUX_STATUS_FAIL, now_ns, "%zu bytes of damage came from the upstream: %s",
                    frame->bytes.len, mux_error_text(frame->why));
        return true;
    }
    return false;
}

void mux_down_run(struct mux *mux, uint64_t now_ns) {
    while (step(mux, now_ns))
        ;
}

void mux_down_cut(struct mux *mux, uint64_t now_ns) {
    struct mux_down *down = &mux->down;
    set_state(down, mux_down_waits(down) ? MUX_DOWN_CUT_WAITS : MUX_DOWN_CUT);
    mux_down_run(mux, now_ns);
}

uint64_t mux_down_pending_bytes(const struct mux *mux) {
    const struct mux_down *down = &mux->down;
    return mux_inputs_bytes(&down->inputs) + mux_framer_stored(&down->framer) +
           down->framer.fed.len + (mux_down_waits(down) ? down->frame.bytes.len : 0);
}
