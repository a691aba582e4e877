/* Assembly: which links have a slot for a large packet, which wait for one, who loses it. */
#include "mux/mux_internal.h"

#include <inttypes.h>

/*
 * What a link must deliver while others wait for the slot it holds: 1 Mbit/s. Slower ones would
 * keep a slot for more than the half of a minute that the largest packet then takes.
 */
#define SLOT_RATE_BYTES_PER_SECOND ((uint64_t)128 << 10)

/* It is measured over so long: a worker may be without CPU time for a while. */
#define SLOT_WINDOW_NS 2000000000u

/* When more wait than there are slots. Longer than TCP needs to send a lost segment again. */
#define SLOT_WINDOW_CROWDED_NS 1000000000u

/*
 * When those who wait hold half of the receive buffers and nothing moves, everybody stands. A link
 * that had to wait was not received from: if it lives, more of its packet lies in our kernel, and
 * comes at once.
 */
#define SLOT_WINDOW_JAM_NS 20000000u

/* Who has sent something since it has its slot lives: its next bytes may need a round trip. */
#define SLOT_SILENCE_NS 250000000u

/* A window that ends so much too late was ours to miss, not the holder's. */
#define SLOT_WINDOW_LATE_NS 100000000u

static struct mux_slots *slots_for(struct mux *mux, size_t store_bytes) {
    return store_bytes <= mux->middle_slots.slot_bytes && mux->middle_slots.count
               ? &mux->middle_slots
               : &mux->large_slots;
}

void mux_link_release_slot(struct mux_link *link) {
    mux_list_remove(&link->holder_node);
    if (link->slot)
        mux_buffer_release(link->slot);
    link->slot = NULL;
}

static void move_to_slot(struct mux_link *link, struct mux_slots *slots) {
    struct mux_buffer *slot = mux_slots_take(slots);
    mux_framer_move(&link->framer, (struct mux_room){slot->data, slot->size_bytes});
    mux_link_release_slot(link);
    link->slot = slot;
    link->judged = false; /* not in the window that is half over */
    link->has_delivered = false;
    slots->grants++;
    mux_list_append(&slots->holders, &link->holder_node);
}

void mux_link_leave_slot(struct mux_link *link) {
    if (!link->slot || link->offered_bytes || mux_framer_stored(&link->framer) > TAIL_BYTES / 2)
        return;
    mux_framer_move(&link->framer, (struct mux_room){link->tail, TAIL_BYTES});
    mux_link_release_slot(link);
}

enum mux_link_step mux_link_get_store(struct mux_link *link, size_t store_bytes) {
    struct mux *mux = link->mux;
    assert(!link->offered_bytes);
    if (store_bytes <= link->framer.store.len) {
        /* only room at its end is missing; but what a batch refers to must not move */
        if (link->slot && link->slot->holders > 1)
            return MUX_LINK_PINNED;
        mux_framer_move(&link->framer, link->framer.store);
        return MUX_LINK_MORE;
    }
    struct mux_slots *slots = slots_for(mux, store_bytes);
    if (mux_list_empty(&slots->waiting) && slots->free_count) {
        move_to_slot(link, slots);
        return MUX_LINK_MORE;
    }
    MUX_COUNT(&mux->counters, slot_waits, 1);
    mux_list_append(&slots->waiting, &link->slot_node);
    mux_link_attend(link);
    return MUX_LINK_IDLE;
}

/* In order: first come, first granted. */
static bool grant(struct mux_slots *slots) {
    bool granted = false;
    while (!mux_list_empty(&slots->waiting) && slots->free_count) {
        struct mux_link *link = MUX_LIST_ITEM(slots->waiting.next, struct mux_link, slot_node);
        mux_list_remove(&link->slot_node);
        move_to_slot(link, slots);
        mux_link_activate(link);
        mux_link_attend(link);
        granted = true;
    }
    return granted;
}

bool mux_grant_slots(struct mux *mux) {
    bool middle = grant(&mux->middle_slots);
    return grant(&mux->large_slots) || middle;
}

/* Is it the link itself that the rest of its packet does not come? */
static bool is_waited_for(const struct mux_link *link) {
    return mux_list_empty(&link->slot_node) && mux_list_empty(&link->active_node) && !link->ended &&
           !link->close_reason;
}

static void evict(struct mux_link *link, uint64_t window_ns) {
    struct mux *mux = link->mux;
    link->close_reason = "others waited for the memory of its large packet";
    MUX_COUNT(&mux->counters, links_evicted, 1);
    mux_log(mux,
            "%s (link %s) is closed: others wait for the memory of its large packet, of which only "
            "%zu bytes came in %" PRIu64 " ms",
            link->peer, link->segment, link->window_bytes, window_ns / 1000000);
    mux_link_attend(link);
}

static unsigned waiting_count(const struct mux_slots *slots) {
    unsigned count = 0;
    for (const struct mux_list *at = slots->waiting.next; at != &slots->waiting; at = at->next)
        count++;
    return count;
}

static bool is_pressed(const struct mux *mux, const struct mux_slots *slots) {
    size_t inputs = 0;
    for (const struct mux_list *at = slots->waiting.next; at != &slots->waiting; at = at->next)
        inputs += MUX_LIST_ITEM(at, struct mux_link, slot_node)->inputs.count;
    return inputs >= mux->config.inputs_max / 2;
}

static void open_window(struct mux *mux, struct mux_slots *slots, bool was_open, uint64_t now_ns) {
    bool is_crowded = waiting_count(slots) > slots->count;
    slots->is_jam = is_pressed(mux, slots) && (slots->is_jam || (was_open && slots->grants == 0));
    slots->window_ns = slots->is_jam ? SLOT_WINDOW_JAM_NS
                       : is_crowded  ? SLOT_WINDOW_CROWDED_NS
                                     : SLOT_WINDOW_NS;
    slots->grants = 0;
    slots->judge_at_ns = now_ns + slots->window_ns;
    for (struct mux_list *at = slots->holders.next; at != &slots->holders; at = at->next) {
        struct mux_link *link = MUX_LIST_ITEM(at, struct mux_link, holder_node);
        link->judged = true;
        link->has_delivered = link->has_delivered || link->window_bytes > 0;
        link->window_bytes = 0;
    }
}

static bool is_slow(const struct mux_slots *slots, const struct mux_link *link, uint64_t now_ns) {
    if (!link->judged || !is_waited_for(link))
        return false;
    if (!slots->is_jam)
        return link->window_bytes < SLOT_RATE_BYTES_PER_SECOND * slots->window_ns / 1000000000u;
    return link->window_bytes == 0 &&
           (!link->has_delivered || now_ns - link->received_ns >= SLOT_SILENCE_NS);
}

/* No more are evicted than wait: those who have held theirs the longest. */
static void close_window(struct mux_slots *slots, uint64_t now_ns) {
    unsigned waiting = waiting_count(slots);
    for (struct mux_list *at = slots->holders.next; at != &slots->holders && waiting > 0;
         at = at->next) {
        struct mux_link *link = MUX_LIST_ITEM(at, struct mux_link, holder_node);
        if (!is_slow(slots, link, now_ns))
            continue;
        evict(link, now_ns - slots->judge_at_ns + slots->window_ns);
        waiting--;
    }
}

static void judge(struct mux *mux, struct mux_slots *slots, uint64_t now_ns) {
    if (mux_list_empty(&slots->waiting)) {
        slots->judge_at_ns = UINT64_MAX;
        slots->is_jam = false;
        return;
    }
    bool is_open = slots->judge_at_ns != UINT64_MAX;
    if (is_open && now_ns < slots->judge_at_ns)
        return;
    if (is_open && now_ns - slots->judge_at_ns < SLOT_WINDOW_LATE_NS)
        close_window(slots, now_ns);
    open_window(mux, slots, is_open, now_ns);
}

void mux_judge_holders(struct mux *mux, uint64_t now_ns) {
    judge(mux, &mux->middle_slots, now_ns);
    judge(mux, &mux->large_slots, now_ns);
}

static struct mux_link *stuck_holder(const struct mux_slots *slots) {
    if (mux_list_empty(&slots->waiting))
        return NULL;
    for (struct mux_list *at = slots->holders.next; at != &slots->holders; at = at->next) {
        struct mux_link *link = MUX_LIST_ITEM(at, struct mux_link, holder_node);
        if (is_waited_for(link))
            return link;
    }
    return NULL;
}

struct mux_link *mux_stuck_holder(const struct mux *mux) {
    if (!mux_list_empty(&mux->active))
        return NULL;
    struct mux_link *link = stuck_holder(&mux->large_slots);
    return link ? link : stuck_holder(&mux->middle_slots);
}
