/* A store in a folder of its own, and runs that are made of a few words. */
#ifndef TESTS_STORE_STORES_H
#define TESTS_STORE_STORES_H

#include "tools/store/query.h"

/* cmocka's setup and teardown: *state is the struct store. */
int stores_open(void **state);
int stores_close(void **state);

/* Where it is. */
const char *stores_folder(void);

struct stores_result {
    const char *test, *route; /* route NULL: none */
    enum mux_status status;
    int64_t begun_ms, took_ms; /* took_ms < 0: without times */
};

/* Each begins and ends before the next one begins. */
void stores_add(struct store *store, const struct stores_result *results, size_t count,
                struct store_run *run);

#endif
