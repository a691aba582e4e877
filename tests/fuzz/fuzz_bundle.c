/*
 * A bundle's MIME type and content: any of both is refused with a reason, or is taken apart into
 * packets and damage that are all of it, and whose packets can be put together to the same again.
 *
 * Input: mode, the MIME type's length, the MIME type, the content.
 */
#include "tests/fuzz/fuzz.h"

#include "mux/packet/bundle.h"
#include "mux/packet/crc.h"

#include <stdlib.h>

#define MODE_REPAIR 1 /* the packets' CRCs are corrected */
#define MODE_MIME 2   /* the MIME type is a right one */

static const struct mux_bundle some = {.stream = {1, 2, 3}, .epoch = 4, .offset = 5, .crc = 6};

/* The bundle again: front, content, CRC. The caller frees it. */
static struct mux_span wrapped(const struct mux_bundle *bundle, struct mux_span content,
                               const struct mux_bundle_run *run) {
    struct mux_bundle_wrap wrap;
    struct bytes bytes = {0};
    assert(run->len_bytes == content.len && run->crc == mux_crc(0, content));
    mux_bundle_wrap(bundle, run, &wrap);
    bytes_append(&bytes, mux_span(wrap.front, wrap.front_len_bytes));
    bytes_append(&bytes, content);
    bytes_append(&bytes, mux_span(wrap.crc, sizeof wrap.crc));
    return mux_span(bytes.data, bytes.len);
}

static void check_wrapped(const struct mux_bundle *bundle, struct mux_span content,
                          const struct mux_bundle_run *run) {
    struct mux_packet packet;
    struct mux_bundle again;
    struct mux_span bytes = wrapped(bundle, content, run);
    assert(mux_packet_verify(bytes) && mux_packet_parse(bytes, &packet, NULL) == MUX_OK);
    assert(mux_bundle_is(&packet) && mux_bundle_read(&packet, &again) == NULL);
    assert(memcmp(again.stream, bundle->stream, sizeof again.stream) == 0);
    assert(again.epoch == bundle->epoch && again.offset == bundle->offset &&
           again.crc == bundle->crc && mux_span_equal(packet.file_content, content));
    free((uint8_t *)bytes.data);
}

/* Returns whether all of it was packets, which are then in `run`. */
static bool take_apart(struct mux_span content, struct mux_bundle_run *run) {
    struct mux_bundle_item item;
    struct mux_span rest = content;
    bool is_whole = true;
    while (rest.len > 0) {
        const uint8_t *at = rest.data;
        enum mux_error error = mux_bundle_next(&rest, &item);
        assert(item.bytes.data == at && item.bytes.len > 0 && rest.data == at + item.bytes.len);
        assert(error || mux_packet_verify(item.bytes));
        is_whole &= !error;
        if (is_whole)
            mux_bundle_run_add(run, item.bytes);
    }
    return is_whole;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct script script = {mux_span(data, size)};
    uint8_t mode = script_byte(&script);
    struct mux_span mime = script_field(&script);
    uint8_t *copy = copy_of(script.rest);
    struct mux_packet packet = {.runnable = true,
                                .eof = true,
                                .mime = mime,
                                .file_name = mux_span_text("muxd.bundle"),
                                .file_content = mux_span(copy, script.rest.len)};
    struct mux_bundle bundle = some;
    struct mux_bundle_run run = {0};
    if (mode & MODE_REPAIR)
        repair_packets(copy, script.rest.len);
    const char *why = mode & MODE_MIME ? NULL : mux_bundle_read(&packet, &bundle);
    assert(!why || *why);
    if (!why && take_apart(packet.file_content, &run) && run.len_bytes > 0)
        check_wrapped(&bundle, packet.file_content, &run);
    free(copy);
    return 0;
}
