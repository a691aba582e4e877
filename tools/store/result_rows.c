#include "tools/store/result_rows.h"

#include <sqlite3.h>
#include <stdio.h>

/* Parameters: the run, then COLUMNS for each row. */
#define COLUMNS 6
#define SQL_BYTES 2048

static bool prepare(struct sqlite3 *database, unsigned count, struct sqlite3_stmt **statement) {
    char sql[SQL_BYTES];
    size_t len = (size_t)snprintf(
        sql, sizeof sql,
        "INSERT INTO results(run, test, id, status, route, begun_us, took_us) VALUES");
    for (unsigned i = 0; i < count; i++) {
        unsigned first = 2 + COLUMNS * i;
        len += (size_t)snprintf(sql + len, sizeof sql - len, "%s(?1,?%u,?%u,?%u,?%u,?%u,?%u)",
                                i ? "," : "", first, first + 1, first + 2, first + 3, first + 4,
                                first + 5);
    }
    return sqlite3_prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) ==
           SQLITE_OK;
}

bool result_rows_init(struct result_rows *rows, struct sqlite3 *database, int64_t run) {
    *rows = (struct result_rows){.run = run};
    return prepare(database, RESULT_ROWS_AT_ONCE, &rows->many) && prepare(database, 1, &rows->one);
}

void result_rows_fini(struct result_rows *rows) {
    sqlite3_finalize(rows->many);
    sqlite3_finalize(rows->one);
    *rows = (struct result_rows){0};
}

static void bind_time(sqlite3_stmt *statement, int column, int64_t us) {
    if (us == RESULT_ROW_NO_TIME)
        sqlite3_bind_null(statement, column);
    else
        sqlite3_bind_int64(statement, column, us);
}

static void bind_row(sqlite3_stmt *statement, unsigned place, const struct result_row *row) {
    int first = 2 + COLUMNS * (int)place;
    sqlite3_bind_int64(statement, first, row->test);
    sqlite3_bind_int64(statement, first + 1, row->id);
    sqlite3_bind_int64(statement, first + 2, row->status);
    sqlite3_bind_int64(statement, first + 3, row->route);
    bind_time(statement, first + 4, row->begun_us);
    bind_time(statement, first + 5, row->took_us);
}

static bool insert(const struct result_rows *rows, sqlite3_stmt *statement) {
    sqlite3_bind_int64(statement, 1, rows->run);
    bool is_done = sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_reset(statement);
    return is_done;
}

bool result_rows_add(struct result_rows *rows, const struct result_row *row) {
    rows->of[rows->count++] = *row;
    if (rows->count < RESULT_ROWS_AT_ONCE)
        return true;
    for (unsigned i = 0; i < rows->count; i++)
        bind_row(rows->many, i, &rows->of[i]);
    rows->count = 0;
    return insert(rows, rows->many);
}

bool result_rows_flush(struct result_rows *rows) {
    bool is_fine = true;
    for (unsigned i = 0; i < rows->count && is_fine; i++) {
        bind_row(rows->one, 0, &rows->of[i]);
        is_fine = insert(rows, rows->one);
    }
    rows->count = 0;
    return is_fine;
}
