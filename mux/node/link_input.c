/* A link's input: what it receives, into which memory, and when it is used up. */
#include "mux/node/mux_internal.h"

/*
 * ---- bytes are received ----
 */

/* Notes that `len` bytes were received: the link's silence begins anew. */
static void came(struct mux_link *link, size_t len, uint64_t now_ns) {
    assert(link->input == MUX_INPUT_OPEN && len > 0 && now_ns >= link->mux->ran_ns);
    mux_link_start(link);
    MUX_COUNT(&link->mux->counters, received_bytes, len);
    link->received_bytes += len;
    if (link->slot)
        mux_link_delivered(link, len);
    if (link->role == MUX_ROLE_UNKNOWN)
        mux_list_append(&link->mux->fresh, &link->fresh_entry);
    link->received_ns = now_ns;
    link->by_room = false;
    link->offered_bytes = 0;
    mux_list_remove(&link->starved_entry);
    mux_list_remove(&link->chatter_entry);
    mux_link_activate(link);
}

void mux_link_received(struct mux_link *link, struct mux_buffer *buffer, struct mux_span bytes,
                       uint64_t now_ns) {
    came(link, bytes.len, now_ns);
    /* a batch may still refer to its bytes; but one that was granted and is still empty is kept */
    if (mux_framer_stored(&link->framer) == 0 && link->framer.candidate == 0)
        mux_link_leave_slot(link);
    mux_input_append(link->mux, &link->inputs, buffer, bytes);
    if (!mux_link_wants_receive(link))
        mux_link_attend(link);
    mux_link_sane(link);
}

void mux_link_filled(struct mux_link *link, size_t len, uint64_t now_ns) {
    assert(len <= link->offered_bytes && link->inputs.count == 0);
    came(link, len, now_ns);
    mux_link_attend(link);
    mux_framer_filled(&link->framer, len);
    mux_link_sane(link);
}

bool mux_link_wants_receive(const struct mux_link *link) {
    return link->input == MUX_INPUT_OPEN && link->verdict == MUX_VERDICT_KEPT &&
           !link->predecessor && link->inputs.count < LINK_INPUTS_MAX &&
           !mux_link_waits_for_slot(link);
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

/*
 * ---- room of the link's own to receive into ----
 */

void mux_link_starved(struct mux_link *link) {
    if (link->input == MUX_INPUT_OPEN && !link->by_room)
        mux_list_append(&link->mux->starved, &link->starved_entry);
}

/* Do links hold buffers that come back only when other links go on? */
static bool links_hold_buffers(const struct mux *mux) {
    size_t held = mux->inputs_used + mux->fill->held_count + mux->flight->held_count;
    return held * INPUTS_HELD_SHARE >= mux->config.inputs_max ||
           !mux_list_empty(&mux->middle_slots.waiting) ||
           !mux_list_empty(&mux->large_slots.waiting) || !mux_list_empty(&mux->superseded);
}

void mux_links_feed_starved(struct mux *mux) {
    while (!mux_list_empty(&mux->starved) && links_hold_buffers(mux)) {
        struct mux_link *link = MUX_LIST_ITEM(mux->starved.next, struct mux_link, starved_entry);
        mux_list_remove(&link->starved_entry);
        link->by_room = true;
        if (link->slot || link->framer.candidate > SMALL_STORE_BYTES)
            mux_link_activate(link); /* to get a slot, or room in the one it has */
        mux_link_attend(link);
    }
}

/* Room for what comes next, when the framer waits for nothing. */
static struct mux_room room_in_small_store(struct mux_link *link) {
    if (mux_link_has_turn(link) || link->slot)
        return (struct mux_room){NULL, 0};
    return mux_framer_spare_room(&link->framer);
}

struct mux_room mux_link_offer(struct mux_link *link) {
    struct mux_room none = {NULL, 0};
    if (!link->by_room || link->input != MUX_INPUT_OPEN || link->verdict != MUX_VERDICT_KEPT ||
        link->inputs.count || link->offered_bytes || mux_link_waits_for_slot(link))
        return none;
    struct mux_room room = link->slot ? mux_framer_room(&link->framer) : none;
    if (!room.len)
        room = room_in_small_store(link);
    link->offered_bytes = room.len;
    mux_link_sane(link);
    return room;
}

/*
 * ---- the framer has used up what it had ----
 */

void mux_link_has_frame(struct mux_link *link) {
    if (link->role == MUX_ROLE_UNKNOWN)
        mux_link_set_role(link, MUX_ROLE_WORKER);
}

/*
 * A node sends the packet in which it was cut off again, whole. Chatter in front of it was taken
 * before.
 */
static void drop_cut_packet(struct mux_link *link) {
    MUX_COUNT(&link->mux->counters, nodes_cut_bytes, mux_framer_stored(&link->framer));
    mux_framer_init(&link->framer, link->framer.store);
}

static void end_framer(struct mux_link *link) {
    if (mux_link_is_node(link) && mux_framer_chatter(&link->framer)) {
        mux_framer_flush(&link->framer);
        return;
    }
    if (mux_link_is_node(link))
        drop_cut_packet(link);
    mux_framer_end(&link->framer);
}

void mux_link_restart_framer(struct mux_link *link) {
    mux_framer_init(&link->framer, (struct mux_room){link->small_store, SMALL_STORE_BYTES});
    link->framer.text = link->kind == MUX_LINK_STDERR;
}

void mux_link_drop_stored(struct mux_link *link) {
    assert(!link->offered_bytes);
    mux_link_restart_framer(link);
    mux_link_release_slot(link);
}

static void finish(struct mux_link *link) {
    if (link->input == MUX_INPUT_ENDED)
        mux_link_set_input(link, MUX_INPUT_FINISHED);
    mux_link_attend(link);
}

enum mux_link_step mux_link_drop_input(struct mux_link *link) {
    if (link->offered_bytes)
        return MUX_LINK_IDLE; /* the owner receives into the store until the offer is over */
    MUX_COUNT(&link->mux->counters, nodes_cut_bytes,
              mux_framer_stored(&link->framer) + link->framer.fed.len +
                  mux_inputs_bytes(&link->inputs));
    mux_link_drop_stored(link);
    mux_inputs_drop(link->mux, &link->inputs);
    finish(link);
    return MUX_LINK_IDLE;
}

/*
 * The size of the store that the rest of the incomplete packet is to be received into; 0: none is
 * needed.
 */
static size_t wanted_store(const struct mux_link *link) {
    bool in_small_store = !link->slot && link->framer.candidate <= SMALL_STORE_BYTES;
    return link->by_room && !in_small_store && link->input == MUX_INPUT_OPEN
               ? mux_framer_wanted(&link->framer)
               : 0;
}

/* Feeds the next input to the framer. False: there is none. */
static bool feed(struct mux_link *link) {
    struct mux *mux = link->mux;
    bool was_paused = !mux_link_wants_receive(link);
    MUX_COUNT(&mux->counters, body_bytes_copied, link->framer.copied);
    link->framer.copied = 0;
    bool fed = mux_input_next(mux, &link->inputs, &link->framer);
    if (was_paused && mux_link_wants_receive(link))
        mux_link_attend(link);
    return fed;
}

/* All that was received is used up. */
static void use_up(struct mux_link *link) {
    if (link->entry == MUX_ENTRY_GIVEN_UP)
        mux_list_append(&link->mux->given_up, &link->watch_entry);
    else if (link->input != MUX_INPUT_OPEN)
        finish(link);
    else if (mux_framer_chatter(&link->framer))
        mux_list_append(&link->mux->chatter, &link->chatter_entry);
    if (link->by_room)
        mux_link_attend(link);
}

/* Somebody types at its worker, and waits for the answer. */
static bool is_typed_at(const struct mux_link *link) {
    return link->typed_ns && link->received_ns < link->typed_ns + TYPED_AT_NS;
}

enum mux_link_step mux_link_next_input(struct mux_link *link) {
    if (feed(link))
        return MUX_LINK_MORE;
    if (link->input != MUX_INPUT_OPEN && !link->framer.ended) {
        end_framer(link);
        return MUX_LINK_MORE;
    }
    if (link->framer.candidate == 0)
        mux_link_leave_slot(link);
    size_t store_bytes = wanted_store(link);
    if (store_bytes && link->offered_bytes) {
        mux_link_attend(
            link); /* it continues to receive into that room; only after that may the store move */
        return MUX_LINK_IDLE;
    }
    if (store_bytes)
        return mux_link_get_store(link, store_bytes);
    if (is_typed_at(link) && mux_framer_chatter(&link->framer)) {
        mux_framer_flush(&link->framer);
        return MUX_LINK_MORE;
    }
    use_up(link);
    bool may_look =
        link->framer.candidate && link->input == MUX_INPUT_OPEN && !mux_link_is_node(link);
    return may_look && mux_link_resynchronise(link) ? MUX_LINK_MORE : MUX_LINK_IDLE;
}
