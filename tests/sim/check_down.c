/* The way down of one node. */
#include "tests/sim/check.h"
#include <stdlib.h>
#include <string.h>

/* Packets from the upstream for one link, one after the other, without the link's segment. */
struct expected {
    struct bytes bytes;
    size_t at;
    uint64_t delivered;
};

struct down {
    struct expected *links; /* by segment; a node's connections share that of the first */
    uint64_t packets;
    bool corrupted;
};

/* The link whose packets come on this connection. */
static unsigned link_of(const struct check *check, unsigned segment) {
    const struct input *inputs = check->inputs;
    const struct owner *owners = check->farm->owners;
    unsigned first = 0;
    if (!inputs[segment].is_node)
        return segment;
    while (!inputs[first].is_node ||
           owners[inputs[first].id].index != owners[inputs[segment].id].index)
        first++;
    return first;
}

static void expect_down(struct check *check, struct down *down, const struct mux_packet *packet) {
    struct mux_span rest;
    unsigned long segment;
    size_t segment_len;
    down->packets++;
    if (!split_route(packet->route, &segment, &segment_len, &rest) ||
        segment >= check->place->segment_count)
        return;
    if (rest.len == 0)
        rest.data = NULL;
    struct mux_span stripped = packet_with_route(check->farm, *packet, rest);
    struct bytes *bytes = &down->links[link_of(check, (unsigned)segment)].bytes;
    memcpy(bytes_grow(bytes, stripped.len), stripped.data, stripped.len);
    bytes->len += stripped.len;
}

/* All packets that the node may have found in the bytes that it read. */
static void read_downlink(struct check *check, struct down *down, unsigned id) {
    struct sim_stream stream = sim_stream(check->farm->sim, id, false);
    struct mux_span whole;
    struct mux_packet packet;
    down->corrupted = down->corrupted || stream.corruption_count > 0;
    for (uint64_t at = 0; at < stream.read;) {
        if (packet_at(mux_span(stream.bytes + at, (size_t)(stream.read - at)), &whole, &packet)) {
            expect_down(check, down, &packet);
            at += whole.len;
        } else {
            at++; /* after a corruption, or at the end of the stream */
        }
    }
}

/* The node's own message to another node. */
static bool is_answer(const struct input *input, struct mux_span sent) {
    struct mux_packet packet;
    struct mux_span whole;
    return input->is_node && packet_at(sent, &whole, &packet) && !packet.route.data &&
           !packet.test_id.data &&
           (is_text(packet.file_name, "muxd.hello") || is_text(packet.file_name, "muxd.path") ||
            is_text(packet.file_name, "muxd.time") || is_text(packet.file_name, "muxd"));
}

/* The packet is among those expected, and not before the ones already delivered. */
static void find_expected(struct check *check, struct expected *expected, unsigned id,
                          struct mux_span sent) {
    struct mux_span whole = {NULL, 0};
    struct mux_packet packet;
    while (!mux_span_equal(whole, sent)) {
        struct mux_span rest =
            mux_span(expected->bytes.data + expected->at, expected->bytes.len - expected->at);
        if (!packet_at(rest, &whole, &packet))
            farm_fail(check->farm,
                      "node %u: connection %u got a packet that was not meant for it, or "
                      "not in order",
                      check->place->index, id);
        expected->at += whole.len;
    }
    expected->delivered++;
}

/* The packets written to a link are those expected, in order; some may be missing. */
static void check_down_link(struct check *check, struct expected *expected,
                            const struct input *input) {
    struct sim_stream stream = sim_stream(check->farm->sim, input->id, false);
    uint8_t *bytes = bytes_as_written(&stream);
    uint32_t length, header_bytes;
    for (uint64_t at = 0; at < stream.written; at += length) {
        struct mux_span left = mux_span(bytes + at, (size_t)(stream.written - at));
        if (mux_header_parse(left, &length, &header_bytes) || length > left.len)
            break; /* the last packet: the connection ended in it */
        struct mux_span sent = mux_span(left.data, length);
        if (!is_answer(input, sent))
            find_expected(check, expected, input->id, sent);
    }
    free(bytes);
}

void check_down(struct check *check) {
    const struct place *place = check->place;
    const uint64_t *value = node_core_counters(place->node)->value;
    struct down down = {.links = calloc(place->segment_count + 1, sizeof *down.links)};
    uint64_t delivered = 0;
    assert(down.links);
    for (unsigned i = 0; i < place->uplink_count; i++)
        read_downlink(check, &down, place->uplinks[i]);
    for (unsigned i = 0; i < place->segment_count; i++)
        check_down_link(check, &down.links[link_of(check, i)], &check->inputs[i]);
    for (unsigned i = 0; i < place->segment_count; i++) {
        delivered += down.links[i].delivered;
        free(down.links[i].bytes.data);
    }
    if (!down.corrupted) {
        expect_count(check, MUX_COUNT_down_received_packets, down.packets);
        expect_count(check, MUX_COUNT_down_forwarded_packets,
                     down.packets - value[MUX_COUNT_down_unknown_packets] -
                         value[MUX_COUNT_down_refused_packets] - value[MUX_COUNT_down_own_packets]);
    }
    if (delivered > value[MUX_COUNT_down_forwarded_packets])
        farm_fail(check->farm, "node %u delivered more than it forwarded", place->index);
    if (value[MUX_COUNT_down_undelivered_bytes] == 0 &&
        delivered < value[MUX_COUNT_down_forwarded_packets])
        farm_fail(check->farm, "node %u has lost packets on the way down", place->index);
    free(down.links);
}
