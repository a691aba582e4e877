/* The runs: their names, rows and files. */
#include "tools/base/random.h"
#include "tools/store/store_internal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

static uint64_t realtime_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

_Static_assert(STORE_UUID_BYTES == RANDOM_UUID_BYTES, "a run's name is a UUID");

void store_stream_path(const struct store *store, const struct store_run *run, char out[PATH_MAX]) {
    store_files_path(store->folder, run, STORE_FILES_STREAM, out);
}

bool store_add_run(const struct store *store, const char *source, struct store_run *run,
                   char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v2(store->database,
                       "INSERT INTO runs(uuid, source, raw_done, raw_open, begun_us, damages)"
                       " VALUES(?1, ?2, 0, 0, ?3, 0)",
                       -1, &statement, NULL);
    sqlite3_bind_text(statement, 1, run->uuid, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, source, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, run->begun_us);
    bool is_added = sqlite3_step(statement) == SQLITE_DONE;
    if (sqlite3_extended_errcode(store->database) == SQLITE_CONSTRAINT_UNIQUE)
        store_say(why, "run", run->uuid, "the store has it already");
    else if (!is_added)
        store_failed(store, "add a run", why);
    run->id = sqlite3_last_insert_rowid(store->database);
    sqlite3_finalize(statement);
    return is_added;
}

int store_lock_stream(const char *path, int flags, bool *is_owned) {
    int fd = open(path, flags | O_CLOEXEC, 0666);
    *is_owned = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (!*is_owned)
        return fd;
    close(fd);
    return -1;
}

/*
 * It gets its name when it is locked: no other process takes it for one that nobody owns. A file of
 * this name stays: it is of the same run.
 */
static int make_file(const char *path, const struct store_run *run, char why[STORE_WHY_BYTES]) {
    char early[PATH_MAX + 32];
    bool is_owned;
    snprintf(early, sizeof early, "%s.%ld.new", path, (long)getpid());
    int fd = store_lock_stream(early, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, &is_owned);
    bool is_named = fd >= 0 && link(early, path) == 0;
    if (!is_named && errno == EEXIST)
        store_say(why, "run", run->uuid, "the store has it already");
    else if (!is_named)
        store_say(why, "cannot make the run's file", path, strerror(errno));
    if (fd >= 0)
        unlink(early);
    if (is_named)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

int store_begin(struct store *store, const char *source, struct store_run *run,
                char why[STORE_WHY_BYTES]) {
    random_uuid(run->uuid);
    run->begun_us = 0;
    return store_begin_named(store, source, run, why);
}

/* The file first: a row without a file would be a run that is lost. */
int store_begin_named(struct store *store, const char *source, struct store_run *run,
                      char why[STORE_WHY_BYTES]) {
    char path[PATH_MAX];
    if (run->begun_us == 0)
        run->begun_us = (int64_t)realtime_us();
    store_stream_path(store, run, path);
    int fd = make_file(path, run, why);
    if (fd < 0 || store_add_run(store, source, run, why))
        return fd;
    close(fd);
    unlink(path);
    return -1;
}

int store_open_stream(struct store *store, const struct store_run *run, char why[STORE_WHY_BYTES]) {
    char path[PATH_MAX];
    store_stream_path(store, run, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        store_say(why, "the run's file", path, strerror(errno));
    return fd;
}

/* One row, if there is just one: several runs may begin with the same digits. */
static bool take_run(const struct store *store, sqlite3_stmt *statement, const char *name,
                     struct store_run *run, char why[STORE_WHY_BYTES]) {
    int found = sqlite3_step(statement);
    if (found == SQLITE_ROW) {
        run->id = sqlite3_column_int64(statement, 0);
        snprintf(run->uuid, sizeof run->uuid, "%s", sqlite3_column_text(statement, 1));
        run->begun_us = sqlite3_column_int64(statement, 2);
        found = sqlite3_step(statement);
        if (found == SQLITE_DONE)
            return true;
        if (found == SQLITE_ROW)
            return store_say(why, "run", name, "several runs begin so: give more of it");
    }
    if (found == SQLITE_DONE)
        return store_say(why, "run", name, "there is none of this name (mux runs lists them)");
    return store_failed(store, "look for a run", why);
}

static const char by_age[] =
    "SELECT id, uuid, begun_us FROM runs ORDER BY begun_us DESC, id DESC LIMIT 1 OFFSET ?1";
static const char by_id[] = "SELECT id, uuid, begun_us FROM runs WHERE id=?1";
/* What begins so, and no letter of a UUID is as large as g. */
static const char by_uuid[] =
    "SELECT id, uuid, begun_us FROM runs WHERE uuid>=?1 AND uuid<?1||'g' LIMIT 2";

/* A name may begin with digits alone. Fewer are a number, else there would soon be another run. */
#define NAME_DIGITS_LEAST 4

/* "last" and "last-N": N; else -1. */
static long age_of(const char *name) {
    char *end;
    if (*name == '\0' || strcmp(name, "last") == 0)
        return 0;
    if ((strncmp(name, "last-", 5) != 0 && strncmp(name, "last~", 5) != 0) ||
        !isdigit((unsigned char)name[5]))
        return -1;
    errno = 0;
    long age = strtol(name + 5, &end, 10);
    return *end || errno ? -1 : age;
}

static const char *query_of(const struct store *store, const char *name, long age) {
    char why[STORE_WHY_BYTES];
    struct store_run run;
    sqlite3_stmt *statement = NULL;
    if (age >= 0)
        return by_age;
    if (strspn(name, "0123456789") != strlen(name) || strlen(name) > 9)
        return by_uuid;
    sqlite3_prepare_v2(store->database, by_id, -1, &statement, NULL);
    sqlite3_bind_int64(statement, 1, atol(name));
    bool is_number = take_run(store, statement, name, &run, why);
    sqlite3_finalize(statement);
    return is_number || strlen(name) < NAME_DIGITS_LEAST ? by_id : by_uuid;
}

bool store_find(struct store *store, const char *name, struct store_run *run,
                char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = NULL;
    long age = age_of(name);
    const char *sql = query_of(store, name, age);
    sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL);
    if (sql == by_uuid)
        sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    else
        sqlite3_bind_int64(statement, 1, age >= 0 ? age : atol(name));
    bool is_found = take_run(store, statement, *name ? name : "last", run, why);
    sqlite3_finalize(statement);
    return is_found;
}
