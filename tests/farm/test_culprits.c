/* The search for tests that make another one fail, over all small sets and some large ones. */
#include "tests/unit/check.h"
#include "tests/unit/random.h"
#include "tools/farm/plan/culprits.h"

enum { COUNT_MOST = 10000, NEEDED_MOST = 8 };

/* The test fails when all of these ran before it. */
struct guilt {
    uint32_t needed[NEEDED_MOST];
    unsigned count;
};

struct cost {
    unsigned probes;
    uint64_t tests;
};

static bool fails(const struct culprits *search, const struct guilt *guilt) {
    for (unsigned i = 0; i < guilt->count; i++)
        if (!culprits_next(search, guilt->needed[i]))
            return false;
    return true;
}

static enum culprits_state search_to_its_end(struct culprits *search, uint32_t count,
                                             const struct guilt *guilt, struct cost *cost) {
    while (culprits_state(search) == CULPRITS_SEARCHED) {
        cost->probes++;
        for (uint32_t i = 0; i < count; i++)
            cost->tests += culprits_next(search, i);
        culprits_tell(search, fails(search, guilt));
        assert_true(cost->probes < 10000);
    }
    return culprits_state(search);
}

static struct cost find(uint32_t count, const struct guilt *guilt) {
    struct cost cost = {0};
    struct culprits *search = culprits_new(count);
    assert_non_null(search);
    enum culprits_state state = search_to_its_end(search, count, guilt, &cost);
    assert_int_equal(state, guilt->count ? CULPRITS_FOUND : CULPRITS_ALONE);
    for (uint32_t i = 0; guilt->count && i < count; i++) {
        bool needed = false;
        for (unsigned j = 0; j < guilt->count; j++)
            needed = needed || guilt->needed[j] == i;
        assert_int_equal(culprits_has(search, i), needed);
    }
    culprits_free(search);
    return cost;
}

static void every_small_set(void **state) {
    (void)state;
    for (uint32_t count = 1; count <= 9; count++)
        for (uint32_t set = 0; set < 1u << count; set++) {
            struct guilt guilt = {.count = 0};
            for (uint32_t i = 0; i < count && guilt.count < NEEDED_MOST; i++)
                if (set >> i & 1)
                    guilt.needed[guilt.count++] = i;
            find(count, &guilt);
        }
}

/* One among n: 2 x n tests, 2 x log2(n) probes, and those for alone, all and the check. */
static void what_one_costs(void **state) {
    (void)state;
    for (uint32_t culprit = 0; culprit < COUNT_MOST; culprit += 97) {
        struct guilt guilt = {{culprit}, 1};
        struct cost cost = find(COUNT_MOST, &guilt);
        assert_true(cost.probes <= 2 * 14 + 3);
        assert_true(cost.tests <= 3 * COUNT_MOST + 50);
    }
}

static void large_sets(void **state) {
    (void)state;
    struct random random = {5};
    for (unsigned round = 0; round < 50; round++) {
        struct guilt guilt = {.count = 2 + (unsigned)random_below(&random, NEEDED_MOST - 1)};
        for (unsigned i = 0; i < guilt.count; i++)
            guilt.needed[i] = (uint32_t)(i * (COUNT_MOST / NEEDED_MOST) +
                                         random_below(&random, COUNT_MOST / NEEDED_MOST));
        struct cost cost = find(COUNT_MOST, &guilt);
        assert_true(cost.probes <= guilt.count * 2 * 14 + 3);
    }
}

static void nobody(void **state) {
    (void)state;
    static const uint32_t counts[] = {0, 1, 7};
    for (size_t i = 0; i < COUNT(counts); i++) {
        struct culprits *search = culprits_new(counts[i]);
        while (culprits_state(search) == CULPRITS_SEARCHED)
            culprits_tell(search, false);
        assert_int_equal(culprits_state(search), CULPRITS_NONE);
        culprits_free(search);
    }
}

/* A test that fails now and then is not blamed on others for sure; whatever it does, it ends. */
static void by_chance(void **state) {
    (void)state;
    struct random random = {9};
    unsigned ends[CULPRITS_UNSURE + 1] = {0};
    for (unsigned round = 0; round < 2000; round++) {
        struct culprits *search = culprits_new(40);
        for (unsigned probes = 0; culprits_state(search) == CULPRITS_SEARCHED; probes++) {
            culprits_tell(search, random_below(&random, 3) == 0);
            assert_true(probes < 200);
        }
        ends[culprits_state(search)]++;
        culprits_free(search);
    }
    for (unsigned end = CULPRITS_ALONE; end <= CULPRITS_UNSURE; end++)
        assert_true(ends[end] > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_small_set), cmocka_unit_test(what_one_costs),
        cmocka_unit_test(large_sets),      cmocka_unit_test(nobody),
        cmocka_unit_test(by_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
