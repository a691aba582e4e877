/*
 * The outcome of every test at the sink, while the nodes between its worker and the sink are
 * killed, ended, stopped and started again: a test of a living worker is never reported as failed,
 * a test of a dead one always.
 */
#include "tests/sim/check.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/*
 * Packets written within this time before the death of a node above may be lost with it, or with
 * the connection to it: the nodes below need this long to notice, and to find another way.
 */
#define BEFORE_DEATH_NS (20000 * NS_PER_MS)

/* The greatest time to the root, without the time for which nodes on the way are stopped. */
#define TRANSIT_MOST_NS (30000 * NS_PER_MS)

static uint64_t most(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* In this time a node above the worker's died, or the nodes below noticed its end. */
static bool has_died_above(const struct worker *worker, uint64_t from_ns, uint64_t to_ns) {
    for (const struct place *place = worker->place->parent; place; place = place->parent)
        for (unsigned i = 0; i < place->death_count; i++) {
            const struct death *death = &place->deaths[i];
            if (death->from_ns <= to_ns && most(death->until_ns, death->told_ns) >= from_ns)
                return true;
        }
    return false;
}

/*
 * ---- as packets come ----
 */

static bool find_test(struct farm *farm, struct mux_span id, struct worker **worker,
                      struct test **test) {
    char text[64];
    unsigned worker_index, test_index;
    if (!id.data || id.len >= sizeof text)
        return false;
    memcpy(text, id.data, id.len);
    text[id.len] = '\0';
    if (sscanf(text, "w%u.t%u", &worker_index, &test_index) != 2)
        return false;
    *worker = &farm->workers[worker_index];
    *test = &(*worker)->tests[test_index];
    return true;
}

static void begins(struct farm *farm, struct test *test, const struct mux_packet *packet) {
    if (test->ended)
        farm_fail(farm, "%.*s begins after it has ended", (int)packet->test_id.len,
                  (const char *)packet->test_id.data);
    test->begun_ns = sim_now_ns(farm->sim);
    test->route.len = 0;
    memcpy(bytes_grow(&test->route, packet->route.len), packet->route.data, packet->route.len);
    test->route.len = packet->route.len;
}

/* A test whose end a node sent before it found another way may have begun under another route. */
static void ends(struct farm *farm, const struct worker *worker, struct test *test,
                 const struct mux_packet *packet) {
    const char *id = (const char *)packet->test_id.data;
    int id_len = (int)packet->test_id.len;
    if (test->ended++)
        farm_fail(farm, "%.*s ends twice", id_len, id);
    if (!mux_span_equal(packet->route, mux_span(test->route.data, test->route.len)) &&
        !farm->plan.loses && !has_died_above(worker, test->begun_ns, sim_now_ns(farm->sim)))
        farm_fail(farm, "%.*s ends at %.*s, began at %.*s", id_len, id, (int)packet->route.len,
                  (const char *)packet->route.data, (int)test->route.len,
                  (const char *)test->route.data);
    test->is_judged = is_text(packet->file_name, "muxd");
    test->judged_ns = sim_now_ns(farm->sim);
}

static void see(struct farm *farm, const struct mux_packet *packet) {
    struct worker *worker;
    struct test *test;
    if (packet->status == MUX_STATUS_NONE || !find_test(farm, packet->test_id, &worker, &test))
        return;
    if (packet->status == MUX_STATUS_INPROGRESS)
        begins(farm, test, packet);
    else
        ends(farm, worker, test, packet);
}

void verdicts_see(struct farm *farm) {
    struct bytes *up = &farm->sink.up;
    struct mux_span whole;
    struct mux_packet packet;
    uint32_t length, header_bytes;
    size_t at = 0;
    for (;; at += whole.len) {
        struct mux_span rest = mux_span(up->data + at, up->len - at);
        enum mux_error error = mux_header_parse(rest, &length, &header_bytes);
        if (error == MUX_ERROR_SHORT_HEADER || (!error && length > rest.len))
            break;
        if (!packet_at(rest, &whole, &packet))
            farm_fail(farm, "the root sends a damaged packet");
        see(farm, &packet);
    }
    memmove(up->data, up->data + at, up->len - at);
    up->len -= at;
}

/*
 * ---- at the end ----
 */

/* When the worker's node began to end; UINT64_MAX: it is running. */
static uint64_t node_died_ns(const struct worker *worker) {
    const struct place *place = worker->place;
    for (unsigned i = 0; i < place->death_count; i++)
        if (place->deaths[i].until_ns >= worker->begun_ns)
            return place->deaths[i].from_ns;
    return UINT64_MAX;
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* A report of a test's end made at `said_ns`, or later by a node that waited, may be lost. */
static bool is_in_doubt(const struct farm *farm, const struct worker *worker, uint64_t said_ns,
                        bool is_waited_for) {
    uint64_t from_ns = said_ns < BEFORE_DEATH_NS ? 0 : said_ns - BEFORE_DEATH_NS;
    uint64_t waited_ns = is_waited_for ? farm->plan.node_grace_ns : 0;
    uint64_t to_ns = said_ns + waited_ns + farm->plan.stop_most_ns + TRANSIT_MOST_NS;
    return farm->plan.loses || has_died_above(worker, from_ns, to_ns);
}

static void check_test(const struct farm *farm, const struct worker *worker, unsigned number) {
    const struct test *test = &worker->tests[number];
    uint64_t read = sim_stream(farm->sim, worker->id, true).read;
    uint64_t died_ns = node_died_ns(worker), over_ns = least(worker->left_ns, died_ns);
    uint64_t said_ns = test->ended_ns ? least(over_ns, test->ended_ns) : over_ns;
    bool has_died = died_ns != UINT64_MAX;
    bool has_begun = read >= test->begin_to;
    bool has_ended = test->end_to && read >= test->end_to && !has_died;
    bool nobody_knows = has_died && (!worker->place->parent || !test->begun_ns);
    if (test->is_judged && test->judged_ns < over_ns)
        farm_fail(farm, "w%u.t%u is reported failed but its worker lives", worker->index, number);
    if (test->is_judged && has_ended)
        farm_fail(farm, "w%u.t%u is reported failed but has ended itself", worker->index, number);
    if (has_begun && !test->ended && !nobody_knows && !is_in_doubt(farm, worker, said_ns, has_died))
        farm_fail(farm, "the end of w%u.t%u, at node %u, is not reported", worker->index, number,
                  worker->place->index);
}

void verdicts_check(const struct farm *farm) {
    for (unsigned i = 0; i < farm->plan.workers; i++) {
        const struct worker *worker = &farm->workers[i];
        for (unsigned test = 0; test < worker->tests_begun; test++)
            check_test(farm, worker, test);
    }
}
