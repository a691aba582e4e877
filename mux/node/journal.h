/*
 * The journal of an end that writes a file: what will be written, before it is, so that the end
 * goes on after a crash where its output stops (rules 27, 27b, 29, 39, 39b of the reliable
 * protocol). Pure: the bytes come in and go out; FILE.journal and FILE are their owner's.
 *
 * A head and then records, big-endian. Each record says how long the output is before its batch,
 * and what the batch has of whom. The first one has all streams, and the tests that are in progress
 * behind it; the last one of an output that was rotated says that this one is closed. Within one
 * journal a stream has a number, 1 for the first, and its id and pin where it comes first.
 */
#ifndef MUX_JOURNAL_H
#define MUX_JOURNAL_H

#include "mux/packet/bundle.h"

#define MUX_JOURNAL_HEAD_BYTES 64

/*
 * It is begun anew when it is longer than that and twice its first record, or when so much output
 * is behind its first record: a restart reads both.
 */
#define MUX_JOURNAL_LONG_BYTES (UINT64_C(4) << 20)
#define MUX_JOURNAL_OUTPUT_BYTES (UINT64_C(256) << 20)

struct mux_journal_head {
    uint8_t end[MUX_STREAM_ID_BYTES]; /* the id that the end says in acknowledgements */
    uint64_t device, inode;           /* of the output, which logrotate may rename */
};

void mux_journal_head_write(const struct mux_journal_head *head,
                            uint8_t out[MUX_JOURNAL_HEAD_BYTES]);

/* NULL, or what is wrong: no journal, or a damaged one. */
const char *mux_journal_head_read(struct mux_span bytes, struct mux_journal_head *head);

enum mux_journal_kind {
    MUX_JOURNAL_BATCH = 1,
    MUX_JOURNAL_CLOSED, /* the output is complete; nothing follows */
};

/* One bundle of a batch, or packets that came in no bundle. */
struct mux_journal_item {
    uint32_t stream;       /* its number; 0: in no bundle, then `output_bytes` alone counts */
    uint32_t output_bytes; /* what the output gets of it */
    uint64_t at;           /* the stream is applied up to there, */
    uint32_t crc;          /* and the CRC of all that */
    struct mux_span id;    /* MUX_STREAM_ID_BYTES, where the stream comes first; else data NULL */
    struct mux_span pin;   /* with `id`; of up to MUX_BUNDLE_ROUTE_MAX_BYTES, may be empty */
};

/* A test in progress. `route` data NULL: it has none. */
struct mux_journal_test {
    struct mux_span route, test_id;
};

/*
 * ---- writing ----
 */

/* A record that is being written. When there is no room the owner may move it to a larger one. */
struct mux_journal_writer {
    struct mux_room room;
    size_t len;
    uint32_t items, tests;
};

/* `output_bytes`: the output's length before the batch. Room for MUX_JOURNAL_RECORD_HEAD_BYTES. */
#define MUX_JOURNAL_RECORD_HEAD_BYTES 36
void mux_journal_begin(struct mux_journal_writer *writer, struct mux_room room,
                       enum mux_journal_kind kind, uint64_t output_bytes, uint64_t next_segment);

/* First items, then tests. False: there is no room, and nothing was written. */
bool mux_journal_add_item(struct mux_journal_writer *writer, const struct mux_journal_item *item);
bool mux_journal_add_test(struct mux_journal_writer *writer, const struct mux_journal_test *test);

/* The whole record, in the writer's room. */
struct mux_span mux_journal_end(struct mux_journal_writer *writer);

/* Is it to be begun anew? `output_bytes`: of the output, those behind its first record. */
bool mux_journal_is_long(uint64_t journal_bytes, uint64_t first_record_bytes,
                         uint64_t output_bytes);

/*
 * ---- reading ----
 */

struct mux_journal_record {
    enum mux_journal_kind kind;
    uint64_t output_bytes, next_segment;
    uint32_t items, tests;     /* that are left */
    uint32_t streams;          /* that were named before what is left */
    struct mux_span left;      /* of the file: the items and tests that are left */
    uint64_t output_end_bytes; /* the output's length behind the batch */
};

/* `file` is a whole journal whose head was read; `rest` is what was not read yet. */
struct mux_journal_reader {
    struct mux_span rest;
    uint32_t streams; /* that it has named so far */
    bool has_record;
    uint64_t output_end_bytes;
};
void mux_journal_reader_init(struct mux_journal_reader *reader, struct mux_span file);

enum mux_journal_found {
    MUX_JOURNAL_RECORD,
    MUX_JOURNAL_END,  /* the file ends behind a record */
    MUX_JOURNAL_TORN, /* what follows is no record: a crash while it was written, or damage */
};

/* A record that is found is sound: all its items and tests can be read, and follow the last one. */
enum mux_journal_found mux_journal_next(struct mux_journal_reader *reader,
                                        struct mux_journal_record *record);

/* False: there is none left. Tests come behind all items. Spans into the file. */
bool mux_journal_item_next(struct mux_journal_record *record, struct mux_journal_item *item);
bool mux_journal_test_next(struct mux_journal_record *record, struct mux_journal_test *test);

/*
 * ---- going on after a crash ----
 */

/* What the journal says of the output that was found. */
enum mux_journal_fate {
    MUX_JOURNAL_FOLLOWING, /* not read to its end yet */
    MUX_JOURNAL_WHOLE,     /* the output ends where a bundle or packets end */
    MUX_JOURNAL_CUT,       /* cut it off at `keep_bytes`: the beginning of a bundle is behind that,
                              which comes again */
    MUX_JOURNAL_PLAIN,     /* packets in no bundle stopped behind `keep_bytes`: those that are whole
                              stay, as they do not come again */
    MUX_JOURNAL_LONGER,    /* it has more than the journal knows: kept, and to be said */
    MUX_JOURNAL_SHORTER,   /* it lacks what was there before the journal, or before it was closed:
                              kept, and to be said */
    MUX_JOURNAL_NEW,       /* the output was closed and is gone: another one begins */
    MUX_JOURNAL_GONE, /* it is not to be found: the last batch comes again, and it is to be said */
};

struct mux_journal_follower {
    struct mux_journal_reader reader;
    struct mux_journal_record record; /* whose items come now */
    bool has_output, is_closed;
    unsigned records; /* not read yet */
    uint64_t output_len_bytes;
    enum mux_journal_fate fate;
    uint64_t keep_bytes; /* of the output: all before is what the items said that were given */
    uint64_t next_segment;
    bool is_torn; /* the journal ended in what is no record */
};

/* `has_output`: there is a file, the one that the head names, of that length. One that does
 * not exist and was never written to is WHOLE. */
void mux_journal_follow(struct mux_journal_follower *follower, struct mux_span file,
                        bool has_output, uint64_t output_len_bytes);

/*
 * The next item that holds: a stream is applied and safe up to `at` of its last one. False: there
 * is no other, and the fate is known. The tests of the first record are read by mux_journal_next().
 */
bool mux_journal_follow_next(struct mux_journal_follower *follower, struct mux_journal_item *item);

#endif
