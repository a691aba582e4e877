#include "tests/sim/farm.h"

#define MILLION 1000000u

/*
 * A connection between nodes is away for less than this, if both ends are told: back-offs, and the
 * time for which connects are refused.
 */
#define OUTAGE_MOST_NS (20000 * NS_PER_MS)

/* The sum of the delays of mortal.c, one after the other, before a node is back. */
#define MORTAL_GRACE_NS (60000 * NS_PER_MS)

static uint64_t roll(struct farm *farm, uint64_t below) {
    return sim_random(farm->sim, below);
}

/* Often 0; otherwise up to `most`, with each order of magnitude equally likely. */
static unsigned rate(struct farm *farm, unsigned most) {
    if (roll(farm, 2))
        return 0;
    unsigned bits = (unsigned)roll(farm, 6);
    return (unsigned)roll(farm, (most >> bits) + 1);
}

static void plan_faults(struct farm *farm, struct sim_faults *faults) {
    *faults = (struct sim_faults){.delay_least_ns = 1000,
                                  .delay_most_ns = 2000 + roll(farm, 3 * NS_PER_MS),
                                  .clog_most_ns = 1 + roll(farm, 400 * NS_PER_MS),
                                  .clog = rate(farm, 100000),
                                  .shorten = rate(farm, 500000),
                                  .corrupt = rate(farm, 400000),
                                  .cut = rate(farm, 200000),
                                  .vanish = rate(farm, 20000),
                                  .half_cut = rate(farm, 200000),
                                  .refuse = rate(farm, 500000)};
}

/* Most farms are small, so that many can run; a few are large. */
static void plan_shape(struct farm *farm, struct plan *plan) {
    bool large = roll(farm, 20) == 0;
    plan->levels = 1 + (unsigned)roll(farm, 3);
    plan->nodes = plan->levels == 1 ? 1 : plan->levels + (unsigned)roll(farm, large ? 12 : 4);
    plan->workers = 1 + (unsigned)roll(farm, large ? 400 : 40);
    plan->packets_most = 1 + (unsigned)roll(farm, large ? 40 : 400);
    plan->content_most = (size_t)1 << (unsigned)(8 + roll(farm, large ? 8 : 13));
}

/* The way up is the bottleneck: 64 KiB in each latency of some milliseconds. */
static void plan_flood(struct farm *farm, struct plan *plan) {
    *plan = (struct plan){.flood = true,
                          .levels = 1,
                          .nodes = 1,
                          .workers = 2 + (unsigned)roll(farm, 1000),
                          .packets_most = 1 + (unsigned)roll(farm, 20),
                          .content_most = (size_t)1 << (6 + roll(farm, 13)),
                          .large = (unsigned)roll(farm, MILLION),
                          .rest = MILLION,
                          .active_ns = (200 + roll(farm, 1000)) * NS_PER_MS,
                          .worker_faults = sim_faultless,
                          .node_faults = {.delay_least_ns = NS_PER_MS,
                                          .delay_most_ns = (2 + roll(farm, 10)) * NS_PER_MS}};
}

/*
 * Minutes in which nodes are killed, ended, stopped and started again, at every level. Both ends
 * are told of every loss: otherwise the grace might be over first.
 */
static void plan_mortal(struct farm *farm, struct plan *plan) {
    *plan = (struct plan){.mortal = true,
                          .node_links = true,
                          .levels = 1 + (unsigned)roll(farm, 3),
                          .workers = 1 + (unsigned)roll(farm, 40),
                          .packets_most = 1 + (unsigned)roll(farm, 400),
                          .content_most = (size_t)1 << (8 + roll(farm, 8)),
                          .chatter = rate(farm, 300000),
                          .large = rate(farm, 50000),
                          .rest = (unsigned)roll(farm, MILLION),
                          .stall = (unsigned)roll(farm, 200000),
                          .hang = (unsigned)(roll(farm, 2) * roll(farm, 300000)),
                          .die = rate(farm, 20000),
                          .deaf = rate(farm, 600000),
                          .down = rate(farm, MILLION),
                          .down_most = (size_t)1 << (4 + roll(farm, 13)),
                          .lazy = rate(farm, MILLION),
                          .node_grace_ns = MORTAL_GRACE_NS,
                          .active_ns = (20000 + roll(farm, 480000)) * NS_PER_MS,
                          .faults_most = (unsigned)roll(farm, 8),
                          .fault_every_ns = (1000 + roll(farm, 200000)) * NS_PER_MS,
                          .stop_most_ns = (1000 + roll(farm, 2) * 90000) * NS_PER_MS,
                          .worker_faults = sim_faultless};
    plan->nodes = plan->levels == 1 ? 1 : plan->levels + (unsigned)roll(farm, 4);
    plan->node_faults = (struct sim_faults){.delay_least_ns = 1000,
                                            .delay_most_ns = 2000 + roll(farm, 3 * NS_PER_MS),
                                            .clog_most_ns = 1 + roll(farm, 400 * NS_PER_MS),
                                            .clog = rate(farm, 100000),
                                            .shorten = rate(farm, 500000),
                                            .cut = rate(farm, 20000),
                                            .refuse = rate(farm, 200000)};
    plan->loses = plan->node_faults.cut > 0;
    if (plan->loses) /* a node cut off while it is stopped cannot come back within the grace */
        plan->stop_most_ns = NS_PER_MS;
}

/* Relays die, connections break in any way; nothing that a leaf has is lost. */
static void plan_bundles(struct farm *farm, struct plan *plan) {
    plan_shape(farm, plan);
    plan->mortal = plan->bundles = plan->node_links = true;
    plan->levels = 2 + (unsigned)roll(farm, 3);
    plan->nodes = plan->levels + (unsigned)roll(farm, 4);
    plan->packets_most = 1 + (unsigned)roll(farm, 400);
    plan->content_most = (size_t)1 << (8 + roll(farm, 8)); /* nobody who stalls has a slot */
    plan->large = rate(farm, 50000);
    plan->rest = (unsigned)roll(farm, MILLION);
    plan->stall = (unsigned)roll(farm, 100000);
    plan->deaf = rate(farm, 600000);
    plan->lazy = rate(farm, MILLION);
    plan->leave = rate(farm, 20000);
    plan->window_bytes = (size_t)1 << (12 + roll(farm, 9));
    plan->node_grace_ns = (1000 + roll(farm, 30000)) * NS_PER_MS;
    plan->active_ns = (1000 + roll(farm, 40000)) * NS_PER_MS;
    plan->faults_most = (unsigned)roll(farm, 8);
    plan->fault_every_ns = (500 + roll(farm, 10000)) * NS_PER_MS;
    plan->stop_most_ns = (1000 + roll(farm, 10000)) * NS_PER_MS;
    plan->worker_faults = sim_faultless;
    plan_faults(farm, &plan->node_faults);
}

/* All nodes die, and what a leaf had in its spool comes all the same. */
static void plan_trees(struct farm *farm, struct plan *plan) {
    bool is_patient = roll(farm, 2) > 0;
    plan_bundles(farm, plan);
    plan->trees = true;
    plan->levels = 2 + (unsigned)roll(farm, 3);
    plan->nodes = plan->levels + (unsigned)roll(farm, 4);
    plan->workers = 1 + (unsigned)roll(farm, 24);
    plan->packets_most = 1 + (unsigned)roll(farm, 100);
    plan->hang = rate(farm, 100000);
    plan->lazy = rate(farm, 20000);
    plan->down = rate(farm, MILLION);
    plan->down_most = (size_t)1 << roll(farm, 14);
    plan->rot = (unsigned)roll(farm, MILLION);
    plan->full = rate(farm, 300000);
    plan->node_buffer_bytes = (size_t)1 << (12 + roll(farm, 5));
    plan->output_buffer_bytes = (size_t)1 << (9 + roll(farm, 8));
    plan->node_faults.strand = rate(farm, 50000);
    plan->node_faults.strand_most_ns = (1 + roll(farm, 10)) * 1000 * NS_PER_MS;
    if (!is_patient)
        return;
    plan->nobody_is_given_up = true;
    plan->node_grace_ns = MORTAL_GRACE_NS;
    plan->stop_most_ns = 2 * MORTAL_GRACE_NS;
    plan->active_ns = (20000 + roll(farm, 180000)) * NS_PER_MS;
    plan->fault_every_ns = (5000 + roll(farm, 30000)) * NS_PER_MS;
    plan->node_faults.vanish = plan->node_faults.half_cut = 0;
    plan->node_faults.cut = rate(farm, 20000);
    plan->node_faults.corrupt = rate(farm, 10000);
    plan->node_faults.refuse = rate(farm, 200000);
}

void farm_plan(struct farm *farm, const struct farm_options *options) {
    struct plan *plan = &farm->plan;
    if (options->trees) {
        plan_trees(farm, plan);
        if (options->scenes)
            scenes_plan(farm);
        return;
    }
    if (options->bundles) {
        plan_bundles(farm, plan);
        return;
    }
    if (options->mortal || roll(farm, 5) == 0) {
        plan_mortal(farm, plan);
        return;
    }
    if (roll(farm, 40) == 0) {
        plan_flood(farm, plan);
        return;
    }
    plan_shape(farm, plan);
    plan->chatter = rate(farm, 300000);
    plan->large = rate(farm, 50000);
    plan->fitting = rate(farm, 200000);
    plan->rest = rate(farm, 2 * MILLION);
    plan->stall = rate(farm, 20000);
    plan->abandon = rate(farm, 50000);
    plan->die = rate(farm, 20000);
    plan->deaf = rate(farm, 600000);
    plan->down = rate(farm, 4 * MILLION);
    plan->down_most = (size_t)1 << (4 + roll(farm, 13));
    plan->lazy = rate(farm, 4 * MILLION);
    plan->leave = rate(farm, 20000);
    plan->active_ns = (100 + roll(farm, 2500)) * NS_PER_MS;
    plan->node_links = roll(farm, 3) > 0;
    plan->node_grace_ns = roll(farm, 2) ? 30000 * NS_PER_MS : (1 + roll(farm, 3000)) * NS_PER_MS;
    plan_faults(farm, &plan->worker_faults);
    plan_faults(farm, &plan->node_faults);
    plan->nobody_is_given_up = plan->node_grace_ns > OUTAGE_MOST_NS &&
                               plan->node_faults.vanish + plan->node_faults.half_cut == 0;
}
