/*
 * An end's streams: where the packets of all leaves leave the tree. A pure state machine of the
 * reliable protocol (rules 20 to 26, 28, 32b, 35 to 37, 39 to 41) on top of known.h, which knows of
 * one stream: which are there, under which pin, by which path, who is lost, and whose tests have
 * failed by that. For a node with a sink, or below which `bundles=1` is spoken and above not.
 *
 * The owner asks it of each message that came up, with the segment of the link already in front of
 * its route; that is the path. It must have room in its sink before it asks about a bundle or
 * `where`. Of a bundle that is TAKEN it takes the packets off by mux_bundle_next(), writes each
 * with stream->prefix, calls mux_end_follow() with the packet under its new route, and puts them
 * into its sink. When the sink has them it says mux_end_safe(). Acknowledgements and verdicts are
 * pulled by mux_end_ack_next() and mux_end_verdict_next() when there is room for them. A stream
 * lives until the end forgets it: that never happens while something of it is in the sink (at >
 * safe).
 *
 * Memory is allocated when a stream opens or takes a longer path. Nothing blocks.
 */
#ifndef MUX_END_H
#define MUX_END_H

#include "mux/list.h"
#include "mux/node/known.h"
#include "mux/node/progress.h"

/* Most streams of an end; half of them below one of its links, so that one cannot take all. */
#define MUX_END_STREAMS 65536

/*
 * What is acknowledged soon: a window as small as that of mux exec, 384 KiB, is used again after 2
 * to 4 ms. After 1 ms it would be quicker, but a leaf of a flood of small packets had 8 % more to
 * do.
 */
#define MUX_END_SOON_BYTES (UINT64_C(256) << 10)
#define MUX_END_SOON_NS UINT64_C(2000000)

/* The grace runs in steps of at most that: who slept judges nobody. */
#define MUX_END_TICK_NS UINT64_C(200000000)

/* Who has ended, or was lost without tests: how long it is remembered at least, and at most. */
#define MUX_END_REMEMBERED_NS (UINT64_C(86400) * 1000000000)
#define MUX_END_REMEMBERED_MOST_NS (30 * MUX_END_REMEMBERED_NS)

enum mux_end_life {
    MUX_END_LOST,   /* its way was lost, or it was restored and has not come: its grace runs */
    MUX_END_LIVE,   /* its `where` came by `path` */
    MUX_END_JUDGED, /* its tests have failed or do now */
};

struct mux_end_stream {
    struct mux_known known;
    uint32_t safe_crc;
    enum mux_end_life life;
    bool is_final_judged; /* judged because all of it is there, not because of the grace */
    uint64_t said;        /* safe in the last acknowledgement */
    bool is_soon;         /* in which of the lists of those, if in one */
    uint64_t due_ns;      /* of the next one, if in a list of those */
    uint64_t lost_at_ns;  /* on the clock of the grace */
    uint64_t idle_ns;     /* since when, if in `idle` */
    struct mux_progress_list tests;
    struct mux_prefix prefix; /* of the pin */
    struct mux_span pin;
    struct mux_room path; /* data NULL: it has not come yet */
    uint32_t number;      /* for the owner: in its journal; 0 at first */
    struct mux_end_stream *next_of_id, *next_of_pin;
    struct mux_list entry, of_due, of_life, of_idle;
};

struct mux_end_config {
    uint8_t id[MUX_STREAM_ID_BYTES]; /* of this end */
    unsigned streams_max;            /* MUX_END_STREAMS, or fewer in tests */
    uint64_t grace_ns, late_ns;
    uint64_t hash_key;
    struct mux_progress *tests; /* has lists for so many streams */
};

struct mux_end {
    struct mux_end_config config;
    unsigned count;
    struct mux_end_stream **by_id, **by_pin;
    struct mux_list streams;    /* all, by when they opened */
    struct mux_list soon, late; /* whose acknowledgement is due, by when */
    struct mux_list lost;       /* by when they were lost */
    struct mux_list judged;     /* whose verdicts were not all taken */
    struct mux_list idle;       /* who may be forgotten, by since when */
    uint64_t ticked_ns, listened_ns;
    bool has_listened;
    uint64_t forgotten;
};

/* False: out of memory. The owner calls mux_end_fini() in any case. */
bool mux_end_init(struct mux_end *end, const struct mux_end_config *config, uint64_t now_ns);
void mux_end_fini(struct mux_end *end);

/* From the journal: a stream that is safe up to there, lost until it comes. NULL: no memory or
 * room, or the pin is not valid or another's. */
struct mux_end_stream *mux_end_restore(struct mux_end *end, const uint8_t id[MUX_STREAM_ID_BYTES],
                                       struct mux_span pin, uint64_t at, uint32_t crc);

enum mux_end_where {
    MUX_END_WHERE_OPENED,
    MUX_END_WHERE_TAKEN,
    MUX_END_WHERE_LATE, /* of an epoch before: answered, no more */
    MUX_END_WHERE_FULL, /* dropped, and to be said: too many streams, below that link or at all */
    MUX_END_WHERE_BAD,  /* dropped, and to be said: no pin can be made of its path */
};

struct mux_end_answer {
    enum mux_end_where found;
    struct mux_end_stream *stream; /* NULL: dropped */
    struct mux_ack ack;            /* goes down by the path of the `where` */
    struct mux_known_hole hole;    /* to be said; then the sink takes a mark up to known.at */
};
struct mux_end_answer mux_end_where(struct mux_end *end, struct mux_span path,
                                    const struct mux_where *where, uint64_t now_ns);

/* As mux_known_bundle(); DROPPED_ASK also when the stream is unknown. `ask` goes by its path. */
enum mux_known_verdict mux_end_bundle(struct mux_end *end, const struct mux_bundle *bundle,
                                      const struct mux_bundle_run *content,
                                      struct mux_end_stream **stream, uint64_t now_ns);

/* A packet of a stream, under its new route, before the end of the bundle is judged. */
void mux_end_follow(struct mux_end *end, struct mux_end_stream *stream,
                    const struct mux_packet *packet);

/* All packets of a bundle were followed. */
void mux_end_bundle_done(struct mux_end *end, struct mux_end_stream *stream, uint64_t now_ns);

/* A link was lost: all streams whose path is this one or begins with it and a '/'. */
void mux_end_lost(struct mux_end *end, struct mux_span path, uint64_t now_ns);

/* The sink keeps the stream up to there; `crc` is that of all before. */
void mux_end_safe(struct mux_end *end, struct mux_end_stream *stream, uint64_t at, uint32_t crc,
                  uint64_t now_ns);

/* A sink that forgets was lost: all that is not safe comes again. */
void mux_end_sink_lost(struct mux_end *end);

/*
 * Time passed; at least every MUX_END_TICK_NS while streams are lost. `listens`: it can take
 * packets now. Forgets who was idle for longest; `forgotten` counts all, to be said.
 */
void mux_end_tick(struct mux_end *end, bool listens, uint64_t now_ns);

/* The next acknowledgement whose time has come, and its path. False: there is none now. */
bool mux_end_ack_next(struct mux_end *end, uint64_t now_ns, struct mux_ack *ack,
                      struct mux_span *path);

/* When mux_end_ack_next() or mux_end_tick() has something to do; UINT64_MAX: nothing waits. */
uint64_t mux_end_deadline(const struct mux_end *end);

/* A test that failed with its stream. test_id.data NULL: `unnamed` ones whose names are not known;
   or `is_over`: all of them were told. */
struct mux_end_verdict {
    struct mux_end_stream *stream;
    struct mux_progress_name test; /* valid until the next call; its route begins with the pin */
    uint64_t unnamed;
    bool is_final; /* its leaf has ended; else it was lost for the grace */
    bool is_over;
};
bool mux_end_verdict_next(struct mux_end *end, uint64_t now_ns, struct mux_end_verdict *verdict);

/* Has a stream exactly this pin? */
bool mux_end_has_pin(const struct mux_end *end, struct mux_span pin);

/* The stream with the longest pin that begins the route. NULL: there is none. */
struct mux_end_stream *mux_end_find(const struct mux_end *end, struct mux_span route);

enum mux_end_way {
    MUX_END_WAY_OTHER, /* no pin begins the route: it is for a link of this node */
    MUX_END_WAY_DOWN,  /* by `path`, and then `rest` */
    MUX_END_WAY_NONE,  /* to nobody: the stream is lost or has its final */
};
enum mux_end_way mux_end_way_down(const struct mux_end *end, struct mux_span route,
                                  struct mux_span *path, struct mux_span *rest);

#endif
