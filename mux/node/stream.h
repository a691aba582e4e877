/*
 * A leaf's stream: the packets that enter a tree at this node, numbered by their bytes, cut into
 * records, and kept until the end's sink has them. A pure state machine of the reliable protocol
 * (rules 6, 8 to 10, 13 to 19, 38): packets, acknowledgements and times come in; `where` and
 * bundles go out when the owner has room for them. It is for nodes without a sink above a node
 * that says `bundles=1`; spool files will take records from it, too.
 *
 * The owner gives the memory, keeps it, and frees it. Nothing allocates or blocks.
 */
#ifndef MUX_STREAM_H
#define MUX_STREAM_H

#include "mux/node/message.h"
#include "mux/node/spool.h"

/* A record is a single packet, or up to what the way up takes in 10 ms, within these limits. */
#define MUX_STREAM_RECORD_LEAST_BYTES 3900
#define MUX_STREAM_RECORD_MOST_BYTES 65536

/* Under load a record is cut when its first packet has waited for so long. */
#define MUX_STREAM_FLUSH_NS UINT64_C(5000000)

/* What a record costs in the window beside its bytes. */
#define MUX_STREAM_RECORD_COST_BYTES 64

/* Never sent: who came so far begins a new stream. */
#define MUX_STREAM_EPOCH_NONE UINT32_MAX

/* Cut once: what goes again has the same offset, bytes and CRC. */
struct mux_stream_record {
    uint64_t offset;
    uint32_t crc; /* of all before it */
    struct mux_bundle_run content;
};

enum mux_stream_state {
    MUX_STREAM_NEW,    /* it has nothing, or is to ask under a new epoch */
    MUX_STREAM_ASKING, /* `where` waits for its answer */
    MUX_STREAM_OPEN,   /* bundles go */
    MUX_STREAM_FORKED, /* somebody else goes on under its id: it waits for another */
};

/* Of the memory, how much; and the waits. */
struct mux_stream_limits {
    size_t window_bytes; /* packets are taken while less than that is not safe */
    uint64_t stall_ns;   /* the first wait for an answer or for progress */
    uint64_t wait_most_ns;
    bool saves_memory; /* small packets touch little more of the ring than the window; behind a
                          large one nothing is taken until all is safe */
};

/* What may be added at once when there is room: all that a frame becomes, with some of the owner.
 */
#define MUX_STREAM_ADD_MOST_BYTES (MUX_PACKET_MAX_BYTES + ((size_t)1 << 20))
#define MUX_STREAM_ADD_MOST_PACKETS 24

/* More than that is added at once by large packets only. */
#define MUX_STREAM_ADD_USUAL_BYTES ((size_t)128 << 10)

/* The ring of bytes, and that of records, for a window. */
#define MUX_STREAM_RING_BYTES(window) \
    ((window) + MUX_STREAM_ADD_USUAL_BYTES + MUX_STREAM_ADD_MOST_BYTES)
#define MUX_STREAM_RECORDS(window) \
    ((window) / MUX_STREAM_RECORD_COST_BYTES + MUX_STREAM_ADD_MOST_PACKETS + 2)

struct mux_stream {
    uint8_t id[MUX_STREAM_ID_BYTES];
    struct mux_stream_limits limits;
    enum mux_stream_state state;
    uint32_t epoch;
    uint64_t base; /* all before is forgotten */
    uint32_t base_crc;
    uint64_t safe;     /* the end's sink has all before: that is base, or a place further on that
                          only the spool knows */
    bool has_spool;    /* memory may begin behind base */
    uint64_t spooled;  /* all before is in the spool, or was safe before that */
    bool is_earlier;   /* of an earlier life: no memory, and the spool may be torn */
    bool must_compare; /* the record at position, with what the end has before it: */
    uint32_t compare_crc;
    uint64_t position; /* the next offset to be sent */
    uint64_t len_bytes;
    uint32_t crc;              /* of all that was cut */
    struct mux_bundle_run cut; /* what stands behind it and is no record yet */
    uint64_t cut_ns;           /* when its first packet came */
    uint32_t record_most_bytes;
    bool is_final;         /* nothing is added any more */
    bool where_is_due;     /* to be given to the owner */
    bool where_waits;      /* one that was given is still in the owner's queue */
    uint64_t lent_from;    /* what stands behind it is in the hands of who sends it */
    uint64_t written_from; /* and of who writes it to the spool */
    bool is_probing;       /* asks while it is open: has the end all before `probe`? */
    uint64_t probe;
    uint64_t asked_ns; /* when `where` became due, or went */
    uint64_t moved_ns; /* when safe moved, or the oldest unsafe byte was sent */
    uint64_t wait_ns;
    struct mux_room ring;
    size_t round_bytes;   /* so much of it is filled round and round */
    uint64_t round_from;  /* the byte at this offset is at its front */
    uint64_t beside_from; /* from this offset on bytes lie behind that part; UINT64_MAX: none do */
    size_t add_at;        /* where the next packet goes in the ring */
    struct mux_stream_record *records;
    size_t records_max, first, count;
};

/*
 * `ring` has MUX_STREAM_RING_BYTES(window), `records` MUX_STREAM_RECORDS(window). Time in
 * nanoseconds, of a monotonic clock.
 */
void mux_stream_init(struct mux_stream *stream, const uint8_t id[MUX_STREAM_ID_BYTES],
                     const struct mux_stream_limits *limits, struct mux_room ring,
                     struct mux_stream_record *records);

/*
 * ---- with a spool ----
 */

/* Of a new one: from now on its owner has what is cut written to a spool. */
void mux_stream_use_spool(struct mux_stream *stream);

/* A stream of an earlier life as its spool has it: nothing is added. */
struct mux_stream_extent {
    uint64_t base, len_bytes;
    uint32_t base_crc, crc; /* of all before each of them */
};
void mux_stream_init_earlier(struct mux_stream *stream, const uint8_t id[MUX_STREAM_ID_BYTES],
                             const struct mux_stream_limits *limits,
                             const struct mux_stream_extent *extent);

/* The first record in memory that does not begin before this offset. False: there is none. */
bool mux_stream_record(const struct mux_stream *stream, uint64_t from,
                       struct mux_stream_record *record, struct mux_span spans[2]);

/* Who writes it has memory from this offset on. UINT64_MAX: no more. */
void mux_stream_writes(struct mux_stream *stream, uint64_t from);

/* All before is in the spool: it may leave memory. */
void mux_stream_spooled(struct mux_stream *stream, uint64_t to);

/* Where memory begins: what stands before it is only in the spool. */
uint64_t mux_stream_memory_from(const struct mux_stream *stream);

/* What stands before it is in no file any more; `to` is a record's begin, and safe. */
void mux_stream_rebase(struct mux_stream *stream, uint64_t to, uint32_t crc);

/*
 * What stands between its position and this record is not in the spool, or was sent as plain
 * packets: it goes on there. mux_stream_leap() also asks anew; false: not before all is safe that
 * it has sent.
 */
void mux_stream_skip(struct mux_stream *stream, uint64_t to, uint32_t crc);
bool mux_stream_leap(struct mux_stream *stream, uint64_t to, uint32_t crc);

/* It is to be sent from its base on. */
void mux_stream_rewind(struct mux_stream *stream);

/* What follows its position in the spool was written by another: it is to be forked. */
bool mux_stream_part(struct mux_stream *stream, uint32_t crc);

/* Bytes that are neither safe nor in the spool. */
uint64_t mux_stream_unspooled_bytes(const struct mux_stream *stream);

/*
 * ---- for all ----
 */

/* What the way up took in the last 10 ms. */
void mux_stream_set_rate(struct mux_stream *stream, size_t bytes_per_10ms);

/*
 * The memory of what was given stays as it is from this offset on, even when that is safe:
 * somebody is sending from it. UINT64_MAX: all is back.
 */
void mux_stream_lend(struct mux_stream *stream, uint64_t from);

/*
 * May packets be added, MUX_STREAM_ADD_MOST_BYTES and _PACKETS at most? False: back-pressure, until
 * an acknowledgement, or for good.
 */
bool mux_stream_has_room(const struct mux_stream *stream);

/* Is there memory for one more of this length, even without room? */
bool mux_stream_fits(const struct mux_stream *stream, size_t len_bytes);

/*
 * Copies a whole packet with a right CRC, of at most MUX_BUNDLE_CONTENT_MAX_BYTES:
 * mux_bundle_split() is for longer ones.
 */
void mux_stream_add(struct mux_stream *stream, const struct mux_pieces *packet, uint64_t now_ns);

/* Where such a packet may be written in one piece, and that it was. */
struct mux_room mux_stream_room(const struct mux_stream *stream);
void mux_stream_filled(struct mux_stream *stream, size_t len_bytes, uint64_t now_ns);

/* Bytes that are not safe. */
uint64_t mux_stream_held_bytes(const struct mux_stream *stream);

/*
 * The oldest record goes as plain packets: it is forgotten. False: there is none. The stream is of
 * no use after this: see mux_stream_init().
 */
bool mux_stream_take_plain(struct mux_stream *stream, struct mux_span spans[2]);

/* Nothing is added from now on: the end is told the length. */
void mux_stream_finish(struct mux_stream *stream);

/* All of it is safe, and the end knows that nothing will be added. */
bool mux_stream_is_done(const struct mux_stream *stream);

/* There is another upstream, or who is above says `ask`. What was queued to the old one is gone. */
void mux_stream_ask_anew(struct mux_stream *stream);

/* An acknowledgement of this stream. It may fork it. */
void mux_stream_acked(struct mux_stream *stream, const struct mux_ack *ack, uint64_t now_ns);

/* Of a forked stream: what is not safe goes on under this id. */
void mux_stream_fork(struct mux_stream *stream, const uint8_t id[MUX_STREAM_ID_BYTES]);

/* When mux_stream_tick() has something to do; UINT64_MAX: not before something else happens. */
uint64_t mux_stream_deadline(const struct mux_stream *stream);
void mux_stream_tick(struct mux_stream *stream, uint64_t now_ns);

/* A `where` that was given begins to wait in the owner's queue; and it went, or was dropped. */
void mux_stream_where_queued(struct mux_stream *stream);
void mux_stream_where_left(struct mux_stream *stream, uint64_t now_ns);

enum mux_stream_step {
    MUX_STREAM_NOTHING,
    MUX_STREAM_WHERE,
    MUX_STREAM_BUNDLE,
    MUX_STREAM_SPOOLED, /* the record at its position is to be read: mux_stream_give_spooled() */
};

/* What is to be sent. The spans are good until the record is safe. */
struct mux_stream_out {
    struct mux_where where;
    struct mux_bundle bundle;
    struct mux_bundle_run content;
    struct mux_span spans[2]; /* the content; the second may be empty */
};

/* Has it something to send, even when the way up is not idle? */
bool mux_stream_has_next(const struct mux_stream *stream);

/*
 * The next message for the upstream, which is connected and has room. `is_idle`: nothing waits for
 * it, so a record that is begun goes at once.
 */
enum mux_stream_step mux_stream_next(struct mux_stream *stream, bool is_idle, uint64_t now_ns,
                                     struct mux_stream_out *out);

/*
 * The record that the spool has at its position, as a bundle but for the spans. False: it is not
 * what the end has before it, and the stream is forked.
 */
bool mux_stream_give_spooled(struct mux_stream *stream, const struct mux_spool_record *record,
                             uint64_t now_ns, struct mux_stream_out *out);

#endif
