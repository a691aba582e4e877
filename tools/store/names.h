/*
 * Texts that many rows share (test ids, routes): a table of the index with a number for each, and
 * in memory the numbers of those that were asked for.
 */
#ifndef TOOLS_STORE_NAMES_H
#define TOOLS_STORE_NAMES_H

#include "mux/buffer.h"

struct sqlite3;
struct sqlite3_stmt;

/* What tells two texts apart in memory: 128 bits of hashes. */
struct names_key {
    uint64_t a, b;
};

struct names_key names_key_of(struct mux_span text);

static inline bool names_same(struct names_key x, struct names_key y) {
    return x.a == y.a && x.b == y.b;
}

/* 16 bytes: four in a line of the cache, for a large table's cost is that it is not there. */
struct names_entry {
    uint64_t a;
    uint32_t b;
    uint32_t id; /* 0: the place is free */
};

struct names {
    struct sqlite3_stmt *find, *add, *all;
    struct sqlite3_stmt *last; /* the table's last number */
    unsigned asked;            /* times that the table had to be asked for one */
    struct names_entry *entries;
    unsigned capacity, count; /* a power of two */
};

/* `table` has id, hash and name. False: sqlite3_errmsg() says why, or out of memory. */
bool names_init(struct names *names, struct sqlite3 *database, const char *table);
void names_fini(struct names *names);

/* Its number, a new one if there is none. 0: sqlite3_errmsg() says why, or out of memory. */
int64_t names_id(struct names *names, struct names_key key, struct mux_span text);

#endif
