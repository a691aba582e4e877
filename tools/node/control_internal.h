/* What the files control*.c share. */
#ifndef TOOLS_NODE_CONTROL_INTERNAL_H
#define TOOLS_NODE_CONTROL_INTERNAL_H

#include "mux/limiter.h"
#include "mux/packet/framer.h"
#include "mux/packet/route.h"
#include "tools/base/json.h"
#include "tools/node/control.h"
#include "tools/node/drains.h"
#include "tools/node/recent.h"
#include "tools/node/view.h"

/* Longest request, its newline included: a view names a route. */
#define CONTROL_REQUEST_BYTES 1024

_Static_assert(sizeof "undrain " + VIEW_ROUTE_BYTES <= CONTROL_REQUEST_BYTES,
               "a request that gives an order fits");

_Static_assert(sizeof "attach 262144 " + VIEW_ROUTE_BYTES <= CONTROL_REQUEST_BYTES,
               "a request for a view fits");

_Static_assert(2 * CONTROL_INPUT_BYTES <= MUX_STORE_MIN_BYTES, "input needs no larger store");

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
    CONTROL_VIEW,  /* the view begins behind the answer */
    CONTROL_ORDER, /* what became of it */
    CONTROL_ERROR, /* `error` says what was wrong */
};

/* The process that has connected. */
struct control_peer {
    bool is_known;
    unsigned pid, uid;
};

/* What the answer to a view says of it. */
struct control_view {
    bool is_attach;
    bool writes;                /* what the client sends goes down */
    struct control_peer writer; /* of an attach: who writes in its place */
};

/* An order that a client gives to a place, and what became of it. */
struct control_order {
    struct order order;
    struct order_answer answer;
    bool is_sent;      /* the way down has taken it */
    uint64_t until_ns; /* the answer is awaited until then */
    char route[VIEW_ROUTE_BYTES + 1];
    char error[READ_WHY_BYTES + 64];
};

/* An answer in progress. */
struct control_answer {
    enum control_request request;
    bool has_begun;
    bool needs_comma;            /* where the next piece goes on */
    const struct mux_link *link; /* the last one that was looked at */
    bool has_links;              /* all of them are written */
    unsigned index;              /* of the next counter, or place that drains */
    const char *error;           /* good until the answer is sent */
    struct drains *drains;
    struct control_view view;
    const struct control_order *order;
    struct control_tally tally;
};

void control_answer_begin(struct control_answer *answer, enum control_request request);

/*
 * Writes more of it, with whole items, and does a bounded amount of work. True: that was all.
 */
bool control_answer_go_on(struct control_answer *answer, const struct control_config *config,
                          struct json *json);

/*
 * ---- clients ----
 */

enum client_state {
    CLIENT_FREE,
    CLIENT_READING,   /* a request is awaited */
    CLIENT_ANSWERING, /* it waits for its turn to get the next piece */
    CLIENT_SENDING,   /* a piece is in flight */
    CLIENT_ORDERING,  /* the answer to its order is awaited */
    CLIENT_WATCHING,  /* it has a view, in which there is nothing to send */
    CLIENT_CLOSING,   /* its last event is awaited */
};

/* How far a client's view is. */
enum client_view_state {
    CLIENT_VIEW_NONE,
    CLIENT_VIEW_ASKED, /* the answer is on its way */
    CLIENT_VIEW_OPEN,  /* packets instead of requests and answers, both ways */
};

/* What an attached client sends down. */
struct client_input {
    struct mux_framer framer;
    struct mux_frame frame;    /* the packet at hand */
    bool waits;                /* for room on the way down */
    struct mux_buffer *buffer; /* a reference, while bytes of it are used; NULL: they lie in room */
    struct mux_limiter refusals;
    uint64_t sent_bytes;
    uint8_t store[MUX_STORE_MIN_BYTES];
};

struct control_client {
    struct loop_handler base;
    struct control *control;
    struct mux_list turn; /* in control->turns while ANSWERING */
    struct transport_conn *conn;
    enum client_state state;
    enum client_view_state view_state;
    bool is_last; /* closed after this answer, or after what is in its view */
    bool is_over; /* the client sends no more requests, or none that are heard */
    const char
        *fault;   /* what was wrong with the last one: said before it is closed; NULL: nothing */
    bool is_done; /* the answer is whole with the piece in flight */
    uint64_t acted_ns; /* when it last sent a request or took a piece */
    struct control_answer answer;
    struct control_order order;
    struct view *view;          /* NULL: it has none */
    struct client_input *input; /* of one that is attached */
    uint64_t recent_bytes;      /* asked for with the view */
    uint64_t attached;          /* it was the Nth: of several the first one writes */
    struct control_peer peer;
    size_t request_len;
    char request[CONTROL_REQUEST_BYTES];
    uint8_t room[CONTROL_REQUEST_BYTES]; /* received into: no buffer of the node's is taken */
    struct mux_span span;
    struct mux_gather gather;
    char piece[CONTROL_PIECE_BYTES];
};

struct control {
    struct loop_client base;
    struct loop_handler listening;
    struct control_config config;
    struct transport_listener *listener; /* NULL: closed */
    struct mux_list turns;
    uint64_t budget_bytes, budget_ns; /* what may be made now; when that was right */
    struct mux_limiter refusals;      /* of log lines */
    unsigned open;                    /* clients, those that are being closed included */
    unsigned views;                   /* how many clients have one */
    unsigned waiting;                 /* how many have input that waits for room */
    unsigned ordering;                /* how many await an answer to an order */
    uint64_t attached;                /* clients that have ever attached */
    struct mux_limiter forgeries;     /* of log lines */
    struct drains drains;
    uint64_t now_ns; /* of the step */
    struct recent *recent;
    struct control_client clients[CONTROL_CONNS_MAX];
};

void control_set_state(struct control_client *client, enum client_state state);
void control_close_client(struct control_client *client);
void control_begin_answer(struct control_client *client, enum control_request request);
/* Says what was wrong; nothing that the client sent behind it is read. */
void control_refuse(struct control_client *client, const char *why);
/* The next bytes of it come into its room. */
void control_receive(struct control_client *client);

/* control_peer.c */

struct control_peer control_peer_of(const struct transport_conn *conn);

/* Says what is wrong at once, if the peer takes it now. Nothing is in flight to it. */
void control_say(const struct transport_conn *conn, const char *why);

#define CONTROL_PEER_WORDS_BYTES 48
const char *control_peer_words(const struct control_peer *peer, char out[CONTROL_PEER_WORDS_BYTES]);

/* control_orders.c */

/* "drain ROUTE" and the like: gives the order, or refuses. False: it is no order. */
bool control_ask_order(struct control_client *client, const char *line);
/* A packet of output on its way up, its route complete: takes what it says of orders and drains. */
void control_hear(struct control *control, const struct mux_packet *packet);
/* The place at this route has ended: it no longer drains. */
void control_forget(struct control *control, struct mux_span route);
/* Orders that wait for room, or have waited for their answer too long. */
void control_work_orders(struct control *control);
uint64_t control_orders_deadline_ns(const struct control *control);

/* control_views.c */

/* From now on recent output is remembered. False: out of memory. */
bool control_open_views(struct control *control);
void control_close_views(struct control *control);
/* "tail LAST PATTERN" or "attach LAST ROUTE": prepares the view, or refuses. False: neither. */
bool control_ask_view(struct control_client *client, const char *line);
/* The answer has been sent. */
void control_begin_view(struct control_client *client);
/* Bytes came on a connection with an open view; `buffer` as in transport_event. */
void control_view_received(struct control_client *client, struct mux_span bytes,
                           struct mux_buffer *buffer);
/* Something of the view was sent. */
void control_view_sent(struct control_client *client);
/* The client goes: nothing more is shown to it. Its memory is freed by control_free_view(). */
void control_leave_view(struct control_client *client);
void control_free_view(struct control_client *client);
/* Gives input that waited to the node. */
void control_work_views(struct control *control);

#endif
