/*
 * Scenes: what random faults bring about too rarely is brought about here, each for a rule or two
 * of the reliable protocol. A scene is a tree as in trees.c with a shape and an hour of its own:
 *
 *      end 0  <-  relay 1  <-  leaf 2        leaf 3 below 0 or 1
 *
 * The seed decides which one, when its faults come, and all else.
 */
#include "mux/node/mux_internal.h"
#include "tests/sim/farm.h"
#include "tools/node/node_internal.h"
#include <limits.h>

/* Of so many seeds each scene has at least one. */
#define SCENE_SEEDS 10
_Static_assert(SCENES - 1 <= SCENE_SEEDS, "all are played");

/* Workers of scenes begin within it, so that there is something to lose. */
#define BEGIN_MOST_NS (1500 * NS_PER_MS)

#define EARLY_MOST_NS (200 * NS_PER_MS)

/* The end is back before its relay looks for another. */
#define BIRTH_AWAY_NS (1000 * NS_PER_MS)

/* The way down of the relay stands still, and somebody types. */
#define FULL_WAIT_MOST_NS (800 * NS_PER_MS)
#define FULL_NS (5000 * NS_PER_MS)
#define FULL_CUT_NS (1500 * NS_PER_MS)
#define TYPED_AT_ONCE 8
#define TYPED_BYTES ((size_t)1 << 14)

/* What the relay sends stands still, its leaf comes anew, the relay dies. */
#define LATE_WAIT_MOST_NS (1000 * NS_PER_MS)
#define LATE_CLOG_NS (7000 * NS_PER_MS)
#define LATE_KILL_NS (1500 * NS_PER_MS)

/* The relay is cut off meanwhile. */
#define QUEUE_AWAY_NS (4000 * NS_PER_MS)

/* Longer than a node takes to end. */
#define TERM_AWAY_NS (15000 * NS_PER_MS)
#define TERM_QUIET_NS (100 * NS_PER_MS)
#define SPOOL_BYTES ((uint64_t)4 << 20)

/* The leaf is started again while its relay is away; then others begin. */
#define REPLAY_AWAY_NS (6000 * NS_PER_MS)
#define REPLAY_BEFORE_NS (2000 * NS_PER_MS)
#define REPLAY_LEAF_AWAY_NS (500 * NS_PER_MS)
#define REPLAY_BEGIN_NS (5000 * NS_PER_MS)
#define REPLAY_TURNS_BYTES ((uint64_t)100 << 10) /* some records */

/* Workers of the end itself begin before and after it is started again. */
#define SEGMENT_WAIT_MOST_NS (500 * NS_PER_MS)
#define SEGMENT_BEGIN_NS (5000 * NS_PER_MS)

void scenes_plan(struct farm *farm) {
    struct plan *plan = &farm->plan;
    plan->scene = 1 + (enum scene)(farm->seed % SCENE_SEEDS % (SCENES - 1));
    plan->levels = 3;
    plan->nodes = 4;
    plan->workers = 4 + (unsigned)sim_random(farm->sim, 12);
    plan->rot = plan->lazy = plan->full = 0;
    plan->faults_most = 0;
    plan->packets_most = 300;
    plan->rest = 1000000;
    plan->stall = plan->scene == SCENE_TERM ? 300000 : 0;
    plan->hang = plan->scene == SCENE_LATE || plan->scene == SCENE_QUEUE ? 100000 : 0;
    if (plan->scene == SCENE_REPLAY) {
        plan->large = 500000;
        plan->content_most = (size_t)1 << 14;
    }
    if (plan->scene == SCENE_SPLIT)
        plan->content_most = MUX_PACKET_MAX_BYTES;
    plan->node_faults = (struct sim_faults){
        .delay_least_ns = 1000, .delay_most_ns = 2000 + sim_random(farm->sim, 3 * NS_PER_MS)};
    plan->nobody_is_given_up = plan->scene != SCENE_TWINS;
    plan->node_grace_ns = 60000 * NS_PER_MS;
    plan->active_ns = plan->scene == SCENE_LATE ? 120000 * NS_PER_MS : 20000 * NS_PER_MS;
}

void scenes_place(struct place *place) {
    struct place *places = place->farm->places;
    switch (place->farm->plan.scene) {
    case SCENE_NONE:
        return;
    case SCENE_TWINS:
    case SCENE_LATE:
        place->parent = place->index == 3 ? &places[0] : place->parent;
        break;
    default:
        break;
    }
    if (place->farm->plan.scene == SCENE_QUEUE)
        place->spool_bytes = 0;
    bool spools = place->farm->plan.scene == SCENE_TERM || place->farm->plan.scene == SCENE_REPLAY;
    if (spools && place->index == 2)
        place->spool_bytes = SPOOL_BYTES;
    bool has_other = place->farm->plan.scene == SCENE_LATE && place->index == 2;
    place->other = has_other ? &places[3] : NULL;
}

unsigned scenes_identity(const struct place *place) {
    bool is_twin = place->farm->plan.scene == SCENE_TWINS && place->index == 3;
    return is_twin ? 2 : place->index;
}

void scenes_worker(struct worker *worker) {
    struct farm *farm = worker->farm;
    if (farm->plan.scene == SCENE_NONE)
        return;
    if (farm->plan.scene == SCENE_BIRTH && worker->index % 4 == 0)
        worker->place = &farm->places[0];
    if (farm->plan.scene == SCENE_SPLIT && worker->index == 0)
        worker->place = &farm->places[2];
    bool is_early = farm->plan.scene == SCENE_TWINS ||
                    (farm->plan.scene == SCENE_BIRTH && worker->place->index != 2);
    uint64_t most_ns = is_early ? EARLY_MOST_NS : BEGIN_MOST_NS;
    worker->start_ns = sim_now_ns(farm->sim) + sim_random(farm->sim, most_ns);
    if (farm->plan.scene != SCENE_REPLAY && farm->plan.scene != SCENE_SEGMENT)
        return;
    bool is_replay = farm->plan.scene == SCENE_REPLAY;
    worker->place = &farm->places[is_replay ? 2 : 0];
    if (worker->index % 2)
        worker->start_ns += is_replay ? REPLAY_BEGIN_NS : SEGMENT_BEGIN_NS;
}

unsigned scenes_split_at(const struct worker *worker) {
    bool splits = worker->farm->plan.scene == SCENE_SPLIT && worker->index == 0;
    return splits ? 1 : UINT_MAX;
}

/* A worker there has been seen at the end, and lives. */
static const struct worker *worker_at(const struct farm *farm, unsigned index) {
    for (unsigned i = 0; i < farm->plan.workers; i++) {
        const struct worker *worker = &farm->workers[i];
        if (worker->place->index == index && worker->seen_at.len > 0 && !worker->done)
            return worker;
    }
    return NULL;
}

static unsigned uplink_of(const struct place *place) {
    return place->uplinks[place->uplink_count - 1];
}

/* False: not yet, or it has happened. */
static bool comes(struct farm *farm, unsigned stage, uint64_t within_ns) {
    struct scene_state *state = &farm->tree.scene;
    uint64_t now_ns = sim_now_ns(farm->sim);
    if (state->stage != stage || now_ns < state->next_ns)
        return false;
    state->stage++;
    state->next_ns = now_ns + within_ns;
    return true;
}

/*
 * ---- rules 17 and 19: what goes down is lost, the connections are well ----
 */

static void type(struct farm *farm, const struct worker *worker) {
    for (unsigned i = 0; i < TYPED_AT_ONCE; i++)
        trees_probe(farm, worker, i % 2 ? 1 : TYPED_BYTES);
}

static void play_full(struct farm *farm) {
    struct place *places = farm->places;
    const struct worker *worker = worker_at(farm, 2);
    struct scene_state *state = &farm->tree.scene;
    if (worker && comes(farm, 0, sim_random(farm->sim, FULL_WAIT_MOST_NS)))
        return;
    if (comes(farm, 1, FULL_CUT_NS))
        sim_clog(farm->sim, uplink_of(&places[1]), false, FULL_NS, true);
    if (comes(farm, 2, FULL_NS - FULL_CUT_NS) && sim_random(farm->sim, 2))
        sim_cut(farm->sim, uplink_of(&places[2]));
    comes(farm, 3, 0);
    if ((state->stage == 2 || state->stage == 3) && worker)
        type(farm, worker);
}

/*
 * ---- rule 14: what an old connection brings comes late ----
 */

static void play_late(struct farm *farm) {
    struct place *places = farm->places;
    if (worker_at(farm, 2) && comes(farm, 0, sim_random(farm->sim, LATE_WAIT_MOST_NS)))
        return;
    if (comes(farm, 1, sim_random(farm->sim, 100 * NS_PER_MS)))
        sim_clog(farm->sim, uplink_of(&places[1]), true, LATE_CLOG_NS, true);
    if (comes(farm, 2, 200 * NS_PER_MS + sim_random(farm->sim, LATE_KILL_NS)))
        sim_cut(farm->sim, uplink_of(&places[2]));
    if (comes(farm, 3, 0)) {
        sim_strand(farm->sim, uplink_of(&places[1]), LATE_CLOG_NS);
        mortal_kill(&places[1]);
    }
}

/*
 * ---- rule 31: the relay loses the end, and cuts off the leaf whose where waits; this one dies
 * ----
 */

static void play_queue(struct farm *farm) {
    struct place *places = farm->places;
    if (worker_at(farm, 2) && comes(farm, 0, sim_random(farm->sim, LATE_WAIT_MOST_NS)))
        return;
    if (comes(farm, 1, 50 * NS_PER_MS))
        sim_clog(farm->sim, uplink_of(&places[1]), true, LATE_CLOG_NS, false);
    if (comes(farm, 2, 200 * NS_PER_MS + sim_random(farm->sim, LATE_KILL_NS)))
        sim_cut(farm->sim, uplink_of(&places[2]));
    if (comes(farm, 3, sim_random(farm->sim, 50 * NS_PER_MS))) {
        mortal_kill(&places[0]);
        places[0].runs_again_ns = sim_now_ns(farm->sim) + QUEUE_AWAY_NS;
    }
    if (comes(farm, 4, 0))
        mortal_kill(&places[2]);
}

/*
 * ---- rule 13: a leaf ends in order, and nobody is above it ----
 */

/* The leaf has just read something, of which no record is closed, and all before is spooled. */
static bool has_begun_record(struct farm *farm) {
    struct scene_state *state = &farm->tree.scene;
    uint64_t now_ns = sim_now_ns(farm->sim), written = 0;
    for (unsigned i = 0; i < farm->plan.workers; i++)
        if (farm->workers[i].place->index == 2)
            written += farm->workers[i].written;
    bool is_first = written != state->written && now_ns - state->quiet_ns > TERM_QUIET_NS;
    if (written != state->written)
        state->quiet_ns = now_ns;
    state->written = written;
    return is_first;
}

static void play_term(struct farm *farm) {
    struct place *places = farm->places;
    if (worker_at(farm, 2) && comes(farm, 0, sim_random(farm->sim, LATE_WAIT_MOST_NS)))
        return;
    if (comes(farm, 1, sim_random(farm->sim, LATE_WAIT_MOST_NS))) {
        mortal_kill(&places[1]);
        places[1].runs_again_ns = sim_now_ns(farm->sim) + TERM_AWAY_NS;
    }
    if (has_begun_record(farm) && comes(farm, 2, 2 * NS_PER_MS))
        return;
    if (comes(farm, 3, 0))
        mortal_term(&places[2]);
}

/*
 * ---- rule 12b: what is live goes on while a spool is sent ----
 */

static void check_turns(struct farm *farm) {
    const struct place *place = &farm->places[2];
    struct scene_state *state = &farm->tree.scene;
    if (!trees_is_well(place))
        return;
    const struct mux_leaf *leaf = &node_core(place->node)->leaf;
    bool waits = leaf->has_earlier && leaf->earlier.state == MUX_STREAM_OPEN &&
                 leaf->stream.state == MUX_STREAM_OPEN && mux_stream_has_next(&leaf->stream) &&
                 leaf->stream.position >= mux_stream_memory_from(&leaf->stream);
    if (!waits || leaf->stream.position != state->live_at) {
        state->live_at = waits ? leaf->stream.position : UINT64_MAX;
        state->earlier_at = leaf->earlier.position;
    } else if (leaf->earlier.position - state->earlier_at > REPLAY_TURNS_BYTES) {
        farm_fail(farm, "node 2 sends its spool, and nothing of what is live");
    }
}

static void play_replay(struct farm *farm) {
    struct place *places = farm->places;
    check_turns(farm);
    if (worker_at(farm, 2) && comes(farm, 0, 0))
        return;
    if (comes(farm, 1, REPLAY_BEFORE_NS)) {
        mortal_kill(&places[1]);
        places[1].runs_again_ns = sim_now_ns(farm->sim) + REPLAY_AWAY_NS;
    }
    if (comes(farm, 2, 0)) {
        mortal_kill(&places[2]);
        places[2].runs_again_ns = sim_now_ns(farm->sim) + REPLAY_LEAF_AWAY_NS;
    }
}

/*
 * ---- rules 20 and 27b: an end dies in its first batch, and has nothing of some streams yet ----
 */

static void play_birth(struct farm *farm) {
    struct place *end = &farm->places[0];
    if (end->ended && comes(farm, 0, 0))
        end->runs_again_ns = sim_now_ns(farm->sim) + BIRTH_AWAY_NS;
}

/*
 * ---- rule 29: no worker of a restarted end is where another one was ----
 */

static void play_segment(struct farm *farm) {
    struct place *end = &farm->places[0];
    if (worker_at(farm, 0) && comes(farm, 0, sim_random(farm->sim, SEGMENT_WAIT_MOST_NS)))
        return;
    if (comes(farm, 1, 0)) {
        mortal_kill(end);
        end->runs_again_ns = sim_now_ns(farm->sim) + BIRTH_AWAY_NS;
    }
}

void scenes_begin(struct farm *farm) {
    if (farm->plan.scene == SCENE_BIRTH)
        trees_doom(farm);
}

void scenes_tick(struct farm *farm) {
    if (farm->healed)
        return;
    switch (farm->plan.scene) {
    case SCENE_BIRTH:
        play_birth(farm);
        break;
    case SCENE_FULL:
        play_full(farm);
        break;
    case SCENE_QUEUE:
        play_queue(farm);
        break;
    case SCENE_REPLAY:
        play_replay(farm);
        break;
    case SCENE_SEGMENT:
        play_segment(farm);
        break;
    case SCENE_TERM:
        play_term(farm);
        break;
    case SCENE_LATE:
        play_late(farm);
        break;
    default:
        break;
    }
}
