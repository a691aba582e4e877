/*
 * The JSON of mux cat and mux encode: any line is refused with a message or gives a good packet; a
 * packet's JSON gives the packet back.
 *
 * Input: mode, a line of JSON or a packet.
 */
#include "tests/fuzz/fuzz.h"

#include "tools/results/event.h"

#include <stdlib.h>

#define MODE_PACKET 1 /* a packet, not JSON */

#define OUT_BYTES 65536 /* larger than the result of any input of the fuzzer */

/* Encodes as mux encode does. False: refused. */
static bool encode(struct mux_span line, uint8_t *out, size_t *written) {
    char why[256] = "";
    json_error_t error;
    json_t *event = json_loadb((const char *)line.data, line.len,
                               JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!event)
        return false;
    bool fine = event_encode(event, out, OUT_BYTES, written, why, sizeof why);
    json_decref(event);
    assert(fine || *why);
    return fine;
}

/* JSON carries nanoseconds of a second and more into the seconds, if that fits. */
static struct mux_packet with_time_carried(struct mux_packet packet) {
    struct mux_time time = mux_packet_time(&packet);
    if (!packet.has_timestamp || time.seconds > UINT32_MAX)
        return packet;
    packet.seconds = (uint32_t)time.seconds;
    packet.nanoseconds = time.nanoseconds;
    return packet;
}

/* To JSON and back: the same fields. The packet was parsed, so its strings are good. */
static void check_packet(const struct mux_packet *packet) {
    static uint8_t out[OUT_BYTES];
    struct mux_packet again, expected = with_time_carried(*packet);
    size_t written;
    json_t *event = event_to_json(packet);
    assert(event);
    char *line = json_dumps(event, JSON_ENSURE_ASCII);
    json_decref(event);
    assert(line && !strchr(line, '\n'));
    assert(encode(mux_span_text(line), out, &written));
    assert(mux_packet_verify(mux_span(out, written)));
    assert(mux_packet_parse(mux_span(out, written), &again, NULL) == MUX_OK);
    assert(same_fields(&expected, &again));
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t out[OUT_BYTES];
    struct script script = {mux_span(data, size)};
    uint8_t mode = script_byte(&script);
    struct mux_packet packet;
    size_t written;
    uint8_t *copy = copy_of(script.rest);
    struct mux_span bytes = mux_span(copy, script.rest.len);
    if (mode & MODE_PACKET) {
        if (bytes.len < OUT_BYTES && mux_packet_parse(bytes, &packet, NULL) == MUX_OK)
            check_packet(&packet);
    } else if (encode(bytes, out, &written)) {
        assert(mux_packet_verify(mux_span(out, written)));
        assert(mux_packet_parse(mux_span(out, written), &packet, NULL) == MUX_OK);
        check_packet(&packet);
    }
    free(copy);
    return 0;
}
