/* The tests of a run that have begun and not ended, by route and test id. */
#ifndef TOOLS_STORE_OPEN_TESTS_H
#define TOOLS_STORE_OPEN_TESTS_H

#include "tools/store/names.h"
#include "tools/store/result_rows.h"

/* A packet without a time. */
#define OPEN_TEST_NO_TIME RESULT_ROW_NO_TIME

struct open_test {
    struct names_key key;
    int64_t id;   /* where its first packet stands in the run's file, and 1; 0: a free place */
    int64_t test; /* number of its name */
    int64_t route;
    int64_t begun_us; /* or OPEN_TEST_NO_TIME */
    bool has_begun;   /* "inprogress" was seen; else there was only a file of it */
    unsigned attachments;
};

struct open_tests {
    struct open_test *places;
    unsigned capacity, count; /* a power of two */
};

bool open_tests_init(struct open_tests *tests);
void open_tests_fini(struct open_tests *tests);

/* NULL: it is not there. */
struct open_test *open_tests_find(struct open_tests *tests, struct names_key key);

/* It must not be there; `id` is not 0. NULL: out of memory. Good until the next call. */
struct open_test *open_tests_add(struct open_tests *tests, struct names_key key, int64_t id);

void open_tests_remove(struct open_tests *tests, struct open_test *test);

/* The least id; `none` when there are no tests. */
int64_t open_tests_first(const struct open_tests *tests, int64_t none);

#endif
