#include "tools/farm/plan/plan_internal.h"
#include "tools/farm/plan/ring.h"

/* A group moves as a whole, so it is its own key. */
static bool share_by_ring(const struct plan *plan, const struct plan_test *tests,
                          const uint32_t *group_of, uint32_t *home_of) {
    struct ring *ring = ring_new(plan->home_count);
    if (ring == NULL)
        return false;
    for (uint32_t i = 0; i < plan->subject_count; i++) {
        const struct plan_test *test = &tests[i];
        home_of[group_of[i]] = (test->group != NULL ? ring_node(ring, test->group, test->group_len)
                                                    : ring_node(ring, test->id, test->id_len)) -
                               1;
    }
    ring_free(ring);
    return true;
}

/*
 * Neighbours stay together, and each block takes about as long. A group counts where its first test
 * stands. One nanosecond more each: where all take no time, blocks have the same number of tests.
 */
static void share_by_blocks(const struct plan *plan, const uint32_t *group_of, uint32_t groups,
                            uint32_t *home_of) {
    uint64_t sum = 0, before = 0;
    for (uint32_t group = 0; group < groups; group++)
        home_of[group] = PLAN_NONE;
    for (uint32_t test = 0; test < plan->subject_count; test++)
        sum += plan_expected_ns(plan, test) + 1;
    uint64_t block = sum / plan->home_count + 1;
    for (uint32_t test = 0; test < plan->subject_count; test++) {
        uint64_t takes = plan_expected_ns(plan, test) + 1;
        if (home_of[group_of[test]] == PLAN_NONE)
            home_of[group_of[test]] = (uint32_t)((before + takes / 2) / block);
        before += takes;
    }
}

bool plan_share_out(const struct plan *plan, const struct plan_test *tests,
                    const uint32_t *group_of, uint32_t groups, uint32_t *home_of) {
    switch (plan->config.dist) {
    case PLAN_HASH:
        return share_by_ring(plan, tests, group_of, home_of);
    case PLAN_STEAL:
        share_by_blocks(plan, group_of, groups, home_of);
        return true;
    default:
        for (uint32_t group = 0; group < groups; group++)
            home_of[group] = 0;
        return true;
    }
}
