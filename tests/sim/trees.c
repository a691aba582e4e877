/*
 * Whole trees of production code: leaves, some with a spool, relays, and an end that writes a file
 * with its journal. Every node is killed, ended, stopped and started again; connections between
 * them break in any way; the output's disk refuses, tears and is rotated; packets go down. At the
 * end the output is read once: every packet that a leaf had must be there once, in order, under one
 * route a worker, no two workers under one; every test must have one end.
 */
#include "mux/packet/report.h"
#include "tests/sim/check.h"
#include "tools/node/node_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The disk stands still. */
#define SLOW_MOST_NS (3000 * NS_PER_MS)

#define PROBES_MOST 8

/* More than the cut-off of two seconds, and a link that has last words to say. */
#define APART_MOST_NS (12000 * NS_PER_MS)

/* Beside the window: a packet that was let in, and a few reports of the node's own. */
#define WINDOW_MORE_BYTES 2048

/* With so much of a hello one can see that it is one. */
#define HELLO_BEGUN_BYTES 48

/* Beside a quarter of the grace: hellos, and what is still to be read. */
#define ASLEEP_MORE_NS (5000 * NS_PER_MS)

static struct tree *tree_of(const struct place *place) {
    return &place->farm->tree;
}

bool trees_is_well(const struct place *place) {
    return !place->ended && !place->runs_again_ns && !place->terminated;
}

bool trees_is_end(const struct place *place) {
    return place->farm->plan.trees && !place->parent;
}

/*
 * ---- the output ----
 */

/* What the end's kernel has taken is in the file. */
void trees_sync_output(struct farm *farm) {
    struct tree *tree = &farm->tree;
    if (!tree->reader || disk_is_frozen(0))
        return;
    struct sim_stream stream = sim_stream(farm->sim, tree->output_id, false);
    size_t len = (size_t)(stream.written - tree->output_taken);
    disk_append(tree->output, stream.bytes + tree->output_taken, len);
    tree->output_taken = stream.written;
}

static void ready(void *user) {
    struct tree *tree = user;
    tree->is_ready = true;
}

/* Learns where workers are seen to be, of the whole packets that are new in the output. */
static void look(struct farm *farm) {
    struct tree *tree = &farm->tree;
    struct mux_span whole;
    struct mux_packet packet;
    if (!tree->reader)
        return;
    trees_sync_output(farm);
    for (; tree->looked < tree->output->len; tree->looked += whole.len) {
        struct mux_span rest =
            mux_span(tree->output->bytes + tree->looked, tree->output->len - tree->looked);
        if (!packet_at(rest, &whole, &packet))
            return;
        struct worker *worker = bundles_worker_of(farm, &packet);
        if (!worker)
            continue;
        worker->seen_at.len = 0; /* where it was seen before may have been cut off again (27) */
        memcpy(bytes_grow(&worker->seen_at, packet.route.len), packet.route.data, packet.route.len);
        worker->seen_at.len = packet.route.len;
    }
}

/* The next one begins with another file. */
static void close_output(struct farm *farm) {
    struct tree *tree = &farm->tree;
    if (!tree->reader)
        return;
    look(farm);
    sim_close(tree->reader);
    disk_close(tree->output_fd);
    tree->reader = NULL;
}

struct transport_conn *trees_open_output(void *user, struct loop_handler *handler, char *why,
                                         size_t why_bytes) {
    struct place *place = user;
    struct farm *farm = place->farm;
    struct tree *tree = &farm->tree;
    struct sim_end *ends[2];
    struct transport_failure failure;
    close_output(farm);
    int fd = journal_unfinished(&tree->journal);
    if (fd < 0)
        fd = disk_open(TREES_OUTPUT, O_RDWR | O_CREAT | O_APPEND);
    if (fd < 0 || !journal_trim(&tree->journal, fd, why, why_bytes) ||
        !journal_begin(&tree->journal, fd, why, why_bytes)) {
        snprintf(why, why_bytes, "it cannot be opened");
        if (fd >= 0)
            disk_close(fd);
        return NULL;
    }
    tree->output = disk_file_of(fd);
    tree->output_fd = fd;
    tree->output_taken = 0;
    tree->looked = tree->looked < tree->output->len ? tree->looked : tree->output->len;
    sim_pair(farm->sim, true, ends);
    sim_end_set_buffers(ends[0], farm->plan.output_buffer_bytes);
    tree->reader = ends[0];
    tree->output_id = sim_end_id(ends[0]);
    tree->is_ready = true;
    sim_end_watch(tree->reader, ready, tree);
    return loop_attach(&place->loop,
                       &(struct loop_descriptors){-1, sim_descriptor(ends[1]), false,
                                                  TRANSPORT_POOL_RESERVE, TREES_OUTPUT},
                       handler, &failure);
}

bool trees_record(void *user, char *why, size_t why_bytes) {
    struct place *place = user;
    trees_sync_output(place->farm);
    return journal_record(&tree_of(place)->journal, why, why_bytes);
}

bool trees_rest(void *user, char *why, size_t why_bytes) {
    struct place *place = user;
    trees_sync_output(place->farm);
    if (journal_moves(&tree_of(place)->journal)) {
        node_reopen_upstream(place->node);
        return true;
    }
    return journal_rest(&tree_of(place)->journal, tree_of(place)->output_fd, why, why_bytes);
}

/* The disk takes what has come, unless it is slow now. */
bool trees_act(struct farm *farm) {
    struct tree *tree = &farm->tree;
    uint8_t part[4096];
    if (!tree->reader || !tree->is_ready || !tree->is_awake)
        return false;
    tree->is_ready = false;
    while (sim_read(tree->reader, part, sizeof part) > 0)
        ;
    return true;
}

/*
 * ---- the lives of nodes ----
 */

/* Before its first step. */
void trees_begin(struct place *place) {
    struct tree *tree = tree_of(place);
    char why[512];
    disk_freeze(place->index, false);
    if (place->is_rotten)
        spools_rot(place);
    place->is_rotten = false;
    if (place->spool_bytes > 0)
        spools_find(place);
    if (place->parent)
        return;
    if (!journal_init(&tree->journal, node_core(place->node), TREES_OUTPUT, false, why,
                      sizeof why) ||
        !journal_follow(&tree->journal, why, sizeof why))
        farm_fail(place->farm, "the end cannot go on: %s", why);
    if (*why)
        farm_say(place, why);
}

/* Its workers lose their connection, and it may not have what they wrote. */
void trees_orphan(struct place *place) {
    struct farm *farm = place->farm;
    for (unsigned i = 0; i < farm->plan.workers; i++) {
        struct worker *worker = &farm->workers[i];
        worker->is_newly_orphaned = worker->place == place && worker->begun && !worker->is_orphan;
        worker->is_orphan = worker->is_orphan || worker->is_newly_orphaned;
    }
    spools_note(place);
}

/* It writes nothing from now on. */
void trees_die(struct place *place) {
    if (!place->farm->plan.trees)
        return;
    if (trees_is_end(place))
        trees_sync_output(place->farm);
    spools_tear(place);
    disk_freeze(place->index, true);
    trees_orphan(place);
}

/* Its node is no more. */
void trees_bury(struct place *place) {
    if (!trees_is_end(place))
        return;
    close_output(place->farm);
    journal_close(&tree_of(place)->journal);
}

/* Rule 43: who goes by it has the root as another way, and leaves it when it is silent. */
bool trees_may_sleep(const struct place *place) {
    const struct farm *farm = place->farm;
    if (trees_is_end(place))
        return true;
    for (unsigned i = place->index + 1; i < farm->plan.nodes; i++) {
        const struct place *below = &farm->places[i];
        const struct place *way = below->parent == place  ? below->other
                                  : below->other == place ? below->parent
                                                          : &farm->places[0];
        if (way != &farm->places[0])
            return false;
    }
    return !bundles_is_leaf(place);
}

/*
 * ---- packets ----
 */

static struct test *test_of(struct farm *farm, const struct worker *worker,
                            const struct mux_packet *packet) {
    char id[64];
    unsigned index, number;
    snprintf(id, sizeof id, "%.*s", (int)packet->test_id.len, (const char *)packet->test_id.data);
    if (sscanf(id, "w%u.t%u", &index, &number) != 2 || number >= worker->tests_begun)
        farm_fail(farm, "%s was never sent", id);
    return &worker->tests[number];
}

/* A leaf that was cut off for the grace says itself what became of its workers. */
static void take_verdict(struct farm *farm, const struct worker *worker,
                         const struct mux_packet *packet) {
    struct test *test = test_of(farm, worker, packet);
    const char *has = test->is_judged ? "been before" : test->ended ? "ended" : "not begun";
    bool is_wrong = farm->plan.nobody_is_given_up && (test->is_judged || test->ended);
    if (is_wrong || (!test->begun_ns && !worker->may_miss))
        farm_fail(farm, "%.*s, at node %u, is reported failed, but has %s: %.*s",
                  (int)packet->test_id.len, (const char *)packet->test_id.data,
                  worker->place->index, has, (int)packet->file_content.len,
                  (const char *)packet->file_content.data);
    test->is_judged = true;
}

static void note_status(struct farm *farm, const struct worker *worker,
                        const struct mux_packet *packet) {
    struct test *test = test_of(farm, worker, packet);
    if (packet->status == MUX_STATUS_NONE)
        return;
    if (test->is_judged && farm->plan.nobody_is_given_up)
        farm_fail(farm, "%.*s goes on after it was reported failed", (int)packet->test_id.len,
                  (const char *)packet->test_id.data);
    if (packet->status == MUX_STATUS_INPROGRESS)
        test->begun_ns = 1;
    else
        test->ended++;
}

static bool holds(struct mux_span span, const char *text) {
    return span.data && memmem(span.data, span.len, text, strlen(text));
}

/*
 * Of workers that were cut off in a packet, and hellos, before which a node is not known as one:
 * what else is damaged between nodes leaves no trace.
 */
static void check_damage(const struct farm *farm, struct mux_span bytes) {
    if (bytes.len < HELLO_BEGUN_BYTES || holds(bytes, "muxd.hello") || holds(bytes, "identity="))
        return;
    for (unsigned i = 0; i < farm->plan.workers; i++) {
        const struct worker *worker = &farm->workers[i];
        bool is_next = worker->out.len - worker->came > bytes.len &&
                       memcmp(worker->out.data + worker->came, bytes.data, bytes.len) == 0;
        if (worker->is_orphan && (is_next || worker->may_miss))
            return;
    }
    farm_fail(farm, "%zu bytes of damage that no worker has written", bytes.len);
}

static void take(struct farm *farm, const struct mux_packet *packet) {
    struct worker *worker = bundles_worker_of(farm, packet);
    bool is_own = is_text(packet->file_name, "muxd");
    bool is_hole = is_own && holds(packet->file_content, "have not come to this end");
    if (is_hole && !farm->tree.has_rotten)
        farm_fail(farm, "a hole: %.*s", (int)packet->file_content.len,
                  (const char *)packet->file_content.data);
    if (is_text(packet->file_name, "Packet data") && is_text(packet->test_id, MUX_REPORT_PARSER_ID))
        check_damage(farm, packet->file_content);
    if (is_own && holds(packet->file_content, "more tests were in progress"))
        farm->tree.has_unnamed = true;
    if (!worker)
        return;
    if (is_own) {
        take_verdict(farm, worker, packet);
        return;
    }
    bundles_take(farm, worker, packet);
    note_status(farm, worker, packet);
}

static void read_output(struct farm *farm, const char *path) {
    const struct disk_file *file = disk_find(path);
    struct mux_span whole;
    struct mux_packet packet;
    for (size_t at = 0; file && at < file->len; at += whole.len) {
        struct mux_span rest = mux_span(file->bytes + at, file->len - at);
        if (!packet_at(rest, &whole, &packet))
            farm_fail(farm, "%s has damage at byte %zu of %zu", path, at, file->len);
        take(farm, &packet);
    }
}

/*
 * ---- the way down ----
 */

/* As in the daemon, the end's process runs when it gets something to send. */
static void send_down(struct farm *farm, const struct mux_packet *packet) {
    node_add_down(farm->places[0].node, packet);
    farm_step_place(&farm->places[0]);
}

void trees_probe(struct farm *farm, const struct worker *worker, size_t len) {
    const struct place *end = &farm->places[0];
    static const uint8_t content[1 << 14];
    char id[64];
    if (end->ended || end->runs_again_ns || worker->seen_at.len == 0)
        return;
    snprintf(id, sizeof id, "d%u.w%u", farm->sink.sent_packets++, worker->index);
    const struct mux_packet packet = {.runnable = true,
                                      .test_id = mux_span_text(id),
                                      .file_name = mux_span_text("stdin"),
                                      .file_content = mux_span(content, len),
                                      .route = mux_span(worker->seen_at.data, worker->seen_at.len)};
    send_down(farm, &packet);
}

static void probe(struct farm *farm) {
    const struct worker *worker = &farm->workers[sim_random(farm->sim, farm->plan.workers)];
    size_t len = 1 + (farm->healed ? 0 : (size_t)sim_random(farm->sim, farm->plan.down_most));
    trees_probe(farm, worker, len);
}

/* Of those that outlast the faults: has anything come down to it since? */
bool trees_is_reached(const struct worker *worker) {
    const struct farm *farm = worker->farm;
    return farm->healed &&
           sim_stream(farm->sim, worker->id, false).read > worker->read_before_healing;
}

void trees_heal(struct farm *farm) {
    for (unsigned i = 0; i < farm->plan.workers; i++)
        if (farm->workers[i].begun)
            farm->workers[i].read_before_healing =
                sim_stream(farm->sim, farm->workers[i].id, false).read;
    disk_die_after(0, 0);
}

/* What came down was for this worker, and came once and in order. */
static void check_down_of(struct farm *farm, const struct worker *worker) {
    struct sim_stream stream = sim_stream(farm->sim, worker->id, false);
    struct mux_span rest = mux_span(stream.bytes, (size_t)stream.read), whole;
    struct mux_packet packet;
    long last = -1;
    for (; packet_at(rest, &whole, &packet);
         rest = mux_span(rest.data + whole.len, rest.len - whole.len)) {
        char id[64];
        unsigned number, index;
        snprintf(id, sizeof id, "%.*s", (int)packet.test_id.len, (const char *)packet.test_id.data);
        if (sscanf(id, "d%u.w%u", &number, &index) != 2 || index != worker->index ||
            (long)number <= last)
            farm_fail(farm, "worker %u was sent %s after d%ld", worker->index, id, last);
        last = number;
    }
}

/*
 * ---- time ----
 */

static void check_memory(const struct place *place) {
    const struct plan *plan = &place->farm->plan;
    struct mux_leaf_stats stats;
    if (place->ended || trees_is_end(place))
        return;
    mux_leaf_stats(node_core(place->node), &stats);
    if (stats.window_bytes > plan->window_bytes + plan->content_most + WINDOW_MORE_BYTES)
        farm_fail(place->farm, "node %u holds %" PRIu64 " bytes of %zu", place->index,
                  stats.window_bytes, plan->window_bytes);
    if (stats.spool_bytes > place->spool_bytes)
        farm_fail(place->farm, "the spool of node %u has %" PRIu64 " bytes of %" PRIu64,
                  place->index, stats.spool_bytes, place->spool_bytes);
}

static bool has_node_link(const struct mux *mux) {
    struct mux_link_stats stats;
    for (struct mux_link *link = NULL; (link = mux_link_next(mux, link));) {
        mux_link_stats(link, &stats);
        if (*stats.node_name && stats.standing == MUX_STANDING_OPEN)
            return true;
    }
    return false;
}

/*
 * Rule 42: nobody waits for long at a relay without an upstream. One that has an upstream between
 * two ticks only begins to count anew: so the links must have been there all the time, too.
 */
static void check_apart(struct place *place) {
    uint64_t now_ns = sim_now_ns(place->farm->sim);
    if (!trees_is_well(place) || !place->parent || mux_upstream_accepted(node_core(place->node)) ||
        !has_node_link(node_core(place->node)))
        place->apart_ns = now_ns;
    else if (now_ns - place->apart_ns > APART_MOST_NS)
        farm_fail(place->farm, "node %u keeps its nodes, and has no upstream", place->index);
}

/* Rule 43: nobody waits for long at one that is stopped. */
static void check_asleep(struct place *place) {
    uint64_t now_ns = sim_now_ns(place->farm->sim);
    const struct place *above = place->above;
    bool is_asleep = above && !above->ended && above->runs_again_ns;
    if (!trees_is_well(place) || !is_asleep || !mux_upstream_accepted(node_core(place->node)))
        place->asleep_ns = 0;
    else if (place->asleep_ns == 0)
        place->asleep_ns = now_ns;
    else if (now_ns - place->asleep_ns > place->farm->plan.node_grace_ns / 4 + ASLEEP_MORE_NS)
        farm_fail(place->farm, "node %u waits at node %u, which is stopped", place->index,
                  above->index);
}

/* Nobody has damaged a spool. */
static void check_spool(const struct place *place) {
    bool has_hole =
        !place->ended && node_core_counters(place->node)->value[MUX_COUNT_spool_lost_bytes] > 0;
    if (has_hole && !place->farm->tree.has_rotten)
        farm_fail(place->farm, "the spool of node %u has a hole", place->index);
}

void trees_tick(struct farm *farm) {
    uint64_t now_ns = sim_now_ns(farm->sim);
    trees_strike(farm);
    if (farm_likely(farm, farm->plan.lazy) && sim_fault_happens(farm->sim, "slow disk of node", 0))
        farm->tree.slow_until_ns = now_ns + sim_random(farm->sim, SLOW_MOST_NS);
    farm->tree.is_awake = farm->healed || now_ns >= farm->tree.slow_until_ns;
    farm->tree.is_ready = true;
    for (unsigned i = 0; i < farm->plan.nodes; i++)
        check_memory(&farm->places[i]);
    for (unsigned i = 0; i < farm->plan.nodes; i++) {
        check_apart(&farm->places[i]);
        check_asleep(&farm->places[i]);
        check_spool(&farm->places[i]);
    }
    look(farm);
    unsigned probes = farm->tree.is_still ? 0
                      : farm->healed      ? 1
                      : farm_likely(farm, farm->plan.down)
                          ? 1 + (unsigned)sim_random(farm->sim, PROBES_MOST)
                          : 0;
    for (unsigned i = 0; i < probes; i++)
        probe(farm);
}

/* Nothing of an earlier life waits either. */
bool trees_is_quiet(const struct place *place) {
    struct mux_leaf_stats stats;
    mux_leaf_stats(place->node->mux, &stats);
    return node_all_sent(place->node) && stats.earlier_streams == 0 && stats.unsafe_bytes == 0;
}

/*
 * ---- acknowledgements for nobody ----
 */

/* To the node of each worker, and to the worker itself: nobody answers, nobody gets it (rule 34).
 */
void trees_answer(struct farm *farm) {
    const struct mux_ack ack = {.epoch = 7, .stream = "nobody's stream"};
    uint8_t out[MUX_MESSAGE_PACKET_BYTES];
    struct mux_packet packet;
    struct mux_span whole;
    size_t len = mux_ack_write(&ack, mux_span_text("r"), out);
    if (!packet_at(mux_span(out, len), &whole, &packet))
        farm_fail(farm, "an acknowledgement cannot be read");
    for (unsigned i = 0; i < farm->plan.workers; i++) {
        const struct bytes *at = &farm->workers[i].seen_at;
        packet.route = mux_span(at->data, at->len);
        for (; packet.route.len > 0; packet.route.len -= packet.route.len > 0) {
            if (packet.route.len == at->len || at->data[packet.route.len] == '/')
                send_down(farm, &packet);
        }
    }
}

/* How often nodes have said something of streams. */
uint64_t trees_answers(const struct farm *farm) {
    uint64_t count = 0;
    for (unsigned i = 0; i < farm->plan.nodes; i++) {
        const uint64_t *value = node_core_counters(farm->places[i].node)->value;
        count += value[MUX_COUNT_messages_relayed] + value[MUX_COUNT_acks_sent];
    }
    return count;
}

/*
 * ---- at the end ----
 */

static void check_tests(struct farm *farm, const struct worker *worker) {
    for (unsigned i = 0; i < worker->tests_begun; i++) {
        const struct test *test = &worker->tests[i];
        if (test->ended > 1)
            farm_fail(farm, "w%u.t%u ends twice", worker->index, i);
        if (test->begun_ns && !test->ended && !test->is_judged && !farm->tree.has_unnamed)
            farm_fail(farm, "nobody reports the end of w%u.t%u", worker->index, i);
    }
}

static void check_worker(struct farm *farm, struct worker *worker) {
    size_t least = worker->is_orphan ? worker->must : worker->out.len;
    if (worker->may_miss)
        bundles_miss(worker);
    if (worker->came < least)
        farm_fail(farm, "of worker %u at node %u %zu bytes of %zu came, its %s had %zu",
                  worker->index, worker->place->index, worker->came, worker->out.len,
                  worker->is_orphan ? "spool" : "leaf", least);
    check_tests(farm, worker);
    if (worker->begun && farm->plan.scene != SCENE_TWINS) /* one's way is the other's at first */
        check_down_of(farm, worker);
}

void trees_check(struct farm *farm) {
    char path[DISK_PATH_BYTES];
    trees_sync_output(farm);
    for (unsigned i = 1; i <= farm->tree.rotations; i++) {
        snprintf(path, sizeof path, "%s.%u", TREES_OUTPUT, i);
        read_output(farm, path);
    }
    read_output(farm, TREES_OUTPUT);
    for (unsigned i = 0; i < farm->plan.workers; i++) {
        check_worker(farm, &farm->workers[i]);
        bundles_check_route(farm, &farm->workers[i]);
    }
}
