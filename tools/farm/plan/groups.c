#include "tools/farm/plan/plan_internal.h"

#include <stdlib.h>
#include <string.h>

struct name {
    const char *text;
    size_t len;
    uint32_t test;
};

/* By text; of equal ones the first test first. */
static int compare(const void *left, const void *right) {
    const struct name *a = left, *b = right;
    size_t len = a->len < b->len ? a->len : b->len;
    int order = len > 0 ? memcmp(a->text, b->text, len) : 0;
    if (order != 0)
        return order;
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    return a->test < b->test ? -1 : a->test > b->test;
}

static bool same(const struct name *a, const struct name *b) {
    return a->len == b->len && (a->len == 0 || memcmp(a->text, b->text, a->len) == 0);
}

static uint32_t collect(const struct plan_test *tests, uint32_t count, struct name *names) {
    uint32_t found = 0;
    for (uint32_t test = 0; test < count; test++)
        if (tests[test].group != NULL)
            names[found++] = (struct name){tests[test].group, tests[test].group_len, test};
    return found;
}

/* For each test the first of its group. */
static bool find_first(const struct plan_test *tests, uint32_t count, uint32_t *first_of) {
    struct name *names = malloc((size_t)count * sizeof *names);
    if (names == NULL)
        return false;
    uint32_t found = collect(tests, count, names);
    qsort(names, found, sizeof *names, compare);
    for (uint32_t test = 0; test < count; test++)
        first_of[test] = test;
    for (uint32_t i = 1; i < found; i++)
        if (same(&names[i - 1], &names[i]))
            first_of[names[i].test] = first_of[names[i - 1].test];
    free(names);
    return true;
}

uint32_t plan_number_groups(const struct plan_test *tests, uint32_t count, uint32_t *group_of) {
    uint32_t groups = 0;
    if (!find_first(tests, count, group_of))
        return 0;
    for (uint32_t test = 0; test < count; test++)
        group_of[test] = group_of[test] == test ? groups++ : group_of[group_of[test]];
    return groups;
}
