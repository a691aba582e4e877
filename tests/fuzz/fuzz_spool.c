/*
 * The spool's reader, with any file: records and holes follow each other in the stream without a
 * gap, what is given in pieces is read as the whole, and it ends.
 *
 * Input: mode, the file.
 */
#include "tests/fuzz/fuzz.h"

#include "mux/node/spool.h"
#include "mux/packet/bytes.h"
#include "mux/packet/crc.h"

#include <stdlib.h>

#define MODE_HEADS 1   /* the heads' CRCs are corrected */
#define MODE_CONTENT 2 /* the contents', too */
#define MODE_PIECES 4  /* the file comes in the smallest pieces */

#define CRC_BYTES 4

static void put_crc(uint8_t *at, size_t len) {
    mux_write_be32(at + len - CRC_BYTES, mux_crc(0, mux_span(at, len - CRC_BYTES)));
}

/* Of what looks like a record with so much behind it. */
static void repair(uint8_t *at, size_t left, unsigned mode) {
    uint32_t len = mux_read_be32(at + 4);
    if ((mode & MODE_CONTENT) && len <= left - MUX_SPOOL_RECORD_HEAD_BYTES)
        mux_write_be32(at + 20, mux_crc(0, mux_span(at + MUX_SPOOL_RECORD_HEAD_BYTES, len)));
    put_crc(at, MUX_SPOOL_RECORD_HEAD_BYTES);
}

static void repair_all(uint8_t *bytes, size_t len, unsigned mode) {
    if (!(mode & MODE_HEADS) || len < MUX_SPOOL_HEAD_BYTES)
        return;
    put_crc(bytes, MUX_SPOOL_HEAD_BYTES);
    for (size_t at = MUX_SPOOL_HEAD_BYTES; at + MUX_SPOOL_RECORD_HEAD_BYTES <= len; at++)
        if (memcmp(bytes + at, "MREC", 4) == 0)
            repair(bytes + at, len - at, mode);
}

/* All that is there, or just what is wanted. */
static enum mux_spool_found next(struct mux_spool_reader *reader, struct mux_span file,
                                 bool in_pieces, struct mux_spool_item *item) {
    size_t given = in_pieces ? 0 : file.len - reader->position;
    for (;;) {
        size_t left = file.len - reader->position;
        given = given < left ? given : left;
        uint8_t *copy = copy_of(mux_span(file.data + reader->position, given));
        enum mux_spool_found found =
            mux_spool_next(reader, mux_span(copy, given), given == left, item);
        assert(found != MUX_SPOOL_RECORD || mux_crc(0, item->content) == item->record.content_crc);
        free(copy);
        if (found != MUX_SPOOL_MORE)
            return found;
        assert(given < left && item->want_bytes > 0);
        given = item->want_bytes;
    }
}

static void check_item(enum mux_spool_found found, const struct mux_spool_item *item,
                       uint64_t *offset, uint32_t crc) {
    if (found == MUX_SPOOL_RECORD) {
        assert(item->record.offset == *offset && item->record.crc == crc);
        *offset += item->record.content_len_bytes;
    } else {
        assert(item->from == *offset && item->to >= *offset && item->to < MUX_STREAM_BYTES_MAX);
        *offset = item->to;
    }
}

static void same(enum mux_spool_found a, const struct mux_spool_item *x, enum mux_spool_found b,
                 const struct mux_spool_item *y) {
    assert(a == b && x->from == y->from && x->to == y->to && x->cut_at == y->cut_at);
    assert(x->record.offset == y->record.offset && x->content.len == y->content.len);
}

static void read_all(struct mux_span file, const struct mux_spool_head *head, bool in_pieces) {
    struct mux_spool_reader reader, whole;
    struct mux_spool_item item, other;
    enum mux_spool_found found;
    uint64_t offset = head->offset;
    size_t steps = 0;
    mux_spool_reader_init(&reader, head);
    mux_spool_reader_init(&whole, head);
    for (;;) {
        uint32_t crc = reader.crc;
        found = next(&reader, file, in_pieces, &item);
        same(found, &item, next(&whole, file, false, &other), &other);
        assert(reader.position <= file.len && ++steps <= 2 * file.len + 2);
        if (found == MUX_SPOOL_END || found == MUX_SPOOL_TORN)
            break;
        check_item(found, &item, &offset, crc);
        assert(reader.offset == offset);
    }
    assert(found == MUX_SPOOL_END ? item.cut_at == file.len : item.cut_at < file.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct script script = {mux_span(data, size)};
    unsigned mode = script_byte(&script);
    struct mux_spool_head head;
    uint8_t *copy = copy_of(script.rest);
    struct mux_span file = mux_span(copy, script.rest.len);
    repair_all(copy, file.len, mode);
    if (!mux_spool_head_read(file, &head))
        read_all(file, &head, mode & MODE_PIECES);
    free(copy);
    return 0;
}
