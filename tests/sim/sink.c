/* The sink: reads what comes up, sends packets down to workers, and sometimes disconnects. */
#include "tests/sim/farm.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUTE_BYTES 128
#define READ_BYTES 16384

/* The most bytes that it makes while the root does not read. */
#define DOWN_AHEAD_BYTES (1 << 20)

static void ready(void *user) {
    struct sink *sink = user;
    sink->ready = true;
}

void sink_init(struct farm *farm) {
    struct transport_address address = {.len = sizeof address.in4};
    address.in4.sin_family = AF_INET;
    address.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    farm->sink.listener = sim_listen(farm->sim, &address, &farm->sink.address);
    sim_listener_watch(farm->sink.listener, ready, &farm->sink);
}

static void hang_up(struct farm *farm) {
    struct sink *sink = &farm->sink;
    sim_close(sink->end);
    sink->end = NULL;
    sink->down.len = sink->down_sent = sink->up.len = 0;
    sink->ready = true; /* the next connection may be there */
}

void sink_fini(struct farm *farm) {
    if (farm->sink.end)
        hang_up(farm);
    sim_unlisten(farm->sink.listener);
    free(farm->sink.down.data);
    free(farm->sink.up.data);
}

/* Reads what has come up; returns the last result of sim_read(). */
static ssize_t read_up(struct farm *farm) {
    struct sink *sink = &farm->sink;
    ssize_t len;
    while ((len = sim_read(sink->end, bytes_grow(&sink->up, READ_BYTES), READ_BYTES)) > 0) {
        sink->up.len += (size_t)len;
        if (farm->plan.bundles && !bundles_see(farm))
            return 0;
        if (farm->plan.bundles)
            continue;
        if (farm->plan.mortal)
            verdicts_see(farm);
        else
            sink->up.len = 0;
    }
    return len;
}

/* Reads and writes. False: the connection is over. */
static bool carry(struct farm *farm) {
    struct sink *sink = &farm->sink;
    ssize_t len = read_up(farm);
    if (len != -EAGAIN)
        return false;
    while (sink->down_sent < sink->down.len) {
        len = sim_write(sink->end, sink->down.data + sink->down_sent,
                        sink->down.len - sink->down_sent);
        if (len <= 0)
            return len == -EAGAIN;
        sink->down_sent += (size_t)len;
    }
    return true;
}

bool sink_act(struct farm *farm) {
    struct sink *sink = &farm->sink;
    if (!sink->ready || !sink->awake)
        return false;
    sink->ready = false;
    if (!sink->end && (sink->end = sim_accept(sink->listener)))
        sim_end_watch(sink->end, ready, sink);
    if (sink->end && !carry(farm))
        hang_up(farm);
    return true;
}

/* The segment that the connection with this id has at `place`; false: none yet. */
static bool segment_of(const struct place *place, unsigned id, unsigned *segment) {
    for (unsigned i = place->segment_count; i-- > 0;)
        if (place->segments[i] == id) {
            *segment = i;
            return true;
        }
    return false;
}

/*
 * The connection of `place` to its upstream that gave their link its segment. Where nodes say hello
 * that is the first one, unless the node was given up: then there is none.
 */
static unsigned uplink_of(const struct place *place) {
    unsigned segment;
    for (unsigned i = 0; place->farm->plan.node_links && i < place->uplink_count; i++)
        if (segment_of(place->parent, place->uplinks[i], &segment))
            return place->uplinks[i];
    return place->uplinks[place->uplink_count - 1];
}

/* The route from the root to the connection `id` at `place`, followed by "x". */
static bool route_to(const struct place *place, unsigned id, char *route, size_t route_bytes) {
    char below[ROUTE_BYTES];
    unsigned segment;
    snprintf(route, route_bytes, "x");
    for (; place; place = place->parent) {
        if (!segment_of(place, id, &segment) || place->uplink_count == 0)
            return false;
        snprintf(below, sizeof below, "%s", route);
        snprintf(route, route_bytes, "%u/%.*s", segment, ROUTE_BYTES - 16, below);
        if (place->parent)
            id = uplink_of(place);
    }
    return true;
}

/* A connected worker in nine cases of ten; otherwise any. */
static const struct worker *some_worker(struct farm *farm) {
    unsigned count = farm->plan.workers;
    unsigned first = (unsigned)sim_random(farm->sim, count);
    bool any = sim_random(farm->sim, 10) == 0;
    for (unsigned i = 0; i < count && !any; i++) {
        const struct worker *worker = &farm->workers[(first + i) % count];
        if (worker->begun && !worker->done)
            return worker;
    }
    return &farm->workers[first];
}

static void send_down(struct farm *farm) {
    struct sink *sink = &farm->sink;
    const struct worker *worker = some_worker(farm);
    char route[ROUTE_BYTES], id[32];
    static const uint8_t content[1 << 17];
    const size_t most = farm->plan.down_most + 256;
    size_t written;
    if (!worker->begun || !route_to(worker->place, worker->id, route, sizeof route))
        snprintf(route, sizeof route, "nobody/there");
    snprintf(id, sizeof id, "d%u", sink->sent_packets++);
    struct mux_packet packet = {
        .runnable = true,
        .test_id = mux_span_text(id),
        .file_name = mux_span_text("stdin"),
        .file_content = mux_span(content, (size_t)sim_random(farm->sim, farm->plan.down_most)),
        .route = mux_span_text(route)};
    uint8_t *out = bytes_grow(&sink->down, most);
    if (mux_packet_encode(&packet, out, most, &written))
        farm_fail(farm, "sink: a packet cannot be encoded");
    sink->down.len += written;
}

void sink_tick(struct farm *farm) {
    struct sink *sink = &farm->sink;
    sink->awake = !farm_likely(farm, farm->plan.lazy);
    if (farm->plan.bundles)
        bundles_tick(farm);
    if (!sink->end)
        return;
    if (farm_likely(farm, farm->plan.leave))
        hang_up(farm);
    else if (sink->down.len - sink->down_sent < DOWN_AHEAD_BYTES &&
             farm_likely(farm, farm->plan.down))
        send_down(farm);
    sink->ready = true;
}
