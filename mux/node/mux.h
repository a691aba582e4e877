/*
 * The mux: one node's links below, its upstream above. Whole packets go up, interleaved fairly by
 * bytes (deficit round robin), in order per link, each with its link's segment in front of the
 * route code; what comes down goes to the link that the first segment names, that segment cut.
 *
 * It makes no system call and reads no clock. Its owner hands it received bytes, the time and what
 * was sent; it hands out gather lists, says which links shall receive, and when it wants to be
 * called next. Received buffers are held until used and released
 * through mux_buffer_release().
 *
 * All memory is taken at mux_create(): nothing is allocated per packet or per link later.
 */
#ifndef MUX_MUX_H
#define MUX_MUX_H

#include "mux/node/counters.h"
#include "mux/node/hello.h"
#include "mux/packet/buffer.h"

struct mux;
struct mux_link;

enum mux_segment_by {
    MUX_SEGMENT_BY_NUMBER, /* 0, 1, 2, ... */
    MUX_SEGMENT_BY_HOST,   /* HOST, HOST.1, HOST.2, ... */
};

/* Least config.memory: one slot, the way down's store, batches. */
#define MUX_MEMORY_MIN_BYTES ((size_t)12 << 20)

struct mux_config {
    struct mux_room memory;       /* batches, slots, queues for the way down; outlives the mux */
    unsigned links_max;           /* most links at a time */
    unsigned inputs_max;          /* most received buffers the mux is ever lent at a time */
    size_t input_bytes_max;       /* most bytes in one of them; at most MUX_INPUT_MAX_BYTES */
    size_t reference_least_bytes; /* smallest piece sent from where it lies, not copied */
    unsigned gather_max;          /* most spans in a gather list; at least MUX_GATHER_MIN */
    enum mux_segment_by segment_by;
    uint64_t hash_key;      /* random and secret: peers choose the names in tables */
    uint64_t secret[2];     /* random: what nodes below are told to prove themselves with */
    struct mux_hello hello; /* this node, as it tells upwards */
    bool upstream_is_node;  /* it is told hello and goodbye */
    uint64_t node_grace_ns; /* how long a lost node's segment and tests wait for it */
    void *user;
    /*
     * NULL, or the packets are for this owner: there is no upstream, and mux_upstream_take() gives
     * nothing. `link` NULL: a message of this node's own. The packet's route is as it came from the
     * link: its segment is not in front of it. All was checked; spans are good until this returns.
     * False: not now. The packet is offered again after mux_sink_ready(); meanwhile links wait, as
     * for an upstream that does not take anything. Must not call back.
     */
    bool (*sink)(void *user, struct mux_link *link, const struct mux_packet *packet);
    /* NULL, or has our kernel received bytes of this link that were not read yet? */
    bool (*unread)(void *user, void *link_user);
    void (*log)(void *user, const char *line); /* one line, in which a peer's bytes may stand as
                                                  they came; must not call back */
};

/* The largest received buffer that can be copied whole into a batch. */
#define MUX_INPUT_MAX_BYTES 131072

/* What one frame becomes fits a gather list. */
#define MUX_GATHER_MIN 64

/* NULL: out of memory, or config.memory is below MUX_MEMORY_MIN_BYTES. */
struct mux *mux_create(const struct mux_config *config);

/* Frees it. Buffers still held are released; nothing handed out is in flight any more. */
void mux_destroy(struct mux *mux);

/* Written by the mux; its owner adds what only it can count. */
struct mux_counters *mux_counters_of(struct mux *mux);

/*
 * Most connections from below that a mux takes at a time: config.links_max places; as many nodes
 * again that were here before, for each comes back to its segment whatever the places; and a few
 * that have not said which of the two they are.
 */
#define MUX_SPARE_CONNECTIONS 64
static inline unsigned mux_connections_max(unsigned links_max) {
    return 2 * links_max + MUX_SPARE_CONNECTIONS;
}

/*
 * ---- links ----
 */

/* What its bytes are. */
enum mux_link_kind {
    MUX_LINK_ANY,    /* a worker's stream, or a node's: that begins with a hello */
    MUX_LINK_WORKER, /* subunit; what is not becomes file "stdout" */
    MUX_LINK_STDERR, /* text, whatever it looks like: all of it becomes file "stderr" */
    MUX_LINK_NODE,   /* it must begin with a node's hello: else it is refused */
};

/* A new connection. `peer` is for log lines, `host` ("" if none) for segments; both are copied. */
struct mux_link_config {
    const char *peer;
    const char *host;
    bool way_down; /* bytes can be sent to it */
    void *user;
    enum mux_link_kind kind;
    /*
     * No segment: its packets go up with the route they have. What comes down without a route, and
     * is not for this node itself, goes to it. For WORKER and STDERR; one with a way down at a
     * time.
     */
    bool is_bare;
    /* Not packets go down but the contents of their files, as to a process's stdin. */
    bool is_raw;
};

/*
 * NULL when there is no room for one more. A link has no segment before its first byte. When all of
 * config.links_max are open, only a node that was here before may come in.
 */
struct mux_link *mux_link_open(struct mux *mux, const struct mux_link_config *config);

/* The owner's pointer; and the segment ("" before the first byte). */
void *mux_link_user(const struct mux_link *link);
const char *mux_link_segment(const struct mux_link *link);

/* Bytes from the link, in order. One hold on `buffer` passes to the mux. */
void mux_link_received(struct mux_link *link, struct mux_buffer *buffer, struct mux_span bytes,
                       uint64_t now_ns);

/* It shall receive, but its transport has no buffer for it: see mux_link_offer(). */
void mux_link_starved(struct mux_link *link);

/* `len` bytes were received into the room that mux_link_offer() gave; the offer is over. */
void mux_link_filled(struct mux_link *link, size_t len, uint64_t now_ns);

/*
 * The link sends no more. When all is used up it is finished: see mux_link_finished(). Its tests in
 * progress are reported failed, with `reason`: a clause for people, "its connection was closed".
 */
void mux_link_ended(struct mux_link *link, const char *reason);

/*
 * Its connection is gone and no memory of it is in flight: the handle is not to be used after this.
 * (A node's link lives on inside, see config.node_grace_ns.)
 */
void mux_link_close(struct mux_link *link);

/*
 * Links whose wishes below may have changed, each once; NULL when there is none. To be asked after
 * every round of calls.
 */
struct mux_link *mux_next_attention(struct mux *mux);

/* Shall this link receive? When not, its worker feels back-pressure. */
bool mux_link_wants_receive(const struct mux_link *link);

/*
 * Offers room that the next bytes may be received into; {NULL, 0}: none. The mux leaves it alone
 * until it is filled, or mux_link_received(), mux_link_ended() or mux_link_close() is called.
 * Links that wait for a slot may hold every input: those that have one get on by this offer alone,
 * and those that are starved by room for a few packets in their own stores.
 */
struct mux_room mux_link_offer(struct mux_link *link);

/*
 * Not NULL: the mux wants this link to be closed (a slot that others wait for and too little comes,
 * a node that cannot be understood or has connected anew), and why, as a clause. What it has sent
 * so far is forwarded.
 */
const char *mux_link_close_reason(const struct mux_link *link);

/* It is closed because all of config.links_max are open. */
bool mux_link_turned_away(const struct mux_link *link);

/* All that it sent is on its way up: it can be closed. */
bool mux_link_finished(const struct mux_link *link);

/* A raw link: a packet with `eof` came down, and all before it was sent. Its stdin can be closed.
 */
bool mux_link_input_ended(const struct mux_link *link);

/* What to send to this link now; NULL when nothing or when a send is in flight. */
const struct mux_gather *mux_link_take(struct mux_link *link);

/* That is sent, its memory the mux's again. */
void mux_link_sent(struct mux_link *link);

/*
 * ---- what a link is doing ----
 */

enum mux_link_standing {
    MUX_STANDING_SILENT, /* connected; no byte has come */
    MUX_STANDING_OPEN,
    MUX_STANDING_ENDED,    /* no more comes; what came is still on its way */
    MUX_STANDING_CLOSING,  /* the mux wants its connection to be closed */
    MUX_STANDING_AWAY,     /* a node that is unreachable: its segment and tests wait for it */
    MUX_STANDING_GIVEN_UP, /* it did not return: its tests are being reported failed */
};

/* What a link waits for before it can go on. */
enum mux_link_wait {
    MUX_WAIT_NOTHING,
    MUX_WAIT_SLOT,        /* memory for a large packet */
    MUX_WAIT_UPSTREAM,    /* room in a batch, or the batch in flight */
    MUX_WAIT_SINK,        /* the sink said "not now" */
    MUX_WAIT_PREDECESSOR, /* its node's older connection has not ended */
    MUX_WAIT_READER,      /* it does not read what is sent to it */
};

struct mux_link_stats {
    const char *peer;
    const char *node_name; /* "": it is no node */
    enum mux_link_standing standing;
    enum mux_link_wait wait;
    bool has_slot; /* which others may be waiting for */
    uint64_t received_bytes, received_packets;
    uint64_t sent_down_bytes; /* taken by its connection */
    uint64_t queued_down_bytes;
    uint64_t tests;            /* in progress */
    uint64_t oldest_age_ns;    /* of the test that began first, by the clock of mux_run() */
    struct mux_span oldest_id; /* data == NULL: there is none whose name is known */
    struct mux_span oldest_route;
};

/* The names are good until the next call on this mux. */
void mux_link_stats(const struct mux_link *link, struct mux_link_stats *stats);

/*
 * All links, those that are away too, in a fixed order: `after` NULL is the first, NULL the end. A
 * link that is opened meanwhile may be missed; `after` must not have been closed.
 */
struct mux_link *mux_link_next(const struct mux *mux, const struct mux_link *after);

/*
 * ---- the upstream ----
 */

/*
 * It was reached (again). A node is told a hello and gets packets when it has answered.
 * `may_be_other`: another node than before is as good, for that one is gone.
 */
void mux_upstream_connected(struct mux *mux, bool may_be_other);

/* It answered as another node than the one before. */
bool mux_upstream_is_other(const struct mux *mux);

/* It takes packets: it is no node, or has answered. */
bool mux_upstream_accepted(const struct mux *mux);

/* Not NULL: it is to be closed, for it does not answer as a node does; why, as a clause. */
const char *mux_upstream_close_reason(const struct mux *mux);

/* It ends, and has said so: nothing more is taken, and its connection is to be finished. */
bool mux_upstream_sent_off(const struct mux *mux);

/* The next gather list to send up; NULL when there is nothing or one is in flight. */
const struct mux_gather *mux_upstream_take(struct mux *mux);

/* It was sent whole. */
void mux_upstream_sent(struct mux *mux);

/*
 * The upstream was lost. Of the list in flight (if any) it had taken `sent_bytes`: the packet in
 * which that ends, and all after it, will be taken again. What was half received is dropped,
 * counted.
 */
void mux_upstream_lost(struct mux *mux, uint64_t sent_bytes, uint64_t now_ns);

/* Bytes from the upstream. One hold on `buffer` passes to the mux. */
void mux_upstream_received(struct mux *mux, struct mux_buffer *buffer, struct mux_span bytes);

/* Shall the upstream receive? Not while a packet waits for room in a link's queue. */
bool mux_upstream_wants_receive(const struct mux *mux);

/*
 * All is sent, and nothing more will come: a node upstream is told goodbye. True: that is still to
 * be taken or in flight, or the hello is not answered yet.
 */
bool mux_upstream_leave(struct mux *mux);

/* Bytes of packets that are still to be sent up, in flight ones included. */
uint64_t mux_upstream_pending_bytes(const struct mux *mux);

/* Bytes from the upstream that are in no link's queue yet. */
uint64_t mux_down_pending_bytes(const struct mux *mux);

/*
 * ---- packets of the owner ----
 */

/* The sink takes packets again, perhaps: they are offered to it by the next mux_run(). */
void mux_sink_ready(struct mux *mux);

/*
 * A packet goes up as if `link` had sent it, behind what of that is on its way already: with its
 * segment, and what it says of tests is believed. `link` NULL: as this node's own. False: not now;
 * to be asked again after the next mux_run(). True: it is queued, or was given to the sink; or it
 * is larger than MUX_ADD_UP_MAX_BYTES, which is counted and logged. Its strings must be UTF-8
 * without NUL; all is copied.
 */
#define MUX_ADD_UP_MAX_BYTES 131072
bool mux_add_up(struct mux *mux, struct mux_link *link, const struct mux_packet *packet);

/*
 * A packet goes down as if it came from the upstream: to the link that its first segment names,
 * that segment cut. False: not now, for want of memory or because the link is behind with reading;
 * to be asked again after the next mux_run(). True: it is queued, or it can never be, which is
 * counted and said as of a packet from above. Its strings must be UTF-8 without NUL; all is copied.
 */
bool mux_add_down(struct mux *mux, const struct mux_packet *packet);

/*
 * ---- time ----
 */

/* Frames and queues what was received, as far as there is room. To be called after every round. */
void mux_run(struct mux *mux, uint64_t now_ns);

/* When mux_run() wants to be called at the latest; UINT64_MAX: not by the clock. */
uint64_t mux_deadline_ns(struct mux *mux);

/*
 * The node will end: nodes below are told, and end their streams after a whole packet, so that
 * nothing of them is lost.
 */
void mux_send_off(struct mux *mux);

/* Is one of those that were told still here? */
bool mux_awaits_nodes(const struct mux *mux);

/* The node ends: lost nodes are not waited for any more, nor reported. */
void mux_end(struct mux *mux);

/* Is there received input that mux_run() has not used up? (It waits for room upstream.) */
bool mux_busy(const struct mux *mux);

/*
 * A link that holds a slot which others wait for, when nothing can go on without it: the owner may
 * close it if it has no time to wait for the rest of its packet. NULL: there is none.
 */
struct mux_link *mux_stuck_slot_owner(const struct mux *mux);

/* Bytes received from links that have not become packets: what is lost if it ended now. */
uint64_t mux_unframed_bytes(const struct mux *mux);

#endif
