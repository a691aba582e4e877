/* One connection's input: which of its bytes are in the node's output, and in which form. */
#include "tests/sim/check.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/*
 * In a flood, the most bytes that go up between the writing of a packet and its own way up: two
 * batches of half a MiB and the buffers that they refer to, the bytes received from the flooding
 * worker, and a turn of each link.
 */
#define WAIT_MOST_BYTES ((uint64_t)3 << 20)

#define CHARACTER_MOST_BYTES 4

#define PACKET_ROOM_BYTES (4194304 + 512)

static uint8_t rewritten[PACKET_ROOM_BYTES];

bool packet_at(struct mux_span bytes, struct mux_span *whole, struct mux_packet *packet) {
    uint32_t length, header_bytes;
    if (mux_header_parse(bytes, &length, &header_bytes) || length > bytes.len)
        return false;
    *whole = mux_span(bytes.data, length);
    return mux_packet_verify(*whole) && !mux_packet_parse(*whole, packet, NULL);
}

struct mux_span packet_with_route(const struct farm *farm, struct mux_packet packet,
                                  struct mux_span route) {
    size_t written = 0;
    packet.route = route;
    if (mux_packet_encode(&packet, rewritten, sizeof rewritten, &written))
        farm_fail(farm, "check: a packet cannot be written again");
    return mux_span(rewritten, written);
}

bool is_text(struct mux_span span, const char *text) {
    return span.data && mux_span_equal(span, mux_span_text(text));
}

bool split_route(struct mux_span route, unsigned long *segment, size_t *segment_len,
                 struct mux_span *rest) {
    char text[32] = {0}, *end;
    const uint8_t *slash = route.len ? memchr(route.data, '/', route.len) : NULL;
    *segment_len = slash ? (size_t)(slash - route.data) : route.len;
    *rest = slash ? mux_span(slash + 1, route.len - *segment_len - 1) : mux_span(NULL, 0);
    if (*segment_len == 0 || *segment_len >= sizeof text)
        return false;
    memcpy(text, route.data, *segment_len);
    *segment = strtoul(text, &end, 10);
    return !*end;
}

uint8_t *bytes_as_written(const struct sim_stream *stream) {
    uint8_t *bytes = malloc(stream->written + 1);
    assert(bytes);
    if (stream->written)
        memcpy(bytes, stream->bytes, stream->written);
    for (unsigned i = 0; i < stream->corruption_count; i++)
        bytes[stream->corruptions[i].offset] ^= stream->corruptions[i].mask;
    return bytes;
}

void expect_count(const struct check *check, enum mux_counter counter, uint64_t value) {
    uint64_t counted = node_core_counters(check->place->node)->value[counter];
    if (counted != value)
        farm_fail(check->farm, "node %u counts %" PRIu64 " %s, and there were %" PRIu64,
                  check->place->index, counted, mux_counter_infos[counter].name, value);
}

/*
 * ---- one link's input ----
 */

static bool is_word(const struct mux_packet *packet) {
    return !packet->test_id.data &&
           (is_text(packet->file_name, "muxd.node") || is_text(packet->file_name, "muxd.time"));
}

/*
 * Notices about nodes further down, of which the other node sends its own; and questions for the
 * time.
 */
static void skip_words(struct input *input) {
    struct mux_span whole;
    struct mux_packet packet;
    while (input->is_node && input->at < input->stream.read &&
           packet_at(
               mux_span(input->stream.bytes + input->at, (size_t)(input->stream.read - input->at)),
               &whole, &packet) &&
           is_word(&packet))
        input->at += whole.len;
}

static void skip_hello(struct input *input) {
    struct mux_span whole;
    struct mux_packet packet;
    if (!packet_at(mux_span(input->stream.bytes, (size_t)input->stream.read), &whole, &packet) ||
        !is_text(packet.file_name, "muxd.hello"))
        return;
    input->is_node = true;
    input->at = whole.len;
    skip_words(input);
}

void input_open(struct input *input, const struct farm *farm, unsigned id) {
    const struct owner *owner = &farm->owners[id];
    *input = (struct input){.farm = farm, .id = id, .stream = sim_stream(farm->sim, id, true)};
    if (owner->kind == OWNER_PLACE && farm->plan.node_links && input->stream.read > 0) {
        skip_hello(input);
    } else if (owner->kind == OWNER_WORKER) {
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
                  "reported as damage or chatter but were neither",
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
    skip_words(input);
}

/* A second list of the node's tests in progress. */
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

bool input_take_packet(struct input *input, struct mux_span sent, struct mux_span route,
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
    if (!mux_span_equal(packet_with_route(input->farm, packet, route), sent))
        return false;
    end_run(input);
    see(input, &packet);
    input->at += whole.len;
    skip_words(input);
    return true;
}

void input_check_wait(struct input *input, uint64_t sent_up) {
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
    if (!input_is_used_up(input))
        farm_fail(input->farm, "connection %u: a test is reported as failed before its link's end",
                  input->id);
    see(input, &ended);
    if (input->open_count == before)
        farm_fail(input->farm, "connection %u: %.*s is reported as failed but was not in progress",
                  input->id, (int)packet->test_id.len, (const char *)packet->test_id.data);
    input->reported++;
}

void input_take_report(struct input *input, const struct mux_packet *packet, struct mux_span rest) {
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

bool input_has_reported(const struct input *input, const struct mux_packet *packet) {
    struct mux_span bytes = packet->file_content;
    bool is_report = (is_text(packet->file_name, "stdout") && !packet->test_id.data) ||
                     is_text(packet->test_id, "subunit.parser");
    return is_report && bytes.len > 0 && bytes.len <= input->stream.read - input->at &&
           memcmp(input->stream.bytes + input->at, bytes.data, bytes.len) == 0;
}

bool input_is_used_up(const struct input *input) {
    uint32_t length, header_bytes;
    struct mux_span rest =
        mux_span(input->stream.bytes + input->at, (size_t)(input->stream.read - input->at));
    if (rest.len == 0 || !input->is_node)
        return rest.len == 0;
    enum mux_error error = mux_header_parse(rest, &length, &header_bytes);
    if (error && error != MUX_ERROR_SHORT_HEADER) /* a corrupted byte may begin a character */
        return rest.len < CHARACTER_MOST_BYTES &&
               (input->in_run || is_corrupted(input, input->at, input->stream.read));
    return error || length > rest.len;
}

static void check_tests(const struct input *input, bool all_tracked) {
    bool is_over = input->is_node ? input->reported > 0 : input->stream.over;
    if (is_over && all_tracked && input->open_count > 0)
        farm_fail(input->farm, "connection %u: %.*s was in progress but is not reported as failed",
                  input->id, (int)input->open[0].test_id.len,
                  (const char *)input->open[0].test_id.data);
}

void input_end(struct input *input, bool all_tracked) {
    if (!input_is_used_up(input) || input->error_expected)
        farm_fail(input->farm,
                  "connection %u: of %" PRIu64 " bytes read only %" PRIu64 " have come up",
                  input->id, input->stream.read, input->at);
    end_run(input);
    check_tests(input, all_tracked);
    free(input->open);
}
