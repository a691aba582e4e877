#include "tests/sim/faults.h"
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFERS_MOST 64
#define BUFFER_BYTES_LEAST 512
/* Each twice the one before; large buffers, up to the largest that a mux accepts, are larger. */
#define BUFFER_SIZES 11
#define LARGE_BUFFERS_MOST 8
_Static_assert(BUFFER_BYTES_LEAST << BUFFER_SIZES == MUX_INPUT_MAX_BYTES, "the largest");
#define RESERVE_BUFFERS 4
#define SPARE_LINKS 64
#define OTHER_CONNS 2
#define SPOOL_LEAST_BYTES ((uint64_t)8 << 10) /* as small as makes sense, so that it fills */
#define SPOOL_SIZES 7                         /* each twice the one before */
#define MUX_MEMORY_BYTES ((size_t)13 << 20)

#define TICK_LEAST_NS NS_PER_MS
#define TICK_MOST_NS (500 * NS_PER_MS)
#define MORTAL_TICK_NS (10 * NS_PER_MS) /* such a farm runs for minutes */

/* Time after the last fault in which everything must drain: keepalives, back-offs and stalls. */
#define DRAIN_MOST_NS (120000 * NS_PER_MS)

/* The time beside the grace that nodes need to notice a lost node, and to report it. */
#define JUDGE_MOST_NS (30000 * NS_PER_MS)

/* After it what was said is through. */
#define STILL_NS (3000 * NS_PER_MS)

/* A farm that takes more steps is in an endless loop. */
#define STEPS_MOST 20000000

#define PAGE_BYTES 4096

static bool is_verbose;

void farm_fail(const struct farm *farm, const char *format, ...) {
    va_list arguments;
    fprintf(stderr, "seed %" PRIu64 " at %.6f s: ", farm->seed,
            (double)sim_now_ns(farm->sim) / 1e9);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}

uint8_t *bytes_grow(struct bytes *bytes, size_t more) {
    if (bytes->len + more > bytes->room) {
        bytes->room = 2 * bytes->len + more;
        bytes->data = realloc(bytes->data, bytes->room);
        assert(bytes->data);
    }
    return bytes->data + bytes->len;
}

/* Faults that the farm itself makes end with the others. */
bool farm_likely(struct farm *farm, unsigned millionths) {
    return !farm->healed && sim_chance(farm->sim, millionths);
}

void farm_owns(struct farm *farm, struct sim_end *end, enum owner_kind kind, unsigned index) {
    unsigned id = sim_end_id(end);
    if (id >= farm->owner_count) {
        farm->owners = realloc(farm->owners, (id + 1) * sizeof *farm->owners);
        assert(farm->owners);
        memset(farm->owners + farm->owner_count, 0,
               (id + 1 - farm->owner_count) * sizeof *farm->owners);
        farm->owner_count = id + 1;
    }
    farm->owners[id] = (struct owner){kind, index};
    farm->id_by_port[sim_end_port(end)] = id;
}

/*
 * ---- a node's owner, as muxd.c in the daemon ----
 */

void farm_say(const struct place *place, const char *line) {
    if (is_verbose)
        fprintf(stderr, "%.6f node %u: %s\n", (double)sim_now_ns(place->farm->sim) / 1e9,
                place->index, line);
}

static void say(void *user, const char *line) {
    farm_say(user, line);
}

static bool allowed(void *user, const struct transport_peer *peer) {
    (void)user, (void)peer;
    return true;
}

/* A link has its segment now. */
static void show_link(void *user, const char *segment, const char *peer, bool came) {
    struct place *place = user;
    if (!came || place->farm->plan.trees)
        return;
    unsigned number = (unsigned)strtoul(segment, NULL, 10);
    unsigned port = (unsigned)strtoul(strrchr(peer, ':') + 1, NULL, 10);
    if (number != place->segment_count || number >= FARM_SEGMENTS_MAX)
        farm_fail(place->farm, "node %u: %s got segment %s instead of %u", place->index, peer,
                  segment, place->segment_count);
    place->segments[place->segment_count++] = place->farm->id_by_port[port];
}

static void stop_listening(void *user) {
    struct place *place = user;
    if (place->listener)
        transport_unlisten(place->listener);
    place->listener = NULL;
}

static unsigned upstream_addresses(void *user, struct transport_address *addresses, char *why,
                                   size_t why_bytes) {
    const struct place *place = user;
    (void)why, (void)why_bytes;
    addresses[0] = place->parent ? place->parent->address : place->farm->sink.address;
    if (place->other)
        addresses[1] = place->other->address;
    return place->other ? 2 : 1;
}

/* NULL: it is the sink's. */
static struct place *place_at(struct farm *farm, const struct transport_address *address) {
    for (unsigned i = 0; i < farm->plan.nodes; i++)
        if (farm->places[i].address.in4.sin_port == address->in4.sin_port)
            return &farm->places[i];
    return NULL;
}

static struct transport_conn *connect_upstream(void *user, const struct transport_address *address,
                                               void *conn_user, struct transport_failure *failure) {
    struct place *place = user;
    struct farm *farm = place->farm;
    struct transport_conn *conn =
        transport_sim.connect(place->transport, address, conn_user, failure);
    if (!conn)
        return NULL;
    struct sim_end *end = sim_conn_end(conn);
    if (place->uplink_count == FARM_UPLINKS_MAX)
        farm_fail(farm, "node %u: connects too often", place->index);
    place->uplinks[place->uplink_count++] = sim_end_id(end);
    if (farm->plan.node_buffer_bytes)
        sim_end_set_buffers(end, farm->plan.node_buffer_bytes);
    place->above = place_at(farm, address);
    farm_owns(farm, end, OWNER_PLACE, place->index);
    sim_end_set_faults(end, &farm->plan.node_faults);
    return conn;
}

/* The clocks of the machines differ by up to an hour, each by its place and the farm's seed. */
static int64_t wall_ahead_ns(void *user) {
    const struct place *place = user;
    const int64_t second_ns = 1000000000, epoch_ns = 1700000000 * second_ns;
    uint64_t skew_ns = (place->farm->seed + 7 * place->index) * UINT64_C(0x9E3779B97F4A7C15);
    return epoch_ns + (int64_t)(skew_ns % (uint64_t)(3600 * second_ns));
}

static bool says_hello(const struct place *place) {
    bool root_says = place->farm->plan.bundles && !place->farm->plan.trees;
    return (place->parent || root_says) && place->farm->plan.node_links;
}

static unsigned links_max(const struct farm *farm) {
    return farm->plan.workers + SPARE_LINKS;
}

static size_t received_bytes(const struct place *place) {
    return place->buffers * place->buffer_bytes + place->large_buffers * place->large_bytes;
}

static size_t whole_pages(size_t bytes) {
    return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static size_t mux_bytes(const struct place *place) {
    size_t spool_bytes = place->spool_bytes ? MUX_SPOOL_MEMORY_BYTES : 0;
    return MUX_MEMORY_BYTES + whole_pages(spool_bytes) +
           whole_pages(MUX_WINDOW_MEMORY_BYTES(place->farm->plan.window_bytes));
}

static void make_transport(struct place *place) {
    struct transport_failure failure = {0};
    place->memory =
        aligned_alloc(PAGE_BYTES, whole_pages(received_bytes(place)) + mux_bytes(place));
    assert(place->memory);
    const struct transport_config config = {.memory = {place->memory, received_bytes(place)},
                                            .buffer_bytes = place->buffer_bytes,
                                            .reserve_buffers = RESERVE_BUFFERS,
                                            .large_bytes = place->large_bytes,
                                            .large_buffers = place->large_buffers,
                                            .conns_max = links_max(place->farm) + OTHER_CONNS,
                                            .engine_config = place->farm->sim};
    place->transport = transport_sim.init(&config, &failure);
    assert(place->transport);
    loop_init(&place->loop, &transport_sim, place->transport);
}

static void make_node(struct place *place) {
    struct farm *farm = place->farm;
    char identity[MUX_IDENTITY_BYTES], name[MUX_NODE_NAME_BYTES];
    struct node_config config = {
        .loop = &place->loop,
        .mux = {.memory = {place->memory + whole_pages(received_bytes(place)), mux_bytes(place)},
                .links_max = links_max(farm),
                .segment_by = MUX_SEGMENT_BY_NUMBER,
                .hash_key = sim_random(farm->sim, UINT64_MAX),
                .secret = {sim_random(farm->sim, UINT64_MAX), place->index},
                .upstream_is_node = says_hello(place),
                .window_bytes = farm->plan.window_bytes,
                .spool = {.most_bytes = place->spool_bytes},
                .node_grace_ns = farm->plan.node_grace_ns},
        .drain_timeout_ns = 10000 * NS_PER_MS,
        .upstream_retry = true,
        .seed = sim_random(farm->sim, UINT64_MAX),
        .upstream_text = place->parent ? "its parent" : "the sink",
        .user = place,
        .log = say,
        .upstream_addresses = upstream_addresses,
        .connect = connect_upstream,
        .show_link = show_link,
        .stop_listening = stop_listening,
        .allowed = allowed,
        .wall_ahead_ns = wall_ahead_ns,
        .spool = place->spool_bytes ? spools_do : NULL,
    };
    if (trees_is_end(place)) {
        config.upstream_addresses = NULL;
        config.open_upstream = trees_open_output;
        config.record = trees_record;
        config.rest = trees_rest;
    }
    snprintf(identity, sizeof identity, "%x",
             place->death_count * FARM_NODES_MAX + scenes_identity(place) + 1);
    snprintf(name, sizeof name, "node%u", place->index);
    mux_hello_init(&config.mux.hello, identity, name);
    place->node = node_create(&config);
    if (!place->node)
        farm_fail(farm, "node %u cannot be made", place->index);
    if (farm->plan.trees)
        trees_begin(place);
}

void farm_start_place(struct place *place) {
    struct transport_address address = place->address;
    struct transport_failure failure;
    place->terminated = place->ended = false;
    place->uplink_count = place->segment_count = 0;
    make_transport(place);
    make_node(place);
    place->listener =
        loop_listen(&place->loop, &address, node_listening(place->node), &place->address, &failure);
    if (!place->listener)
        farm_fail(place->farm, "node %u cannot listen where it was before", place->index);
}

/* Of a tree: where else it goes, and its spool. */
static void plan_place(struct place *place) {
    struct farm *farm = place->farm;
    if (!place->parent)
        return;
    if (sim_random(farm->sim, 2))
        place->other = &farm->places[sim_random(farm->sim, place->index)];
    if (sim_random(farm->sim, 2))
        place->spool_bytes = SPOOL_LEAST_BYTES << sim_random(farm->sim, SPOOL_SIZES);
    place->rots = place->spool_bytes > 0 && sim_chance(farm->sim, farm->plan.rot);
}

static void make_place(struct farm *farm, unsigned index) {
    struct place *place = &farm->places[index];
    *place = (struct place){.farm = farm, .index = index, .address = farm->sink.address};
    place->address.in4.sin_port = 0;
    unsigned size = (unsigned)sim_random(farm->sim, BUFFER_SIZES);
    unsigned larger = 1 + (unsigned)sim_random(farm->sim, BUFFER_SIZES - size);
    place->buffer_bytes = (size_t)BUFFER_BYTES_LEAST << size;
    place->large_bytes = place->buffer_bytes << larger;
    place->large_buffers = (unsigned)sim_random(farm->sim, LARGE_BUFFERS_MOST + 1);
    place->buffers =
        2 * RESERVE_BUFFERS + (unsigned)sim_random(farm->sim, BUFFERS_MOST - 2 * RESERVE_BUFFERS);
    if (index > 0) {
        /* the first ones form a chain, the others are anywhere */
        unsigned deepest = index < farm->plan.levels ? index - 1 : farm->plan.levels - 2;
        place->parent =
            &farm->places[index < farm->plan.levels ? deepest
                                                    : sim_random(farm->sim, farm->plan.levels - 1)];
        place->depth = place->parent->depth + 1;
    }
    if (farm->plan.trees)
        plan_place(place);
    scenes_place(place);
    farm_start_place(place);
    mortal_init(place);
}

/*
 * ---- a farm from beginning to end ----
 */

static struct farm *farm_open(uint64_t seed, const struct farm_options *options) {
    struct farm *farm = calloc(1, sizeof *farm);
    assert(farm);
    farm->seed = seed;
    farm->sim = sim_create(seed, &sim_faultless);
    faults_begin(farm, options->verbose);
    mux_list_init(&farm->runnable);
    farm_plan(farm, options);
    struct sim_faults faults = sim_faultless;
    faults.early = (unsigned)sim_random(farm->sim, 2) * 300000;
    sim_set_faults(farm->sim, &faults);
    disk_format();
    sink_init(farm);
    bundles_init(farm);
    for (unsigned i = 0; i < farm->plan.nodes; i++)
        make_place(farm, i);
    farm->workers = calloc(farm->plan.workers, sizeof *farm->workers);
    assert(farm->workers);
    for (unsigned i = 0; i < farm->plan.workers; i++)
        worker_init(&farm->workers[i], farm, i);
    scenes_begin(farm);
    farm->tick_ns = sim_now_ns(farm->sim);
    bool is_slow =
        farm->plan.mortal && farm->plan.scene != SCENE_TERM && farm->plan.scene != SCENE_REPLAY;
    farm->tick_step_ns = is_slow ? MORTAL_TICK_NS : TICK_LEAST_NS;
    return farm;
}

/* Ends a node's process, with everything that it owns. */
void farm_destroy_place(struct place *place) {
    const struct mux_counters *counters = node_core_counters(place->node);
    for (unsigned i = 0; i < MUX_COUNTER_COUNT; i++)
        place->farm->totals->value[i] += counters->value[i];
    if (place->farm->plan.trees)
        trees_bury(place);
    node_destroy(place->node);
    place->node = NULL;
    if (sim_lent(place->transport))
        farm_fail(place->farm, "node %u leaks %u buffers", place->index,
                  sim_lent(place->transport));
    transport_sim.stop(place->transport);
    transport_sim.fini(place->transport);
    free(place->memory);
    place->ended = true;
}

/* It has ended after TERM. */
static void end_place(struct place *place) {
    const struct mux_counters *counters = node_core_counters(place->node);
    uint64_t unsent = counters->value[MUX_COUNT_unsent_bytes];
    if (unsent && node_all_sent(place->node))
        farm_fail(place->farm, "node %u ended with unsent bytes not reported", place->index);
    bool must_be_sent = !place->farm->plan.mortal || place->farm->is_over;
    if (must_be_sent && !node_all_sent(place->node))
        farm_fail(place->farm, "node %u ended with unsent bytes", place->index);
    if (!place->farm->plan.mortal && counters->value[MUX_COUNT_links_open])
        farm_fail(place->farm, "node %u ended with open links", place->index);
    if (place->farm->plan.trees && node_all_sent(place->node))
        spools_note_read(place);
    farm_destroy_place(place);
    mortal_ended(place);
}

static void farm_close(struct farm *farm) {
    sink_fini(farm);
    bundles_fini(farm);
    for (unsigned i = 0; i < farm->plan.workers; i++)
        worker_fini(&farm->workers[i]);
    sim_destroy(farm->sim);
    free(farm->owners);
    free(farm->workers);
    free(farm);
}

bool farm_step_place(struct place *place) {
    loop_step(&place->loop);
    return !node_has_ended(place->node) || place->loop.orphans > 0;
}

/* Every worker, node and the sink does its work. False: there was none. */
static bool act(struct farm *farm) {
    bool busy = farm->plan.trees ? trees_act(farm) : sink_act(farm);
    struct mux_list *link;
    for (unsigned i = 0; i < farm->plan.nodes; i++) {
        struct place *place = &farm->places[i];
        if (place->ended || !sim_due(place->transport))
            continue;
        busy = true;
        if (!farm_step_place(place)) {
            if (!place->terminated)
                farm_fail(farm, "node %u has ended by itself", i);
            end_place(place);
        } else if (farm->plan.trees && disk_is_frozen(i)) {
            mortal_kill(place);
        }
    }
    while ((link = mux_list_pop(&farm->runnable))) {
        busy = true;
        worker_act(MUX_LIST_ITEM(link, struct worker, runnable));
    }
    return busy;
}

/* What a node says of its parent's clock is true, within the error that it gives. */
static void check_clock(struct place *place) {
    struct mux_clock_stats clock;
    if (place->ended || !says_hello(place) || place->farm->plan.trees)
        return;
    node_upstream_clock(place->node, &clock);
    if (clock.basis == MUX_CLOCK_UNKNOWN)
        return;
    int64_t ahead_ns = wall_ahead_ns(place->parent) - wall_ahead_ns(place);
    int64_t wrong_ns = clock.ahead_ns - ahead_ns;
    if ((uint64_t)(wrong_ns < 0 ? -wrong_ns : wrong_ns) > clock.error_ns)
        farm_fail(place->farm, "node %u: its upstream's clock is wrong by %" PRId64 " ns",
                  place->index, wrong_ns);
}

static void tick(struct farm *farm) {
    if (farm->plan.trees)
        trees_tick(farm);
    else
        sink_tick(farm);
    for (unsigned i = 0; i < farm->plan.nodes; i++)
        check_clock(&farm->places[i]);
    for (unsigned i = 0; i < farm->plan.nodes; i++)
        mortal_tick(&farm->places[i]);
    for (unsigned i = 0; i < farm->plan.workers; i++)
        worker_tick(&farm->workers[i]);
    farm->tick_ns = sim_now_ns(farm->sim) + farm->tick_step_ns;
    if (farm->healed && farm->tick_step_ns < TICK_MOST_NS)
        farm->tick_step_ns += farm->tick_step_ns / 16;
}

/* A tick when it is due, otherwise work; without work, time passes. */
static void step(struct farm *farm) {
    if (sim_now_ns(farm->sim) >= farm->tick_ns)
        tick(farm);
    else if (!act(farm))
        sim_advance(farm->sim, farm->tick_ns);
}

/* All workers have gone, and their nodes know. */
static bool workers_done(const struct farm *farm) {
    for (unsigned i = 0; i < farm->plan.workers; i++)
        if (!farm->workers[i].done || !sim_stream(farm->sim, farm->workers[i].id, true).over)
            return false;
    return true;
}

static bool is_through(const struct farm *farm, unsigned id, bool to_listener) {
    struct sim_stream stream = sim_stream(farm->sim, id, to_listener);
    return stream.fate == SIM_WHOLE && stream.read == stream.written &&
           stream.acked == stream.written;
}

/* The node has nothing to do and nothing in flight. */
static bool is_quiet(const struct place *place) {
    if (place->ended || place->runs_again_ns)
        return false;
    if (trees_is_end(place))
        return !sim_due(place->transport) && trees_is_quiet(place);
    if (place->farm->plan.trees && !trees_is_quiet(place))
        return false;
    if (place->uplink_count == 0 || sim_due(place->transport) || sim_lent(place->transport))
        return false;
    for (unsigned i = 0; i + 1 < place->uplink_count; i++)
        if (!sim_stream(place->farm->sim, place->uplinks[i], true).over)
            return false;
    unsigned id = place->uplinks[place->uplink_count - 1];
    if (sim_stream(place->farm->sim, id, true).over)
        return false; /* it connects again: an old connection came late and took its place */
    if (says_hello(place) && sim_stream(place->farm->sim, id, true).written == 0)
        return false;
    return node_all_sent(place->node) && is_through(place->farm, id, true) &&
           is_through(place->farm, id, false);
}

/* Every queue is empty, and every worker has gone. */
static bool drained(const struct farm *farm) {
    bool is_sunk = farm->sink.end && farm->sink.down_sent == farm->sink.down.len;
    if (!farm->plan.trees && !is_sunk)
        return false;
    for (unsigned i = 0; i < farm->plan.nodes; i++)
        if (!is_quiet(&farm->places[i]))
            return false;
    return workers_done(farm);
}

static void cut_if_corrupted(struct farm *farm, unsigned id) {
    if (sim_stream(farm->sim, id, true).corruption_count > 0 ||
        sim_stream(farm->sim, id, false).corruption_count > 0)
        sim_cut(farm->sim, id);
}

/*
 * The network has no more faults, and all that are left behave. A node may wait for a packet whose
 * length was corrupted while its connection stands: workers end theirs, nodes do not.
 */
static void heal(struct farm *farm) {
    farm->healed = true;
    if (farm->plan.trees)
        trees_heal(farm);
    farm->plan.worker_faults = farm->plan.node_faults = sim_faultless;
    for (unsigned i = 0; i < farm->plan.nodes; i++) {
        struct place *place = &farm->places[i];
        mortal_heal(place);
        if (place->uplink_count > 0)
            cut_if_corrupted(farm, place->uplinks[place->uplink_count - 1]);
    }
}

static void show_stream(const struct farm *farm, unsigned id, bool to_listener) {
    struct sim_stream stream = sim_stream(farm->sim, id, to_listener);
    fprintf(stderr, " %s %" PRIu64 " written %" PRIu64 " arrived %" PRIu64 " read",
            to_listener ? "up" : "down", stream.written, stream.arrived, stream.read);
}

/* Shows what is not done, and where. */
static void show_farm(const struct farm *farm) {
    for (unsigned i = 0; i < farm->plan.nodes; i++) {
        const struct place *place = &farm->places[i];
        if (place->ended || is_quiet(place))
            continue;
        fprintf(stderr, "node %u: %u buffers lent, all sent %d, connection %u:", i,
                sim_lent(place->transport), node_all_sent(place->node), place->uplink_count);
        if (place->uplink_count > 0)
            show_stream(farm, place->uplinks[place->uplink_count - 1], true);
        if (place->uplink_count > 0)
            show_stream(farm, place->uplinks[place->uplink_count - 1], false);
        fputc('\n', stderr);
    }
    for (unsigned i = 0; i < farm->plan.workers; i++) {
        const struct worker *worker = &farm->workers[i];
        if (!worker->begun || worker->done)
            continue;
        fprintf(stderr, "worker %u at node %u: finished %d, wrote %zu of %zu:", i,
                worker->place->index, worker->finished, worker->written, worker->out.len);
        show_stream(farm, worker->id, true);
        fputc('\n', stderr);
    }
}

static void run_until(struct farm *farm, bool (*done)(const struct farm *farm), uint64_t until_ns,
                      const char *what) {
    for (unsigned steps = 0; !done(farm); steps++) {
        if (steps > STEPS_MOST || sim_now_ns(farm->sim) > until_ns) {
            show_farm(farm);
            farm_fail(farm, "%s (%u steps)", what, steps);
        }
        step(farm);
    }
}

static bool active_over(const struct farm *farm) {
    return sim_now_ns(farm->sim) >= farm->plan.active_ns;
}

/* Nodes that have gone for good have been given up. */
static bool judgement_over(const struct farm *farm) {
    return sim_now_ns(farm->sim) >= farm->judged_ns;
}

static bool all_ended(const struct farm *farm) {
    for (unsigned i = 0; i < farm->plan.nodes; i++)
        if (farm->places[i].terminated && !farm->places[i].ended)
            return false;
    return true;
}

/* Children first, so that each can still send what it has. */
static void terminate(struct farm *farm) {
    farm->is_over = farm->plan.bundles;
    for (unsigned i = farm->plan.nodes; i-- > 0;) {
        farm->places[i].terminated = true;
        node_terminate(farm->places[i].node, false);
        farm_step_place(&farm->places[i]);
        run_until(farm, all_ended, sim_now_ns(farm->sim) + DRAIN_MOST_NS, "a node does not end");
    }
}

static void judge(struct farm *farm) {
    farm->judged_ns = sim_now_ns(farm->sim) + farm->plan.node_grace_ns + JUDGE_MOST_NS;
    run_until(farm, judgement_over, UINT64_MAX, "does not end");
}

static void be_still(struct farm *farm) {
    farm->tree.is_still = true;
    farm->judged_ns = sim_now_ns(farm->sim) + STILL_NS;
    run_until(farm, judgement_over, UINT64_MAX, "does not end");
}

static void check_answers(struct farm *farm) {
    uint64_t before;
    do {
        before = trees_answers(farm);
        be_still(farm);
    } while (trees_answers(farm) != before);
    trees_answer(farm);
    be_still(farm);
    if (trees_answers(farm) != before)
        farm_fail(farm, "an acknowledgement for nobody was answered");
}

uint64_t farm_run(uint64_t seed, const struct farm_options *options, struct mux_counters *totals) {
    is_verbose = options->verbose;
    struct farm *farm = farm_open(seed, options);
    farm->totals = totals;
    run_until(farm, active_over, UINT64_MAX, "does not end");
    heal(farm);
    if (farm->plan.mortal && !farm->plan.bundles)
        judge(farm);
    uint64_t drain_ns = DRAIN_MOST_NS + (farm->plan.trees ? 4 * farm->plan.node_grace_ns : 0);
    run_until(farm, drained, sim_now_ns(farm->sim) + drain_ns, "does not drain");
    if (farm->plan.trees)
        judge(farm);
    if (farm->plan.trees) {
        check_answers(farm);
        trees_check(farm);
    } else if (farm->plan.bundles)
        bundles_check(farm);
    else if (farm->plan.mortal)
        verdicts_check(farm);
    else
        check_farm(farm);
    terminate(farm);
    uint64_t digest = sim_digest(farm->sim);
    farm_close(farm);
    return digest;
}
