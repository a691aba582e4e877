#include "mux/node/spool.h"
#include "mux/packet/bytes.h"
#include "mux/packet/crc.h"
#include "mux/packet/hex.h"

#define VERSION 1

static const char magic[8] = "MUXSPOOL";
static const char record_magic[4] = "MREC";

/* Of the head: where each field lies. */
enum {
    HEAD_VERSION = 8,
    HEAD_STREAM = 16,
    HEAD_OFFSET = 32,
    HEAD_CHAIN = 40,
    HEAD_CRC = 60,
};

/* Of a record's. */
enum {
    RECORD_LENGTH = 4,
    RECORD_OFFSET = 8,
    RECORD_CHAIN = 16,
    RECORD_CONTENT_CRC = 20,
    RECORD_CRC = 28,
};

_Static_assert(HEAD_STREAM + MUX_STREAM_ID_BYTES == HEAD_OFFSET, "fields do not overlap");
_Static_assert(HEAD_CRC + 4 == MUX_SPOOL_HEAD_BYTES, "the CRC ends the head");
_Static_assert(RECORD_CRC + 4 == MUX_SPOOL_RECORD_HEAD_BYTES, "the CRC ends the record's head");

void mux_spool_head_write(const struct mux_spool_head *head, uint8_t out[MUX_SPOOL_HEAD_BYTES]) {
    memset(out, 0, MUX_SPOOL_HEAD_BYTES);
    memcpy(out, magic, sizeof magic);
    mux_write_be32(out + HEAD_VERSION, VERSION);
    memcpy(out + HEAD_STREAM, head->stream, MUX_STREAM_ID_BYTES);
    mux_write_be64(out + HEAD_OFFSET, head->offset);
    mux_write_be32(out + HEAD_CHAIN, head->crc);
    mux_write_be32(out + HEAD_CRC, mux_crc(0, mux_span(out, HEAD_CRC)));
}

const char *mux_spool_head_read(struct mux_span bytes, struct mux_spool_head *head) {
    const uint8_t *at = bytes.data;
    if (bytes.len < sizeof magic || memcmp(at, magic, sizeof magic) != 0)
        return "it is not a spool file";
    if (bytes.len < MUX_SPOOL_HEAD_BYTES)
        return "its head is cut off";
    if (mux_crc(0, mux_span(at, HEAD_CRC)) != mux_read_be32(at + HEAD_CRC))
        return "its head is damaged";
    if (mux_read_be32(at + HEAD_VERSION) != VERSION)
        return "another version of muxd has written it";
    memcpy(head->stream, at + HEAD_STREAM, MUX_STREAM_ID_BYTES);
    head->offset = mux_read_be64(at + HEAD_OFFSET);
    head->crc = mux_read_be32(at + HEAD_CHAIN);
    return head->offset < MUX_STREAM_BYTES_MAX ? NULL : "its offset is out of range";
}

void mux_spool_name(const struct mux_spool_head *head, char out[MUX_SPOOL_NAME_BYTES]) {
    char *at = mux_hex_write_bytes(out, head->stream, MUX_STREAM_ID_BYTES);
    *at++ = '-';
    strcpy(mux_hex_write(at, 16, head->offset), ".spool");
}

bool mux_spool_name_read(const char *name, struct mux_spool_head *head) {
    const char *offset = name + 2 * MUX_STREAM_ID_BYTES + 1;
    return mux_hex_read_bytes(name, head->stream, MUX_STREAM_ID_BYTES) && offset[-1] == '-' &&
           mux_hex_read(offset, 16, &head->offset) && strcmp(offset + 16, ".spool") == 0;
}

void mux_spool_record_write(const struct mux_spool_record *record,
                            uint8_t out[MUX_SPOOL_RECORD_HEAD_BYTES]) {
    assert(record->content_len_bytes > 0 && record->content_len_bytes <= MUX_PACKET_MAX_BYTES);
    memset(out, 0, MUX_SPOOL_RECORD_HEAD_BYTES);
    memcpy(out, record_magic, sizeof record_magic);
    mux_write_be32(out + RECORD_LENGTH, record->content_len_bytes);
    mux_write_be64(out + RECORD_OFFSET, record->offset);
    mux_write_be32(out + RECORD_CHAIN, record->crc);
    mux_write_be32(out + RECORD_CONTENT_CRC, record->content_crc);
    mux_write_be32(out + RECORD_CRC, mux_crc(0, mux_span(out, RECORD_CRC)));
}

/* MUX_SPOOL_RECORD_HEAD_BYTES at `at`. False: they are no record's head. */
static bool read_record(const uint8_t *at, struct mux_spool_record *record) {
    if (memcmp(at, record_magic, sizeof record_magic) != 0 ||
        mux_crc(0, mux_span(at, RECORD_CRC)) != mux_read_be32(at + RECORD_CRC))
        return false;
    record->content_len_bytes = mux_read_be32(at + RECORD_LENGTH);
    record->offset = mux_read_be64(at + RECORD_OFFSET);
    record->crc = mux_read_be32(at + RECORD_CHAIN);
    record->content_crc = mux_read_be32(at + RECORD_CONTENT_CRC);
    return record->content_len_bytes > 0 && record->content_len_bytes <= MUX_PACKET_MAX_BYTES &&
           record->offset < MUX_STREAM_BYTES_MAX - record->content_len_bytes;
}

void mux_spool_reader_init(struct mux_spool_reader *reader, const struct mux_spool_head *head) {
    *reader = (struct mux_spool_reader){.position = MUX_SPOOL_HEAD_BYTES,
                                        .cut_at = MUX_SPOOL_HEAD_BYTES,
                                        .offset = head->offset,
                                        .crc = head->crc};
}

static void set_state(struct mux_spool_reader *reader, enum mux_spool_state state) {
    assert(reader->state != MUX_SPOOL_OVER && state != reader->state);
    reader->state = state;
}

/* The file has nothing more. */
static enum mux_spool_found finish(struct mux_spool_reader *reader, struct mux_spool_item *item) {
    set_state(reader, MUX_SPOOL_OVER);
    item->cut_at = reader->cut_at;
    return reader->cut_at == reader->position ? MUX_SPOOL_END : MUX_SPOOL_TORN;
}

/* `want` bytes are not there: more are read, or the file is cut off in a record. */
static enum mux_spool_found want_more(struct mux_spool_reader *reader, struct mux_span bytes,
                                      bool is_all, size_t want, struct mux_spool_item *item) {
    if (is_all) {
        reader->position += bytes.len;
        return finish(reader, item);
    }
    item->want_bytes = want;
    return MUX_SPOOL_MORE;
}

/* The stream goes on at the record, wherever the reader was. */
static enum mux_spool_found leap(struct mux_spool_reader *reader,
                                 const struct mux_spool_record *record,
                                 struct mux_spool_item *item) {
    item->from = reader->offset;
    item->to = record->offset;
    reader->offset = record->offset;
    reader->crc = record->crc;
    reader->cut_at = reader->position;
    return MUX_SPOOL_HOLE;
}

/* Behind the record, whose content is sound or not. */
static void pass(struct mux_spool_reader *reader, const struct mux_spool_record *record) {
    uint32_t len = record->content_len_bytes;
    reader->position += MUX_SPOOL_RECORD_HEAD_BYTES + len;
    reader->cut_at = reader->position;
    reader->offset = record->offset + len;
    reader->crc = mux_crc_concat(record->crc, record->content_crc, len);
}

static enum mux_spool_found take_content(struct mux_spool_reader *reader, struct mux_span content,
                                         const struct mux_spool_record *record,
                                         struct mux_spool_item *item) {
    pass(reader, record);
    if (mux_crc(0, content) == record->content_crc) {
        item->record = *record;
        item->content = content;
        return MUX_SPOOL_RECORD;
    }
    item->from = record->offset;
    item->to = reader->offset;
    return MUX_SPOOL_HOLE;
}

static enum mux_spool_found follow(struct mux_spool_reader *reader, struct mux_span bytes,
                                   bool is_all, struct mux_spool_item *item) {
    struct mux_spool_record record;
    const size_t head = MUX_SPOOL_RECORD_HEAD_BYTES;
    if (bytes.len < head)
        return want_more(reader, bytes, is_all, head, item);
    if (!read_record(bytes.data, &record) || record.offset < reader->offset) {
        set_state(reader, MUX_SPOOL_SEEKING);
        reader->position++;
        return mux_spool_next(reader, mux_span(bytes.data + 1, bytes.len - 1), is_all, item);
    }
    if (record.offset > reader->offset || record.crc != reader->crc)
        return leap(reader, &record, item);
    if (bytes.len - head < record.content_len_bytes)
        return want_more(reader, bytes, is_all, head + record.content_len_bytes, item);
    return take_content(reader, mux_span(bytes.data + head, record.content_len_bytes), &record,
                        item);
}

/* The next head with a higher offset: a record that is whole again. */
static enum mux_spool_found seek(struct mux_spool_reader *reader, struct mux_span bytes,
                                 bool is_all, struct mux_spool_item *item) {
    struct mux_spool_record record;
    const size_t head = MUX_SPOOL_RECORD_HEAD_BYTES;
    const uint8_t *at = bytes.data, *end = bytes.data + bytes.len;
    while ((size_t)(end - at) >= head) {
        if (read_record(at, &record) && record.offset > reader->offset) {
            reader->position += (size_t)(at - bytes.data);
            set_state(reader, MUX_SPOOL_FOLLOWING);
            return leap(reader, &record, item);
        }
        const uint8_t *next = memchr(at + 1, record_magic[0], (size_t)(end - at) - 1);
        at = next ? next : end;
    }
    reader->position += (size_t)(at - bytes.data);
    return want_more(reader, mux_span(at, (size_t)(end - at)), is_all, head, item);
}

enum mux_spool_found mux_spool_next(struct mux_spool_reader *reader, struct mux_span bytes,
                                    bool is_all, struct mux_spool_item *item) {
    *item = (struct mux_spool_item){0};
    switch (reader->state) {
    case MUX_SPOOL_FOLLOWING:
        return follow(reader, bytes, is_all, item);
    case MUX_SPOOL_SEEKING:
        return seek(reader, bytes, is_all, item);
    case MUX_SPOOL_OVER:
        item->cut_at = reader->cut_at;
        return reader->cut_at == reader->position ? MUX_SPOOL_END : MUX_SPOOL_TORN;
    }
    assert(false);
    return MUX_SPOOL_END;
}
