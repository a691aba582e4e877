/* Workers: connect, write packets and chatter in any pieces, and end in one of many ways. */
#include "tests/sim/farm.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The most bytes that a worker makes before it has sent them. */
#define AHEAD_BYTES 65536

#define CRC_BYTES 4

/* With its head about as large as a packet can be: it fits no bundle (rule 7). */
#define SPLIT_BYTES ((size_t)MUX_PACKET_MAX_BYTES - 200)

/*
 * Three packets of writers that die one after the other: half of one that has a middle slot, inside
 * it a whole one that fits no receive buffer, and the beginning of one for a larger slot.
 */
enum { NEST_NONE, NEST_LAST, NEST_WHOLE, NEST_OUTER };
#define NEST_OUTER_BYTES 100000
#define NEST_LAST_BYTES 400000
#define NEST_BEGUN_BYTES 4000 /* the most bytes sent of the first and of the last */

#define REST_MOST_NS (50 * NS_PER_MS)

/* Longer than muxd waits before it searches half a packet. */
#define STALL_MOST_NS (4000 * NS_PER_MS)

static void ready(void *user) {
    struct worker *worker = user;
    if (mux_list_empty(&worker->runnable))
        mux_list_append(&worker->farm->runnable, &worker->runnable);
}

void worker_init(struct worker *worker, struct farm *farm, unsigned index) {
    *worker = (struct worker){.farm = farm, .index = index};
    bool is_anywhere = farm->plan.trees && sim_random(farm->sim, 5) == 0;
    unsigned relays = farm->plan.bundles && !is_anywhere ? farm->plan.levels - 1 : 0;
    worker->place = &farm->places[relays + sim_random(farm->sim, farm->plan.nodes - relays)];
    worker->start_ns = sim_now_ns(farm->sim) + sim_random(farm->sim, farm->plan.active_ns);
    worker->packets_left = 1 + (unsigned)sim_random(farm->sim, farm->plan.packets_most);
    worker->outlasts = farm->plan.trees && sim_random(farm->sim, 10) == 0;
    worker->deaf = sim_chance(farm->sim, farm->plan.deaf) && !worker->outlasts;
    worker->floods = farm->plan.flood && index == 0;
    scenes_worker(worker);
}

void worker_fini(struct worker *worker) {
    for (unsigned i = 0; i < worker->tests_begun; i++)
        free(worker->tests[i].route.data);
    free(worker->tests);
    free(worker->route.data);
    free(worker->seen_at.data);
    free(worker->out.data);
    free(worker->chatter);
    free(worker->abandoned);
    free(worker->marks);
}

static void leave(struct worker *worker) {
    if (!mux_list_empty(&worker->runnable))
        mux_list_remove(&worker->runnable);
    sim_close(worker->end);
    worker->end = NULL;
    worker->done = true;
    if (!worker->finished)
        worker->left_ns = sim_now_ns(worker->farm->sim);
}

/*
 * ---- a worker's output ----
 */

static void random_bytes(struct sim *sim, uint8_t *out, size_t len) {
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)sim_random(sim, 256);
}

static size_t content_in_nest(const struct worker *worker) {
    if (worker->nest_left == NEST_WHOLE)
        return worker->place->buffer_bytes + (size_t)sim_random(worker->farm->sim, 400);
    return worker->nest_left == NEST_OUTER ? NEST_OUTER_BYTES : NEST_LAST_BYTES;
}

/* Sometimes a size about that of the node's receive buffers. */
static size_t content_len(const struct worker *worker) {
    struct farm *farm = worker->farm;
    bool may_be_large = !farm->plan.flood || worker->floods;
    bool large = sim_chance(farm->sim, farm->plan.large) && may_be_large;
    if (worker->packets_left == scenes_split_at(worker))
        return SPLIT_BYTES;
    if (worker->nest_left)
        return content_in_nest(worker);
    if (may_be_large && sim_chance(farm->sim, farm->plan.fitting))
        return worker->place->buffer_bytes - 200 + (size_t)sim_random(farm->sim, 400);
    return (size_t)sim_random(farm->sim, large ? farm->plan.content_most : 200);
}

static unsigned begin_test(struct worker *worker) {
    unsigned test = worker->tests_begun++;
    worker->tests = realloc(worker->tests, worker->tests_begun * sizeof *worker->tests);
    assert(worker->tests);
    worker->tests[test] = (struct test){0};
    return test;
}

/* The next packet of its tests: a test begins, reports something, or ends. Returns its number. */
static unsigned fill_packet(struct worker *worker, struct mux_packet *packet, char *id,
                            size_t id_bytes, uint8_t *content) {
    struct sim *sim = worker->farm->sim;
    unsigned open = worker->tests_begun - worker->tests_done;
    unsigned what = (unsigned)sim_random(sim, 4);
    unsigned test = worker->tests_done + (open ? (unsigned)sim_random(sim, open) : 0);
    packet->status = MUX_STATUS_NONE;
    if (open == 0 || (what == 0 && open < 4)) {
        packet->status = MUX_STATUS_INPROGRESS;
        test = begin_test(worker);
    } else if (what == 1) {
        packet->status = sim_random(sim, 2) ? MUX_STATUS_SUCCESS : MUX_STATUS_FAIL;
        test = worker->tests_done++;
    }
    snprintf(id, id_bytes, "w%u.t%u", worker->index, test);
    packet->test_id = mux_span_text(id);
    packet->runnable = true;
    if (sim_random(sim, 2) || worker->nest_left ||
        worker->packets_left == scenes_split_at(worker)) {
        packet->file_name = mux_span_text(sim_random(sim, 2) ? "log" : "traceback");
        packet->file_content = mux_span(content, content_len(worker));
        random_bytes(sim, content, packet->file_content.len);
        packet->eof = sim_random(sim, 2);
    }
    if (sim_random(sim, 2)) {
        packet->has_timestamp = true;
        packet->seconds = (uint32_t)sim_random(sim, UINT32_MAX);
        packet->nanoseconds = (uint32_t)sim_random(sim, 1000000000);
    }
    return test;
}

/* All packets of a worker have the same route, as those of a process have. */
static struct mux_span route_of(const struct worker *worker) {
    static const char *const routes[] = {NULL, "", "r", "a/b/c", "\xc3\xa9t\xc3\xa9/0"};
    const char *route = routes[worker->index % (sizeof routes / sizeof *routes)];
    return route ? mux_span_text(route) : mux_span(NULL, 0);
}

static void note_abandoned(struct worker *worker) {
    unsigned count = worker->abandoned_count++;
    worker->abandoned = realloc(worker->abandoned, (count + 1) * sizeof *worker->abandoned);
    assert(worker->abandoned);
    worker->abandoned[count] = worker->out.len;
    if (worker->nest_left) {
        worker->packets_left = worker->nest_left;
        worker->lingers = true;
    } else if (sim_random(worker->farm->sim, 2)) {
        worker->packets_left = 1 + (unsigned)sim_random(worker->farm->sim, 3);
        worker->lingers = true;
    }
}

static void add_mark(struct worker *worker) {
    unsigned count = worker->mark_count++;
    worker->marks = realloc(worker->marks, (count + 1) * sizeof *worker->marks);
    assert(worker->marks);
    worker->marks[count] = (struct mark){.to = worker->out.len};
}

/* Marks the packets that have now been written. */
static void set_marks(struct worker *worker) {
    const struct place *place = worker->place;
    while (worker->marks_set < worker->mark_count &&
           worker->marks[worker->marks_set].to <= worker->written) {
        uint64_t sent_up = 0;
        for (unsigned i = 0; i < place->uplink_count; i++)
            sent_up += sim_stream(worker->farm->sim, place->uplinks[i], true).written;
        worker->marks[worker->marks_set++].sent_up = sent_up;
    }
}

/* Its tests end in the order in which they began. */
static void note_ends(struct worker *worker) {
    while (worker->ends_written < worker->tests_done &&
           worker->tests[worker->ends_written].end_to <= worker->written)
        worker->tests[worker->ends_written++].ended_ns = sim_now_ns(worker->farm->sim);
}

static void write_packet(struct worker *worker) {
    static uint8_t content[MUX_PACKET_MAX_BYTES];
    struct mux_packet packet = {.route = route_of(worker)};
    char id[64];
    size_t written;
    bool abandons = farm_likely(worker->farm, worker->farm->plan.abandon);
    if (abandons && !worker->nest_left && sim_random(worker->farm->sim, 3) == 0)
        worker->nest_left = NEST_OUTER;
    if (worker->nest_left)
        abandons = worker->nest_left != NEST_WHOLE;
    unsigned number = fill_packet(worker, &packet, id, sizeof id, content);
    struct test *test = &worker->tests[number];
    size_t most = packet.file_content.len + 256;
    uint8_t *out = bytes_grow(&worker->out, most);
    if (mux_packet_encode(&packet, out, most, &written))
        farm_fail(worker->farm, "worker %u: a packet cannot be encoded", worker->index);
    if (abandons) {
        note_abandoned(worker);
        /* not so late that the next packet's first bytes could complete it */
        size_t most_begun = worker->nest_left ? NEST_BEGUN_BYTES : written - CRC_BYTES;
        written = 1 + (size_t)sim_random(worker->farm->sim, most_begun);
    }
    worker->nest_left -= worker->nest_left > 0;
    worker->out.len += written;
    if (packet.status == MUX_STATUS_INPROGRESS)
        test->begin_to = worker->out.len;
    else if (packet.status != MUX_STATUS_NONE)
        test->end_to = worker->out.len;
    if (worker->farm->plan.flood && !worker->floods)
        add_mark(worker);
}

static void note_chatter(struct worker *worker, uint64_t from, uint64_t to) {
    unsigned count = worker->chatter_count;
    if (count > 0 && worker->chatter[count - 1].to == from) {
        worker->chatter[count - 1].to = to;
        return;
    }
    worker->chatter = realloc(worker->chatter, (count + 1) * sizeof *worker->chatter);
    assert(worker->chatter);
    worker->chatter[worker->chatter_count++] = (struct range){from, to};
}

/* Text, some of it with 0xB3 inside characters. */
static void write_chatter(struct worker *worker) {
    static const char *const texts[] = {"starting\n", "100 m\xc2\xb3 of it\n", "no newline", "\n"};
    const char *text = texts[sim_random(worker->farm->sim, sizeof texts / sizeof *texts)];
    size_t len = strlen(text);
    memcpy(bytes_grow(&worker->out, len), text, len);
    note_chatter(worker, worker->out.len, worker->out.len + len);
    worker->out.len += len;
}

/* Makes more to send, if anything is left. */
static void write_more(struct worker *worker) {
    struct farm *farm = worker->farm;
    if (worker->floods && !farm->healed)
        worker->packets_left = 1000;
    while (worker->packets_left > 0 && worker->out.len - worker->written < AHEAD_BYTES) {
        if (sim_chance(farm->sim, farm->plan.chatter)) {
            write_chatter(worker);
        } else {
            write_packet(worker);
            worker->packets_left--;
        }
    }
}

/*
 * ---- a worker's actions ----
 */

static void begin(struct worker *worker) {
    worker->begun = true;
    worker->is_orphan =
        worker->farm->plan.trees && (!worker->place->listener || worker->place->terminated);
    worker->begun_ns = sim_now_ns(worker->farm->sim);
    worker->life = worker->place->death_count;
    worker->end = sim_connect(worker->farm->sim, &worker->place->address);
    worker->id = sim_end_id(worker->end);
    sim_end_set_faults(worker->end, &worker->farm->plan.worker_faults);
    sim_end_watch(worker->end, ready, worker);
    farm_owns(worker->farm, worker->end, OWNER_WORKER, worker->index);
}

/* Reads what came down. False: its connection is over. */
static bool read_down(struct worker *worker) {
    uint8_t part[4096];
    ssize_t len;
    while ((len = sim_read(worker->end, part, sizeof part)) > 0)
        ;
    return len == -EAGAIN;
}

/* Writes what it can. False: its connection is over. */
static bool write_up(struct worker *worker) {
    struct farm *farm = worker->farm;
    write_more(worker);
    while (worker->written < worker->out.len && sim_now_ns(farm->sim) >= worker->stall_until_ns) {
        size_t left = worker->out.len - worker->written;
        size_t most = 1 + (size_t)sim_random(farm->sim, left);
        ssize_t len = sim_write(worker->end, worker->out.data + worker->written, most);
        if (len <= 0)
            return len == -EAGAIN;
        worker->written += (size_t)len;
        set_marks(worker);
        note_ends(worker);
        if (farm_likely(farm, farm->plan.die))
            return false;
        if (farm_likely(farm, farm->plan.hang))
            worker->stall_until_ns = farm->plan.active_ns;
        else if (farm_likely(farm, farm->plan.stall))
            worker->stall_until_ns = sim_now_ns(farm->sim) + sim_random(farm->sim, STALL_MOST_NS);
        else if (!worker->floods && farm_likely(farm, farm->plan.rest))
            worker->stall_until_ns = sim_now_ns(farm->sim) + sim_random(farm->sim, REST_MOST_NS);
        write_more(worker);
    }
    return true;
}

/* A worker that has abandoned a packet stays until muxd has searched it. */
static void linger(struct worker *worker) {
    worker->stall_until_ns = sim_now_ns(worker->farm->sim) + STALL_MOST_NS;
    worker->lingers = false;
}

/* Everything is sent: it waits until all was read, as a process that closes with linger. */
static bool finish(struct worker *worker) {
    if (worker->packets_left > 0 || worker->written < worker->out.len)
        return true;
    if (worker->lingers)
        linger(worker);
    if (sim_now_ns(worker->farm->sim) < worker->stall_until_ns)
        return true;
    if (worker->outlasts && !trees_is_reached(worker))
        return true;
    if (!worker->finished) {
        sim_finish(worker->end);
        worker->left_ns = sim_now_ns(worker->farm->sim);
    }
    worker->finished = true;
    struct sim_stream stream = sim_stream(worker->farm->sim, worker->id, true);
    return stream.read < stream.written;
}

void worker_act(struct worker *worker) {
    int error = sim_connected(worker->end);
    if (error == EINPROGRESS)
        return;
    bool goes_on = !error && (worker->deaf || read_down(worker)) && write_up(worker);
    if (!goes_on || !finish(worker))
        leave(worker);
}

void worker_tick(struct worker *worker) {
    if (worker->done)
        return;
    if (worker->begun)
        worker_act(worker);
    else if (sim_now_ns(worker->farm->sim) >= worker->start_ns)
        begin(worker);
}
