/* The links: their life, their input, their segments and slots. */
#include "mux/mux_internal.h"

#include <stdio.h>

static struct mux_link **bucket(struct mux *mux, struct mux_span segment) {
    return &mux->directory[mux_hash(segment) % mux->directory_count];
}

struct mux_link *mux_link_find(struct mux *mux, struct mux_span segment) {
    struct mux_link *link = *bucket(mux, segment);
    while (link && !mux_span_equal(link->prefix.segment, segment))
        link = link->next;
    return link;
}

static void forget_segment(struct mux_link *link) {
    struct mux_link **at = bucket(link->mux, link->prefix.segment);
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
}

/* Its first byte makes a connection a link. */
static void start(struct mux_link *link) {
    struct mux *mux = link->mux;
    mux_segments_next(&mux->segments, link->host, link->segment);
    enum mux_error error = mux_prefix_init(&link->prefix, mux_span_text(link->segment));
    assert(!error);
    (void)error;
    struct mux_link **at = bucket(mux, link->prefix.segment);
    link->next = *at;
    *at = link;
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
    if (mux->links_touched == mux->config.links_max)
        return NULL;
    return &mux->links[mux->links_touched++];
}

struct mux_link *mux_link_open(struct mux *mux, const struct mux_link_config *config) {
    struct mux_link *link = take_free(mux);
    if (!link)
        return NULL;
    uint8_t *tail = mux->tails + (size_t)(link - mux->links) * TAIL_BYTES;
    *link = (struct mux_link){
        .mux = mux, .user = config->user, .way_down = config->way_down, .tail = tail};
    snprintf(link->peer, sizeof link->peer, "%s", config->peer);
    snprintf(link->host, sizeof link->host, "%s", config->host);
    mux_list_init(&link->active_node);
    mux_list_init(&link->attention_node);
    mux_list_init(&link->chatter_node);
    mux_list_init(&link->slot_node);
    mux_framer_init(&link->framer, (struct mux_room){tail, TAIL_BYTES});
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
    if (mux_list_empty(&link->active_node) && mux_list_empty(&link->slot_node))
        mux_list_append(&link->mux->active, &link->active_node);
}

void mux_link_attend(struct mux_link *link) {
    if (mux_list_empty(&link->attention_node))
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
    if (!link->started)
        start(link);
    MUX_COUNT(&link->mux->counters, received_bytes, len);
    link->chatter_deadline_ns = now_ns + CHATTER_SILENCE_NS;
    mux_list_remove(&link->chatter_node);
    mux_link_activate(link);
}

void mux_link_received(struct mux_link *link, struct mux_buffer *buffer, struct mux_span bytes,
                       uint64_t now_ns) {
    came(link, bytes.len, now_ns);
    link->offered_bytes = 0;
    if (mux_framer_stored(&link->framer) == 0)
        mux_link_leave_slot(link); /* a batch may still refer to its bytes */
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

void mux_link_ended(struct mux_link *link) {
    link->ended = true;
    link->offered_bytes = 0;
    mux_link_activate(link);
    mux_link_attend(link);
}

bool mux_link_wants_receive(const struct mux_link *link) {
    return !link->ended && link->inputs.count < LINK_INPUTS_MAX && mux_list_empty(&link->slot_node);
}

struct mux_room mux_link_offer(struct mux_link *link) {
    struct mux_room none = {NULL, 0};
    if (!link->slot || link->ended || link->inputs.count || link->offered_bytes ||
        !mux_list_empty(&link->slot_node))
        return none;
    /*
     * However little is missing: links that wait for a slot may have all receive buffers, and who
     * has a slot must get on without one.
     */
    struct mux_room room = mux_framer_room(&link->framer);
    link->offered_bytes = room.len;
    return room;
}

bool mux_link_finished(const struct mux_link *link) {
    return link->finished;
}

static void release_slot(struct mux_link *link) {
    if (link->slot)
        mux_buffer_release(link->slot);
    link->slot = NULL;
}

void mux_link_close(struct mux_link *link) {
    struct mux *mux = link->mux;
    mux_list_remove(&link->active_node);
    mux_list_remove(&link->attention_node);
    mux_list_remove(&link->chatter_node);
    mux_list_remove(&link->slot_node);
    mux_inputs_drop(mux, &link->inputs);
    release_slot(link);
    size_t undelivered = mux_down_drop(link);
    if (undelivered) {
        MUX_COUNT(&mux->counters, down_undelivered_bytes, undelivered);
        mux_log(mux, "%s (link %s) ended with %zu bytes for it undelivered", link->peer,
                link->segment, undelivered);
    }
    if (link->started) {
        forget_segment(link);
        MUX_COUNT(&mux->counters, links_ended, 1);
        mux->counters.value[MUX_COUNT_links_open]--;
    }
    link->next = mux->free_links;
    mux->free_links = link;
}

void mux_links_flush_chatter(struct mux *mux, uint64_t now_ns) {
    while (!mux_list_empty(&mux->chatter)) {
        struct mux_link *link = MUX_LIST_ITEM(mux->chatter.next, struct mux_link, chatter_node);
        if (link->chatter_deadline_ns > now_ns)
            break;
        mux_list_remove(&link->chatter_node);
        mux_framer_flush(&link->framer);
        mux_link_activate(link);
    }
}

static struct mux_slots *slots_for(struct mux *mux, size_t store_bytes) {
    return store_bytes <= mux->middle_slots.slot_bytes && mux->middle_slots.count
               ? &mux->middle_slots
               : &mux->large_slots;
}

static void move_to_slot(struct mux_link *link, struct mux_buffer *slot) {
    mux_framer_move(&link->framer, (struct mux_room){slot->data, slot->size_bytes});
    release_slot(link);
    link->slot = slot;
}

/* In order: first come, first granted. */
static bool grant(struct mux_slots *slots) {
    bool granted = false;
    while (!mux_list_empty(&slots->waiting) && slots->free_count) {
        struct mux_link *link = MUX_LIST_ITEM(slots->waiting.next, struct mux_link, slot_node);
        mux_list_remove(&link->slot_node);
        move_to_slot(link, mux_slots_take(slots));
        mux_link_activate(link);
        mux_link_attend(link);
        granted = true;
    }
    return granted;
}

bool mux_links_grant_slots(struct mux *mux) {
    bool middle = grant(&mux->middle_slots);
    return grant(&mux->large_slots) || middle;
}

enum mux_link_step mux_link_get_store(struct mux_link *link, size_t store_bytes) {
    struct mux *mux = link->mux;
    if (link->offered_bytes)
        return MUX_LINK_IDLE; /* a rejected candidate; goes on when more has come */
    if (store_bytes <= link->framer.store.len) {
        /* only room at its end is missing; but what a batch refers to must not move */
        if (link->slot && link->slot->holders > 1)
            return MUX_LINK_FULL;
        mux_framer_move(&link->framer, link->framer.store);
        return MUX_LINK_MORE;
    }
    struct mux_slots *slots = slots_for(mux, store_bytes);
    if (mux_list_empty(&slots->waiting) && slots->free_count) {
        move_to_slot(link, mux_slots_take(slots));
        return MUX_LINK_MORE;
    }
    MUX_COUNT(&mux->counters, slot_waits, 1);
    mux_list_append(&slots->waiting, &link->slot_node);
    mux_link_attend(link);
    return MUX_LINK_IDLE;
}

void mux_link_leave_slot(struct mux_link *link) {
    if (!link->slot || link->offered_bytes || mux_framer_stored(&link->framer) > TAIL_BYTES / 2)
        return;
    mux_framer_move(&link->framer, (struct mux_room){link->tail, TAIL_BYTES});
    release_slot(link);
}

enum mux_link_step mux_link_next_input(struct mux_link *link) {
    struct mux *mux = link->mux;
    bool was_paused = !mux_link_wants_receive(link);
    bool fed = mux_input_next(mux, &link->inputs, &link->framer);
    if (was_paused && mux_link_wants_receive(link))
        mux_link_attend(link);
    if (fed)
        return MUX_LINK_MORE;
    if (link->ended && !link->framer.ended) {
        mux_framer_end(&link->framer);
        return MUX_LINK_MORE;
    }
    if (link->framer.candidate == 0)
        mux_link_leave_slot(link);
    if (link->ended) {
        link->finished = true;
        mux_link_attend(link);
    } else if (mux_framer_chatter(&link->framer)) {
        mux_list_append(&mux->chatter, &link->chatter_node);
    } else if (link->slot) {
        mux_link_attend(link);
    }
    return MUX_LINK_IDLE;
}

struct mux_link *mux_stuck_holder(const struct mux *mux) {
    if (!mux_list_empty(&mux->active))
        return NULL;
    for (unsigned i = 0; i < mux->links_touched; i++) {
        struct mux_link *link = &mux->links[i];
        const struct mux_slots *slots = link->slot ? link->slot->owner : NULL;
        if (slots && !mux_list_empty(&slots->waiting) && mux_list_empty(&link->slot_node))
            return link;
    }
    return NULL;
}
