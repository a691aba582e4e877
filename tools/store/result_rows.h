/*
 * Results on their way into the index: many in one statement, which costs half of a statement for
 * each. What is not flushed is not there.
 */
#ifndef TOOLS_STORE_RESULT_ROWS_H
#define TOOLS_STORE_RESULT_ROWS_H

#include <stdbool.h>
#include <stdint.h>

struct sqlite3;
struct sqlite3_stmt;

/* Measured: 1: 345,000 rows a second, 8: 680,000, 20: 750,000, 50: 795,000. */
#define RESULT_ROWS_AT_ONCE 20

#define RESULT_ROW_NO_TIME INT64_MIN

struct result_row {
    int64_t test, id, status, route;
    int64_t begun_us, took_us; /* or RESULT_ROW_NO_TIME */
};

struct result_rows {
    struct sqlite3_stmt *many, *one;
    int64_t run;
    unsigned count;
    struct result_row of[RESULT_ROWS_AT_ONCE];
};

/* False, here and below: sqlite3_errmsg() says why. */
bool result_rows_init(struct result_rows *rows, struct sqlite3 *database, int64_t run);
void result_rows_fini(struct result_rows *rows);

/* In a transaction. */
bool result_rows_add(struct result_rows *rows, const struct result_row *row);
bool result_rows_flush(struct result_rows *rows);

#endif
