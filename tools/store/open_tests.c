#include "tools/store/open_tests.h"

#include <stdlib.h>

#define CAPACITY_FIRST 256

bool open_tests_init(struct open_tests *tests) {
    *tests = (struct open_tests){.capacity = CAPACITY_FIRST};
    tests->places = calloc(tests->capacity, sizeof *tests->places);
    return tests->places != NULL;
}

void open_tests_fini(struct open_tests *tests) {
    free(tests->places);
    *tests = (struct open_tests){0};
}

static unsigned next_of(const struct open_tests *tests, unsigned i) {
    return (i + 1) & (tests->capacity - 1);
}

static unsigned home_of(const struct open_tests *tests, struct names_key key) {
    return (unsigned)key.b & (tests->capacity - 1);
}

static struct open_test *place_of(struct open_tests *tests, struct names_key key) {
    unsigned i = home_of(tests, key);
    while (tests->places[i].id && !names_same(tests->places[i].key, key))
        i = next_of(tests, i);
    return &tests->places[i];
}

struct open_test *open_tests_find(struct open_tests *tests, struct names_key key) {
    struct open_test *test = place_of(tests, key);
    return test->id ? test : NULL;
}

static bool grow(struct open_tests *tests) {
    struct open_tests larger = {.capacity = 2 * tests->capacity, .count = tests->count};
    larger.places = calloc(larger.capacity, sizeof *larger.places);
    if (!larger.places)
        return false;
    for (unsigned i = 0; i < tests->capacity; i++)
        if (tests->places[i].id)
            *place_of(&larger, tests->places[i].key) = tests->places[i];
    free(tests->places);
    *tests = larger;
    return true;
}

struct open_test *open_tests_add(struct open_tests *tests, struct names_key key, int64_t id) {
    if (tests->count >= tests->capacity / 2 && !grow(tests))
        return NULL;
    struct open_test *test = place_of(tests, key);
    assert(id != 0 && test->id == 0);
    *test = (struct open_test){.key = key, .id = id, .begun_us = OPEN_TEST_NO_TIME};
    tests->count++;
    return test;
}

/* Those behind it that would no longer be found move up. */
void open_tests_remove(struct open_tests *tests, struct open_test *test) {
    unsigned hole = (unsigned)(test - tests->places);
    tests->count--;
    for (unsigned i = next_of(tests, hole); tests->places[i].id; i = next_of(tests, i)) {
        unsigned home = home_of(tests, tests->places[i].key);
        unsigned mask = tests->capacity - 1;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        tests->places[hole] = tests->places[i];
        hole = i;
    }
    tests->places[hole] = (struct open_test){0};
}

int64_t open_tests_first(const struct open_tests *tests, int64_t none) {
    int64_t first = none;
    for (unsigned i = 0; i < tests->capacity; i++)
        if (tests->places[i].id && tests->places[i].id < first)
            first = tests->places[i].id;
    return first;
}
