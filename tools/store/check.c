#include "tools/store/check.h"
#include "tools/store/store_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct checking {
    struct store *store;
    void (*fault)(void *user, const char *sentence);
    void *user;
    uint64_t faults;
};

static void found(struct checking *checking, const char *sentence) {
    checking->faults++;
    checking->fault(checking->user, sentence);
}

/* Each row of the statement is a fault, told by its first column. */
static void each_row(struct checking *checking, const char *sql) {
    char why[STORE_WHY_BYTES];
    sqlite3_stmt *statement = NULL;
    int step = SQLITE_ERROR;
    if (sqlite3_prepare_v2(checking->store->database, sql, -1, &statement, NULL) == SQLITE_OK)
        while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
            const char *text = (const char *)sqlite3_column_text(statement, 0);
            if (text && strcmp(text, "ok") != 0)
                found(checking, text);
        }
    if (step != SQLITE_DONE) {
        store_failed(checking->store, "check", why);
        found(checking, why);
    }
    sqlite3_finalize(statement);
}

static const char sums[] =
    "SELECT 'run ' || c.run || ': ' || c.n || ' results of status ' || c.status ||"
    " ' are counted and ' || count(r.id) || ' are there' FROM run_counts c"
    " LEFT JOIN results r ON r.run=c.run AND r.status=c.status"
    " GROUP BY c.run, c.status HAVING count(r.id)<>c.n";

static const char owners[] =
    "SELECT 'run ' || r.run || ' has results and is not listed' FROM results r"
    " WHERE r.run NOT IN (SELECT id FROM runs) GROUP BY r.run";

/* So much of the file is in the index: it must be there. */
static void check_file(struct checking *checking, const struct store_run *run, int64_t done) {
    char why[STORE_WHY_BYTES];
    struct stat about;
    int fd = store_open_stream(checking->store, run, why);
    if (fd < 0) {
        found(checking, why);
        return;
    }
    if (fstat(fd, &about) != 0 || about.st_size < done) {
        snprintf(why, sizeof why, "the file of run %s is shorter than its index says", run->uuid);
        found(checking, why);
    }
    close(fd);
}

static void check_files(struct checking *checking) {
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v2(checking->store->database,
                       "SELECT id, uuid, begun_us, raw_done FROM runs ORDER BY id", -1, &statement,
                       NULL);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        struct store_run run = {.id = sqlite3_column_int64(statement, 0),
                                .begun_us = sqlite3_column_int64(statement, 2)};
        snprintf(run.uuid, sizeof run.uuid, "%s", sqlite3_column_text(statement, 1));
        check_file(checking, &run, sqlite3_column_int64(statement, 3));
    }
    sqlite3_finalize(statement);
}

uint64_t store_check(struct store *store, void (*fault)(void *user, const char *sentence),
                     void *user) {
    struct checking checking = {store, fault, user, 0};
    each_row(&checking, "PRAGMA integrity_check");
    each_row(&checking, sums);
    each_row(&checking, owners);
    check_files(&checking);
    return checking.faults;
}
