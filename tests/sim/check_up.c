/* The way up of one node. */
#include "tests/sim/check.h"
#include <stdlib.h>
#include <string.h>

static bool is_of_same_node(const struct check *check, unsigned a, unsigned b) {
    const struct owner *owners = check->farm->owners;
    return check->inputs[a].is_node && check->inputs[b].is_node &&
           owners[check->inputs[a].id].index == owners[check->inputs[b].id].index;
}

/* The node's tests in progress move from one connection to the next. */
static void move_tests(struct input *from, struct input *to) {
    to->open = from->open;
    to->open_count = from->open_count;
    from->open = NULL;
    from->open_count = 0;
}

/*
 * The segment's connection has nothing more. If this is the first packet of a later connection of
 * the same node, the segment continues with that connection. NULL: it is not.
 */
static struct input *go_on(struct check *check, unsigned long segment, struct mux_span sent,
                           const struct mux_packet *packet, size_t segment_len, bool *taken) {
    unsigned last = check->current[segment];
    struct input *old = &check->inputs[last];
    if (!old->is_node || !input_is_used_up(old) || old->reported || old->error_expected)
        return NULL;
    for (unsigned i = last + 1; i < check->place->segment_count; i++) {
        struct input *next = &check->inputs[i];
        if (!is_of_same_node(check, last, i) || next->is_begun)
            continue;
        move_tests(old, next);
        *taken = input_take_packet(next, sent, packet->route, segment_len);
        if (*taken || input_has_reported(next, packet)) {
            next->is_begun = next->was_taken = true;
            check->current[segment] = i;
            return next;
        }
        move_tests(next, old);
    }
    return NULL;
}

static void check_up_packet(struct check *check, struct mux_span sent) {
    const struct place *place = check->place;
    struct mux_packet packet;
    struct mux_span whole, rest;
    unsigned long segment;
    size_t segment_len;
    if (!packet_at(sent, &whole, &packet))
        farm_fail(check->farm, "node %u sends a damaged packet", place->index);
    check->packets++;
    check->bytes += sent.len;
    if (!packet.test_id.data && is_text(packet.file_name, "muxd.node"))
        return;
    if (!packet.route.data) {
        if (!is_text(packet.file_name, "muxd") || packet.test_id.data)
            farm_fail(check->farm, "node %u: a packet without route", place->index);
        check->own_messages++;
        return;
    }
    if (!split_route(packet.route, &segment, &segment_len, &rest) ||
        segment >= place->segment_count)
        farm_fail(check->farm, "node %u: a packet with the unknown segment %.*s", place->index,
                  (int)segment_len, (const char *)packet.route.data);
    struct input *input = &check->inputs[check->current[segment]];
    bool taken = input_take_packet(input, sent, packet.route, segment_len);
    struct input *next = taken ? NULL : go_on(check, segment, sent, &packet, segment_len, &taken);
    input = next ? next : input;
    input->is_begun = true;
    if (taken)
        input_check_wait(input, check->bytes);
    else
        input_take_report(input, &packet, rest);
}

/* A node whose upstream is a node sends its hello first; and asks for the time later. */
static bool is_own_word(const struct check *check, uint64_t at, struct mux_span sent) {
    struct mux_packet packet;
    struct mux_span whole;
    if (!check->place->parent || !check->farm->plan.node_links)
        return false;
    bool is_packet = packet_at(sent, &whole, &packet);
    if (at > 0)
        return is_packet && !packet.test_id.data && is_text(packet.file_name, "muxd.time");
    if (!is_packet || !is_text(packet.file_name, "muxd.hello"))
        farm_fail(check->farm, "node %u does not say hello", check->place->index);
    return true;
}

/* The whole packets of one connection; a packet that it took in part comes again on the next. */
static void check_uplink(struct check *check, unsigned id) {
    struct sim_stream stream = sim_stream(check->farm->sim, id, true);
    uint8_t *bytes = bytes_as_written(&stream);
    uint32_t length, header_bytes;
    for (uint64_t at = 0; at < stream.written; at += length) {
        struct mux_span left = mux_span(bytes + at, (size_t)(stream.written - at));
        enum mux_error error = mux_header_parse(left, &length, &header_bytes);
        if (error == MUX_ERROR_SHORT_HEADER || (!error && length > left.len))
            break;
        if (error)
            farm_fail(check->farm, "node %u sends bytes that are not subunit", check->place->index);
        struct mux_span sent = mux_span(left.data, length);
        if (!is_own_word(check, at, sent))
            check_up_packet(check, sent);
    }
    free(bytes);
}

/* One link for each node below, unless it was given up. */
static void check_nodes(struct check *check) {
    uint64_t given_up = node_core_counters(check->place->node)->value[MUX_COUNT_nodes_given_up];
    uint64_t cut_bytes = 0, failed = 0, anew = 0;
    for (unsigned i = 0; i < check->place->segment_count; i++) {
        struct input *input = &check->inputs[i];
        if (!input->is_node)
            continue;
        cut_bytes += input->stream.read - input->at;
        failed += input->reported > 0;
        unsigned before = 0;
        while (before < i && !(is_of_same_node(check, before, i) && check->inputs[before].is_begun))
            before++;
        anew += before < i && input->is_begun && !input->was_taken;
    }
    if (failed > given_up || anew > given_up)
        farm_fail(check->farm, "node %u: a node below has failed, or got another segment",
                  check->place->index);
    expect_count(check, MUX_COUNT_nodes_cut_bytes, cut_bytes);
    if (check->farm->plan.nobody_is_given_up)
        expect_count(check, MUX_COUNT_nodes_given_up, 0);
}

void check_up(struct check *check) {
    const struct place *place = check->place;
    const struct mux_counters *counters = node_core_counters(place->node);
    uint64_t read_bytes = 0, reported = 0;
    for (unsigned i = 0; i < place->segment_count; i++) {
        input_open(&check->inputs[i], check->farm, place->segments[i]);
        check->current[i] = i;
    }
    for (unsigned i = 0; i < place->uplink_count; i++)
        check_uplink(check, place->uplinks[i]);
    check_nodes(check);
    for (unsigned i = 0; i < place->segment_count; i++) {
        input_end(&check->inputs[i], counters->value[MUX_COUNT_tests_untracked] == 0);
        read_bytes += check->inputs[i].stream.read;
        reported += check->inputs[i].reported;
    }
    expect_count(check, MUX_COUNT_received_bytes, read_bytes);
    expect_count(check, MUX_COUNT_tests_failed, reported);
    expect_count(check, MUX_COUNT_messages, check->own_messages);
    expect_count(check, MUX_COUNT_forwarded_packets, check->packets);
}

void check_farm(struct farm *farm) {
    for (unsigned i = 0; i < farm->plan.nodes; i++) {
        struct check check = {.farm = farm, .place = &farm->places[i]};
        check.inputs = calloc(check.place->segment_count + 1, sizeof *check.inputs);
        check.current = calloc(check.place->segment_count + 1, sizeof *check.current);
        assert(check.inputs && check.current);
        check_up(&check);
        check_down(&check);
        free(check.inputs);
        free(check.current);
    }
}
