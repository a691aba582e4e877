/*
 * A leaf's spool: the files that keep what the end does not have yet, of the leaf's own stream and
 * of those of earlier lives (rules 10 to 12b and 38 of the reliable protocol; spool.h has the bytes
 * of one file, stream.h what is sent when). A pure state machine: it says what is to be written,
 * synced, read and removed, one operation after the other; its owner does that, in its own time,
 * and says what came of it. So the owner may block, in a thread of its own, and a disk that is slow
 * or full is back-pressure and nothing else.
 *
 * A record is written within 10 ms of its cut. A file is removed when all in it is safe and it is
 * not written to; one with a hole is kept aside, under its name and ".bad".
 *
 * The owner gives the memory of the taps, and adds the files that are there before anything else.
 */
#ifndef MUX_SPOOLER_H
#define MUX_SPOOLER_H

#include "mux/buffer.h"
#include "mux/node/spool.h"
#include "mux/node/stream.h"

/* A file is of this size at most, and of an eighth of the spool, so that room comes in steps. */
#define MUX_SPOOL_FILE_MOST_BYTES (UINT64_C(64) << 20)
#define MUX_SPOOL_FILES_LEAST 8

/* What is written, or read, at once, if a single record is not longer. */
#define MUX_SPOOL_WRITE_BYTES ((size_t)4 << 20)
#define MUX_SPOOL_READ_BYTES ((size_t)1 << 20)
#define MUX_SPOOL_WRITE_RECORDS 1024

/* Of 10 ms; the rest is for the disk. */
#define MUX_SPOOL_WRITE_NS UINT64_C(5000000)

/* What a power failure may take with `interval`. */
#define MUX_SPOOL_SYNC_NS UINT64_C(1000000000)

/* A disk that refuses is tried again after this time. */
#define MUX_SPOOL_RETRY_NS UINT64_C(1000000000)

/* The memory of a tap: the longest record, and what else was read with it. */
#define MUX_SPOOL_TAP_BYTES \
    (MUX_PACKET_MAX_BYTES + MUX_SPOOL_RECORD_HEAD_BYTES + MUX_SPOOL_READ_BYTES)

enum mux_spool_sync {
    MUX_SPOOL_SYNC_NONE,     /* what is written survives this process */
    MUX_SPOOL_SYNC_INTERVAL, /* and a power failure, but for the last second */
    MUX_SPOOL_SYNC_ALWAYS,   /* it counts as in the spool only when it is synced */
};

struct mux_spool_limits {
    uint64_t most_bytes; /* of all files together */
    enum mux_spool_sync sync;
};

enum mux_spool_work {
    MUX_SPOOL_WRITE,  /* `bytes` at `at`; a file that is new is made, or emptied; and MUX_SPOOL_SYNC
                         of it, if it `syncs` */
    MUX_SPOOL_SYNC,   /* the file, and if it is new the folder */
    MUX_SPOOL_READ,   /* into `room`, from `at` on */
    MUX_SPOOL_REMOVE, /* the file; one that is not there is no mistake */
    MUX_SPOOL_ASIDE,  /* gives it its name and ".bad" */
    MUX_SPOOL_RENAME, /* writes `head` over its first bytes, then gives it `new_name` */
};

struct mux_spool_op {
    enum mux_spool_work work;
    char name[MUX_SPOOL_NAME_BYTES], new_name[MUX_SPOOL_NAME_BYTES];
    bool is_new, syncs;
    uint64_t at;
    struct mux_gather bytes; /* to be written; they stay until mux_spooler_done() */
    struct mux_room room;
    uint8_t head[MUX_SPOOL_HEAD_BYTES];
};

struct mux_spool_file {
    struct mux_spool_head head;
    uint8_t named[MUX_STREAM_ID_BYTES]; /* the stream in its name, if not the head's yet */
    uint64_t len_bytes;
    bool is_bad; /* it has a hole */
    bool goes;   /* it is to be removed */
};

/* Where one stream is read. */
struct mux_spool_tap {
    struct mux_buffer buffer;
    size_t from, to; /* in the buffer: the file's bytes from the reader's position on */
    bool has_file;   /* it reads the file with this head: */
    struct mux_spool_head head;
    struct mux_spool_reader reader;
    size_t want_bytes; /* it is to be read on until so many are there; 0: not */
    bool has_item;     /* this was found and not passed yet: */
    enum mux_spool_found found;
    struct mux_spool_item item;
    uint64_t said_to; /* holes before it were said */
};

enum mux_spool_taps { MUX_SPOOL_TAP_OWN, MUX_SPOOL_TAP_EARLIER, MUX_SPOOL_TAPS };

struct mux_spooler_config {
    struct mux_spool_limits limits;
    void *user;
    void (*say)(void *user, const char *line); /* one line for people */
    struct mux_room memory;                    /* MUX_SPOOL_TAPS * MUX_SPOOL_TAP_BYTES */
};

struct mux_spooler {
    struct mux_spooler_config config;
    struct mux_stream *own;       /* what is written */
    struct mux_spool_file *files; /* those of one stream together, by offset; the own one's last */
    size_t count, count_max;
    uint64_t bytes;        /* of all of them */
    bool has_current;      /* the last one is written to */
    uint64_t written;      /* of the own stream */
    uint64_t due_ns;       /* when what waits is to be written; UINT64_MAX: nothing does */
    uint64_t retry_ns;     /* not before */
    bool is_dirty, is_new; /* the last one is not synced; nor is its folder */
    uint64_t dirty_ns;
    bool reads_next;   /* writing and reading take turns */
    bool is_full;      /* and that was said */
    char refused[128]; /* why the disk does; "": it does not */
    struct mux_spool_tap taps[MUX_SPOOL_TAPS];

    bool is_busy; /* an operation is underway: */
    struct mux_spool_op op;
    size_t op_file;
    struct mux_spool_tap *op_tap;
    struct mux_span spans[1 + 3 * MUX_SPOOL_WRITE_RECORDS];
    uint8_t heads[MUX_SPOOL_WRITE_RECORDS + 2][MUX_SPOOL_RECORD_HEAD_BYTES];
    struct mux_stream_record op_records[MUX_SPOOL_WRITE_RECORDS];
    size_t op_count;

    uint64_t written_bytes, read_bytes, lost_bytes; /* lost: in holes, as far as they are known */
    unsigned holes;
};

/* Of the stream that it writes, which uses a spool. Allocates; false: out of memory. */
bool mux_spooler_init(struct mux_spooler *spooler, const struct mux_spooler_config *config,
                      struct mux_stream *own);
void mux_spooler_fini(struct mux_spooler *spooler);

/*
 * A file of an earlier life, before anything else; streams are sent in the order in which their
 * first file comes. False: out of memory.
 */
bool mux_spooler_add_file(struct mux_spooler *spooler, const struct mux_spool_head *head,
                          uint64_t len_bytes);

/* The next operation; NULL: one is underway, or there is none now. `hurries`: do not wait for more.
 */
const struct mux_spool_op *mux_spooler_take(struct mux_spooler *spooler, bool hurries,
                                            uint64_t now_ns);

/* What came of it: so many bytes were written or read; `why` NULL, or what went wrong. */
void mux_spooler_done(struct mux_spooler *spooler, size_t bytes, const char *why, uint64_t now_ns);

/* When mux_spooler_take() is to be asked again at the latest. */
uint64_t mux_spooler_deadline(const struct mux_spooler *spooler);

/*
 * All of the own stream that is not safe is written, and synced if that was asked for; what is not
 * needed any more is removed.
 */
bool mux_spooler_is_settled(const struct mux_spooler *spooler);

enum mux_spool_at {
    MUX_SPOOL_AT_WAITS,  /* it is to be read first */
    MUX_SPOOL_AT_RECORD, /* it begins there, or before it: then it is another's place. Its
                            `content` is good until the next read, or while the tap's buffer is
                            held */
    MUX_SPOOL_AT_HOLE,   /* the spool goes on at `to` */
    MUX_SPOOL_AT_OTHERS, /* what follows was written behind other bytes */
};
struct mux_spool_place {
    struct mux_spool_record record;
    struct mux_span content;
    uint64_t to;  /* the hole's end, */
    uint32_t crc; /* and the CRC of all before it, or of what others have before it */
};

/* What the spool has at the stream's position, which is in front of its memory. */
enum mux_spool_at mux_spooler_read(struct mux_spooler *spooler, struct mux_spool_tap *tap,
                                   const struct mux_stream *stream, struct mux_spool_place *place);

/* The tap is to read another stream, or the same one under another id. */
void mux_spooler_rest(struct mux_spool_tap *tap);

/* What is safe of a stream may go: files, and its base moves on. */
void mux_spooler_safe(struct mux_spooler *spooler, struct mux_stream *stream);

/* All that is there of a stream may go. */
void mux_spooler_forget(struct mux_spooler *spooler, const uint8_t id[MUX_STREAM_ID_BYTES]);

/* The own stream is a new one. */
void mux_spooler_begin(struct mux_spooler *spooler);

/* A stream goes on under another id. */
void mux_spooler_rename(struct mux_spooler *spooler, const uint8_t from[MUX_STREAM_ID_BYTES],
                        const uint8_t to[MUX_STREAM_ID_BYTES]);

/*
 * The next stream of an earlier life: its id and how far it reaches. For that its last file is read
 * by the tap, of which nothing else may be wanted. WAITS: when that is done; NONE: there is no
 * other.
 */
enum mux_spool_earlier { MUX_SPOOL_EARLIER_NONE, MUX_SPOOL_EARLIER_WAITS, MUX_SPOOL_EARLIER_FOUND };
enum mux_spool_earlier mux_spooler_earlier(struct mux_spooler *spooler,
                                           uint8_t id[MUX_STREAM_ID_BYTES],
                                           struct mux_stream_extent *extent);

/* How many streams of earlier lives are there. */
unsigned mux_spooler_earlier_count(const struct mux_spooler *spooler);

#endif
