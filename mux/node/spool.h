/*
 * A spool file's bytes: what a leaf keeps on disk of one stream until it is safe at the end (rules
 * 10 to 12b of the reliable protocol). Pure: the bytes come in and go out; files are their owner's.
 *
 * A file DIR/STREAM-OFFSET.spool is a head and then records, big-endian. A record is what was cut
 * once for a bundle: whole packets. Each says where it belongs, so what is torn, flipped or missing
 * is found, reported by its place in the stream, and the rest is read on.
 */
#ifndef MUX_SPOOL_H
#define MUX_SPOOL_H

#include "mux/packet/bundle.h"

#define MUX_SPOOL_HEAD_BYTES 64
#define MUX_SPOOL_RECORD_HEAD_BYTES 32

/* "STREAM-OFFSET.spool", 32 and 16 hexadecimal digits, and the end of the text. */
#define MUX_SPOOL_NAME_BYTES (2 * MUX_STREAM_ID_BYTES + 1 + 16 + sizeof ".spool")

/* Where a file, or a record, begins in its stream. */
struct mux_spool_head {
    uint8_t stream[MUX_STREAM_ID_BYTES];
    uint64_t offset; /* bytes of the stream before it */
    uint32_t crc;    /* of all these bytes */
};

struct mux_spool_record {
    uint64_t offset;
    uint32_t crc; /* of all before `offset` */
    uint32_t content_len_bytes;
    uint32_t content_crc;
};

void mux_spool_head_write(const struct mux_spool_head *head, uint8_t out[MUX_SPOOL_HEAD_BYTES]);

/* NULL, or what is wrong: no spool file, one of another version, or damaged. */
const char *mux_spool_head_read(struct mux_span bytes, struct mux_spool_head *head);

void mux_spool_name(const struct mux_spool_head *head, char out[MUX_SPOOL_NAME_BYTES]);

/* Stream and offset. False: it is not such a name. */
bool mux_spool_name_read(const char *name, struct mux_spool_head *head);

/* The content follows it: 1 to MUX_PACKET_MAX_BYTES. */
void mux_spool_record_write(const struct mux_spool_record *record,
                            uint8_t out[MUX_SPOOL_RECORD_HEAD_BYTES]);

/* What a reader found next. */
enum mux_spool_found {
    MUX_SPOOL_MORE,   /* give it `want_bytes` from `position` on, or all that there are */
    MUX_SPOOL_RECORD, /* `record` and its `content` are sound */
    MUX_SPOOL_HOLE, /* bytes `from` to `to` of the stream are not here; none, when a CRC shows that
                       what follows belongs behind other bytes */
    MUX_SPOOL_TORN, /* nothing that is sound follows byte `cut_at` of the file */
    MUX_SPOOL_END,  /* the file ends behind a record */
};

struct mux_spool_item {
    size_t want_bytes;
    struct mux_spool_record record;
    struct mux_span content; /* in the bytes that were given */
    uint64_t from, to;
    uint64_t cut_at;
};

enum mux_spool_state {
    MUX_SPOOL_FOLLOWING, /* a record begins at `position` */
    MUX_SPOOL_SEEKING,   /* what began at `cut_at` is no record: the next one is looked for */
    MUX_SPOOL_OVER,
};

struct mux_spool_reader {
    enum mux_spool_state state;
    uint64_t position; /* in the file, of the next byte that it wants */
    uint64_t cut_at;
    uint64_t offset; /* in the stream, of the next record that follows */
    uint32_t crc;
};

/* Of a file with this head: begins behind it. */
void mux_spool_reader_init(struct mux_spool_reader *reader, const struct mux_spool_head *head);

/*
 * `bytes` are the file's from `reader->position` on; `is_all`: there are no others. Moves the
 * position on. Records and holes come in the order of the stream, without a gap between them. After
 * TORN or END it gives the same again.
 */
enum mux_spool_found mux_spool_next(struct mux_spool_reader *reader, struct mux_span bytes,
                                    bool is_all, struct mux_spool_item *item);

#endif
