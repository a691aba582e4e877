/* What the files of this folder share: limits, structures, functions. Not for other folders. */
#ifndef MUX_MUX_INTERNAL_H
#define MUX_MUX_INTERNAL_H

#include "mux/limiter.h"
#include "mux/list.h"
#include "mux/node/batch.h"
#include "mux/node/beat.h"
#include "mux/node/below.h"
#include "mux/node/end.h"
#include "mux/node/hello.h"
#include "mux/node/journal.h"
#include "mux/node/link_state.h"
#include "mux/node/message.h"
#include "mux/node/mux.h"
#include "mux/node/offset.h"
#include "mux/node/progress.h"
#include "mux/node/segment.h"
#include "mux/node/skew.h"
#include "mux/node/slots.h"
#include "mux/node/stream.h"
#include "mux/packet/framer.h"
#include "mux/packet/report.h"
#include "mux/packet/route.h"

/* A link's small store: for chatter, and packets up to half of it; larger ones wait for a slot. */
#define SMALL_STORE_BYTES MUX_STORE_MIN_BYTES

/* Slots for packets up to half of it, so that 64 KiB attachments do not wait for large slots. */
#define MIDDLE_SLOT_BYTES ((size_t)256 << 10)

/* Most bytes that are copied into a batch: some 3,000 small packets, sent at once. */
#define BATCH_BYTES ((size_t)512 << 10)

/* Most packets that one frame becomes: a damage report. */
#define FRAME_PACKETS 3

/*
 * The most that each of them has beyond the frame's own bytes: a head, varints, a CRC, the link's
 * segment, a report's names and reason.
 */
#define FRAME_GROWTH_BYTES 512

/*
 * While a batch refers to many received buffers, frames up to this length are copied out of theirs;
 * longer ones are so few in a batch that their buffers are held all the same.
 */
#define FRAME_COPIED_MAX_BYTES ((size_t)128 << 10)

/* Most bytes of one frame that are copied into the batch. */
#define FRAME_COPIED_BYTES (FRAME_COPIED_MAX_BYTES + FRAME_PACKETS * FRAME_GROWTH_BYTES)

/* A batch of this length takes no further frame: a larger send costs no less for each byte. */
#define BATCH_MOST_BYTES ((size_t)1 << 20)

/* Pieces of this length are referenced where they can be, whatever the transport asks for. */
#define REFERENCE_LEAST_MAX_BYTES 8192

/* Fields of any length in one packet: test id, tags, mime, file name, file content, route code. */
#define PACKET_FIELDS 6

/* Deficit round robin: what a link may send in its turn. About 100 small packets. */
#define QUANTUM_BYTES 16384

/*
 * The least that a frame is charged: finding, checking and sending a tiny packet costs as much CPU
 * as this many bytes of larger ones. So a turn takes about as long for each worker.
 */
#define FRAME_LEAST_BYTES 80

/* How long chatter waits for its newline: less than a person at a debugger prompt notices. */
#define CHATTER_SILENCE_NS 30000000u

/*
 * How long after input for a worker its chatter does not wait: an editor answers each key, and over
 * a few nodes 30 ms would be felt. Commands that take longer answer in lines, or with a prompt.
 */
#define TYPED_AT_NS 1000000000u

/*
 * A packet that is still incomplete after this time is searched for another stream (oracle rule 8).
 */
#define RESYNC_AFTER_NS 2000000000u

/* Most received buffers of one link that wait here before it is paused: one in use, few behind. */
#define LINK_INPUTS_MAX 4

/*
 * Links that find no free buffer receive into their own stores when the mux itself holds at least
 * one buffer in this many, or when links wait that may hold a transport's few large buffers. (Else
 * buffers come back to the transport soon. Of several transports each has its own buffers, the
 * smallest share being a tenth.)
 */
#define INPUTS_HELD_SHARE 16

/* The queues for the way down are made of these. */
#define DOWN_BLOCK_BYTES ((size_t)16 << 10)
#define DOWN_SPANS 4

/*
 * Most bytes that wait for one link. A single packet may be larger, up to two thirds of all blocks.
 */
#define DOWN_QUEUE_BYTES ((size_t)64 << 10)

/*
 * How long the whole way down waits for a link that does not read; after that its packets are
 * refused.
 */
#define DOWN_WAIT_NS 1000000000u

#define PEER_TEXT_BYTES 128

/* A call that comes this much too late: this node did not run. */
#define LATE_NS 100000000u

/*
 * Tests in progress (progress.h): the cells that links share beyond their own. One cell for each of
 * these many bytes of config.memory: 128 MiB give 131,072 for workers and twice that for nodes,
 * each of which carries the tests of many workers.
 */
#define WORKERS_TESTS_SHARE_BYTES 1024
#define NODES_TESTS_SHARE_BYTES 512
#define TESTS_COMMON_CELLS_MAX (1u << 22) /* of a kind: 800 MiB */

#define REASON_BYTES 160

/* An end acknowledges so late at most what is not much. */
#define MUX_ACK_LATE_NS UINT64_C(200000000)

/* How these limits depend on each other. */
_Static_assert(MUX_PREFIX_GROWTH_BYTES <= FRAME_GROWTH_BYTES, "a packet with its segment");
_Static_assert(MUX_SEGMENT_TEXT_BYTES + 128 <= FRAME_GROWTH_BYTES, "a report's names and reason");
_Static_assert(MUX_SEGMENT_TEXT_BYTES - 1 <= MUX_SEGMENT_MAX_BYTES, "every segment is one");
_Static_assert(FRAME_PACKETS >= MUX_REPORT_DAMAGE_PACKETS && FRAME_PACKETS >= 2,
               "damage, and a packet that is split");
_Static_assert(FRAME_COPIED_BYTES >= 2 * PACKET_FIELDS * (size_t)REFERENCE_LEAST_MAX_BYTES +
                                         2 * MUX_PIECES_SCRATCH_BYTES,
               "of a packet that is split no field may be long enough to be referenced");
_Static_assert(FRAME_COPIED_BYTES >= MUX_FRAME_CHATTER_MAX_BYTES + FRAME_GROWTH_BYTES &&
                   MUX_FRAME_CHATTER_MAX_BYTES <= MUX_REPORT_CHATTER_MAX_BYTES,
               "chatter is one packet, and may lie where nothing can be referenced");
_Static_assert(FRAME_COPIED_BYTES >= SMALL_STORE_BYTES + FRAME_PACKETS * FRAME_GROWTH_BYTES,
               "from a link's own store all is copied");
_Static_assert(FRAME_COPIED_BYTES >=
                   MUX_PROGRESS_NAME_BYTES + REASON_BYTES + PEER_TEXT_BYTES + FRAME_GROWTH_BYTES,
               "the report of a test that has failed is copied");
_Static_assert(MUX_ADD_UP_MAX_BYTES <= FRAME_COPIED_BYTES, "an owner's packet is copied");
_Static_assert(FRAME_GROWTH_BYTES <= MUX_PIECES_SCRATCH_BYTES, "growth is written into scratch");
_Static_assert(2 * FRAME_COPIED_BYTES <= BATCH_BYTES, "a batch takes several frames of any kind");
_Static_assert(FRAME_PACKETS *MUX_PIECES_MAX <= MUX_GATHER_MIN, "a frame fits an empty batch");
_Static_assert(FRAME_COPIED_BYTES + MUX_EDIT_BYTES <= BATCH_BYTES &&
                   (FRAME_PACKETS + MUX_EDIT_PACKETS) * MUX_PIECES_MAX <= MUX_EDIT_GATHER_MIN,
               "an edited frame fits an empty batch");
_Static_assert(SMALL_STORE_BYTES <= MIDDLE_SLOT_BYTES && MIDDLE_SLOT_BYTES <= MUX_STORE_MAX_BYTES,
               "a larger store takes what a smaller one has");
_Static_assert(MUX_HELLO_PACKET_BYTES <= SMALL_STORE_BYTES &&
                   MUX_HELLO_PACKET_BYTES <= DOWN_QUEUE_BYTES,
               "a hello needs no slot, and its answer fits a link's queue");

struct mux_input {
    struct mux_buffer *buffer;
    struct mux_span bytes;
    struct mux_input *next;
};

struct mux_inputs {
    struct mux_input *first, *last;
    unsigned count;
    bool feeding; /* the first one is in the framer's hands */
};

struct mux_block {
    uint8_t *data;
    size_t start, end; /* the bytes that wait */
    struct mux_block *next;
};

struct mux_down_queue {
    struct mux_block *first, *last;
    size_t bytes;
    struct mux_span spans[DOWN_SPANS];
    struct mux_gather gather; /* in flight when len_bytes > 0 */
    bool stalled;             /* it was behind for DOWN_WAIT_NS and has not read since */
    bool ended;               /* of a raw link: nothing more may follow */
};

/* clock.c: the clock at the end of a link. */
struct mux_link_clock {
    struct mux_skew skew; /* of a worker: what is seen of it */
    bool is_skewed;       /* its timestamps are shifted... */
    int64_t ahead_ns;     /* ...by this: see skew.h */
    uint64_t decided_ns;
    bool has_told; /* a node: what it has said of its own clock */
    int64_t told_ahead_ns;
    uint64_t told_error_ns;
};

/* clock.c: the question for the upstream's time. */
enum mux_clock_ask {
    MUX_ASK_NOBODY, /* the upstream is away, or does not tell the time */
    MUX_ASK_RESTS,  /* until mux_clock.ask_at_ns */
    MUX_ASK_DUE,    /* it is to be sent */
    MUX_ASK_SENT,   /* the answer is awaited until mux_clock.ask_at_ns */
};

struct mux_clock {
    bool has_wall;   /* the time of day is known: */
    int64_t wall_ns; /* the clock of mux_run() plus this */
    struct mux_offset upstream;
    bool was_upstream_met; /* an upstream has answered, with its time or without */
    enum mux_clock_ask ask;
    uint32_t ask_number;
    unsigned asks_left; /* of this round */
    uint64_t asked_ns, ask_at_ns;
    uint64_t full_ns, held_ns; /* links have been waiting since; and last waited long */
    struct mux_list unsaid;    /* links whose clock is to be told of upwards */
    struct mux_limiter lines;
};

struct mux_link {
    struct mux *mux;
    void *user;
    enum mux_link_entry entry;
    enum mux_link_input input;
    enum mux_link_role role;
    enum mux_link_verdict verdict;
    enum mux_link_turn turn;
    struct mux_list turn_entry, spare_entry, node_entry; /* see link_state.h */
    struct mux_list attention_entry, chatter_entry, resync_entry, starved_entry, fresh_entry;
    struct mux_list slot_entry; /* in mux_slots.owners: it owns `slot` */
    struct mux_list beat_entry; /* in mux.beat.links */
    uint64_t beat_ns;           /* of its next beat */
    uint64_t unjudged_ns;       /* until then its silence said nothing */
    struct mux_link *next;      /* in its bucket of the directory, or in the free list */
    enum mux_link_kind kind;
    bool way_down, is_bare, is_raw; /* see mux_link_config */
    bool is_routed;      /* its segment is put in front of routes, and that is all: no bare link, no
                            sink, no timestamps to be changed */
    bool is_edited_out;  /* the editor knows that nothing more comes */
    bool by_room;        /* no received buffer is free for it: it offers room of its own */
    uint64_t slot_bytes; /* received since it owns its slot */
    uint64_t slot_paid_ns; /* until when what it delivered pays for the slot */
    int64_t credit_bytes;  /* deficit round robin; a large packet makes it negative */
    uint64_t received_ns;  /* when its last bytes came */
    uint64_t typed_ns;     /* when it last got input for its worker; 0: it got none */
    uint64_t received_bytes, received_packets, sent_down_bytes;
    uint64_t resync_at_ns; /* when it is in mux->resyncs */
    size_t resync_bytes;   /* the last search failed: the next one when this much is stored; 0: none
                              yet */
    size_t offered_bytes;  /* length of the room that the owner receives into: the store must not
                              move */
    struct mux_buffer *slot; /* the framer's store when it is not small_store */
    uint8_t *small_store;
    struct mux_framer framer;
    struct mux_inputs inputs;
    struct mux_prefix prefix;
    struct mux_down_queue down;
    struct mux_progress_list tests;

    struct mux_link_clock clock;
    struct mux_list unsaid_entry; /* in mux.clock.unsaid */

    /* nodes.c */
    char identity[MUX_IDENTITY_BYTES], name[MUX_NODE_NAME_BYTES];
    bool proves;         /* it knows of proofs */
    bool has_bundles;    /* both have said that they take bundles */
    bool has_streams;    /* and messages of streams have come */
    bool is_mixed;       /* and other packets, too */
    bool is_proven;      /* it has shown the secret that only the earlier connection was told */
    bool has_said;       /* it has sent something after its hello */
    uint32_t nodes_left; /* nodes below it that go on, as its goodbye said */
    uint64_t since_ns, lost_ns; /* when it was first here, and last */
    uint64_t away_until_ns;
    uint64_t superseded_ns;  /* its silence counts from then on */
    struct mux_list left_by; /* of mux_below_node.of_lost: nodes that were here when it was lost */
    struct mux_list below;   /* of mux_below_node.of_link: the nodes reached through it */
    unsigned below_further;
    struct mux_link *successor,
        *predecessor;            /* the same node's next newer and next older connection */
    struct mux_list watch_entry; /* in mux.away, mux.superseded or mux.given_up */

    const char *break_off_why; /* of MUX_VERDICT_BROKEN_OFF */
    char reason[REASON_BYTES]; /* why it ended */
    char segment[MUX_SEGMENT_TEXT_BYTES];
    char peer[PEER_TEXT_BYTES];
    char host[PEER_TEXT_BYTES];
};

/* down.c: the packet at hand, and the connection that its bytes came from. */
enum mux_down_state {
    MUX_DOWN_READS,
    MUX_DOWN_WAITS,     /* a packet waits for room in a link's queue */
    MUX_DOWN_CUT,       /* the upstream was lost: what came whole is delivered, the rest dropped */
    MUX_DOWN_CUT_WAITS, /* both */
};

/* sink.c */
enum mux_sink_state {
    MUX_SINK_TAKES,   /* or there is no sink */
    MUX_SINK_BLOCKED, /* it said "not now"; nothing is offered before mux_sink_ready() */
};

/* Packets of one frame that the sink did not take yet. */
struct mux_sink {
    enum mux_sink_state state;
    struct mux_link *link; /* theirs */
    struct mux_buffer
        *buffer; /* a reference to the memory of their spans; NULL: it is the link's small store */
    struct mux_packet packets[MUX_REPORT_DAMAGE_EVENTS];
    unsigned next, count; /* those from `next` on wait */
    size_t bytes;         /* of the frame */
};

struct mux_down {
    enum mux_down_state state;
    struct mux_framer framer;
    struct mux_room store;
    struct mux_inputs inputs;
    struct mux_block *blocks;
    struct mux_block *free_blocks;
    size_t block_count, free_count;
    struct mux_frame frame; /* the packet at hand */
    bool was_shown;         /* to the owner, who lets it go its way */
    bool has_refused;       /* input for the bare link: that was said upwards */
    bool starved;           /* a packet waited DOWN_WAIT_NS for memory; none came back since */
    uint64_t wait_until_ns;
};

/* handshake.c: how far this node has come with an upstream that is a node. */
enum mux_handshake_state {
    MUX_HANDSHAKE_AWAY,     /* there is no connection */
    MUX_HANDSHAKE_HELLO,    /* the hello is to be sent */
    MUX_HANDSHAKE_ASKED,    /* it is not answered */
    MUX_HANDSHAKE_OPEN,     /* packets go up; an upstream that is no node is always so */
    MUX_HANDSHAKE_SENT_OFF, /* the upstream ends and has said so: no more packets go up */
    MUX_HANDSHAKE_GOODBYE,  /* the goodbye is to be sent, after all packets */
    MUX_HANDSHAKE_LEFT,     /* it was taken to be sent */
    MUX_HANDSHAKE_REFUSED,  /* its answer cannot be used: it is to be closed */
    MUX_HANDSHAKE_GIVEN_UP, /* packets went up, but now it is to be closed */
};

struct mux_handshake {
    enum mux_handshake_state state;
    bool may_be_other;   /* another node than the previous one is accepted */
    bool is_other;       /* it is another node than the previous one */
    const char *refusal; /* in REFUSED and GIVEN_UP: why */
    uint64_t answer_by_ns;
    struct mux_hello hello;            /* with the proof for the previous node */
    char identity[MUX_IDENTITY_BYTES]; /* what this node answers nodes below with */
    char home[MUX_IDENTITY_BYTES];     /* the upstream that answered last; "": none */
    char path[MUX_PATH_BYTES];         /* it, and the nodes above it */
    uint8_t bytes[MUX_HELLO_PACKET_BYTES];
    struct mux_span span;     /* hello, question for the time or goodbye, in bytes */
    struct mux_gather gather; /* of span */
};

enum mux_life {
    MUX_LIFE_RUNNING,
    MUX_LIFE_LEAVING, /* nodes below were told that this one ends */
    MUX_LIFE_ENDING,  /* lost nodes are not waited for any more */
};

/* role.c: among nodes that take bundles. Each hello of the upstream decides anew. */
enum mux_role {
    MUX_IS_PLAIN,     /* plain packets go up */
    MUX_IS_END,       /* and bundles of nodes below, taken apart */
    MUX_IS_UNDECIDED, /* no upstream has answered yet */
    MUX_IS_RELAY,     /* bundles go up: those of links, and one stream of this node's own */
};

/* leaf.c: this node's own stream; nothing of it is used without config.window_bytes. */
struct mux_leaf {
    struct mux_stream stream;
    struct mux_spooler *spooler; /* NULL: there is no spool */
    struct mux_stream earlier;   /* of an earlier life: one is sent at a time, in turn with ours */
    bool has_earlier, sends_earlier;          /* there is one; and it is its turn */
    const struct mux_batch *earlier_where_in; /* as where_in */
    struct mux_stream_record *records;
    struct mux_buffer ring;             /* its memory, as what batches refer to */
    uint64_t lent_from[2];              /* mux.batches[i] refers to it from this offset on */
    const struct mux_batch *where_in;   /* its `where` waits there; NULL: none */
    struct mux_list turn_entry;         /* in mux.active */
    int64_t credit_bytes;               /* as a link's */
    uint64_t rate_since_ns, rate_bytes; /* taken by the upstream since then */
    uint64_t news_from, news_to;        /* the last news in the stream, with nothing between */
    unsigned ids_drawn;
    bool must_restart; /* some of it went as plain packets: it is of no use when all is sent */
};

/*
 * unbundle.c: what a batch has, in order, of streams and beside them. A bundle that does not fit
 * into what is left of a batch goes on in the next one.
 */
struct mux_batch_item {
    struct mux_end_stream *stream; /* NULL: packets that came in no bundle */
    uint64_t bytes;                /* of it in this batch */
    uint64_t output_bytes;         /* of all of it, also what is in the next batches; 0 there */
    uint64_t at;                   /* the stream is applied up to there when all of it is sent, */
    uint32_t crc;                  /* and the CRC of all that */
    bool is_partial;               /* it goes on in the next batch */
};

/* Most items of two batches: nearly all have 16 KiB and more. */
#define MUX_BATCH_ITEMS 4096

struct mux_batch_items {
    unsigned count;
    uint64_t noted_bytes; /* of the batch, which the items are about */
    bool is_recorded;     /* in the owner's journal */
    struct mux_batch_item item[MUX_BATCH_ITEMS];
};

/* Of a bundle and of a packet in it. */
#define MUX_JOINED_ROUTE_BYTES (MUX_REPORT_ROUTE_MAX_BYTES + MUX_REPORT_ROUTE_MAX_BYTES)

/* unbundle.c: of MUX_IS_END. */
struct mux_unbundle {
    struct mux_end end;
    struct mux_progress tests;
    struct mux_batch_items of[2]; /* mux.batches[i] */
    /* the bundle that is being taken apart: */
    struct mux_end_stream *stream; /* NULL: there is none */
    struct mux_span left;          /* of its content */
    struct mux_buffer *buffer;     /* it lies there; NULL: in `copy` */
    bool is_promised;              /* its item in an earlier batch says how long it is */
    uint8_t copy[SMALL_STORE_BYTES];
    uint8_t route[MUX_JOINED_ROUTE_BYTES];
    struct mux_progress_list orphans; /* of workers here, before the node was started again */
    bool fails_orphans;
    unsigned damage_given;          /* packets of the damage at hand that the sink has taken */
    struct mux_end_verdict verdict; /* if has_verdict: the sink has not taken it yet */
    bool has_verdict;
    uint32_t numbers; /* of streams in the owner's journal */
    bool is_held;     /* nothing is taken: see mux_upstream_hold() */
};

/* What the owner is sending upstream. */
enum mux_in_flight {
    MUX_IN_FLIGHT_NOTHING,
    MUX_IN_FLIGHT_HANDSHAKE, /* hello, question or goodbye: mux_handshake.gather */
    MUX_IN_FLIGHT_BATCH,     /* mux.flight */
};

struct mux {
    struct mux_config config;
    struct mux_counters counters;
    struct mux_segments segments;
    struct mux_limiter messages, damage_lines;

    struct mux_link *links; /* config.links_max; touched only when first used */
    uint8_t *small_stores;
    unsigned links_count, links_touched; /* see mux_connections_max() */
    unsigned places_taken;               /* of config.links_max */
    unsigned connection_count;
    struct mux_link *free_links;
    struct mux_link **directory;
    struct mux_link *bare; /* the link without a segment that has a way down; NULL: none */
    size_t directory_count;

    struct mux_input *inputs;
    struct mux_input *free_inputs;
    unsigned inputs_used;
    struct mux_slots middle_slots, large_slots;
    struct mux_progress tests;
    struct mux_progress_list own_tests; /* of this node's owner */

    struct mux_list active, attention;
    struct mux_list chatter; /* chatter that waits for its newline, by received_ns */
    struct mux_list resyncs; /* packets underway, by resync_at_ns */
    struct mux_list starved; /* links for which no received buffer was free */
    struct mux_list fresh;   /* of mux_link.fresh_entry: something came, but no frame yet */
    struct mux_list pinned;  /* see MUX_TURN_PINNED */
    struct mux_batch batches[2];
    struct mux_batch *fill, *flight;
    enum mux_in_flight in_flight;
    enum mux_life life;
    enum mux_role role;
    bool is_due;     /* a link got something to do since the last run */
    uint64_t ran_ns; /* when mux_run() was last called. What happens between two runs, such as the
                        end of a connection, happens at this time */
    uint64_t promised_ns; /* the deadline that the owner was last given */

    struct mux_list spares;     /* of mux_link.spare_entry: connections without a place, by age */
    struct mux_list silent;     /* of mux_link.spare_entry: connections that may yield theirs */
    struct mux_list nodes;      /* of mux_link.node_entry */
    struct mux_list away;       /* of mux_link.watch_entry, by away_until_ns */
    struct mux_list superseded; /* of mux_link.watch_entry */
    struct mux_list given_up;   /* of mux_link.watch_entry: given up and reported, to be forgotten
                                   after this run */
    unsigned away_count, away_max;
    uint32_t nodes_left; /* nodes below when this one began to leave */
    struct mux_below below;
    struct mux_handshake handshake;
    struct mux_leaf leaf;
    struct mux_unbundle *unbundle; /* NULL: not MUX_IS_END */
    struct mux_beat beat;
    unsigned retell_at; /* the next link whose tests are announced again; links_touched: none */

    struct mux_down down;
    struct mux_sink sink;
    mux_output *output; /* NULL: nobody looks */
    struct mux_clock clock;
};

/*
 * ---- what the states mean: use these, not comparisons ----
 */

/* Has anything come on it, so that it counts as a link and has a segment if it is not bare? */
static inline bool mux_link_has_started(const struct mux_link *link) {
    return link->entry >= MUX_ENTRY_STARTED;
}

static inline bool mux_link_is_node(const struct mux_link *link) {
    return link->role >= MUX_ROLE_NODE;
}

/* A node without a connection, whether or not it is still waited for. */
static inline bool mux_link_is_away(const struct mux_link *link) {
    return link->entry >= MUX_ENTRY_AWAY;
}

/* Is it not taken as what it says it is? */
static inline bool mux_link_is_rejected(const struct mux_link *link) {
    return link->verdict >= MUX_VERDICT_REFUSED;
}

static inline bool mux_link_drops_input(const struct mux_link *link) {
    return link->verdict >= MUX_VERDICT_BROKEN_OFF;
}

/* Has it frames to take, or bytes of frames, that wait for its turn or for a batch to be sent? */
static inline bool mux_link_has_turn(const struct mux_link *link) {
    return link->turn == MUX_TURN_ACTIVE || link->turn == MUX_TURN_PINNED;
}

static inline bool mux_link_waits_for_slot(const struct mux_link *link) {
    return link->turn == MUX_TURN_WAITS_A_SLOT;
}

static inline bool mux_down_waits(const struct mux_down *down) {
    return down->state == MUX_DOWN_WAITS || down->state == MUX_DOWN_CUT_WAITS;
}

static inline bool mux_down_is_cut(const struct mux_down *down) {
    return down->state == MUX_DOWN_CUT || down->state == MUX_DOWN_CUT_WAITS;
}

/* Does it pass on bundles and their messages? */
static inline bool mux_is_relay(const struct mux *mux) {
    return mux->role == MUX_IS_RELAY;
}

/* Are nodes below told that it takes bundles? They are before it knows its upstream. */
static inline bool mux_takes_bundles(const struct mux *mux) {
    return mux->role != MUX_IS_PLAIN;
}

/* Do this node's own packets go into its stream? They do before it knows its upstream. */
static inline bool mux_has_stream(const struct mux *mux) {
    return mux->role >= MUX_IS_UNDECIDED;
}

/* Is this node about to end, so that no node is accepted any more? */
static inline bool mux_is_leaving(const struct mux *mux) {
    return mux->life != MUX_LIFE_RUNNING;
}

/* mux.c */
__attribute__((format(printf, 2, 3))) void mux_log(struct mux *mux, const char *format, ...);
/* This node's own message to the upstream; rate-limited. Status: fail, or none. */
__attribute__((format(printf, 4, 5))) void mux_message(struct mux *mux, enum mux_status status,
                                                       uint64_t now_ns, const char *format, ...);
void mux_input_append(struct mux *mux, struct mux_inputs *inputs, struct mux_buffer *buffer,
                      struct mux_span bytes);
/* Feeds the next input to the framer; the previous one is done with. False: there is none. */
bool mux_input_next(struct mux *mux, struct mux_inputs *inputs, struct mux_framer *framer);
/* Bytes of the inputs that were not fed yet. */
uint64_t mux_inputs_bytes(const struct mux_inputs *inputs);
void mux_inputs_drop(struct mux *mux, struct mux_inputs *inputs);

enum mux_link_step {
    MUX_LINK_MORE,   /* go on */
    MUX_LINK_IDLE,   /* nothing to do until more comes, or a slot is free */
    MUX_LINK_PINNED, /* nothing to do until the batch is sent that refers to its store */
    MUX_LINK_LATE,   /* nothing to do until the batch in flight is sent: others go first */
    MUX_LINK_FULL,   /* no link can do anything until there is room upstream */
};

/* Asserts what must be true between two calls. In constant time: see mux_link_sane(). */
void mux_sane(const struct mux *mux);

/* link.c, link_input.c, link_timers.c */
void mux_link_activate(struct mux_link *link);
void mux_link_attend(struct mux_link *link);
/* Timers of all links: chatter that waited long enough, packets that did not continue. */
void mux_links_run(struct mux *mux, uint64_t now_ns);
uint64_t mux_links_deadline_ns(const struct mux *mux);
/*
 * While the mux holds many received buffers, links that found none receive into their own stores.
 */
void mux_links_feed_starved(struct mux *mux);
/* Copies at most `most` of the bytes that came and are not used up; returns how many. */
size_t mux_link_peek(const struct mux_link *link, uint8_t *out, size_t most);
/* A frame was taken: an incomplete packet, if there is one, is a new one. */
void mux_link_progressed(struct mux_link *link);
/*
 * All that is left is an incomplete packet. True: it was time to search it for another stream, and
 * there is one.
 */
bool mux_link_resynchronise(struct mux_link *link);

/* Its framer has used up what it had: feeds the next input, or ends. */
enum mux_link_step mux_link_next_input(struct mux_link *link);

/* Its connection is to be closed, and what comes from it is dropped; its node may come again. */
void mux_link_break_off(struct mux_link *link, const char *why);
/* Drops the input of a rejected connection. */
enum mux_link_step mux_link_drop_input(struct mux_link *link);
/* Restarts its framer in the small store; a slot is given back. */
void mux_link_drop_stored(struct mux_link *link);
void mux_link_restart_framer(struct mux_link *link);
/* Over the network came no byte yet: it keeps its place until one that speaks has none. */
bool mux_link_may_yield(const struct mux_link *link);
/* Makes it a link if it has, or gets, a place. False: it is none. */
bool mux_link_start(struct mux_link *link);
/* The link gets the other one's segment; the other one has none then. */
void mux_link_take_segment(struct mux_link *link, struct mux_link *from);
/* Frees a link's entry. */
void mux_link_forget(struct mux_link *link);

/* The route of the link's own reports; data == NULL: it is bare. */
struct mux_span mux_link_route(const struct mux_link *link);
/* A test's route with its link's segment in front. */
struct mux_span mux_link_full_route(const struct mux_link *link, struct mux_span route,
                                    uint8_t out[MUX_REPORT_ROUTE_MAX_BYTES]);
/* Its first frame was taken: a hello can no longer come. */
void mux_link_has_frame(struct mux_link *link);
/* Takes one frame of a connection that has no place yet. */
enum mux_link_step mux_link_enter(struct mux_link *link);

/* nodes.c */
/*
 * The secret that this node makes for an identity: hexadecimal digits. Nothing needs to be stored.
 */
void mux_node_secret(const struct mux *mux, const char *identity, char out[MUX_IDENTITY_BYTES]);
/* Is this packet the hello of a known node? */
bool mux_node_may_enter(const struct mux_link *link, const struct mux_packet *packet);
/*
 * Handles a hello that is a link's first packet, or another word of a node. False: it is neither.
 */
bool mux_node_handle_word(struct mux_link *link, const struct mux_packet *packet);
/* It had to begin with a hello and did not: refuses it. */
void mux_link_refuse_stranger(struct mux_link *link);
/* What comes from it has passed this node before: refuses it. */
void mux_link_refuse_loop(struct mux_link *link);
/* Sends the notice upwards. False: not now. */
bool mux_notice_up(struct mux_link *link, const struct mux_notice *notice, struct mux_span route);
/* Queues a packet for every connected node. */
void mux_nodes_tell(struct mux *mux, struct mux_span bytes);
/*
 * The node with this identity has gone from the route: says so upwards if that is possible now. If
 * not, the nodes above learn it when this node's own link ends.
 */
void mux_node_say_gone(struct mux_link *link, const char *identity, struct mux_span route);
/* The link is to be forgotten: if it was a node that has ended in order, says so upwards. */
void mux_node_say_ended(struct mux_link *link);

/* nodes_away.c */
/* The new connection takes over the old one's segment and tests; the old one is forgotten. */
void mux_node_take_over(struct mux_link *link, struct mux_link *old);
/* A link's connection is gone. True: the link is kept, or was taken over. */
bool mux_node_went(struct mux_link *link);
/* Has all that it sent been read, as far as this node and its kernel know? */
bool mux_node_is_read_empty(const struct mux_link *link);
void mux_nodes_run(struct mux *mux, uint64_t now_ns);
/* This node did not run for this long: its nodes' deadlines move. */
void mux_nodes_slept(struct mux *mux, uint64_t slept_ns, uint64_t now_ns);
void mux_nodes_forget_given_up(struct mux *mux);
uint64_t mux_nodes_deadline_ns(const struct mux *mux);

/* assembly.c */
/* Its framer needs a store of this size. */
enum mux_link_step mux_link_get_store(struct mux_link *link, size_t store_bytes);
/* Gives a slot back that the link no longer needs. */
void mux_link_leave_slot(struct mux_link *link);
void mux_link_release_slot(struct mux_link *link);
/* `len` bytes came for the packet in its slot. */
void mux_link_delivered(struct mux_link *link, size_t len);
/* Gives free slots to links that wait. False: no link got one. */
bool mux_grant_slots(struct mux *mux);
/* Evicts owners of slots that others wait for when they deliver too little. */
void mux_judge_slot_owners(struct mux *mux, uint64_t now_ns);

/* up.c */
void mux_up_run(struct mux *mux);
/* Is there room for another frame, in the batch or the sink? */
bool mux_up_has_room(const struct mux *mux);
bool mux_batch_takes_frame(const struct mux *mux); /* in the batch */
/* Is there room for one packet of this node's own, even when there is none for a frame? */
bool mux_up_has_room_for(const struct mux *mux, size_t len_bytes);
/* Adds such a packet; all of it is copied. */
void mux_up_add(struct mux *mux, const struct mux_pieces *packet);
/* As mux_prefix_split(), of a packet that is too large for the way up. `prefix` NULL: none. */
enum mux_error mux_up_split(const struct mux *mux, const struct mux_prefix *prefix,
                            const struct mux_packet *packet, struct mux_pieces packets[2]);
/* Does a packet of this length go up in one? */
static inline bool mux_up_fits(const struct mux *mux, size_t len_bytes) {
    return len_bytes <= (mux_has_stream(mux) ? MUX_BUNDLE_CONTENT_MAX_BYTES : MUX_PACKET_MAX_BYTES);
}
/* Adds packets that a frame has become to the batch, or the stream, in which there is room; returns
   their bytes. */
size_t mux_up_forward(struct mux_link *link, const struct mux_frame *frame,
                      const struct mux_pieces *packets, unsigned count);
/* The same, past this node's own stream. */
size_t mux_up_pass(struct mux_link *link, const struct mux_frame *frame,
                   const struct mux_pieces *packets, unsigned count);
/* Runnable or not: that says whether a test can be selected by itself. TAP's tests all cannot. */
static inline void mux_count_result(struct mux *mux, const struct mux_packet *packet) {
    if (packet->status <= MUX_STATUS_INPROGRESS)
        return;
    MUX_COUNT(&mux->counters, results, 1);
    if (packet->status == MUX_STATUS_FAIL || packet->status == MUX_STATUS_UXSUCCESS)
        MUX_COUNT(&mux->counters, results_failed, 1);
}
/* Counts packets that go up, in a batch or to the sink. */
static inline void mux_count_forwarded(struct mux *mux, unsigned packets, size_t bytes,
                                       size_t referenced) {
    MUX_COUNT(&mux->counters, forwarded_packets, packets);
    MUX_COUNT(&mux->counters, forwarded_bytes, bytes);
    MUX_COUNT(&mux->counters, body_bytes_referenced, referenced);
    MUX_COUNT(&mux->counters, body_bytes_copied, bytes - referenced);
}

/* sink.c */
/* Of a mux with one: does it take something? */
bool mux_sink_takes(const struct mux *mux);
/* Offers one packet, of which nothing is kept. False: not now. */
bool mux_sink_offer(struct mux *mux, struct mux_link *link, const struct mux_packet *packet);
/*
 * Offer a frame's packets; those that the sink does not take now are kept. Return the frame's
 * bytes.
 */
size_t mux_sink_packet(struct mux_link *link, const struct mux_frame *frame);
size_t mux_sink_chatter(struct mux_link *link, const struct mux_frame *frame);
size_t mux_sink_damage(struct mux_link *link, const struct mux_frame *frame, enum mux_error why);
/* Offers again what is kept. */
void mux_sink_run(struct mux *mux);
/* The link's connection ends: drops what is kept of it. */
void mux_sink_forget(struct mux_link *link);

/* edit.c */
/* Show a frame to the editor, as packets; return the bytes that it has given. */
size_t mux_edit_packet(struct mux_link *link, const struct mux_frame *frame);
size_t mux_edit_chatter(struct mux_link *link, const struct mux_frame *frame);
size_t mux_edit_damage(struct mux_link *link, const struct mux_frame *frame, enum mux_error why);
/* Nothing more comes of the link. */
void mux_edit_end(struct mux_link *link);
/* A test that was in progress has failed. */
void mux_edit_failure(struct mux_link *link, struct mux_packet *packet);

/* output.c: what goes up is shown to the owner, if it looks. */
void mux_output_packet(struct mux_link *link, const struct mux_packet *packet);
void mux_output_bundle(struct mux_link *link, const struct mux_packet *bundle);
void mux_output_chatter(struct mux_link *link, struct mux_span bytes);
void mux_output_message(struct mux *mux, enum mux_status status, const char *text);
/* clock.c */
void mux_clock_init(struct mux *mux);
/* Are timestamps changed here? */
static inline bool mux_clock_changes(const struct mux *mux) {
    return mux->config.clock_correct || mux->config.clock_stamp;
}
/* Nothing goes up before the upstream has been met once, which is to say what its time is. */
bool mux_clock_waits(const struct mux *mux);
/* A packet of a link: changes its timestamp as the configuration says. False: it stays. */
bool mux_clock_change(struct mux_link *link, struct mux_packet *packet);
/* A packet of this node's own, made now. */
void mux_clock_change_own(struct mux *mux, struct mux_packet *packet);
/* A packet of the link was forwarded: a new estimate of its clock may take effect. */
void mux_clock_settle(struct mux_link *link);
/* Links cannot go on for want of room; or they can again. */
void mux_clock_note_full(struct mux *mux, bool is_full);
/* Sends the packets that say which links' clocks are wrong, while there is room. */
void mux_clock_say(struct mux *mux);
/* The hello is sent: it asks for the time. */
void mux_clock_ask_by_hello(struct mux *mux);
/* An upstream was accepted. */
void mux_clock_meet(struct mux *mux, const struct mux_hello *answer, bool is_other);
void mux_clock_part(struct mux *mux);
/* The question, if one is to be sent; 0: none. */
size_t mux_clock_take(struct mux *mux, uint8_t out[MUX_HELLO_PACKET_BYTES]);
/* A packet from the upstream. False: it is no answer to a question. */
bool mux_clock_handle(struct mux *mux, const struct mux_packet *packet);
/* A question of a node below. False: it is none. */
bool mux_clock_answer(struct mux_link *link, const struct mux_packet *packet);
/*
 * The time that this node tells the node at the link, and how wrong that may be; 0: none. Nobody on
 * the way shifts what stands in bundles: who sends them is told the time to which this node shifts.
 */
int64_t mux_clock_told_ns(const struct mux_link *link, uint64_t *within_ns);
/* The time that the upstream tells may be another one now. */
void mux_clock_ask_anew(struct mux *mux);
/* NULL, or why the node at this link, which asks for the time, is not taken now. */
const char *mux_clock_refuses(const struct mux_link *link);
void mux_clock_run(struct mux *mux);
uint64_t mux_clock_deadline_ns(const struct mux *mux);
/* The time of day; 0: not known. */
int64_t mux_clock_now_ns(const struct mux *mux);
void mux_clock_link_stats(const struct mux_link *link, struct mux_clock_stats *stats);

/* retell.c */
void mux_retell_begin(struct mux *mux);
/* Announces as many tests as the batch has room for. */
void mux_retell_run(struct mux *mux);

/* mux.c: of tests of nodes, those that are shared. */
unsigned mux_nodes_common_cells(const struct mux *mux);

/* role.c */
void mux_role_init(struct mux *mux);
/* The upstream has answered. True: the role has changed, and was known before. */
bool mux_role_take(struct mux *mux, const struct mux_hello *answer);

/* leaf.c: of mux_has_stream() but where said */
/* Of any mux: how long an answer of the end is awaited, at first. */
uint64_t mux_stall_ns(const struct mux *mux);
bool mux_leaf_init(struct mux *mux, struct mux_room ring); /* of any mux */
void mux_leaf_fini(struct mux *mux);
bool mux_leaf_has_room(const struct mux *mux);
/* Is there memory for a packet of this length even without room? */
bool mux_leaf_fits(const struct mux *mux, size_t len_bytes);
/* Adds a packet of at most MUX_BUNDLE_CONTENT_MAX_BYTES. */
void mux_leaf_add(struct mux *mux, const struct mux_pieces *packet);
/* Of any mux: bytes that nobody has acknowledged. */
uint64_t mux_leaf_pending_bytes(const struct mux *mux);
/* Of any mux: is all of that news? */
bool mux_leaf_is_news(const struct mux *mux);
/* Of any mux: takes its turn among the links if it has something to send. */
void mux_leaf_wake(struct mux *mux);
/* Its turn. */
enum mux_link_step mux_leaf_serve(struct mux *mux, int64_t quantum_bytes);
/* Of any mux: when nothing waits for the upstream, sends what it has. */
void mux_leaf_flush(struct mux *mux);
/* Of any mux: when plain packets go up, what the stream has becomes such. */
void mux_leaf_drain(struct mux *mux);
/* Of any mux: the batch was sent, or dropped. */
void mux_leaf_batch_is_back(struct mux *mux, const struct mux_batch *batch, size_t sent_bytes);
/* Of any mux: what was sent, or asked, may not have come. */
void mux_leaf_ask_anew(struct mux *mux);
/* False: it is about another stream. */
bool mux_leaf_acked(struct mux *mux, const struct mux_ack *ack);
void mux_leaf_asked(struct mux *mux, const struct mux_ask *ask);
/* Of any mux. */
void mux_leaf_run(struct mux *mux);
uint64_t mux_leaf_deadline_ns(const struct mux *mux);
/* Of any mux: nothing more is added. True: the end does not have all, or has not heard of that. */
bool mux_leaf_leaves(struct mux *mux);
/* Sends a record of a stream as a bundle; `buffer` has its content. */
void mux_leaf_send_bundle(struct mux *mux, const struct mux_stream_out *out,
                          struct mux_buffer *buffer);
/* The same content as plain packets. */
void mux_leaf_send_plain(struct mux *mux, struct mux_span content, struct mux_buffer *buffer);
/* The limits of a stream. */
struct mux_stream_limits mux_leaf_limits(const struct mux *mux);
/* If somebody else goes on under its id it gets another one. */
void mux_leaf_fork(struct mux *mux, struct mux_stream *stream);
/* What was sent as plain packets is gone: the stream begins anew, when nobody uses its memory. */
void mux_leaf_restart(struct mux *mux);

/* leaf_spool.c: of any mux */
bool mux_leaf_init_spool(struct mux *mux, struct mux_room memory);
void mux_leaf_fini_spool(struct mux *mux);
/* The own stream was begun. */
void mux_leaf_begin_spool(struct mux *mux);
/* Sends the record that the spool has at its place. False: it has none now. */
bool mux_leaf_send_spooled(struct mux *mux, struct mux_stream *stream);
/* The same as plain packets, of the own stream. */
bool mux_leaf_drain_spooled(struct mux *mux);
/* Something of the stream became safe. */
void mux_leaf_settle(struct mux *mux, struct mux_stream *stream);
/* The stream has another id. */
void mux_leaf_renamed(struct mux *mux, struct mux_stream *stream,
                      const uint8_t from[MUX_STREAM_ID_BYTES]);
/* The next stream of an earlier life begins, if none is there. */
void mux_leaf_begin_earlier(struct mux *mux);
uint64_t mux_leaf_spool_deadline_ns(const struct mux *mux);

/* unbundle.c */
bool mux_unbundle_init(struct mux *mux); /* of any mux; false: out of memory */
void mux_unbundle_fini(struct mux *mux); /* of any mux */
/* Is there room for another frame, beside the batch's own? */
bool mux_unbundle_has_room(const struct mux *mux);
/* Of any mux: of a bundle that was taken and is not in a batch yet. */
uint64_t mux_unbundle_pending_bytes(const struct mux *mux);
/* A message from a link with bundles. NULL, or why it is dropped. */
const char *mux_unbundle_take(struct mux_link *link, const struct mux_frame *frame,
                              enum mux_message_kind kind);
/* The link's connection is gone. */
void mux_unbundle_lose(struct mux_link *link);
/* Of any mux that is about to end: are acknowledgements still to be sent by this link? */
bool mux_unbundle_awaits_acks(const struct mux_link *link);
/* Of any mux: goes on with the bundle at hand; time has passed. */
void mux_unbundle_run(struct mux *mux);
uint64_t mux_unbundle_deadline_ns(const struct mux *mux);
/*
 * Of any mux: the link that a packet for one below a pin goes to now, and how. The pieces are valid
 * until the next call.
 */
enum mux_end_way mux_unbundle_way_down(struct mux *mux, const struct mux_packet *packet,
                                       struct mux_link **link, struct mux_pieces *pieces);
/* How long the rest of the bundle at hand will be, with its pin. */
uint64_t mux_unbundle_rest_bytes(const struct mux *mux);
/* Of any mux: the batch that is filled is to be sent. */
void mux_unbundle_seal(struct mux *mux);
/* Of any mux: the one in flight was sent; the batch is empty again. */
void mux_unbundle_sent(struct mux *mux);
void mux_unbundle_clear(struct mux *mux, const struct mux_batch *batch);

/* The route under its stream's pin, of the bundle at hand; valid until the next call. */
struct mux_span mux_unbundle_route(struct mux_unbundle *unbundle, struct mux_span route);
/* A packet of the bundle at hand was taken: its tests, and who looks at output. */
void mux_unbundle_follow(struct mux *mux, const struct mux_packet *packet);
void mux_unbundle_note_damage(struct mux *mux, struct mux_span bytes, enum mux_error why);

/* unbundle_sink.c */
/* Offers the bundle at hand to the sink. False: it does not take the next packet now. */
bool mux_unbundle_give(struct mux *mux);
/* The sink has taken all that is applied of the stream. */
void mux_unbundle_note_given(struct mux *mux, struct mux_end_stream *stream);
/* All that it has taken is safe. */
void mux_unbundle_given_is_safe(struct mux *mux);

/* relay.c */
/* Is there room upwards for a message from below? None is taken while there is no upstream. */
bool mux_relay_has_room(const struct mux *mux);
/* A message from a link with bundles: passes it on if it may. Returns its bytes. */
size_t mux_relay_up(struct mux_link *link, const struct mux_frame *frame,
                    enum mux_message_kind kind);
/* A message from the upstream, which takes bundles. */
void mux_relay_down(struct mux *mux, const struct mux_frame *frame, enum mux_message_kind kind);
/* Says upwards that the link's connection is gone, if streams came by it. */
void mux_relay_lose(struct mux_link *link);
/* Asks all links with bundles where their streams are. */
void mux_relay_ask_below(struct mux *mux);

/* beat.c: of any mux; nothing is done unless mux_takes_bundles() */
void mux_beat_init(struct mux *mux);
/* A link with bundles has been welcomed. */
void mux_beat_open(struct mux_link *link);
/* Something came from the upstream; something goes there. */
void mux_beat_heard(struct mux *mux);
void mux_beat_sent(struct mux *mux);
/* The beat, if one is to be sent upwards; 0: none. */
size_t mux_beat_take(struct mux *mux, uint8_t out[MUX_HELLO_PACKET_BYTES]);
/* A packet from below. False: it is no beat of the node there. */
bool mux_beat_handle(struct mux_link *link, const struct mux_packet *packet);
/* NULL, or why the node at this link, which has said hello, is not taken now. */
const char *mux_beat_refuses(const struct mux_link *link);
void mux_beat_run(struct mux *mux);
/* This node did not run: whoever was silent meanwhile is not judged by that. */
void mux_beat_slept(struct mux *mux, uint64_t now_ns);
uint64_t mux_beat_deadline_ns(const struct mux *mux);

/* handshake.c */
void mux_handshake_init(struct mux *mux);
/* Fills in this node's answer to a hello, but for the secret. */
void mux_handshake_fill_answer(const struct mux *mux, struct mux_hello *answer);
/* The hello or goodbye, if one is to be sent. */
const struct mux_gather *mux_handshake_take(struct mux *mux);
/* Does it take packets now? */
bool mux_handshake_sends_packets(const struct mux *mux);
/* The upstream was lost. */
void mux_handshake_lost(struct mux *mux);
/* Handles a packet from the upstream that is part of the handshake. False: it is not. */
bool mux_handshake_handle(struct mux *mux, const struct mux_packet *packet);
uint64_t mux_handshake_deadline_ns(const struct mux *mux);
/* The upstream, if packets go there, is to be closed; why: a clause. */
void mux_handshake_give_up(struct mux *mux, const char *why);

/* down.c */
bool mux_down_init(struct mux *mux, struct mux_room store, struct mux_room blocks);
void mux_down_fini(struct mux *mux);
void mux_down_run(struct mux *mux, uint64_t now_ns);
/* The upstream was lost: another one cannot complete the packet that is half received. */
void mux_down_cut(struct mux *mux, uint64_t now_ns);
/*
 * Queues a packet of this node's own for a link. False: it has no way down for packets, or there is
 * no memory.
 */
bool mux_down_queue(struct mux_link *link, const struct mux_pieces *packet);
/* The same, but not while it is behind, or has ended. */
bool mux_down_offer(struct mux_link *link, const struct mux_pieces *packet);
/* Frees a link's queue; returns how many bytes were in it. */
size_t mux_down_drop(struct mux_link *link);

#endif
