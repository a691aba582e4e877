/* Assembly: which links have a slot for a large packet, which wait for one, and which lose it. */
#include "mux/node/mux_internal.h"

#include <inttypes.h>

#define SECOND_NS ((uint64_t)1000000000)

/*
 * The rate at which a link must deliver while others wait for the slot that it owns: 1 Mbit/s. A
 * slower link would keep a slot for more than the half minute that the largest packet then takes.
 */
#define SLOT_RATE_BYTES_PER_SECOND ((uint64_t)128 << 10)

/*
 * How far a link may fall behind that rate, since a worker may be without CPU time for a while;
 * less, the more links wait for each slot. The minimum is longer than TCP needs to retransmit a
 * segment. (A link that had to wait was not received from: if it is alive, more of its packet lies
 * in our kernel.)
 */
#define SLOT_PATIENCE_NS (2 * SECOND_NS)
#define SLOT_PATIENCE_LEAST_NS (SECOND_NS / 4)

/*
 * How far ahead of that rate what it has delivered can bring it: a line that delivers in bursts has
 * pauses of seconds. Longer, and a worker that was stopped in the middle would hold up others.
 */
#define SLOT_SURPLUS_NS (5 * SECOND_NS)

/* When a deadline is noticed this late, this node was late: its slot owners are not blamed. */
#define SLOT_LATE_NS (SECOND_NS / 10)

static struct mux_slots *slots_for(struct mux *mux, size_t store_bytes) {
    return store_bytes <= mux->middle_slots.slot_bytes && mux->middle_slots.count
               ? &mux->middle_slots
               : &mux->large_slots;
}

void mux_link_release_slot(struct mux_link *link) {
    mux_list_remove(&link->slot_entry);
    if (link->slot)
        mux_buffer_release(link->slot);
    link->slot = NULL;
}

/*
 * The owner may be receiving into room in the store that was offered: the store must not move then.
 */
static void move_store(struct mux_link *link, struct mux_room store) {
    assert(!link->offered_bytes);
    mux_framer_move(&link->framer, store);
}

static void move_to_slot(struct mux_link *link, struct mux_slots *slots) {
    struct mux_buffer *slot = mux_slots_take(slots);
    move_store(link, (struct mux_room){slot->data, slot->size_bytes});
    mux_link_release_slot(link);
    link->slot = slot;
    link->slot_paid_ns = link->mux->ran_ns;
    link->slot_bytes = 0;
    mux_list_append(&slots->owners, &link->slot_entry);
}

void mux_link_leave_slot(struct mux_link *link) {
    if (!link->slot || link->offered_bytes ||
        mux_framer_stored(&link->framer) > SMALL_STORE_BYTES / 2)
        return;
    move_store(link, (struct mux_room){link->small_store, SMALL_STORE_BYTES});
    mux_link_release_slot(link);
}

enum mux_link_step mux_link_get_store(struct mux_link *link, size_t store_bytes) {
    struct mux *mux = link->mux;
    if (store_bytes <= link->framer.store.len) {
        /* only room at its end is missing; but bytes that a batch refers to must not move */
        if (link->slot && link->slot->holders > 1)
            return MUX_LINK_PINNED;
        move_store(link, link->framer.store);
        return MUX_LINK_MORE;
    }
    struct mux_slots *slots = slots_for(mux, store_bytes);
    if (mux_list_empty(&slots->waiting) && slots->free_count) {
        move_to_slot(link, slots);
        return MUX_LINK_MORE;
    }
    MUX_COUNT(&mux->counters, slot_waits, 1);
    mux_link_wait_for_slot(link, slots);
    mux_link_attend(link);
    return MUX_LINK_IDLE;
}

/*
 * First come, first served. But every other slot goes to a link that has sent whole packets before,
 * so that a crowd of strangers cannot make a worker wait for all of them.
 */
static struct mux_link *next_waiting(struct mux_slots *slots) {
    struct mux_list *at = slots->waiting.next;
    slots->for_known = !slots->for_known;
    while (slots->for_known && at != &slots->waiting) {
        struct mux_link *link = MUX_LIST_ITEM(at, struct mux_link, turn_entry);
        if (link->received_packets)
            return link;
        at = at->next;
    }
    return MUX_LIST_ITEM(slots->waiting.next, struct mux_link, turn_entry);
}

static bool grant(struct mux_slots *slots) {
    bool granted = false;
    while (!mux_list_empty(&slots->waiting) && slots->free_count) {
        struct mux_link *link = next_waiting(slots);
        move_to_slot(link, slots);
        mux_link_set_turn(link, MUX_TURN_ACTIVE);
        mux_link_attend(link);
        mux_link_sane(link);
        granted = true;
    }
    return granted;
}

bool mux_grant_slots(struct mux *mux) {
    bool middle = grant(&mux->middle_slots);
    return grant(&mux->large_slots) || middle;
}

/* Is the slot's owner itself to blame that the rest of its packet does not come? */
static bool is_waited_for(const struct mux_link *link) {
    return link->turn == MUX_TURN_IDLE && link->input == MUX_INPUT_OPEN &&
           link->verdict == MUX_VERDICT_KEPT;
}

void mux_link_delivered(struct mux_link *link, size_t len) {
    link->slot_bytes += len;
    link->slot_paid_ns += len * SECOND_NS / SLOT_RATE_BYTES_PER_SECOND;
}

static void evict(struct mux_link *link, uint64_t patience) {
    struct mux *mux = link->mux;
    mux_link_set_verdict(link, MUX_VERDICT_EVICTED);
    MUX_COUNT(&mux->counters, links_evicted, 1);
    mux_log(mux,
            "%s (link %s) is closed: others wait for the memory of its large packet, and it was "
            "silent or sent less than 1 Mbit/s for longer than %" PRIu64 " ms: %" PRIu64
            " bytes since it got it",
            link->peer, link->segment, patience / 1000000, link->slot_bytes);
}

static unsigned waiting_count(const struct mux_slots *slots) {
    unsigned count = 0;
    for (const struct mux_list *at = slots->waiting.next; at != &slots->waiting; at = at->next)
        count++;
    return count;
}

/* The number of owners that are being closed: their slots come back without an eviction. */
static unsigned leaving_count(const struct mux_slots *slots) {
    unsigned count = 0;
    for (const struct mux_list *at = slots->owners.next; at != &slots->owners; at = at->next)
        count += MUX_LIST_ITEM(at, struct mux_link, slot_entry)->verdict != MUX_VERDICT_KEPT;
    return count;
}

static uint64_t patience_ns(const struct mux_slots *slots, unsigned waiting) {
    uint64_t patience = SLOT_PATIENCE_NS * slots->count / (slots->count + waiting);
    return patience > SLOT_PATIENCE_LEAST_NS ? patience : SLOT_PATIENCE_LEAST_NS;
}

/*
 * Brings a link's account up to now. Time in which it was not to blame costs nothing, and a surplus
 * pays for the pause behind a burst.
 */
static void settle(struct mux_link *link, bool anew, uint64_t now_ns) {
    bool is_excused = anew || !is_waited_for(link);
    if (is_excused && link->slot_paid_ns < now_ns)
        link->slot_paid_ns = now_ns;
    if (link->slot_paid_ns > now_ns + SLOT_SURPLUS_NS)
        link->slot_paid_ns = now_ns + SLOT_SURPLUS_NS;
}

/*
 * The links that have owned their slots for the longest are judged first. No more are evicted than
 * wait. `anew`: no owner is behind.
 */
static void judge_each(struct mux_slots *slots, bool anew, uint64_t now_ns) {
    unsigned waiting = waiting_count(slots), leaving = leaving_count(slots);
    uint64_t patience = patience_ns(slots, waiting);
    slots->judge_at_ns = now_ns + patience;
    for (struct mux_list *at = slots->owners.next; at != &slots->owners; at = at->next) {
        struct mux_link *link = MUX_LIST_ITEM(at, struct mux_link, slot_entry);
        settle(link, anew, now_ns);
        uint64_t due_ns = link->slot_paid_ns + patience;
        if (due_ns <= now_ns && leaving < waiting) {
            evict(link, patience);
            leaving++;
        } else if (due_ns <= now_ns) {
            link->slot_paid_ns = now_ns;
        } else if (due_ns < slots->judge_at_ns) {
            slots->judge_at_ns = due_ns;
        }
    }
}

static void judge(struct mux_slots *slots, uint64_t now_ns) {
    bool others_wait = !mux_list_empty(&slots->waiting);
    bool is_late = slots->judge_at_ns != UINT64_MAX && now_ns >= slots->judge_at_ns + SLOT_LATE_NS;
    bool anew = slots->judge_at_ns == UINT64_MAX || is_late;
    slots->judge_at_ns = UINT64_MAX;
    if (others_wait)
        judge_each(slots, anew, now_ns);
}

void mux_judge_slot_owners(struct mux *mux, uint64_t now_ns) {
    judge(&mux->middle_slots, now_ns);
    judge(&mux->large_slots, now_ns);
}

static struct mux_link *stuck_owner(const struct mux_slots *slots) {
    if (mux_list_empty(&slots->waiting))
        return NULL;
    for (struct mux_list *at = slots->owners.next; at != &slots->owners; at = at->next) {
        struct mux_link *link = MUX_LIST_ITEM(at, struct mux_link, slot_entry);
        if (is_waited_for(link))
            return link;
    }
    return NULL;
}

struct mux_link *mux_stuck_slot_owner(const struct mux *mux) {
    if (!mux_list_empty(&mux->active))
        return NULL;
    struct mux_link *link = stuck_owner(&mux->large_slots);
    return link ? link : stuck_owner(&mux->middle_slots);
}
