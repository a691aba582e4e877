#include "mux/node/mux_internal.h"

/* follows[state]: the states that may come next, as bits. */
#define BIT(state) (1u << (state))

static const unsigned entry_follows[] = {
    [MUX_ENTRY_FREE] = BIT(MUX_ENTRY_SPARE) | BIT(MUX_ENTRY_PLACED),
    [MUX_ENTRY_SPARE] = BIT(MUX_ENTRY_PLACED) | BIT(MUX_ENTRY_GUEST) | BIT(MUX_ENTRY_FREE),
    [MUX_ENTRY_PLACED] = BIT(MUX_ENTRY_STARTED) | BIT(MUX_ENTRY_SPARE) | BIT(MUX_ENTRY_FREE),
    [MUX_ENTRY_STARTED] = BIT(MUX_ENTRY_AWAY) | BIT(MUX_ENTRY_FREE),
    [MUX_ENTRY_GUEST] = BIT(MUX_ENTRY_AWAY) | BIT(MUX_ENTRY_FREE),
    [MUX_ENTRY_AWAY] = BIT(MUX_ENTRY_GIVEN_UP) | BIT(MUX_ENTRY_FREE),
    [MUX_ENTRY_GIVEN_UP] = BIT(MUX_ENTRY_FREE),
};

static const unsigned input_follows[] = {
    [MUX_INPUT_OPEN] = BIT(MUX_INPUT_ENDED),
    [MUX_INPUT_ENDED] = BIT(MUX_INPUT_FINISHED),
    [MUX_INPUT_FINISHED] = 0,
};

static const unsigned role_follows[] = {
    [MUX_ROLE_UNKNOWN] = BIT(MUX_ROLE_WORKER) | BIT(MUX_ROLE_NODE),
    [MUX_ROLE_WORKER] = 0,
    [MUX_ROLE_NODE] = BIT(MUX_ROLE_LEAVING) | BIT(MUX_ROLE_MOVED),
    [MUX_ROLE_LEAVING] = BIT(MUX_ROLE_MOVED),
    [MUX_ROLE_MOVED] = 0,
};

/* What was received before a verdict is still used up, and may bring a worse one. */
static const unsigned verdict_follows[] = {
    [MUX_VERDICT_KEPT] = BIT(MUX_VERDICT_EVICTED) | BIT(MUX_VERDICT_REPLACED) |
                         BIT(MUX_VERDICT_BROKEN_OFF) | BIT(MUX_VERDICT_REFUSED) |
                         BIT(MUX_VERDICT_TURNED_AWAY),
    [MUX_VERDICT_EVICTED] =
        BIT(MUX_VERDICT_BROKEN_OFF) | BIT(MUX_VERDICT_REFUSED) | BIT(MUX_VERDICT_TURNED_AWAY),
    [MUX_VERDICT_REPLACED] = BIT(MUX_VERDICT_BROKEN_OFF) | BIT(MUX_VERDICT_REFUSED),
    [MUX_VERDICT_BROKEN_OFF] = 0,
    [MUX_VERDICT_REFUSED] = 0,
    [MUX_VERDICT_TURNED_AWAY] = 0,
};

/* A turn that is over, or was not used up, begins again at the end of the list. */
static const unsigned turn_follows[] = {
    [MUX_TURN_IDLE] = BIT(MUX_TURN_IDLE) | BIT(MUX_TURN_ACTIVE) | BIT(MUX_TURN_WAITS_A_SLOT),
    [MUX_TURN_ACTIVE] = BIT(MUX_TURN_IDLE) | BIT(MUX_TURN_ACTIVE) | BIT(MUX_TURN_PINNED) |
                        BIT(MUX_TURN_WAITS_A_SLOT),
    [MUX_TURN_PINNED] = BIT(MUX_TURN_IDLE) | BIT(MUX_TURN_ACTIVE),
    [MUX_TURN_WAITS_A_SLOT] = BIT(MUX_TURN_IDLE) | BIT(MUX_TURN_ACTIVE),
};

static bool has_place(enum mux_link_entry entry) {
    return entry == MUX_ENTRY_PLACED || entry == MUX_ENTRY_STARTED;
}

static bool is_connected(enum mux_link_entry entry) {
    return entry >= MUX_ENTRY_SPARE && entry <= MUX_ENTRY_GUEST;
}

/* `list` NULL: in none. */
static void put_into(struct mux_list *list, struct mux_list *item) {
    if (list)
        mux_list_append(list, item);
    else
        mux_list_remove(item);
}

void mux_link_set_entry(struct mux_link *link, enum mux_link_entry entry) {
    struct mux *mux = link->mux;
    enum mux_link_entry before = link->entry;
    assert(entry_follows[before] & BIT(entry));
    link->entry = entry;
    mux->places_taken += has_place(entry);
    mux->places_taken -= has_place(before);
    mux->connection_count += is_connected(entry);
    mux->connection_count -= is_connected(before);
    mux->away_count += entry == MUX_ENTRY_AWAY;
    mux->away_count -= before == MUX_ENTRY_AWAY;
    put_into(entry == MUX_ENTRY_SPARE   ? &mux->spares
             : mux_link_may_yield(link) ? &mux->silent
                                        : NULL,
             &link->spare_entry);
    if (entry >= MUX_ENTRY_AWAY || entry == MUX_ENTRY_FREE)
        put_into(entry == MUX_ENTRY_AWAY ? &mux->away : NULL, &link->watch_entry);
}

void mux_link_set_input(struct mux_link *link, enum mux_link_input input) {
    assert(input_follows[link->input] & BIT(input));
    link->input = input;
}

void mux_link_set_role(struct mux_link *link, enum mux_link_role role) {
    assert(role_follows[link->role] & BIT(role));
    link->role = role;
    mux_list_remove(&link->fresh_entry);
    if (role == MUX_ROLE_NODE)
        mux_list_append(&link->mux->nodes, &link->node_entry);
}

void mux_link_set_verdict(struct mux_link *link, enum mux_link_verdict verdict) {
    assert(verdict_follows[link->verdict] & BIT(verdict));
    link->verdict = verdict;
    mux_list_remove(&link->spare_entry);
    mux_link_attend(link);
}

static void change_turn(struct mux_link *link, enum mux_link_turn turn, struct mux_list *list) {
    assert(turn_follows[link->turn] & BIT(turn));
    link->turn = turn;
    put_into(list, &link->turn_entry);
}

void mux_link_set_turn(struct mux_link *link, enum mux_link_turn turn) {
    struct mux *mux = link->mux;
    assert(turn != MUX_TURN_WAITS_A_SLOT);
    change_turn(link, turn,
                turn == MUX_TURN_ACTIVE   ? &mux->active
                : turn == MUX_TURN_PINNED ? &mux->pinned
                                          : NULL);
}

void mux_link_wait_for_slot(struct mux_link *link, struct mux_slots *slots) {
    change_turn(link, MUX_TURN_WAITS_A_SLOT, &slots->waiting);
}

#define IMPLIES(a, b) (!(a) || (b))

static bool in_list(const struct mux_list *item) {
    return !mux_list_empty(item);
}

/* Without a connection it holds nothing of one. */
static void away_sane(const struct mux_link *link) {
    assert(link->role == MUX_ROLE_NODE || link->role == MUX_ROLE_LEAVING);
    assert(link->input != MUX_INPUT_OPEN && link->verdict < MUX_VERDICT_REFUSED);
    assert(link->inputs.count == 0 && !link->slot && link->down.bytes == 0);
    assert(!link->predecessor && !link->successor);
    assert(link->turn == MUX_TURN_IDLE ||
           (link->turn == MUX_TURN_ACTIVE && link->entry == MUX_ENTRY_GIVEN_UP));
}

static void entry_sane(const struct mux_link *link) {
    bool is_spare = link->entry == MUX_ENTRY_SPARE;
    bool is_kept = link->verdict == MUX_VERDICT_KEPT;
    assert(link->entry != MUX_ENTRY_FREE);
    assert(in_list(&link->spare_entry) == ((is_spare || mux_link_may_yield(link)) && is_kept));
    assert((link->segment[0] != '\0') == (mux_link_has_started(link) && !link->is_bare));
    assert(IMPLIES(mux_link_is_node(link), mux_link_has_started(link) && !link->is_bare));
    assert(IMPLIES(link->verdict == MUX_VERDICT_TURNED_AWAY, is_spare));
    assert(IMPLIES(link->entry == MUX_ENTRY_AWAY, in_list(&link->watch_entry)));
    if (mux_link_is_away(link))
        away_sane(link);
}

/* The owner receives into the offered room: the store must stay where it is. */
static void input_sane(const struct mux_link *link) {
    bool is_open = link->input == MUX_INPUT_OPEN;
    assert(IMPLIES(link->offered_bytes, is_open && link->inputs.count == 0));
    assert(IMPLIES(in_list(&link->starved_entry) || in_list(&link->resync_entry), is_open));
    assert(IMPLIES(link->input == MUX_INPUT_FINISHED, link->inputs.count == 0));
    assert(link->framer.store.data == (link->slot ? link->slot->data : link->small_store));
    assert(in_list(&link->slot_entry) == (link->slot != NULL));
}

static void role_sane(const struct mux_link *link) {
    bool is_node = mux_link_is_node(link);
    assert(IMPLIES(in_list(&link->fresh_entry), link->role == MUX_ROLE_UNKNOWN));
    assert(in_list(&link->node_entry) == is_node);
    assert(IMPLIES(link->predecessor || link->successor, is_node));
    assert(IMPLIES(link->predecessor, link->predecessor->successor == link));
    assert(IMPLIES(link->successor, link->successor->predecessor == link));
}

static void turn_sane(const struct mux_link *link) {
    assert(in_list(&link->turn_entry) == (link->turn != MUX_TURN_IDLE));
    assert(IMPLIES(link->turn == MUX_TURN_WAITS_A_SLOT, link->offered_bytes == 0));
    assert(IMPLIES(link->turn == MUX_TURN_PINNED, link->slot));
}

void mux_link_sane(const struct mux_link *link) {
    entry_sane(link);
    input_sane(link);
    role_sane(link);
    turn_sane(link);
}
