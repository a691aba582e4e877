/*
 * Holds what each node wrote against what it read. Nothing here uses the framer or the routing of
 * mux/: packets are read one by one, and written anew with another route.
 *
 * Up: the packets on all its connections to its upstream, one behind the other, but for a packet
 * that a connection took only the beginning of: that one comes again, whole. Every byte that the
 * node's process read from a link must be in them, once, in order: as a packet that is the one it
 * read but for its route, as chatter, or as damage. Damage, and chatter that the worker did not
 * write as such, must be there only where bytes were corrupted, a packet was never ended or the
 * stream was cut off.
 * Tests in progress at the end of a link are reported failed, once each.
 *
 * Down: what it wrote to each link is what came for that link, in order; what is missing is
 * counted.
 */
#include "tests/sim/farm.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/*
 * In a flood, so much goes up at most between a packet's writing and its own way up: two batches of
 * half a MiB and the buffers that they refer to, what has come from the one who floods, and a round
 * of all links.
 */
#define WAIT_MOST_BYTES ((uint64_t)3 << 20)

#define PACKET_ROOM_BYTES (4194304 + 512)

/* What a node read from one connection, and how far the node's output has gone through it. */
struct input {
    const struct farm *farm;
    unsigned id;
    struct sim_stream stream;
    const struct range *chatter;
    unsigned chatter_count;
    const uint64_t *abandoned;
    unsigned abandoned_count;
    const struct mark *marks;
    unsigned mark_count;
    uint64_t at;
    uint64_t run_from; /* of bytes that nobody wrote as they are reported */
    bool in_run;
    bool error_expected;     /* the second event of a damage */
    struct mux_packet *open; /* tests in progress: test id and route */
    unsigned open_count;
    unsigned reported; /* as failed */
};

struct check {
    struct farm *farm;
    struct place *place;
    struct input *inputs; /* by segment */
    uint64_t own_messages;
    uint64_t packets;
    uint64_t bytes;
};

static uint8_t rewritten[PACKET_ROOM_BYTES];

/* A good packet at the head of these bytes? */
static bool packet_at(struct mux_span bytes, struct mux_span *whole, struct mux_packet *packet) {
    uint32_t length, header_bytes;
    if (mux_header_parse(bytes, &length, &header_bytes) || length > bytes.len)
        return false;
    *whole = mux_span(bytes.data, length);
    return mux_packet_verify(*whole) && !mux_packet_parse(*whole, packet, NULL);
}

/* The packet with another route. */
static struct mux_span with_route(const struct farm *farm, struct mux_packet packet,
                                  struct mux_span route) {
    size_t written = 0;
    packet.route = route;
    if (mux_packet_encode(&packet, rewritten, sizeof rewritten, &written))
        farm_fail(farm, "check: a packet cannot be written anew");
    return mux_span(rewritten, written);
}

static bool is_text(struct mux_span span, const char *text) {
    return span.data && mux_span_equal(span, mux_span_text(text));
}

/*
 * ---- one link's input ----
 */

static void open_input(struct input *input, const struct farm *farm, unsigned id) {
    const struct owner *owner = &farm->owners[id];
    *input = (struct input){.farm = farm, .id = id, .stream = sim_stream(farm->sim, id, true)};
    if (owner->kind == OWNER_WORKER) {
        input->chatter = farm->workers[owner->index].chatter;
        input->chatter_count = farm->workers[owner->index].chatter_count;
        input->marks = farm->workers[owner->index].marks;
        input->mark_count = farm->workers[owner->index].mark_count;
        input->abandoned = farm->workers[owner->index].abandoned;
        input->abandoned_count = farm->workers[owner->index].abandoned_count;
    }
}

static bool is_corrupted(const struct input *input, uint64_t from, uint64_t to) {
    for (unsigned i = 0; i < input->stream.corruption_count; i++) {
        uint64_t at = input->stream.corruptions[i].offset;
        if (at >= from && at < to)
            return true;
    }
    for (unsigned i = 0; i < input->abandoned_count; i++)
        if (input->abandoned[i] >= from && input->abandoned[i] < to)
            return true;
    return false;
}

static bool is_chatter(const struct input *input, uint64_t from, uint64_t to) {
    for (unsigned i = 0; i < input->chatter_count; i++)
        if (input->chatter[i].from <= from && to <= input->chatter[i].to)
            return true;
    return false;
}

static void end_run(struct input *input) {
    if (input->in_run && !is_corrupted(input, input->run_from, input->at))
        farm_fail(input->farm,
                  "connection %u: bytes %" PRIu64 "..%" PRIu64 " of its stream are "
                  "reported as damage or chatter and were neither",
                  input->id, input->run_from, input->at);
    input->in_run = false;
}

/* These bytes of the input are reported as chatter or damage. */
static void take(struct input *input, struct mux_span bytes, bool damage) {
    uint64_t to = input->at + bytes.len;
    if (to > input->stream.read || memcmp(input->stream.bytes + input->at, bytes.data, bytes.len))
        farm_fail(input->farm,
                  "connection %u: %s of %zu bytes is not what was read at %" PRIu64 " of %" PRIu64,
                  input->id, damage ? "damage" : "chatter", bytes.len, input->at,
                  input->stream.read);
    bool tail = damage && to == input->stream.read;
    bool as_written = damage ? tail && !input->in_run : is_chatter(input, input->at, to);
    if (as_written) {
        end_run(input);
    } else if (!input->in_run) {
        input->in_run = true;
        input->run_from = input->at;
    }
    input->at = to;
}

/* The node's list of tests in progress, kept once more. */
static void see(struct input *input, const struct mux_packet *packet) {
    bool begins = packet->status == MUX_STATUS_INPROGRESS;
    unsigned i = 0;
    if (!packet->test_id.data || packet->status == MUX_STATUS_NONE ||
        packet->status == MUX_STATUS_EXISTS)
        return;
    while (i < input->open_count && !(mux_span_equal(input->open[i].test_id, packet->test_id) &&
                                      mux_span_equal(input->open[i].route, packet->route) &&
                                      !input->open[i].route.data == !packet->route.data))
        i++;
    if (!begins && i < input->open_count) {
        input->open[i] = input->open[--input->open_count];
    } else if (begins && i == input->open_count) {
        input->open = realloc(input->open, (i + 1) * sizeof *input->open);
        assert(input->open);
        input->open[input->open_count++] = *packet;
    }
}

/* Is `sent` the next packet of the input, with the route that it should have? Then it is taken. */
static bool take_packet(struct input *input, struct mux_span sent, struct mux_span route,
                        size_t segment_len) {
    struct mux_span whole;
    struct mux_packet packet;
    uint64_t left = input->stream.read - input->at;
    if (left == 0 ||
        !packet_at(mux_span(input->stream.bytes + input->at, (size_t)left), &whole, &packet))
        return false;
    struct mux_span rest = mux_span(NULL, 0);
    if (route.len > segment_len)
        rest = mux_span(route.data + segment_len + 1, route.len - segment_len - 1);
    if (!mux_span_equal(packet.route, rest) || !packet.route.data != !rest.data)
        return false;
    if (!mux_span_equal(with_route(input->farm, packet, route), sent))
        return false;
    end_run(input);
    see(input, &packet);
    input->at += whole.len;
    return true;
}

/* Nobody starves: the packet just taken has not waited for too much else. */
static void check_wait(struct input *input, uint64_t sent_up) {
    if (input->mark_count == 0)
        return;
    const struct mark *mark = input->marks++;
    input->mark_count--;
    assert(mark->to == input->at);
    if (sent_up > mark->sent_up + WAIT_MOST_BYTES)
        farm_fail(input->farm, "connection %u: %" PRIu64 " bytes of others went before its packet",
                  input->id, sent_up - mark->sent_up);
}

/* A test that was in progress when the link ended. */
static void take_failure(struct input *input, const struct mux_packet *packet,
                         struct mux_span rest) {
    struct mux_packet ended = {.test_id = packet->test_id, .status = packet->status, .route = rest};
    unsigned before = input->open_count;
    if (input->at != input->stream.read)
        farm_fail(input->farm, "connection %u: a test is reported as failed before the end",
                  input->id);
    see(input, &ended);
    if (input->open_count == before)
        farm_fail(input->farm, "connection %u: %.*s is reported as failed and was not in progress",
                  input->id, (int)packet->test_id.len, (const char *)packet->test_id.data);
    input->reported++;
}

/* Something that the node made itself. */
static void take_report(struct input *input, const struct mux_packet *packet,
                        struct mux_span rest) {
    if (is_text(packet->file_name, "stdout") && !packet->test_id.data && !rest.data) {
        take(input, packet->file_content, false);
    } else if (is_text(packet->test_id, "subunit.parser") && !rest.data && packet->eof &&
               input->error_expected == (packet->status == MUX_STATUS_FAIL)) {
        if (!input->error_expected)
            take(input, packet->file_content, true);
        input->error_expected = !input->error_expected;
    } else if (is_text(packet->file_name, "muxd") && packet->test_id.data &&
               packet->status == MUX_STATUS_FAIL) {
        take_failure(input, packet, rest);
    } else {
        farm_fail(input->farm,
                  "connection %u: a packet (test %.*s) is not what was read at %" PRIu64
                  " of %" PRIu64,
                  input->id, (int)packet->test_id.len,
                  packet->test_id.data ? (const char *)packet->test_id.data : "", input->at,
                  input->stream.read);
    }
}

static void end_input(struct input *input, bool all_tracked) {
    if (input->at != input->stream.read || input->error_expected)
        farm_fail(input->farm,
                  "connection %u: of %" PRIu64 " bytes read only %" PRIu64 " have come up",
                  input->id, input->stream.read, input->at);
    end_run(input);
    bool over = input->farm->owners[input->id].kind == OWNER_WORKER;
    if (over && all_tracked && input->open_count > 0)
        farm_fail(input->farm, "connection %u: %.*s was in progress and is not reported as failed",
                  input->id, (int)input->open[0].test_id.len,
                  (const char *)input->open[0].test_id.data);
    free(input->open);
}

/*
 * ---- up ----
 */

static void check_up_packet(struct check *check, struct mux_span sent) {
    const struct place *place = check->place;
    struct mux_packet packet;
    struct mux_span whole;
    if (!packet_at(sent, &whole, &packet))
        farm_fail(check->farm, "node %u sends what is not a good packet", place->index);
    check->packets++;
    check->bytes += sent.len;
    if (!packet.route.data) {
        if (!is_text(packet.file_name, "muxd") || packet.test_id.data)
            farm_fail(check->farm, "node %u: a packet without route", place->index);
        check->own_messages++;
        return;
    }
    const uint8_t *slash = memchr(packet.route.data, '/', packet.route.len);
    size_t segment_len = slash ? (size_t)(slash - packet.route.data) : packet.route.len;
    char text[32] = {0};
    memcpy(text, packet.route.data, segment_len < sizeof text ? segment_len : sizeof text - 1);
    char *end;
    unsigned long segment = strtoul(text, &end, 10);
    if (*end || end == text || segment >= place->segment_count)
        farm_fail(check->farm, "node %u: a packet with the unknown segment %s", place->index, text);
    struct mux_span rest = mux_span(NULL, 0);
    if (slash)
        rest = mux_span(slash + 1, packet.route.len - segment_len - 1);
    struct input *input = &check->inputs[segment];
    if (!take_packet(input, sent, packet.route, segment_len))
        take_report(input, &packet, rest);
    else
        check_wait(input, check->bytes);
}

/* What was written, before the network corrupted it. */
static uint8_t *as_written(const struct sim_stream *stream) {
    uint8_t *bytes = malloc(stream->written + 1);
    assert(bytes);
    if (stream->written)
        memcpy(bytes, stream->bytes, stream->written);
    for (unsigned i = 0; i < stream->corruption_count; i++)
        bytes[stream->corruptions[i].offset] ^= stream->corruptions[i].mask;
    return bytes;
}

/* The whole packets of one connection; the one that it took in part is sent again on the next. */
static void check_uplink(struct check *check, unsigned id) {
    struct sim_stream stream = sim_stream(check->farm->sim, id, true);
    uint8_t *bytes = as_written(&stream);
    uint32_t length, header_bytes;
    for (uint64_t at = 0; at < stream.written; at += length) {
        struct mux_span left = mux_span(bytes + at, (size_t)(stream.written - at));
        enum mux_error error = mux_header_parse(left, &length, &header_bytes);
        if (error == MUX_ERROR_SHORT_HEADER || (!error && length > left.len))
            break;
        if (error)
            farm_fail(check->farm, "node %u sends what is not subunit", check->place->index);
        check_up_packet(check, mux_span(left.data, length));
    }
    free(bytes);
}

static void expect(const struct check *check, enum mux_counter counter, uint64_t value) {
    uint64_t counted = node_counters(check->place->node)->value[counter];
    if (counted != value)
        farm_fail(check->farm, "node %u counts %" PRIu64 " %s, and there were %" PRIu64,
                  check->place->index, counted, mux_counter_infos[counter].name, value);
}

static void check_up(struct check *check) {
    const struct place *place = check->place;
    const struct mux_counters *counters = node_counters(place->node);
    uint64_t read_bytes = 0, reported = 0;
    for (unsigned i = 0; i < place->segment_count; i++)
        open_input(&check->inputs[i], check->farm, place->segments[i]);
    for (unsigned i = 0; i < place->uplink_count; i++)
        check_uplink(check, place->uplinks[i]);
    for (unsigned i = 0; i < place->segment_count; i++) {
        end_input(&check->inputs[i], counters->value[MUX_COUNT_tests_untracked] == 0);
        read_bytes += check->inputs[i].stream.read;
        reported += check->inputs[i].reported;
    }
    expect(check, MUX_COUNT_received_bytes, read_bytes);
    expect(check, MUX_COUNT_tests_failed, reported);
    expect(check, MUX_COUNT_messages, check->own_messages);
    expect(check, MUX_COUNT_forwarded_packets, check->packets);
}

/*
 * ---- down ----
 */

/* What came from the upstream for one link, its segment cut: packets, one behind the other. */
struct expected {
    struct bytes bytes;
    size_t at;
    uint64_t packets;
    uint64_t delivered;
};

struct down {
    struct expected *links; /* by segment */
    uint64_t packets;
    uint64_t unknown;
    bool corrupted;
};

static void expect_down(struct check *check, struct down *down, const struct mux_packet *packet) {
    struct mux_span route = packet->route, rest = mux_span(NULL, 0);
    down->packets++;
    const uint8_t *slash = route.len ? memchr(route.data, '/', route.len) : NULL;
    char text[32] = {0}, *end;
    size_t len = slash ? (size_t)(slash - route.data) : route.len;
    memcpy(text, route.data, len < sizeof text ? len : sizeof text - 1);
    unsigned long segment = strtoul(text, &end, 10);
    if (*end || end == text || segment >= check->place->segment_count) {
        down->unknown++;
        return;
    }
    if (slash && slash + 1 < route.data + route.len)
        rest = mux_span(slash + 1, route.len - len - 1);
    struct mux_span stripped = with_route(check->farm, *packet, rest);
    struct expected *expected = &down->links[segment];
    memcpy(bytes_grow(&expected->bytes, stripped.len), stripped.data, stripped.len);
    expected->bytes.len += stripped.len;
    expected->packets++;
}

/* All packets that the node may have found in what it read. */
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
            at++; /* after a corruption, or at the end */
        }
    }
}

/* What was written to a link is what was expected, or less. */
static void check_down_link(struct check *check, struct expected *expected, unsigned id) {
    struct sim_stream stream = sim_stream(check->farm->sim, id, false);
    uint8_t *bytes = as_written(&stream);
    uint32_t length, header_bytes;
    for (uint64_t at = 0; at < stream.written; at += length) {
        struct mux_span left = mux_span(bytes + at, (size_t)(stream.written - at));
        if (mux_header_parse(left, &length, &header_bytes) || length > left.len)
            break; /* its last one: it has ended within */
        for (;;) {
            struct mux_span whole;
            struct mux_packet packet;
            if (!packet_at(mux_span(expected->bytes.data + expected->at,
                                    expected->bytes.len - expected->at),
                           &whole, &packet))
                farm_fail(check->farm,
                          "node %u: connection %u got a packet that was not meant for it, or "
                          "not in order",
                          check->place->index, id);
            expected->at += whole.len;
            if (mux_span_equal(whole, mux_span(left.data, length)))
                break;
        }
        expected->delivered++;
    }
    free(bytes);
}

static void check_down(struct check *check) {
    const struct place *place = check->place;
    const uint64_t *value = node_counters(place->node)->value;
    struct down down = {.links = calloc(place->segment_count + 1, sizeof *down.links)};
    uint64_t delivered = 0;
    assert(down.links);
    for (unsigned i = 0; i < place->uplink_count; i++)
        read_downlink(check, &down, place->uplinks[i]);
    for (unsigned i = 0; i < place->segment_count; i++) {
        check_down_link(check, &down.links[i], place->segments[i]);
        delivered += down.links[i].delivered;
        free(down.links[i].bytes.data);
    }
    if (!down.corrupted) {
        expect(check, MUX_COUNT_down_received_packets, down.packets);
        expect(check, MUX_COUNT_down_forwarded_packets,
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

void check_farm(struct farm *farm) {
    for (unsigned i = 0; i < farm->plan.nodes; i++) {
        struct check check = {.farm = farm, .place = &farm->places[i]};
        check.inputs = calloc(check.place->segment_count + 1, sizeof *check.inputs);
        assert(check.inputs);
        check_up(&check);
        check_down(&check);
        free(check.inputs);
    }
}
