/*
 * The mux: the links of one node below, its upstream above. Whole packets go up, interleaved fairly
 * by bytes (deficit round robin), in order within a link, each with its link's segment in front of
 * the route code. What comes down goes to the link that the first segment names, and that segment
 * is cut.
 *
 * The mux makes no system call and reads no clock. Its owner gives it received bytes, the time, and
 * reports of what was sent. It gives the owner gather lists to send, says which links are to be
 * received from, and when it wants to be called next. It holds received buffers while it uses them
 * and releases them by mux_buffer_release().
 *
 * All memory is allocated by mux_create(), none per packet or per link. One thread; nothing blocks.
 */
#ifndef MUX_MUX_H
#define MUX_MUX_H

#include "mux/buffer.h"
#include "mux/node/counters.h"
#include "mux/node/hello.h"
#include "mux/node/spooler.h"

struct mux;
struct mux_link;

/*
 * Changes what goes up from workers, before it leaves: packets, chatter and damage as packets. Each
 * call may give any number of packets, in this order, by mux_edit_give(), and must not call the mux
 * otherwise. Tests in progress and results are noted before: it cannot hide a test's end from this
 * node, only from the upstream.
 */
struct mux_edit;
struct mux_editor {
    void *user;
    /*
     * A packet came from this link. It may be given as it is, changed, or not at all. The bytes of
     * its file's content may be changed where they lie.
     */
    void (*packet)(void *user, void *link_user, struct mux_packet *packet, struct mux_edit *edit);
    /* Nothing more comes from this link but the failures of its tests. */
    void (*ended)(void *user, void *link_user, struct mux_edit *edit);
    /* A test that was in progress when its link ended has failed; the packet says so. */
    void (*failed)(void *user, void *link_user, struct mux_packet *packet, struct mux_edit *edit);
};

/*
 * Sends a packet up. What lies in the packet that the editor was shown may be sent from there;
 * beyond that, one call gives at most MUX_EDIT_PACKETS packets of MUX_EDIT_BYTES in all. Strings
 * must be UTF-8 without NUL. One that is too large for a packet goes as two.
 */
#define MUX_EDIT_PACKETS 20
#define MUX_EDIT_BYTES ((size_t)256 << 10)
void mux_edit_give(struct mux_edit *edit, const struct mux_packet *packet);

/* Sends the packet that the editor was shown, of which nothing was changed. Costs less. */
void mux_edit_pass(struct mux_edit *edit);

/* What the owner does with a packet from above that it is shown first. */
enum mux_taking {
    MUX_TAKES_NOT, /* it goes its way */
    MUX_TAKES,
    MUX_TAKES_LATER, /* it is shown again in a later mux_run(); the way down waits until then */
};

enum mux_segment_by {
    MUX_SEGMENT_BY_NUMBER, /* 0, 1, 2, ... */
    MUX_SEGMENT_BY_HOST,   /* HOST, HOST.1, HOST.2, ... */
};

/* Least config.memory: one slot, the way down's store, the batches. */
#define MUX_MEMORY_MIN_BYTES ((size_t)12 << 20)

/* And for config.window_bytes so many more. */
#define MUX_WINDOW_MEMORY_BYTES(window) ((window) ? MUX_STREAM_RING_BYTES(window) : 0)

/* And with a spool. */
#define MUX_SPOOL_MEMORY_BYTES (MUX_SPOOL_TAPS * MUX_SPOOL_TAP_BYTES)

struct mux_config {
    struct mux_room memory; /* batches, slots, window, queues for the way down; outlives the mux */
    unsigned links_max;     /* most links at a time */
    unsigned inputs_max;    /* most received buffers that the mux is ever lent at a time */
    size_t input_bytes_max; /* most bytes in one of them; at most MUX_INPUT_MAX_BYTES */
    size_t reference_least_bytes; /* shortest piece that is sent from where it lies, not copied */
    unsigned gather_max;          /* most spans in a gather list; at least MUX_GATHER_MIN */
    enum mux_segment_by segment_by;
    uint64_t hash_key;      /* random and secret: peers choose the names in tables */
    uint64_t secret[2];     /* random and secret: the proofs of nodes below are made with it */
    struct mux_hello hello; /* this node's, for the upstream */
    bool upstream_is_node;  /* it is sent hello and goodbye */
    size_t window_bytes;    /* 0: this node takes no bundles. Else of its own packets so many bytes
                               are kept until the end of the tree has them */
    bool window_saves_memory;      /* touches no more memory than window_bytes, if packets are not
                                      large, and takes less at a time */
    uint64_t ack_ns;               /* an end says so late at the latest what it has; 0: as an end
                                      of large streams does. Who leaves waits for it */
    struct mux_spool_limits spool; /* most_bytes 0: there is none. Else the owner carries out
                                      mux_spool_take(); with window_bytes only */
    bool is_quiet;                 /* it is not logged that all is well */
    uint64_t node_grace_ns;        /* how long the segment and tests of a lost node wait for it */
    bool clock_correct;            /* timestamps become the upstream's time: see mux_set_wall() */
    bool clock_stamp;              /* packets without a timestamp get one */
    void *user;
    /*
     * NULL, or the owner takes the packets: there is no upstream, and mux_upstream_take() returns
     * NULL. The packet's route is as it came from the link, without the link's segment. `link`
     * NULL: the route is whole; it is a message of this node's own, or came in a bundle, and then
     * it is acknowledged by mux_sink_safe(). Everything in it was checked. Its spans are valid
     * until the sink returns. False: not now. The packet is offered again after mux_sink_ready();
     * until then links wait, as for an upstream that takes nothing. Must not call the mux.
     */
    bool (*sink)(void *user, struct mux_link *link, const struct mux_packet *packet);
    /* NULL, or edits what comes from links that are no nodes. Outlives the mux. Not with a sink,
       nor with clock_correct or clock_stamp. */
    const struct mux_editor *editor;
    /*
     * NULL, or the owner is shown each packet from the upstream that is for nodes (its file is
     * "muxd" or begins with "muxd."), or has a test id, as input for one job has; with the route as
     * it came. Its spans are valid until this returns. Must not call the mux but to ask about links
     * and obstacles.
     */
    enum mux_taking (*take)(void *user, const struct mux_packet *packet);
    /*
     * NULL, or is asked about each packet that a link which is no node sends with a file of nodes
     * ("muxd", "muxd.") and with neither test id nor status. True: it is not passed on, and the
     * owner counts and says that. Its spans are valid until this returns. Must not call the mux but
     * to ask about links.
     */
    bool (*refuse)(void *user, struct mux_link *link, const struct mux_packet *packet);
    /*
     * NULL, or hears that a node below a node link has ended, is given up or has come another way.
     * The route is without the link's segment and valid until this returns. `link` NULL: it is
     * whole, of a node that sends bundles: that has ended, or was unreachable for the grace. Must
     * not call the mux.
     */
    void (*gone)(void *user, struct mux_link *link, struct mux_span route);
    /*
     * NULL, or hears that a node which sends bundles has said where it is: packets that were sent
     * down to it before may be lost. The route is whole, and valid until this returns. Perhaps
     * repeatedly. Must not call the mux.
     */
    void (*came)(void *user, struct mux_span route);
    /* NULL, or says whether our kernel has bytes of this link that were not received yet. */
    bool (*unread)(void *user, void *link_user);
    /*
     * NULL, or why a bare link gets nothing from above: a clause. Such packets are dropped and
     * counted; upwards it is said once.
     */
    const char *input_refusal;
    void (*log)(void *user, const char *line); /* one line, which may contain a peer's bytes as they
                                                  came; must not call the mux */
};

/* The largest received buffer. */
#define MUX_INPUT_MAX_BYTES 1048576

/* A gather list has room for what one frame becomes. */
#define MUX_GATHER_MIN 64
/* The least config.gather_max with an editor. */
#define MUX_EDIT_GATHER_MIN 480

/* NULL: out of memory, or config.memory is below MUX_MEMORY_MIN_BYTES. */
struct mux *mux_create(const struct mux_config *config);

/* Frees it. Buffers that it holds are released. Nothing that it handed out may be in flight. */
void mux_destroy(struct mux *mux);

/* The mux writes them; the owner adds what only it can count. */
struct mux_counters *mux_counters_of(struct mux *mux);

/*
 * Most connections from below at a time: config.links_max places; as many again for known nodes,
 * which return to their segments even when all places are taken; and a few that have not said which
 * of the two they are.
 */
#define MUX_SPARE_CONNECTIONS 64
static inline unsigned mux_connections_max(unsigned links_max) {
    return 2 * links_max + MUX_SPARE_CONNECTIONS;
}

/*
 * ---- links ----
 */

/* What a link's bytes are. */
enum mux_link_kind {
    MUX_LINK_ANY,    /* a worker's stream, or a node's, which begins with a hello */
    MUX_LINK_WORKER, /* subunit; everything else becomes file "stdout" */
    MUX_LINK_STDERR, /* text, whatever it looks like: it becomes file "stderr" */
    MUX_LINK_NODE,   /* a node's stream; a link that does not begin with a hello is refused */
};

/* A new connection. `peer` is for log lines, `host` ("" if none) for segments; both are copied. */
struct mux_link_config {
    const char *peer;
    const char *host;
    bool way_down; /* bytes can be sent to it */
    void *user;
    enum mux_link_kind kind;
    /*
     * No segment: its packets keep their routes. A packet from above without a route that is not
     * for this node itself goes to this link. Only for WORKER and STDERR, and one with a way down
     * at a time.
     */
    bool is_bare;
    /* What goes down is not packets but the contents of their files, as to a process's stdin. */
    bool is_raw;
    /*
     * NULL, or its segment, from now on; copied. No other link has it at this time, which is the
     * owner's affair: one whose links all have given segments may use them again.
     */
    const char *segment;
};

/*
 * NULL: there is no room for another one. A link has no segment before its first byte. When all of
 * config.links_max are taken, only a known node may come in.
 */
struct mux_link *mux_link_open(struct mux *mux, const struct mux_link_config *config);

/* The link that has this segment, away ones included. NULL: none has. */
struct mux_link *mux_link_find(const struct mux *mux, struct mux_span segment);

/* The owner's pointer, and the segment ("" before the first byte). */
void *mux_link_user(const struct mux_link *link);
const char *mux_link_segment(const struct mux_link *link);

/* Bytes from the link, in order. One reference to `buffer` passes to the mux. */
void mux_link_received(struct mux_link *link, struct mux_buffer *buffer, struct mux_span bytes,
                       uint64_t now_ns);

/* The link is to be received from, but its transport has no buffer for it: see mux_link_offer(). */
void mux_link_starved(struct mux_link *link);

/* `len` bytes were received into the room from mux_link_offer(). The offer is over. */
void mux_link_filled(struct mux_link *link, size_t len, uint64_t now_ns);

/*
 * No more comes from the link. When all that came is used up it is finished: see
 * mux_link_finished(). Its tests in progress are reported failed with `reason`, a clause for
 * people: "killed by SIGSEGV".
 */
void mux_link_ended(struct mux_link *link, const char *reason);

/*
 * The connection is gone and none of its memory is in flight: the handle must not be used after
 * this. Only of a finished link; what it sent and was not used up is dropped. (A node's link lives
 * on inside: see config.node_grace_ns.)
 */
void mux_link_close(struct mux_link *link);

/*
 * The links whose answers to the questions below may have changed, each once; then NULL. To be
 * called after every round of other calls.
 */
struct mux_link *mux_next_attention(struct mux *mux);

/* Should this link be received from? When not, its worker feels back-pressure. */
bool mux_link_wants_receive(const struct mux_link *link);

/*
 * Of a starved link: offers room to receive the next bytes into; {NULL, 0}: none. The mux does not
 * touch that room until mux_link_filled(), mux_link_received(), mux_link_ended() or
 * mux_link_close() is called. Links that wait for a slot may hold all buffers: then a link that
 * owns a slot can go on only by this offer, and any other by room for a few packets in its small
 * store.
 */
struct mux_room mux_link_offer(struct mux_link *link);

/*
 * Not NULL: the mux wants the connection to be closed, and why, as a clause. (It owns a slot that
 * others wait for and delivers too little; it is a node that is not understood or has connected
 * again; all places are taken.) Unless it was refused, what it sent so far is forwarded.
 */
const char *mux_link_close_reason(const struct mux_link *link);

/*
 * What is to be sent to it, or is in flight, says why it is refused or turned away: its connection
 * is closed after that, though all that it sent is dealt with.
 */
bool mux_link_has_last_words(const struct mux_link *link);

/* Is it a node that sends bundles here? */
bool mux_link_has_bundles(const struct mux_link *link);

/* It is to be closed because all of config.links_max are taken. */
bool mux_link_turned_away(const struct mux_link *link);

/* All that it sent is on its way up: the connection can be closed. */
bool mux_link_finished(const struct mux_link *link);

/*
 * Of a raw link: a packet with `eof` came down and everything before it was sent. Its stdin can be
 * closed.
 */
bool mux_link_input_ended(const struct mux_link *link);

/*
 * Nothing can be sent to it any more, and none of what was queued is in flight: that is dropped and
 * counted. (A process has closed its stdin.)
 */
void mux_link_deafen(struct mux_link *link);

/* What to send to this link now; NULL: nothing, or a send is in flight. */
const struct mux_gather *mux_link_take(struct mux_link *link);

/* It was sent whole; its memory is the mux's again. */
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

/* What a link waits for before it can continue. */
enum mux_link_wait {
    MUX_WAIT_NOTHING,
    MUX_WAIT_SLOT,        /* memory for a large packet */
    MUX_WAIT_UPSTREAM,    /* room in a batch, the batch in flight, or a buffer that it holds */
    MUX_WAIT_SINK,        /* the sink said "not now" */
    MUX_WAIT_PREDECESSOR, /* its node's older connection has not ended */
    MUX_WAIT_READER,      /* it does not read what is sent to it */
};

/* A clock compared with this node's time of day. */
struct mux_clock_stats {
    enum mux_clock_basis {
        MUX_CLOCK_UNKNOWN,
        MUX_CLOCK_MEASURED,  /* by question and answer */
        MUX_CLOCK_ESTIMATED, /* from the arrival of its timestamps */
        MUX_CLOCK_RECORDED,  /* none: its timestamps are older than the stream */
    } basis;
    int64_t ahead_ns;  /* MEASURED, ESTIMATED: the other clock is ahead by this */
    uint64_t error_ns; /* MEASURED: by at most that more or less */
    bool is_shifted;   /* ESTIMATED: the link's timestamps are corrected by it */
};

struct mux_link_stats {
    const char *peer;
    const char *node_name; /* "": not a node */
    enum mux_link_standing standing;
    enum mux_link_wait wait;
    bool has_slot; /* others may be waiting for it */
    uint64_t received_bytes, received_packets;
    uint64_t sent_down_bytes; /* taken by its connection */
    uint64_t queued_down_bytes;
    uint64_t tests;            /* in progress */
    uint64_t oldest_age_ns;    /* of the test that began first, by the clock of mux_run() */
    struct mux_span oldest_id; /* data == NULL: there is none whose name is known */
    struct mux_span oldest_route;
    struct mux_clock_stats clock; /* of a node as it has said itself */
};

/* The names are valid until the next call on this mux. */
void mux_link_stats(const struct mux_link *link, struct mux_link_stats *stats);

/*
 * Iterates over all links, away ones included, in a fixed order. `after` NULL: returns the first.
 * NULL: the end. A link that is opened meanwhile may be missed; `after` may have been closed.
 */
struct mux_link *mux_link_next(const struct mux *mux, const struct mux_link *after);

/*
 * ---- the upstream ----
 */

/*
 * The upstream was reached (again). A node is sent a hello and gets packets when it has answered.
 * `may_be_other`: a node other than the previous one is accepted, for that one is gone.
 */
void mux_upstream_connected(struct mux *mux, bool may_be_other);

/* Did another node answer than the previous one? */
bool mux_upstream_is_other(const struct mux *mux);

/* Has it said last that it takes bundles? Then nothing is in doubt: what is lost comes again. */
bool mux_upstream_takes_bundles(const struct mux *mux);

/* Does it take packets? It is not a node, or has answered. */
bool mux_upstream_accepted(const struct mux *mux);

/* Not NULL: it is to be closed because it does not answer as a node does; why, as a clause. */
const char *mux_upstream_close_reason(const struct mux *mux);

/* It has said that it ends: it takes nothing more, and its connection is to be finished. */
bool mux_upstream_sent_off(const struct mux *mux);

/* The next gather list to send up; NULL: nothing, or one is in flight. */
const struct mux_gather *mux_upstream_take(struct mux *mux);

/* The list in flight was sent whole. */
void mux_upstream_sent(struct mux *mux);

/*
 * The upstream was lost. It had taken `sent_bytes` of the list in flight, if there was one: the
 * packet in which that ends and all after it will be sent again. A packet that was received in part
 * is dropped and counted.
 */
void mux_upstream_lost(struct mux *mux, uint64_t sent_bytes, uint64_t now_ns);

/* Bytes from the upstream. One reference to `buffer` passes to the mux. */
void mux_upstream_received(struct mux *mux, struct mux_buffer *buffer, struct mux_span bytes);

/* Should the upstream be received from? Not while a packet waits for room in a link's queue. */
bool mux_upstream_wants_receive(const struct mux *mux);

/*
 * Nothing more will be sent up: a node upstream is sent a goodbye. True: that is to be taken or in
 * flight, or the hello is not answered yet.
 */
bool mux_upstream_leave(struct mux *mux);

/*
 * ---- the end of bundles: what its owner keeps beside a file, to go on after a crash ----
 *
 * journal.h has the records. Before a batch is written its record is; by mux_state_record() a
 * journal begins anew, when nothing is on its way. Only mux_upstream_holds() is for a mux that is
 * no end, too.
 */

/* MUX_STREAM_ID_BYTES. */
const uint8_t *mux_end_identity(const struct mux *mux);

/* Is what mux_upstream_take() has given no batch, or one whose record was made before? */
bool mux_flight_is_recorded(struct mux *mux);

/*
 * Its record, in `room`, which has MUX_JOURNAL_RECORD_HEAD_BYTES; data NULL: that is not enough,
 * and nothing has changed. *output_bytes: the output's length before it by the records; then behind
 * it.
 */
struct mux_span mux_flight_record(struct mux *mux, struct mux_room room, uint64_t *output_bytes);

/* The record could not be kept: it will be made again. */
void mux_flight_unrecord(struct mux *mux);

/*
 * What the records say that is to come in the output, and was not sent: so much shorter it is than
 * they say.
 */
uint64_t mux_recorded_unsent_bytes(const struct mux *mux);

/* A journal's first record: all streams, and the tests in progress. As above. */
struct mux_span mux_state_record(struct mux *mux, struct mux_room room, uint64_t output_bytes);

/* Nothing is taken from below: so all that is on its way will have been sent. */
void mux_upstream_hold(struct mux *mux, bool holds);
bool mux_upstream_holds(const struct mux *mux);

/*
 * At the start, what the journal and the output say: the end's id; each stream; then in order what
 * began or ended a test. Then tests of workers that were connected to this node itself fail.
 */
void mux_restore_identity(struct mux *mux, const uint8_t id[MUX_STREAM_ID_BYTES]);
bool mux_restore_stream(struct mux *mux, const uint8_t id[MUX_STREAM_ID_BYTES], struct mux_span pin,
                        uint64_t at, uint32_t crc);
void mux_restore_packet(struct mux *mux, const struct mux_packet *packet);
void mux_restored(struct mux *mux, uint64_t next_segment);

/* Bytes of packets that are to be sent up, those in flight included. */
uint64_t mux_upstream_pending_bytes(const struct mux *mux);

/* Of them, those that the spool keeps if this node ends now. */
uint64_t mux_upstream_spooled_bytes(const struct mux *mux);

/* Is all that is to be sent up news (mux_add_news())? */
bool mux_upstream_pending_is_news(const struct mux *mux);

/* Bytes from the upstream that are not in a link's queue yet. */
uint64_t mux_down_pending_bytes(const struct mux *mux);

/*
 * From now on `output` is shown all output on its way up: packets with a file and without a test
 * id. NULL: no more. Its user is config.user; `link` NULL: a message of this node's own. As for a
 * sink, the route is without the link's segment and the spans are valid until it returns. The
 * strings of a node's packets were not checked here. Must not call the mux.
 */
typedef void mux_output(void *user, struct mux_link *link, const struct mux_packet *packet);
void mux_show_output(struct mux *mux, mux_output *output);

/*
 * ---- the spool: what the end does not have, in files that the owner reads and writes ----
 */

/* A file of an earlier life, before anything else: see mux_spooler_add_file(). */
bool mux_spool_found(struct mux *mux, const struct mux_spool_head *head, uint64_t len_bytes);

/* What is to be done with a file, one at a time; NULL: nothing now. After each mux_run(). */
const struct mux_spool_op *mux_spool_take(struct mux *mux);

/* What came of it: see mux_spooler_done(). A mux_run() follows. */
void mux_spool_done(struct mux *mux, size_t bytes, const char *why);

/* Is one underway? */
bool mux_spool_is_busy(const struct mux *mux);

/* There is no spool; or all that is not acknowledged is in it, as safely as its limits ask for. */
bool mux_spool_is_settled(const struct mux *mux);

/* What a leaf holds. All 0: it is none. */
struct mux_leaf_stats {
    uint64_t window_bytes;  /* of packets that are in no spool and not acknowledged */
    uint64_t unsafe_bytes;  /* of this life's packets that are not acknowledged */
    uint64_t oldest_age_ns; /* how long nothing of them has been acknowledged; 0: there are none */
    uint64_t spool_bytes;   /* of all files */
    unsigned earlier_streams; /* of earlier lives, that wait or are being sent */
    bool is_spool_full;
    const char *spool_refusal; /* why the disk takes nothing; "": it does */
};
void mux_leaf_stats(const struct mux *mux, struct mux_leaf_stats *stats);

/*
 * ---- packets of the owner ----
 */

/* The sink may take packets again: the next mux_run() offers them. */
void mux_sink_ready(struct mux *mux);

/*
 * All that the sink has taken is kept: what came of it in bundles is acknowledged. To be called
 * again and again by the owner of a sink with config.window_bytes.
 */
void mux_sink_safe(struct mux *mux);

/*
 * Sends a packet up as if `link` had sent it: behind what of it is on its way already, with its
 * segment, and as a test's status if it is one. `link` NULL: as this node's own, of whose tests in
 * progress another upstream is told, too. False: not now; to
 * be called again after the next mux_run(). True: it is queued, or the sink took it; or it is
 * larger than MUX_ADD_UP_MAX_BYTES and was dropped, which is counted and logged. Strings must be
 * UTF-8 without NUL. Everything is copied.
 */
#define MUX_ADD_UP_MAX_BYTES 131072
bool mux_add_up(struct mux *mux, struct mux_link *link, const struct mux_packet *packet);

/*
 * The same, of this node's own, and of what only who is there now needs to know: when nothing else
 * is unacknowledged and nobody takes it, nothing is lost if the node ends.
 */
bool mux_add_news(struct mux *mux, const struct mux_packet *packet);

/*
 * Sends a packet down as if it came from the upstream: to the link that its first segment names,
 * without that segment. False: not now, for want of memory or because the link is behind with
 * reading; to be called again after the next mux_run(). True: it is queued; or it can never be and
 * was dropped, which is counted and reported as for a packet from the upstream. Strings must be
 * UTF-8 without NUL. Everything is copied.
 */
bool mux_add_down(struct mux *mux, const struct mux_packet *packet);

/*
 * Why a packet with this route cannot be sent down, as a clause: it is not UTF-8, no link has its
 * first segment, or that link takes nothing. NULL: it can, as far as this node knows.
 */
const char *mux_down_obstacle(const struct mux *mux, struct mux_span route);

/* Has the link of its first segment, if there is one, said no hello? */
bool mux_down_is_worker(const struct mux *mux, struct mux_span route);

/*
 * ---- time ----
 */

/*
 * The time of day is the clock of mux_run() plus this, nanoseconds since 1970. To be called before
 * mux_run(), when it has changed: the clock was set. Without it this node tells nobody the time,
 * and leaves timestamps alone.
 *
 * With it the node asks an upstream that is a node how far the two clocks are apart: with its
 * hello, and every minute. config.clock_correct: timestamps of packets are shifted by that, so that
 * those at the root of a tree of such nodes are in the root's time. A worker is not asked; when its
 * timestamps are far from the time of their arrival, and go by with the clock, they are taken as
 * those of a clock that is wrong, and shifted by what the smallest delay says. A packet with file
 * "muxd.clock" says so under its route.
 */
void mux_set_wall(struct mux *mux, int64_t ahead_ns);

/* Of the upstream. */
void mux_upstream_clock(const struct mux *mux, struct mux_clock_stats *clock);

/* Does what can be done with what was received. To be called after every round of other calls. */
void mux_run(struct mux *mux, uint64_t now_ns);

/* When mux_run() must be called at the latest; UINT64_MAX: there is no such time. */
uint64_t mux_deadline_ns(struct mux *mux);

/*
 * The node is about to end: nodes below are told, and end their streams after a whole packet, so
 * that nothing of them is lost.
 */
void mux_send_off(struct mux *mux);

/* Is a node that was told still connected? */
bool mux_awaits_nodes(const struct mux *mux);

/* The node ends: lost nodes are neither waited for nor reported any more. */
void mux_end(struct mux *mux);

/* Is there received input that is not used up? (It waits for room upstream, or for a slot.) */
bool mux_busy(const struct mux *mux);

/*
 * A link that owns a slot which others wait for, when nothing else can go on: the owner may close
 * it if it has no time to wait for the rest of its packet. NULL: there is none.
 */
struct mux_link *mux_stuck_slot_owner(const struct mux *mux);

/* Bytes from links that have not become packets: lost if the node ended now. */
uint64_t mux_unframed_bytes(const struct mux *mux);

#endif
