/*
 * What mux store import reads: subunit version 1, and the files of python's dbm.dumb.
 *
 * Input: mode, then a stream; or the length of a directory (two bytes), it, and values.
 */
#include "tests/fuzz/fuzz.h"

#include "tools/store/dumb.h"
#include "tools/store/subunit1.h"

#include <stdlib.h>

#define MODE_DUMB 1

#define OUT_BYTES (1 << 17)

struct seen {
    struct mux_span input;
    size_t packets;
    size_t content_bytes;
    bool is_open; /* a test has begun and not ended */
};

/* Each packet is refused or good, each test ends at most once, and no byte comes from elsewhere. */
static bool see_packet(void *user, const struct mux_packet *packet) {
    static uint8_t out[OUT_BYTES];
    struct seen *seen = user;
    struct mux_packet again;
    size_t len;
    seen->packets++;
    seen->content_bytes += packet->file_content.len;
    if (packet->status != MUX_STATUS_NONE) {
        assert(packet->test_id.data && !packet->file_name.data);
        assert(seen->is_open == (packet->status != MUX_STATUS_INPROGRESS));
        seen->is_open = packet->status == MUX_STATUS_INPROGRESS;
    }
    assert(!packet->test_id.data || seen->is_open || packet->status != MUX_STATUS_NONE);
    if (mux_packet_encode(packet, out, sizeof out, &len) != MUX_OK)
        return true;
    assert(mux_packet_verify(mux_span(out, len)));
    assert(mux_packet_parse(mux_span(out, len), &again, NULL) == MUX_OK);
    assert(same_fields(packet, &again));
    return true;
}

static bool see_entry(void *user, struct mux_span key, struct mux_span value) {
    const struct mux_span *data = user;
    assert(key.len <= UINT16_MAX);
    assert(value.data >= data->data && value.data + value.len <= data->data + data->len);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct script script = {mux_span(data, size)};
    if (script_byte(&script) & MODE_DUMB) {
        struct mux_span directory = script_take(&script, script_number(&script, UINT16_MAX));
        uint8_t *copy = copy_of(directory), *values = copy_of(script.rest);
        struct mux_span rest = mux_span(values, script.rest.len);
        dumb_read(mux_span(copy, directory.len), rest, see_entry, &rest);
        free(copy);
        free(values);
        return 0;
    }
    uint8_t *copy = copy_of(script.rest);
    struct seen seen = {.input = mux_span(copy, script.rest.len)};
    assert(subunit1_read(seen.input, see_packet, &seen));
    assert(seen.packets <= script.rest.len && seen.content_bytes <= script.rest.len);
    free(copy);
    return 0;
}
