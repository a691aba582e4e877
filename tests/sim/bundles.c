/*
 * Farms whose nodes take bundles: the sink is an end by script, relays are killed, ended, stopped
 * and started again, connections between nodes break at any byte, vanish or are damaged. Workers
 * are at leaves, which live: every packet of theirs reaches the end once, in order, under one route
 * a worker.
 */
#include "mux/node/beat.h"
#include "mux/packet/bundle.h"
#include "tests/sim/check.h"
#include "tools/node/node_internal.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SINK_IDENTITY "e4d0"

/* Of a node: two batches and what a stream may have over its window. */
#define QUEUES_BYTES (2 * ((size_t)1 << 20) + 3 * MUX_STREAM_RECORD_MOST_BYTES)

static struct farm *farm_of(struct bundles *bundles) {
    return MUX_CONTAINER_OF(bundles, struct farm, bundles);
}

bool bundles_is_leaf(const struct place *place) {
    return place->index + 1 >= place->farm->plan.levels;
}

/* What is for a connection that is gone is lost, as everything on it. */
static void goes_down(void *user, struct mux_span bytes) {
    struct sink *sink = &farm_of(user)->sink;
    memcpy(bytes_grow(&sink->down, bytes.len), bytes.data, bytes.len);
    sink->down.len += bytes.len;
    sink->ready = true;
}

/*
 * ---- packets ----
 */

bool bundles_is_same(const struct mux_packet *a, const struct mux_packet *b) {
    return a->status == b->status && a->runnable == b->runnable && a->eof == b->eof &&
           a->has_timestamp == b->has_timestamp && a->seconds == b->seconds &&
           a->nanoseconds == b->nanoseconds && mux_span_equal(a->test_id, b->test_id) &&
           mux_span_equal(a->file_name, b->file_name) &&
           mux_span_equal(a->file_content, b->file_content);
}

/* The worker's own route stands behind that of its link. */
static bool ends_with(struct mux_span route, struct mux_span own) {
    return route.len > own.len &&
           (own.len == 0 || memcmp(route.data + route.len - own.len, own.data, own.len) == 0);
}

static void check_route(struct worker *worker, const struct mux_packet *packet) {
    struct bytes *route = &worker->route;
    if (route->len == 0) {
        memcpy(bytes_grow(route, packet->route.len), packet->route.data, packet->route.len);
        route->len = packet->route.len;
    }
    if (!mux_span_equal(packet->route, mux_span(route->data, route->len)))
        farm_fail(worker->farm, "worker %u is at %.*s, was at %.*s", worker->index,
                  (int)packet->route.len, (const char *)packet->route.data, (int)route->len,
                  (const char *)route->data);
}

/* A leaf reports what was in progress when its worker ended, behind all that came from it. */
static void check_judged(const struct worker *worker) {
    if (worker->came < worker->out.len || worker->packets_left > 0)
        farm_fail(worker->farm, "a test of worker %u is reported failed while it lives",
                  worker->index);
}

struct worker *bundles_worker_of(struct farm *farm, const struct mux_packet *packet) {
    char id[64];
    unsigned index;
    snprintf(id, sizeof id, "%.*s", (int)packet->test_id.len, (const char *)packet->test_id.data);
    return sscanf(id, "w%u.t", &index) == 1 && index < farm->plan.workers ? &farm->workers[index]
                                                                          : NULL;
}

static void miss(struct worker *worker, size_t len) {
    worker->came += len;
    if (worker->place->rotten_packets == 0)
        farm_fail(worker->farm, "of worker %u more packets have not come than went bad",
                  worker->index);
    worker->place->rotten_packets--;
}

/* The rest of what must come has gone bad, and no more of it than that. */
void bundles_miss(struct worker *worker) {
    struct mux_span whole;
    struct mux_packet sent;
    while (worker->came < worker->must &&
           packet_at(mux_span(worker->out.data + worker->came, worker->out.len - worker->came),
                     &whole, &sent))
        miss(worker, whole.len);
}

/* Rule 7: the first part of a packet that fits no bundle; the rest has its status and its end. */
static bool is_part(const struct mux_packet *packet, const struct mux_packet *rest) {
    struct mux_packet first = *rest;
    first.status = MUX_STATUS_NONE;
    first.eof = false;
    first.file_content.len = packet->file_content.len;
    return packet->file_content.len < rest->file_content.len && bundles_is_same(packet, &first);
}

void bundles_take(struct farm *farm, struct worker *worker, const struct mux_packet *packet) {
    struct mux_span whole;
    struct mux_packet sent;
    struct mux_span rest =
        mux_span(worker->out.data + worker->came, worker->out.len - worker->came);
    bool is_there = packet_at(rest, &whole, &sent);
    while (worker->may_miss && is_there && !bundles_is_same(packet, &sent)) {
        miss(worker, whole.len);
        rest = mux_span(rest.data + whole.len, rest.len - whole.len);
        is_there = packet_at(rest, &whole, &sent);
    }
    if (is_there && whole.len > MUX_BUNDLE_CONTENT_MAX_BYTES - MUX_PREFIX_GROWTH_BYTES) {
        sent.file_content.data += worker->part;
        sent.file_content.len -= worker->part;
        if (is_part(packet, &sent)) {
            worker->part += packet->file_content.len;
            return;
        }
    }
    if (!is_there || !bundles_is_same(packet, &sent) || !ends_with(packet->route, sent.route))
        farm_fail(farm, "%.*s came where another packet is next (at byte %zu)",
                  (int)packet->test_id.len, (const char *)packet->test_id.data, worker->came);
    worker->came += whole.len;
    worker->part = 0;
    check_route(worker, packet);
}

static void comes(void *user, const struct scripted_stream *stream,
                  const struct mux_packet *packet) {
    struct farm *farm = farm_of(user);
    struct worker *worker = bundles_worker_of(farm, packet);
    (void)stream;
    if (!worker)
        return; /* a node's own */
    if (is_text(packet->file_name, "muxd"))
        check_judged(worker);
    else
        bundles_take(farm, worker, packet);
}

/* Some of it is safe, and some of that is acknowledged. */
static void acknowledge(struct farm *farm, struct scripted_stream *stream) {
    uint64_t left = stream->known.at - stream->known.safe;
    bool is_slow = !farm->healed && sim_random(farm->sim, 2);
    if (stream->is_acked || is_slow || !farm->sink.end)
        return;
    uint64_t more =
        farm->healed || sim_random(farm->sim, 2) ? left : sim_random(farm->sim, left + 1);
    scripted_end_ack(&farm->bundles.end, stream, stream->known.safe + more);
}

static void acknowledge_all(struct farm *farm) {
    struct scripted_end *end = &farm->bundles.end;
    for (unsigned i = 0; i < end->count; i++)
        acknowledge(farm, &end->streams[i]);
}

static void answer_hello(struct farm *farm) {
    struct mux_hello hello;
    uint8_t out[MUX_HELLO_PACKET_BYTES];
    mux_hello_init(&hello, SINK_IDENTITY, "end");
    hello.takes_bundles = true;
    goes_down(&farm->bundles, mux_span(out, mux_hello_write(&hello, out)));
}

/* False: it is damaged, and ends the connection (rule 33). */
static bool see(struct farm *farm, struct mux_span bytes) {
    struct mux_packet packet;
    struct mux_span whole;
    if (!packet_at(bytes, &whole, &packet))
        return false;
    if (mux_hello_is(&packet))
        answer_hello(farm);
    else
        scripted_end_take(&farm->bundles.end, whole);
    return true;
}

bool bundles_see(struct farm *farm) {
    struct bytes *up = &farm->sink.up;
    uint32_t length = 0, header_bytes;
    size_t at = 0;
    bool is_fine = true;
    for (; is_fine; at += is_fine ? length : 0) {
        struct mux_span rest = mux_span(up->data + at, up->len - at);
        enum mux_error error = mux_header_parse(rest, &length, &header_bytes);
        if (error == MUX_ERROR_SHORT_HEADER || (!error && length > rest.len))
            break;
        is_fine = !error && see(farm, mux_span(rest.data, length));
    }
    memmove(up->data, up->data + at, up->len - at);
    up->len -= at;
    if (farm->healed)
        acknowledge_all(farm);
    return is_fine;
}

/*
 * ---- time ----
 */

void bundles_init(struct farm *farm) {
    struct scripted_end *end = &farm->bundles.end;
    *end = (struct scripted_end){.user = &farm->bundles, .down = goes_down, .packet = comes};
}

static void check_window(const struct place *place) {
    const struct plan *plan = &place->farm->plan;
    uint64_t bytes = mux_upstream_pending_bytes(place->node->mux);
    if (bytes > plan->window_bytes + 2 * plan->content_most + QUEUES_BYTES)
        farm_fail(place->farm, "node %u holds %" PRIu64 " bytes", place->index, bytes);
}

/* More often than is asked for; what is for nobody is dropped. */
static void beat(struct farm *farm) {
    uint8_t out[MUX_MESSAGE_BEAT_BYTES];
    uint64_t now_ns = sim_now_ns(farm->sim);
    if (!farm->sink.end || now_ns < farm->bundles.beat_at_ns)
        return;
    farm->bundles.beat_at_ns = now_ns + MUX_BEAT_LEAST_NS;
    goes_down(&farm->bundles, mux_span(out, mux_beat_write(out)));
}

void bundles_tick(struct farm *farm) {
    acknowledge_all(farm);
    beat(farm);
    for (unsigned i = 0; i < farm->plan.nodes; i++)
        if (!farm->places[i].ended)
            check_window(&farm->places[i]);
}

/*
 * ---- at the end ----
 */

void bundles_check_route(const struct farm *farm, const struct worker *worker) {
    const struct bytes *route = &worker->route;
    for (unsigned i = 0; i < worker->index; i++) {
        const struct bytes *other = &farm->workers[i].route;
        if (route->len > 0 && route->len == other->len &&
            memcmp(route->data, other->data, route->len) == 0)
            farm_fail(farm, "workers %u and %u are both at %.*s", i, worker->index, (int)route->len,
                      (const char *)route->data);
    }
}

static void check_worker(const struct farm *farm, const struct worker *worker) {
    if (worker->came != worker->out.len)
        farm_fail(farm, "of worker %u %zu bytes of %zu came", worker->index, worker->came,
                  worker->out.len);
    bundles_check_route(farm, worker);
}

void bundles_check(const struct farm *farm) {
    for (unsigned i = 0; i < farm->plan.workers; i++)
        check_worker(farm, &farm->workers[i]);
}

void bundles_fini(struct farm *farm) {
    scripted_end_fini(&farm->bundles.end);
}
