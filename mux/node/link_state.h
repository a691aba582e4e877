/*
 * The states of a link: five axes. One function changes each, asserts that the step is legal and
 * moves the link between the lists that belong to the states. mux_link_sane() asserts how the axes
 * depend on each other; it runs after every call that changes a link, in every build.
 *
 *             verdict                role                      input              turn
 *   FREE      (none of them means anything)
 *   SPARE     KEPT, EVICTED or       UNKNOWN or WORKER         any                any
 *             TURNED_AWAY
 *   PLACED    KEPT                   UNKNOWN or WORKER         any                any
 *   STARTED   all but TURNED_AWAY    any                       any                any
 *   GUEST     all but TURNED_AWAY    any                       any                any
 *   AWAY      all up to BROKEN_OFF   NODE or LEAVING           ENDED or FINISHED  IDLE
 *   GIVEN_UP  as AWAY                NODE or LEAVING           ENDED or FINISHED  IDLE or ACTIVE
 */
#ifndef MUX_LINK_STATE_H
#define MUX_LINK_STATE_H

#include <stdbool.h>

struct mux_link;

/* Its connection, its place among config.links_max, and its segment. */
enum mux_link_entry {
    MUX_ENTRY_FREE,     /* no link: in mux.free_links, or never used */
    MUX_ENTRY_SPARE,    /* connected without a place: must open with the hello of a known node */
    MUX_ENTRY_PLACED,   /* connected with a place; no byte has come, so it has no segment, and it
                           may have to yield the place to one that speaks */
    MUX_ENTRY_STARTED,  /* connected with a place and a segment */
    MUX_ENTRY_GUEST,    /* a known node that returned when all places were taken: a segment only */
    MUX_ENTRY_AWAY,     /* a node without a connection: segment and tests wait for its return */
    MUX_ENTRY_GIVEN_UP, /* it did not return in time: its tests are being reported failed */
};

/* What comes from its connection. */
enum mux_link_input {
    MUX_INPUT_OPEN,
    MUX_INPUT_ENDED,    /* no more comes; what came is still being used up */
    MUX_INPUT_FINISHED, /* all of it is on its way up */
};

/* What its packets say it is. */
enum mux_link_role {
    MUX_ROLE_UNKNOWN, /* no frame has come */
    MUX_ROLE_WORKER,  /* by its kind, or its first frame was not the hello of an accepted node */
    MUX_ROLE_NODE,
    MUX_ROLE_LEAVING, /* a node that said goodbye */
    MUX_ROLE_MOVED,   /* a node that came another way: what was in progress here is told there */
};

/* Does the mux want the connection to be closed, and why? */
enum mux_link_verdict {
    MUX_VERDICT_KEPT,
    MUX_VERDICT_EVICTED,     /* others waited for its slot, and it delivered too little */
    MUX_VERDICT_REPLACED,    /* its node has connected anew */
    MUX_VERDICT_BROKEN_OFF,  /* its input is dropped; its node has that still, and may come again */
    MUX_VERDICT_REFUSED,     /* as a node; its input is dropped, a message goes down to it first */
    MUX_VERDICT_TURNED_AWAY, /* all places were taken; its input is dropped */
};

/* Its turn to have frames forwarded. Each but IDLE is membership in a list, by turn_entry. */
enum mux_link_turn {
    MUX_TURN_IDLE,         /* nothing to do until more comes */
    MUX_TURN_ACTIVE,       /* in mux.active */
    MUX_TURN_PINNED,       /* in mux.pinned: a batch in flight refers to its slot */
    MUX_TURN_WAITS_A_SLOT, /* in mux_slots.waiting */
};

void mux_link_set_entry(struct mux_link *link, enum mux_link_entry entry);
void mux_link_set_input(struct mux_link *link, enum mux_link_input input);
void mux_link_set_role(struct mux_link *link, enum mux_link_role role);
void mux_link_set_verdict(struct mux_link *link, enum mux_link_verdict verdict);

/* To the end of the state's list; of WAITS_A_SLOT by mux_link_wait_for_slot(). */
void mux_link_set_turn(struct mux_link *link, enum mux_link_turn turn);

struct mux_slots;
void mux_link_wait_for_slot(struct mux_link *link, struct mux_slots *slots);

/* Asserts all that must be true of a link between two calls. In constant time. */
void mux_link_sane(const struct mux_link *link);

#endif
