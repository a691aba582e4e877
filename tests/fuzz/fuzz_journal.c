/*
 * The journal's reader, with any file: records follow each other in the output, all that is found
 * can be read to its end, and an output of any length gets a fate.
 *
 * Input: mode, the output's length in two bytes, the file.
 */
#include "tests/fuzz/fuzz.h"

#include "mux/node/journal.h"
#include "mux/packet/bytes.h"
#include "mux/packet/crc.h"

#include <stdlib.h>

#define MODE_REPAIR 1 /* all CRCs are corrected */
#define MODE_GONE 2   /* there is no output */

#define HEAD_CRC_AT (MUX_JOURNAL_HEAD_BYTES - 4)

static void repair_record(uint8_t *at, size_t len) {
    uint32_t crc = mux_crc(0, mux_span(at, 4));
    mux_write_be32(at + 4, mux_crc(crc, mux_span(at + 8, len - 8)));
}

static void repair(uint8_t *bytes, size_t len) {
    if (len < MUX_JOURNAL_HEAD_BYTES)
        return;
    mux_write_be32(bytes + HEAD_CRC_AT, mux_crc(0, mux_span(bytes, HEAD_CRC_AT)));
    for (size_t at = MUX_JOURNAL_HEAD_BYTES; len - at >= 8;) {
        size_t record = mux_read_be32(bytes + at);
        if (record > len - at - 8)
            break;
        repair_record(bytes + at, record + 8);
        at += record + 8;
    }
}

static void read_record(struct mux_journal_record *record) {
    struct mux_journal_item item;
    struct mux_journal_test test;
    uint64_t output_bytes = record->output_bytes;
    while (mux_journal_item_next(record, &item)) {
        output_bytes += item.output_bytes;
        assert(!item.id.data || item.id.len == MUX_STREAM_ID_BYTES);
        assert(item.pin.len <= MUX_BUNDLE_ROUTE_MAX_BYTES && item.at < MUX_STREAM_BYTES_MAX);
    }
    assert(output_bytes == record->output_end_bytes);
    while (mux_journal_test_next(record, &test))
        assert(test.test_id.data);
    assert(record->left.len == 0);
}

static void read_all(struct mux_span file) {
    struct mux_journal_reader reader;
    struct mux_journal_record record;
    uint64_t output_bytes = 0;
    bool is_first = true;
    mux_journal_reader_init(&reader, file);
    while (mux_journal_next(&reader, &record) == MUX_JOURNAL_RECORD) {
        assert(is_first || record.output_bytes == output_bytes);
        output_bytes = record.output_end_bytes;
        is_first = false;
        read_record(&record);
    }
}

static void follow(struct mux_span file, bool has_output, uint64_t len) {
    struct mux_journal_follower follower;
    struct mux_journal_item item;
    mux_journal_follow(&follower, file, has_output, len);
    while (mux_journal_follow_next(&follower, &item))
        ;
    assert(follower.fate != MUX_JOURNAL_FOLLOWING);
    assert(follower.fate != MUX_JOURNAL_CUT || follower.keep_bytes <= len);
    assert(follower.fate != MUX_JOURNAL_PLAIN || follower.keep_bytes <= len);
    assert(follower.fate != MUX_JOURNAL_SHORTER || follower.keep_bytes > len);
    assert(follower.fate != MUX_JOURNAL_LONGER || follower.keep_bytes < len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct script script = {mux_span(data, size)};
    unsigned mode = script_byte(&script);
    uint64_t len = script_number(&script, UINT16_MAX);
    struct mux_journal_head head;
    uint8_t *copy = copy_of(script.rest);
    struct mux_span file = mux_span(copy, script.rest.len);
    if (mode & MODE_REPAIR)
        repair(copy, file.len);
    if (!mux_journal_head_read(file, &head)) {
        read_all(file);
        follow(file, !(mode & MODE_GONE), len);
    }
    free(copy);
    return 0;
}
