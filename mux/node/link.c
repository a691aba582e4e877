/* The links: their life, their input, their segments. */
#include "mux/node/hash.h"
#include "mux/node/mux_internal.h"

#include <stdio.h>

static struct mux_link **bucket(struct mux *mux, struct mux_span segment) {
    return &mux->directory[mux_hash(mux->config.hash_key, segment) % mux->directory_count];
}

struct mux_link *mux_link_find(struct mux *mux, struct mux_span segment) {
    struct mux_link *link = *bucket(mux, segment);
    while (link && !mux_span_equal(link->prefix.segment, segment))
        link = link->next;
    return link;
}

static void leave_directory(struct mux_link *link) {
    struct mux_link **at = bucket(link->mux, link->prefix.segment);
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
}

static void enter_directory(struct mux_link *link) {
    enum mux_error error = mux_prefix_init(&link->prefix, mux_span_text(link->segment));
    assert(!error);
    (void)error;
    struct mux_link **at = bucket(link->mux, link->prefix.segment);
    link->next = *at;
    *at = link;
}

/* Its first byte makes a connection a link. */
static void start(struct mux_link *link) {
    struct mux *mux = link->mux;
    mux_segments_next(&mux->segments, link->host, link->segment);
    enter_directory(link);
    link->started = true;
    MUX_COUNT(&mux->counters, links_opened, 1);
    MUX_COUNT(&mux->counters, links_open, 1);
}

static struct mux_link *take_free(struct mux *mux) {
    struct mux_link *link = mux->free_links;
    if (link) {
        mux->free_links = link->next;
        return link;
    }
    return mux->links_touched < mux->links_count ? &mux->links[mux->links_touched++] : NULL;
}

static bool take_place(struct mux_link *link) {
    struct mux *mux = link->mux;
    if (link->has_place)
        return true;
    if (mux->places_taken == mux->config.links_max)
        return false;
    mux->places_taken++;
    link->has_place = true;
    mux_list_remove(&link->spare_node);
    return true;
}

static void give_place_back(struct mux_link *link) {
    mux_list_remove(&link->spare_node);
    link->mux->places_taken -= link->has_place;
    link->has_place = false;
}

static void turn_away(struct mux_link *link, const char *why) {
    link->refused = true;
    link->is_turned_away = true;
    link->close_reason = why;
    mux_list_remove(&link->spare_node);
    mux_link_activate(link);
    mux_link_attend(link);
}

/* The one that has been silent the longest makes room for another one to say who it is. */
static void turn_oldest_spare_away(struct mux *mux) {
    if (!mux_list_empty(&mux->spares))
        turn_away(MUX_LIST_ITEM(mux->spares.next, struct mux_link, spare_node),
                  "all places for links are taken, and it said nothing");
}

struct mux_link *mux_link_open(struct mux *mux, const struct mux_link_config *config) {
    unsigned spares = mux->connection_count - mux->places_taken;
    struct mux_link *link =
        spares < mux->links_count - mux->config.links_max ? take_free(mux) : NULL;
    if (!link) {
        turn_oldest_spare_away(mux);
        return NULL;
    }
    uint8_t *tail = mux->tails + (size_t)(link - mux->links) * TAIL_BYTES;
    *link = (struct mux_link){
        .mux = mux, .user = config->user, .way_down = config->way_down, .tail = tail};
    snprintf(link->peer, sizeof link->peer, "%s", config->peer);
    snprintf(link->host, sizeof link->host, "%s", config->host);
    mux_list_init(&link->active_node);
    mux_list_init(&link->attention_node);
    mux_list_init(&link->chatter_node);
    mux_list_init(&link->slot_node);
    mux_list_init(&link->holder_node);
    mux_list_init(&link->look_node);
    mux_list_init(&link->starved_node);
    mux_list_init(&link->fresh_node);
    mux_list_init(&link->spare_node);
    mux_list_init(&link->node_node);
    mux_list_init(&link->below);
    mux_list_init(&link->away_node);
    mux_framer_init(&link->framer, (struct mux_room){tail, TAIL_BYTES});
    mux_progress_open(&mux->tests, &link->tests, MUX_PROGRESS_WORKER);
    mux->connection_count++;
    if (!take_place(link))
        mux_list_append(&mux->spares, &link->spare_node);
    mux_link_attend(link);
    return link;
}

void *mux_link_user(const struct mux_link *link) {
    return link->user;
}

const char *mux_link_segment(const struct mux_link *link) {
    return link->segment;
}

void mux_link_activate(struct mux_link *link) {
    link->mux->is_due = true;
    if (mux_list_empty(&link->active_node) && mux_list_empty(&link->slot_node))
        mux_list_append(&link->mux->active, &link->active_node);
}

void mux_link_attend(struct mux_link *link) {
    if (!link->is_away && mux_list_empty(&link->attention_node))
        mux_list_append(&link->mux->attention, &link->attention_node);
}

struct mux_link *mux_next_attention(struct mux *mux) {
    if (mux_list_empty(&mux->attention))
        return NULL;
    struct mux_link *link = MUX_LIST_ITEM(mux->attention.next, struct mux_link, attention_node);
    mux_list_remove(&link->attention_node);
    return link;
}

/* More of its stream is here: silence begins anew. */
static void came(struct mux_link *link, size_t len, uint64_t now_ns) {
    assert(!link->ended && len > 0);
    if (!link->started && take_place(link))
        start(link);
    MUX_COUNT(&link->mux->counters, received_bytes, len);
    if (link->slot)
        mux_link_delivered(link, len);
    if (!link->has_frames)
        mux_list_append(&link->mux->fresh, &link->fresh_node);
    link->received_ns = now_ns;
    link->by_room = false;
    mux_list_remove(&link->starved_node);
    mux_list_remove(&link->chatter_node);
    mux_link_activate(link);
}

void mux_link_received(struct mux_link *link, struct mux_buffer *buffer, struct mux_span bytes,
                       uint64_t now_ns) {
    came(link, bytes.len, now_ns);
    link->offered_bytes = 0;
    if (mux_framer_stored(&link->framer) == 0)
        mux_link_leave_slot(link); /* a batch may still refer to its bytes */
    if (link->buffer_bytes < buffer->size_bytes)
        link->buffer_bytes = buffer->size_bytes;
    mux_input_append(link->mux, &link->inputs, buffer, bytes);
    if (!mux_link_wants_receive(link))
        mux_link_attend(link);
}

void mux_link_filled(struct mux_link *link, size_t len, uint64_t now_ns) {
    assert(len <= link->offered_bytes && link->inputs.count == 0);
    came(link, len, now_ns);
    link->offered_bytes = 0;
    mux_link_attend(link);
    mux_framer_filled(&link->framer, len);
}

void mux_link_ended(struct mux_link *link, const char *reason) {
    if (!link->is_leaving) /* else that is why */
        snprintf(link->reason, sizeof link->reason, "%s", reason);
    link->ended = true;
    mux_list_remove(&link->look_node);
    mux_list_remove(&link->starved_node);
    link->offered_bytes = 0;
    mux_link_activate(link);
    mux_link_attend(link);
}

bool mux_link_wants_receive(const struct mux_link *link) {
    /* not before it is clear where the bytes shall go */
    bool is_undecided = link->expects_large && !mux_list_empty(&link->active_node);
    return !link->ended && !link->close_reason && !link->predecessor && !is_undecided &&
           link->inputs.count < LINK_INPUTS_MAX && mux_list_empty(&link->slot_node);
}

void mux_link_starved(struct mux_link *link) {
    if (!link->ended && !link->by_room)
        mux_list_append(&link->mux->starved, &link->starved_node);
}

size_t mux_link_peek(const struct mux_link *link, uint8_t *out, size_t most) {
    size_t len = mux_framer_peek(&link->framer, out, most);
    const struct mux_input *input = link->inputs.first;
    if (input && link->inputs.feeding)
        input = input->next;
    for (; input && len < most; input = input->next) {
        size_t some = input->bytes.len < most - len ? input->bytes.len : most - len;
        memcpy(out + len, input->bytes.data, some);
        len += some;
    }
    return len;
}

void mux_links_feed_starved(struct mux *mux) {
    size_t held = mux->inputs_used + mux->fill->held_count + mux->flight->held_count;
    while (!mux_list_empty(&mux->starved) && held * INPUTS_HELD_SHARE >= mux->config.inputs_max) {
        struct mux_link *link = MUX_LIST_ITEM(mux->starved.next, struct mux_link, starved_node);
        mux_list_remove(&link->starved_node);
        link->by_room = true;
        if (link->slot || link->framer.candidate > TAIL_BYTES)
            mux_link_activate(link); /* to get a slot, or room in the one it has */
        mux_link_attend(link);
    }
}

/* Room for what comes next, when nobody waits for the framer. */
static struct mux_room room_in_tail(struct mux_link *link) {
    if (!mux_list_empty(&link->active_node) || link->slot)
        return (struct mux_room){NULL, 0};
    if (link->by_room)
        return mux_framer_spare_room(&link->framer);
    return mux_framer_head_room(&link->framer, HEAD_ROOM_BYTES);
}

struct mux_room mux_link_offer(struct mux_link *link) {
    struct mux_room none = {NULL, 0};
    if (link->ended || link->close_reason || link->inputs.count || link->offered_bytes ||
        !mux_list_empty(&link->slot_node))
        return none;
    /*
     * However little is missing: links that wait for a slot may have all receive buffers, and who
     * has a slot must get on without one.
     */
    struct mux_room room = link->slot ? mux_framer_room(&link->framer) : none;
    if (!room.len && (link->expects_large || link->by_room))
        room = room_in_tail(link);
    link->offered_bytes = room.len;
    return room;
}

const char *mux_link_close_reason(const struct mux_link *link) {
    bool still_told = link->refused && link->down.bytes > 0;
    return still_told ? NULL : link->close_reason;
}

bool mux_link_turned_away(const struct mux_link *link) {
    return link->is_turned_away;
}

bool mux_link_finished(const struct mux_link *link) {
    return link->finished;
}

/* The connection's part of a link ends. */
static void detach(struct mux_link *link) {
    struct mux *mux = link->mux;
    mux_list_remove(&link->active_node);
    mux_list_remove(&link->attention_node);
    mux_list_remove(&link->chatter_node);
    mux_list_remove(&link->slot_node);
    mux_list_remove(&link->look_node);
    mux_list_remove(&link->starved_node);
    mux_list_remove(&link->fresh_node);
    mux_inputs_drop(mux, &link->inputs);
    mux_link_release_slot(link);
    size_t undelivered = mux_down_drop(link);
    if (undelivered) {
        MUX_COUNT(&mux->counters, down_undelivered_bytes, undelivered);
        mux_log(mux, "%s (link %s) ended with %zu bytes for it undelivered", link->peer,
                link->segment, undelivered);
    }
}

void mux_link_forget(struct mux_link *link) {
    struct mux *mux = link->mux;
    mux_progress_close(&mux->tests, &link->tests);
    mux_below_clear(link);
    mux->away_count -= link->is_away && !link->is_given_up;
    mux_list_remove(&link->active_node); /* given up, and back before its turn */
    mux_list_remove(&link->node_node);
    mux_list_remove(&link->away_node);
    if (link->predecessor)
        link->predecessor->successor = link->successor;
    if (link->successor)
        link->successor->predecessor = link->predecessor;
    if (link->started) {
        if (link->prefix.segment.data)
            leave_directory(link);
        MUX_COUNT(&mux->counters, links_ended, 1);
        mux->counters.value[MUX_COUNT_links_open]--;
    }
    link->next = mux->free_links;
    mux->free_links = link;
}

void mux_link_close(struct mux_link *link) {
    detach(link);
    give_place_back(link);
    link->mux->connection_count--;
    if (!mux_node_went(link))
        mux_link_forget(link);
}

void mux_link_take_segment(struct mux_link *link, struct mux_link *from) {
    leave_directory(link);
    leave_directory(from);
    from->prefix.segment = mux_span(NULL, 0);
    memcpy(link->segment, from->segment, sizeof link->segment);
    enter_directory(link);
}

static void flush_chatter(struct mux *mux, uint64_t now_ns) {
    while (!mux_list_empty(&mux->chatter)) {
        struct mux_link *link = MUX_LIST_ITEM(mux->chatter.next, struct mux_link, chatter_node);
        if (link->received_ns + CHATTER_SILENCE_NS > now_ns)
            break;
        mux_list_remove(&link->chatter_node);
        mux_framer_flush(&link->framer);
        mux_link_activate(link);
    }
}

static void look_later(struct mux_link *link, uint64_t from_ns) {
    link->look_at_ns = from_ns + LOOK_AFTER_NS;
    mux_list_append(&link->mux->looks, &link->look_node);
}

/* True: there are frames to take. */
static bool look_into(struct mux_link *link) {
    if (mux_framer_look_into(&link->framer)) {
        MUX_COUNT(&link->mux->counters, abandoned_packets, 1);
        return true;
    }
    link->look_bytes = 2 * mux_framer_stored(&link->framer);
    return false;
}

/* All that has come must be in the store: not so while a slot or a batch is waited for. */
static void look_into_old(struct mux *mux, uint64_t now_ns) {
    while (!mux_list_empty(&mux->looks)) {
        struct mux_link *link = MUX_LIST_ITEM(mux->looks.next, struct mux_link, look_node);
        if (link->look_at_ns > now_ns)
            break;
        mux_list_remove(&link->look_node);
        if (!mux_list_empty(&link->slot_node) || !mux_list_empty(&link->active_node))
            look_later(link, now_ns);
        else if (look_into(link))
            mux_link_activate(link);
    }
}

void mux_links_run(struct mux *mux, uint64_t now_ns) {
    flush_chatter(mux, now_ns);
    look_into_old(mux, now_ns);
}

uint64_t mux_links_deadline_ns(const struct mux *mux) {
    uint64_t deadline_ns = UINT64_MAX;
    if (!mux_list_empty(&mux->chatter)) {
        const struct mux_link *link =
            MUX_LIST_ITEM(mux->chatter.next, struct mux_link, chatter_node);
        deadline_ns = link->received_ns + CHATTER_SILENCE_NS;
    }
    if (!mux_list_empty(&mux->looks)) {
        const struct mux_link *link = MUX_LIST_ITEM(mux->looks.next, struct mux_link, look_node);
        if (link->look_at_ns < deadline_ns)
            deadline_ns = link->look_at_ns;
    }
    return deadline_ns;
}

void mux_link_progressed(struct mux_link *link) {
    mux_list_remove(&link->look_node);
    link->look_bytes = 0;
}

/* Half a packet is all there is. True: it was time to look into it, and there is more to take. */
static bool look_into_rest(struct mux_link *link) {
    if (link->look_bytes)
        return mux_framer_stored(&link->framer) >= link->look_bytes && look_into(link);
    if (mux_list_empty(&link->look_node))
        look_later(link, link->received_ns);
    return false;
}

/* A node sends the packet in which it was cut off again, whole. Chatter in front of it is out. */
static void drop_cut_packet(struct mux_link *link) {
    MUX_COUNT(&link->mux->counters, nodes_cut_bytes, mux_framer_stored(&link->framer));
    mux_framer_init(&link->framer, link->framer.store);
}

static void end_framer(struct mux_link *link) {
    if (link->is_node && mux_framer_chatter(&link->framer)) {
        mux_framer_flush(&link->framer);
        return;
    }
    if (link->is_node)
        drop_cut_packet(link);
    mux_framer_end(&link->framer);
}

enum mux_link_step mux_link_refused(struct mux_link *link) {
    MUX_COUNT(&link->mux->counters, nodes_cut_bytes,
              mux_framer_stored(&link->framer) + link->framer.fed.len +
                  mux_inputs_bytes(&link->inputs));
    mux_framer_init(&link->framer, (struct mux_room){link->tail, TAIL_BYTES});
    mux_inputs_drop(link->mux, &link->inputs);
    mux_link_release_slot(link);
    link->finished = link->ended;
    mux_link_attend(link);
    return MUX_LINK_IDLE;
}

/* The store that the rest of the packet underway is to be received into; 0: it needs none. */
static size_t wanted_store(const struct mux_link *link) {
    bool in_tail = !link->slot && !link->expects_large && link->framer.candidate <= TAIL_BYTES;
    bool by_room = link->expects_large || link->by_room;
    return by_room && !in_tail && !link->ended ? mux_framer_wanted(&link->framer) : 0;
}

enum mux_link_step mux_link_next_input(struct mux_link *link) {
    struct mux *mux = link->mux;
    bool was_paused = !mux_link_wants_receive(link);
    MUX_COUNT(&mux->counters, body_bytes_copied, link->framer.copied);
    link->framer.copied = 0;
    bool fed = mux_input_next(mux, &link->inputs, &link->framer);
    if (was_paused && mux_link_wants_receive(link))
        mux_link_attend(link);
    if (fed)
        return MUX_LINK_MORE;
    if (link->ended && !link->framer.ended) {
        end_framer(link);
        return MUX_LINK_MORE;
    }
    if (link->framer.candidate == 0)
        mux_link_leave_slot(link);
    size_t store_bytes = wanted_store(link);
    if (store_bytes && link->offered_bytes) {
        mux_link_attend(link); /* it receives on, into that room: only then may the store move */
        return MUX_LINK_IDLE;
    }
    if (store_bytes)
        return mux_link_get_store(link, store_bytes);
    if (link->is_given_up) {
        mux_list_append(&mux->buried, &link->away_node);
    } else if (link->ended) {
        link->finished = true;
        mux_link_attend(link);
    } else if (mux_framer_chatter(&link->framer)) {
        mux_list_append(&mux->chatter, &link->chatter_node);
    }
    if (link->slot || link->expects_large || link->by_room)
        mux_link_attend(link);
    bool more = link->framer.candidate && !link->ended && !link->is_node && look_into_rest(link);
    return more ? MUX_LINK_MORE : MUX_LINK_IDLE;
}

void mux_link_has_frame(struct mux_link *link) {
    link->has_frames = true;
    mux_list_remove(&link->fresh_node);
}

enum mux_link_step mux_link_enter(struct mux_link *link) {
    struct mux_frame frame;
    bool has_bytes = link->inputs.first || mux_framer_stored(&link->framer);
    if (has_bytes && take_place(link)) {
        start(link);
        return MUX_LINK_MORE;
    }
    mux_framer_next(&link->framer, &frame);
    if (frame.kind == MUX_FRAME_NONE)
        return mux_link_next_input(link);
    if (frame.kind == MUX_FRAME_PACKET && mux_node_may_enter(link, &frame.packet)) {
        start(link);
        mux_node_says(link, &frame.packet);
        mux_link_has_frame(link);
    } else
        turn_away(link, "all places for links are taken");
    return MUX_LINK_MORE;
}
