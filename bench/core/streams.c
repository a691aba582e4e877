#include "bench/core/streams.h"

#include <stdio.h>
#include <stdlib.h>

#define PACKET_BYTES_MAX 2048

/* A test begins and ends: 100 bytes each time, with a little output. */
static void event_100(unsigned worker, unsigned n, struct mux_packet *packet) {
    static char id[64], content[64];
    static const size_t without_content_bytes = 63;
    int len = snprintf(id, sizeof id, "package.module_%02u.Class.test_%06u", worker, n / 2);
    memset(content, 'x', sizeof content);
    *packet = (struct mux_packet){
        .status = n % 2 ? MUX_STATUS_SUCCESS : MUX_STATUS_INPROGRESS,
        .runnable = true,
        .has_timestamp = true,
        .seconds = 1700000000 + n,
        .nanoseconds = 123456789,
        .test_id = mux_span(id, (size_t)len),
        .mime = mux_span_text("text"),
        .file_name = mux_span_text("log"),
        .file_content = mux_span(content, 100 - without_content_bytes),
    };
}

static enum mux_status outcome(unsigned test) {
    if (test % 25 == 7)
        return MUX_STATUS_FAIL;
    return test % 100 == 3 ? MUX_STATUS_SKIP : MUX_STATUS_SUCCESS;
}

/*
 * Such as Python's test runners send: a test begins and ends with a timestamp and a tag; one test
 * in ten writes to stdout, one in 25 fails with a traceback, one in 100 is skipped.
 */
static void realistic(unsigned worker, unsigned n, struct mux_packet *packet) {
    static char id[128], content[1024];
    static const uint8_t tag[] = "\x08worker-1";
    unsigned test = n / 2;
    int len = snprintf(
        id, sizeof id,
        "project.component.tests.unit.test_module_%02u.TestCase%u.test_%08u_does_what_it_says",
        worker, test % 11, test);
    memset(content, 'x', sizeof content);
    *packet = (struct mux_packet){
        .status = n % 2 ? outcome(test) : MUX_STATUS_INPROGRESS,
        .runnable = true,
        .has_timestamp = true,
        .seconds = 1700000000 + n,
        .nanoseconds = 123456789,
        .has_tags = true,
        .tag_count = 1,
        .tags = mux_span(tag, sizeof tag - 1),
        .test_id = mux_span(id, (size_t)len),
    };
    bool has_traceback = packet->status == MUX_STATUS_FAIL;
    if (has_traceback || (n % 2 && test % 10 == 0)) {
        packet->mime = mux_span_text("text/plain;charset=utf8");
        packet->file_name = mux_span_text(has_traceback ? "traceback" : "stdout");
        packet->file_content = mux_span(content, has_traceback ? 900 : 120);
    }
}

const struct stream_kind stream_kinds[] = {
    {"100 B events", NULL, event_100},
    {"100 B events, routed", "3/12", event_100},
    {"realistic", NULL, realistic},
    {"realistic, routed", "3/12", realistic},
    {NULL, NULL, NULL},
};

struct stream stream_make(const struct stream_kind *kind, unsigned worker, unsigned packets) {
    struct stream stream = {malloc((size_t)packets * PACKET_BYTES_MAX), 0, packets};
    if (!stream.bytes)
        abort();
    for (unsigned n = 0; n < packets; n++) {
        struct mux_packet packet;
        size_t written;
        kind->packet(worker, n, &packet);
        if (kind->route)
            packet.route = mux_span_text(kind->route);
        enum mux_error error =
            mux_packet_encode(&packet, stream.bytes + stream.len_bytes, PACKET_BYTES_MAX, &written);
        assert(!error);
        (void)error;
        stream.len_bytes += written;
    }
    return stream;
}
