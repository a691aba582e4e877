/*
 * Orders to a place in the tree, and what becomes of them: packets with file "muxd.control", whose
 * content is a JSON object (docs/protocol.md). Pure: no I/O. Any bytes are read, or refused in
 * words.
 */
#ifndef TOOLS_NODE_ORDER_H
#define TOOLS_NODE_ORDER_H

#include "mux/packet/packet.h"
#include "tools/base/json.h"
#include "tools/node/read.h"

#define ORDER_FILE "muxd.control"

/* Of an id, with the 0 at the end: it is random, so that nobody answers who did not see the order.
 */
#define ORDER_ID_BYTES 33

/* The longest that is written: an id and a reason, each byte escaped. */
#define ORDER_MESSAGE_BYTES (JSON_GROWTH * (ORDER_ID_BYTES + READ_WHY_BYTES) + 256)

struct order_message {
    char content[ORDER_MESSAGE_BYTES];
};

enum order_verb {
    ORDER_DRAIN,   /* finish what runs, take nothing new */
    ORDER_UNDRAIN, /* take jobs again */
    ORDER_KICK,    /* the last node on the way closes the link */
    ORDER_STOP,    /* end what runs there */
    ORDER_VERBS,
};

/* "drain"...; of ORDER_VERBS words that say that it is none. */
const char *order_verb_name(enum order_verb verb);

/* False: it is none. */
bool order_verb_parse(struct mux_span word, enum order_verb *verb);

/* A place to which a kick has come does not carry it out. */
#define ORDER_NO_KICK                                                                    \
    "kick closes a link, and is carried out by the node above it: that one is an older " \
    "version, or the route is too short"

struct order {
    enum order_verb verb;
    char id[ORDER_ID_BYTES]; /* "": no answer is awaited */
    bool is_from_above;      /* DRAIN, UNDRAIN: a node passes on what holds for all below it */
};

/* The packet refers to the message; it has no route. */
void order_put(struct order_message *message, const struct order *order, struct mux_packet *packet);

/*
 * False, and a sentence in `why` (READ_WHY_BYTES): its verb is ORDER_VERBS, and its id is there
 * where it could be read, so that it can be refused.
 */
bool order_parse(struct mux_span text, struct order *order, char *why);

enum order_state {
    ORDER_DONE,
    ORDER_REFUSED,
    ORDER_NEWS, /* no answer: the place says by itself whether it drains */
    ORDER_STATES,
};

struct order_answer {
    enum order_state state;
    enum order_verb verb;     /* not of NEWS; ORDER_VERBS: refused, as it is not known there */
    char id[ORDER_ID_BYTES];  /* the order's; not of NEWS */
    bool draining;            /* the place takes no jobs now */
    char why[READ_WHY_BYTES]; /* a clause for people; "": none */
};

/* The packet refers to the message; it has no route. */
void order_answer_put(struct order_message *message, const struct order_answer *answer,
                      struct mux_packet *packet);

/* False, and a sentence in `why`: it is none. */
bool order_answer_parse(struct mux_span text, struct order_answer *answer, char *why);

/* What a place answers to an order. `why` NULL: it is done. */
void order_answer_make(struct order_answer *answer, const struct order *order, bool draining,
                       const char *why);

#endif
