/*
 * Faults of whole trees that no single node or connection makes: the end's disk is full, slow or
 * rotated; and such as belong together, one after the other.
 */
#include "tests/sim/farm.h"
#include "tools/node/node_internal.h"
#include <stdio.h>

/* A record or two of the journal: so far it is written before the end dies. */
#define DIES_WITHIN_BYTES 4000

/* Some records. */
#define ROT_LEAST_BYTES 4500

/* It stands still before it dies: the longest, and with something that is not safe. */
#define DOOM_MOST_NS (20000 * NS_PER_MS)
#define DOOM_UNSAFE_NS (3000 * NS_PER_MS)

/* Of a gang: its relay's way up stands still; and the time between two faults. */
#define GANG_CLOG_NS (6000 * NS_PER_MS)
#define GANG_ANEW_NS (200 * NS_PER_MS)
#define GANG_WAIT_NS (1500 * NS_PER_MS)
#define GANG_AFTER_NS (100 * NS_PER_MS)

/*
 * ---- faults of the end's disk ----
 */

static void rotate(struct place *place) {
    struct tree *tree = &place->farm->tree;
    struct disk_file *file = disk_find(TREES_OUTPUT);
    char path[DISK_PATH_BYTES];
    if (!file)
        return;
    trees_sync_output(place->farm);
    snprintf(path, sizeof path, "%s.%u", TREES_OUTPUT, ++tree->rotations);
    disk_move(file, path);
    tree->looked = 0;
}

void trees_doom(struct farm *farm) {
    struct tree *tree = &farm->tree;
    tree->is_doomed = true;
    tree->doomed_ns = 0;
    tree->slow_until_ns = sim_now_ns(farm->sim) + DOOM_MOST_NS;
}

/* False: it is to be killed. */
bool trees_strike_end(struct place *place) {
    struct tree *tree = &place->farm->tree;
    switch (sim_random(place->farm->sim, 5)) {
    case 0: /* the disk is full in the middle of a batch */
        if (tree->reader) {
            trees_sync_output(place->farm);
            sim_cut(place->farm->sim, tree->output_id);
        }
        return true;
    case 1: /* it dies in the middle of a record */
        disk_die_after(0, 1 + (size_t)sim_random(place->farm->sim, DIES_WITHIN_BYTES));
        return true;
    case 2: /* it dies while the disk takes nothing: what it has applied is not safe */
        trees_doom(place->farm);
        return true;
    case 3:
        rotate(place);
        node_reopen_upstream(place->node);
        return true;
    default: /* killed between logrotate's rename and HUP */
        rotate(place);
        return false;
    }
}

/*
 * ---- what takes its time ----
 */

/* It dies when it has something for a while that its disk does not take. */
static void doom(struct farm *farm) {
    struct place *place = &farm->places[0];
    struct tree *tree = &farm->tree;
    uint64_t now_ns = sim_now_ns(farm->sim);
    if (!tree->is_doomed)
        return;
    bool is_over = !trees_is_well(place) || farm->healed || now_ns >= tree->slow_until_ns;
    if (is_over) {
        tree->is_doomed = false;
        return;
    }
    if (mux_upstream_pending_bytes(node_core(place->node)) == 0)
        tree->doomed_ns = 0;
    else if (tree->doomed_ns == 0)
        tree->doomed_ns = now_ns + sim_random(farm->sim, DOOM_UNSAFE_NS);
    if (tree->doomed_ns == 0 || now_ns < tree->doomed_ns)
        return;
    tree->is_doomed = false;
    mortal_kill(place);
}

/* A test of one of its workers is in progress: somebody has to say what becomes of it. */
static bool has_tests(const struct place *place) {
    const struct farm *farm = place->farm;
    for (unsigned i = 0; i < farm->plan.workers; i++) {
        const struct worker *worker = &farm->workers[i];
        bool is_there = worker->place == place && worker->begun && !worker->done;
        if (is_there && worker->tests_begun > worker->tests_done)
            return true;
    }
    return false;
}

static bool may_gang(const struct place *below) {
    const struct place *relay = below->above;
    return relay && relay->parent && trees_is_well(below) && trees_is_well(relay) &&
           has_tests(below) && mux_upstream_accepted(node_core(below->node)) &&
           mux_upstream_accepted(node_core(relay->node));
}

/* One that dies has no spool, of which the rest would come by itself. */
static void begin_gang(struct farm *farm) {
    struct gang *gang = &farm->tree.gang;
    uint64_t now_ns = sim_now_ns(farm->sim);
    struct place *below = &farm->places[sim_random(farm->sim, farm->plan.nodes)];
    if (farm->healed || now_ns < gang->next_ns || !may_gang(below))
        return;
    gang->next_ns = now_ns + GANG_CLOG_NS + sim_random(farm->sim, farm->plan.active_ns);
    if (!sim_fault_happens(farm->sim, "gang of faults on node", below->index))
        return;
    *gang = (struct gang){.stage = GANG_CLOGGED,
                          .relay = below->above,
                          .below = below,
                          .kills_below = below->spool_bytes == 0 && sim_random(farm->sim, 4),
                          .next_ns = now_ns + sim_random(farm->sim, GANG_ANEW_NS)};
    sim_clog(farm->sim, gang->relay->uplinks[gang->relay->uplink_count - 1], true, GANG_CLOG_NS,
             !gang->kills_below);
}

static void cut_uplink(const struct place *place) {
    sim_cut(place->farm->sim, place->uplinks[place->uplink_count - 1]);
}

static void run_gang(struct farm *farm) {
    struct gang *gang = &farm->tree.gang;
    uint64_t now_ns = sim_now_ns(farm->sim);
    if (gang->stage == GANG_NONE)
        begin_gang(farm);
    if (gang->stage == GANG_NONE || now_ns < gang->next_ns)
        return;
    if (farm->healed || !trees_is_well(gang->relay) || !trees_is_well(gang->below)) {
        gang->stage = GANG_NONE;
        return;
    }
    switch (gang->stage) {
    case GANG_CLOGGED:
        cut_uplink(gang->below);
        gang->stage = GANG_ANEW;
        gang->next_ns = now_ns + sim_random(farm->sim, GANG_WAIT_NS);
        break;
    case GANG_ANEW:
        gang->stage = gang->kills_below ? GANG_CUT : GANG_NONE;
        gang->next_ns = now_ns + sim_random(farm->sim, GANG_AFTER_NS);
        if (gang->kills_below)
            cut_uplink(gang->relay);
        else
            mortal_kill(gang->relay);
        break;
    default:
        gang->stage = GANG_NONE;
        mortal_kill(gang->below);
    }
    if (gang->stage == GANG_NONE)
        gang->next_ns = now_ns + GANG_CLOG_NS + sim_random(farm->sim, farm->plan.active_ns / 2);
}

/* A node dies when it has some records in its spool that are not safe, and one of them goes bad. */
static void rot(struct place *place) {
    struct mux_leaf_stats stats;
    if (!place->rots || !trees_is_well(place) || place->farm->healed)
        return;
    mux_leaf_stats(node_core(place->node), &stats);
    if (stats.unsafe_bytes - stats.window_bytes < ROT_LEAST_BYTES)
        return;
    place->rots = false;
    if (!sim_fault_happens(place->farm->sim, "rot in the spool of node", place->index))
        return;
    place->is_rotten = true;
    mortal_kill(place);
}

void trees_strike(struct farm *farm) {
    for (unsigned i = 0; i < farm->plan.nodes; i++)
        rot(&farm->places[i]);
    doom(farm);
    if (farm->plan.scene)
        scenes_tick(farm);
    else
        run_gang(farm);
}
