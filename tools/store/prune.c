#include "tools/store/prune.h"
#include "tools/store/live.h"
#include "tools/store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct runs {
    struct store_run *of;
    size_t count, capacity;
};

static bool add(struct runs *runs, sqlite3_stmt *statement) {
    if (runs->count == runs->capacity) {
        size_t capacity = runs->capacity ? 2 * runs->capacity : 64;
        struct store_run *more = realloc(runs->of, capacity * sizeof *more);
        if (!more)
            return false;
        runs->of = more;
        runs->capacity = capacity;
    }
    struct store_run *run = &runs->of[runs->count++];
    run->id = sqlite3_column_int64(statement, 0);
    snprintf(run->uuid, sizeof run->uuid, "%s", sqlite3_column_text(statement, 1));
    run->begun_us = sqlite3_column_int64(statement, 2);
    return true;
}

/* All of them, before the first one goes; the newest first. */
static bool list(const struct store *store, struct runs *runs, char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = NULL;
    int found;
    sqlite3_prepare_v2(store->database,
                       "SELECT id, uuid, begun_us FROM runs ORDER BY begun_us DESC, id DESC", -1,
                       &statement, NULL);
    bool is_fine = true;
    while ((found = sqlite3_step(statement)) == SQLITE_ROW && is_fine)
        is_fine = add(runs, statement);
    if (!is_fine)
        store_say(why, "the store in", store->folder, "out of memory");
    else if (found != SQLITE_DONE)
        is_fine = store_failed(store, "list the runs", why);
    sqlite3_finalize(statement);
    return is_fine;
}

static bool remove_rows(const struct store *store, int64_t run, char why[STORE_WHY_BYTES]) {
    char sql[384];
    snprintf(sql, sizeof sql,
             "BEGIN IMMEDIATE; DELETE FROM results WHERE run=%" PRId64
             "; DELETE FROM attachments WHERE run=%" PRId64
             "; DELETE FROM bad_since WHERE run=%" PRId64 "; DELETE FROM tries WHERE run=%" PRId64
             "; DELETE FROM run_counts WHERE run=%" PRId64 "; DELETE FROM runs WHERE id=%" PRId64
             "; COMMIT",
             run, run, run, run, run, run);
    if (store_run_sql(store, sql, "remove a run", why))
        return true;
    sqlite3_exec(store->database, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

/* A run whose owner lives stays, which is no error. */
static bool remove_run(const struct store *store, const struct store_run *run, uint64_t bytes,
                       struct store_pruned *pruned, char why[STORE_WHY_BYTES]) {
    char path[PATH_MAX];
    bool is_owned;
    store_stream_path(store, run, path);
    int fd = store_lock_stream(path, O_RDONLY, &is_owned);
    if (is_owned)
        return true;
    bool is_gone = (fd < 0 && errno == ENOENT) || unlink(path) == 0 ||
                   store_say(why, "cannot remove", path, strerror(errno));
    store_live_remove(store->folder, run);
    bool is_fine = is_gone && remove_rows(store, run->id, why);
    if (fd >= 0)
        close(fd);
    pruned->bytes += is_gone ? bytes : 0;
    pruned->runs += is_fine;
    return is_fine;
}

static uint64_t bytes_of(const struct store *store, const struct store_run *run) {
    char path[PATH_MAX];
    struct stat about;
    store_stream_path(store, run, path);
    return stat(path, &about) == 0 ? (uint64_t)about.st_size : 0;
}

bool store_prune(struct store *store, const struct store_limits *limits,
                 struct store_pruned *pruned, char why[STORE_WHY_BYTES]) {
    struct runs runs = {0};
    uint64_t sum = 0;
    *pruned = (struct store_pruned){0};
    /* What goes is not written over with zeros, which would cost as much as to write it did. */
    bool is_fine =
        list(store, &runs, why) && store_run_sql(store, "PRAGMA secure_delete=FAST", "prune", why);
    for (size_t i = 0; i < runs.count && is_fine; i++) {
        const struct store_run *run = &runs.of[i];
        uint64_t bytes = bytes_of(store, run);
        sum += bytes;
        if (i >= limits->runs || sum > limits->bytes || run->begun_us < limits->begun_from_us)
            is_fine = remove_run(store, run, bytes, pruned, why);
    }
    free(runs.of);
    return is_fine;
}
