/*
 * Nodes are killed, ended by TERM and stopped, and new ones are started in their place, at the same
 * address and without memory. Between two faults of one node there is peace, so that running nodes
 * always find a way up within the grace, whatever faults coincide on it. With bundles relays need
 * no peace, and leaves have it.
 */
#include "tests/sim/farm.h"

#define PEACE_NS (40000 * NS_PER_MS)
#define DOWN_MOST_NS (4000 * NS_PER_MS)
#define STOP_MOST_NS (6000 * NS_PER_MS)

/* The longest time in which a node does not notice that the node above it is a new one. */
#define NEWS_NS (15000 * NS_PER_MS)

/*
 * At most at this depth a stop may be longer than the grace: the only node above is the root, which
 * forgets everything when it is killed.
 */
#define LONG_STOP_DEPTH 1

static void later(struct place *place, uint64_t *at_ns, uint64_t most_ns) {
    struct sim *sim = place->farm->sim;
    *at_ns = sim_now_ns(sim) + 1 + sim_random(sim, most_ns);
}

static struct death *add_death(struct place *place) {
    if (place->death_count == FARM_DEATHS_MAX)
        farm_fail(place->farm, "node %u dies too often", place->index);
    struct death *death = &place->deaths[place->death_count++];
    death->from_ns = death->until_ns = sim_now_ns(place->farm->sim);
    return death;
}

/* A stopped node does not notice a death above it, now or a moment ago, before it runs again. */
static void delay_news(const struct place *stopped) {
    uint64_t now_ns = sim_now_ns(stopped->farm->sim);
    for (struct place *above = stopped->parent; above; above = above->parent) {
        struct death *last = above->death_count ? &above->deaths[above->death_count - 1] : NULL;
        bool is_news = last && (last->until_ns > now_ns || now_ns - last->until_ns < NEWS_NS);
        if (is_news && last->told_ns < stopped->runs_again_ns)
            last->told_ns = stopped->runs_again_ns;
    }
}

static void delay_news_of_all(struct farm *farm) {
    for (unsigned i = 0; i < farm->plan.nodes; i++)
        if (farm->places[i].runs_again_ns && !farm->places[i].ended)
            delay_news(&farm->places[i]);
}

/* As kill -9 looks to others: the kernel closes all its connections. */
void mortal_kill(struct place *place) {
    add_death(place);
    trees_die(place);
    node_terminate(place->node, true);
    while (farm_step_place(place))
        spools_tear(place);
    farm_destroy_place(place);
    later(place, &place->runs_again_ns, DOWN_MOST_NS);
    delay_news_of_all(place->farm);
}

void mortal_term(struct place *place) {
    add_death(place)->until_ns = UINT64_MAX;
    place->terminated = true;
    if (place->farm->plan.trees)
        trees_orphan(place);
    node_terminate(place->node, false);
    farm_step_place(place);
}

void mortal_ended(struct place *place) {
    if (place->death_count == 0 || place->deaths[place->death_count - 1].until_ns != UINT64_MAX)
        return; /* with the whole farm */
    place->deaths[place->death_count - 1].until_ns = sim_now_ns(place->farm->sim);
    later(place, &place->runs_again_ns, DOWN_MOST_NS);
    delay_news_of_all(place->farm);
}

static void stop_place(struct place *place) {
    bool may_be_long =
        (place->farm->plan.trees ? trees_may_sleep(place) : place->depth <= LONG_STOP_DEPTH) &&
        sim_random(place->farm->sim, 4) == 0;
    later(place, &place->runs_again_ns,
          may_be_long ? place->farm->plan.stop_most_ns : STOP_MOST_NS);
    sim_stop(place->transport, true);
    delay_news(place);
}

static void run_again(struct place *place) {
    place->runs_again_ns = 0;
    if (place->ended)
        farm_start_place(place);
    else
        sim_stop(place->transport, false);
    later(place, &place->next_fault_ns, place->farm->plan.fault_every_ns);
    if (!place->farm->plan.bundles || place->farm->plan.nobody_is_given_up)
        place->next_fault_ns += PEACE_NS;
}

void mortal_init(struct place *place) {
    const struct plan *plan = &place->farm->plan;
    if (!plan->mortal || (plan->bundles && !plan->trees && bundles_is_leaf(place)))
        return;
    place->faults_left = (unsigned)sim_random(place->farm->sim, plan->faults_most + 1);
    later(place, &place->next_fault_ns, plan->fault_every_ns);
}

/* With one of those below it, which then has nobody who could say that it is lost. */
static void kill_with_child(struct place *place) {
    struct farm *farm = place->farm;
    unsigned first = (unsigned)sim_random(farm->sim, farm->plan.nodes);
    mortal_kill(place);
    for (unsigned i = 0; i < farm->plan.nodes; i++) {
        struct place *below = &farm->places[(first + i) % farm->plan.nodes];
        if (below->above != place || below->ended || below->runs_again_ns || below->terminated)
            continue;
        mortal_kill(below);
        return;
    }
}

static void strike(struct place *place) {
    place->faults_left--;
    if (!sim_fault_happens(place->farm->sim, "fault of node", place->index)) {
        later(place, &place->next_fault_ns, place->farm->plan.fault_every_ns);
        return;
    }
    uint64_t what = sim_random(place->farm->sim, 3);
    if (trees_is_end(place) && sim_random(place->farm->sim, 2)) {
        if (!trees_strike_end(place))
            mortal_kill(place);
    } else if (what == 0 && place->farm->plan.trees && sim_random(place->farm->sim, 2))
        kill_with_child(place);
    else if (what == 0)
        mortal_kill(place);
    else if (what == 1)
        mortal_term(place);
    else
        stop_place(place);
}

void mortal_tick(struct place *place) {
    struct farm *farm = place->farm;
    uint64_t now_ns = sim_now_ns(farm->sim);
    if (place->runs_again_ns && now_ns >= place->runs_again_ns)
        run_again(place);
    bool is_well = !place->runs_again_ns && !place->terminated;
    if (place->faults_left && !farm->healed && is_well && now_ns >= place->next_fault_ns)
        strike(place);
}

void mortal_heal(struct place *place) {
    if (place->runs_again_ns)
        run_again(place);
}
