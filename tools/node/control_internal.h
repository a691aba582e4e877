/* What control.c and control_answers.c share. */
#ifndef TOOLS_NODE_CONTROL_INTERNAL_H
#define TOOLS_NODE_CONTROL_INTERNAL_H

#include "mux/limiter.h"
#include "mux/packet/route.h"
#include "tools/base/json.h"
#include "tools/node/control.h"

/* Longest request, its newline included. */
#define CONTROL_REQUEST_BYTES 64

/* An answer is made and sent in pieces of this size. */
#define CONTROL_PIECE_BYTES 16384

/* Of a name in an answer; of a longer one the end is shown, for that tells tests apart. */
#define CONTROL_NAME_BYTES 256

/*
 * Room that the largest item of an answer takes: a link with its peer, its node's name, its test
 * and the test's route, each escaped, and the keys. An item is written only when there is so much.
 */
#define CONTROL_ITEM_BYTES 8192

_Static_assert(4 * CONTROL_NAME_BYTES * JSON_GROWTH + 1024 <= CONTROL_ITEM_BYTES &&
                   CONTROL_ITEM_BYTES <= CONTROL_PIECE_BYTES,
               "every item fits into a piece");

/* Links that hold a slot and are named in a status. */
#define CONTROL_HOLDERS_MAX 4

/* What a status has beside names: keys, numbers, fixed texts. */
#define CONTROL_STATUS_FRAME_BYTES 3072

_Static_assert((2 * CONTROL_NAME_BYTES + MUX_NODE_NAME_BYTES +
                CONTROL_HOLDERS_MAX * MUX_SEGMENT_MAX_BYTES) *
                           JSON_GROWTH +
                       CONTROL_STATUS_FRAME_BYTES <=
                   CONTROL_PIECE_BYTES,
               "a status, which is written at once, fits into a piece");

/* How many links there are of each kind, counted by a walk over them. */
struct control_tally {
    unsigned links, silent, away;
    unsigned waiting[MUX_WAIT_READER + 1];
    uint64_t tests;
    uint64_t oldest_age_ns;
    const struct mux_link *holders[CONTROL_HOLDERS_MAX];
    unsigned holder_count;
};

enum control_request {
    CONTROL_STATUS,
    CONTROL_LINKS,
    CONTROL_COUNTERS,
    CONTROL_ERROR, /* `error` says what was wrong */
};

/* An answer in progress. */
struct control_answer {
    enum control_request request;
    bool has_begun;
    bool needs_comma;            /* where the next piece goes on */
    const struct mux_link *link; /* the last one that was looked at */
    unsigned index;              /* of the next counter */
    const char *error;           /* static */
    struct control_tally tally;
};

void control_answer_begin(struct control_answer *answer, enum control_request request);

/*
 * Writes more of it, with whole items, and does a bounded amount of work. True: that was all.
 */
bool control_answer_go_on(struct control_answer *answer, const struct control_config *config,
                          struct json *json);

#endif
