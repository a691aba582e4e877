/* The runs: their names, rows and files; and an index made anew from the files. */
#include "tools/base/random.h"
#include "tools/store/indexer.h"
#include "tools/store/store_internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t realtime_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* RFC 9562, version 4. */
static void make_uuid(char out[STORE_UUID_BYTES]) {
    uint8_t bytes[16];
    random_fill(bytes, sizeof bytes);
    bytes[6] = (uint8_t)(0x40 | (bytes[6] & 0x0f));
    bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f));
    for (unsigned i = 0, at = 0; i < sizeof bytes; i++)
        at += (unsigned)sprintf(out + at, "%s%02x",
                                i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
}

/* "TIME-UUID.subunit": microseconds in TIME_DIGITS hexadecimal digits. */
#define TIME_DIGITS 14
#define STREAM_NAME_LEN (TIME_DIGITS + 1 + STORE_UUID_BYTES - 1 + sizeof STREAM_SUFFIX - 1)

static void stream_path(const struct store *store, const struct store_run *run,
                        char out[PATH_MAX]) {
    char name[sizeof RUNS_NAME + STREAM_NAME_LEN + 8];
    snprintf(name, sizeof name, RUNS_NAME "/%0*" PRIx64 "-%s" STREAM_SUFFIX, TIME_DIGITS,
             (uint64_t)run->begun_us & ((UINT64_C(1) << 4 * TIME_DIGITS) - 1), run->uuid);
    store_path(store->folder, name, out);
}

/* Its row; the number of a run whose file was there before is in no other way different. */
static bool add_run(const struct store *store, const char *source, struct store_run *run,
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
    if (!is_added)
        store_failed(store, "add a run", why);
    run->id = sqlite3_last_insert_rowid(store->database);
    sqlite3_finalize(statement);
    return is_added;
}

/* The file first: a row without a file would be a run that is lost. */
int store_begin(struct store *store, const char *source, struct store_run *run,
                char why[STORE_WHY_BYTES]) {
    char path[PATH_MAX];
    run->begun_us = (int64_t)realtime_us();
    make_uuid(run->uuid);
    stream_path(store, run, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) {
        store_say(why, "cannot make the run's file", path, strerror(errno));
        return -1;
    }
    if (add_run(store, source, run, why))
        return fd;
    close(fd);
    unlink(path);
    return -1;
}

int store_open_stream(struct store *store, const struct store_run *run, char why[STORE_WHY_BYTES]) {
    char path[PATH_MAX];
    stream_path(store, run, path);
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
    "SELECT id, uuid, begun_us FROM runs ORDER BY id DESC LIMIT 1 OFFSET ?1";
static const char by_id[] = "SELECT id, uuid, begun_us FROM runs WHERE id=?1";
static const char by_uuid[] =
    "SELECT id, uuid, begun_us FROM runs WHERE substr(uuid, 1, length(?1))=?1 ORDER BY id LIMIT 2";

/* "last" and "last-N": N; else -1. */
static long age_of(const char *name) {
    char *end;
    if (*name == '\0' || strcmp(name, "last") == 0)
        return 0;
    if (strncmp(name, "last-", 5) != 0 || !isdigit((unsigned char)name[5]))
        return -1;
    errno = 0;
    long age = strtol(name + 5, &end, 10);
    return *end || errno ? -1 : age;
}

/* All digits, and so few that no UUID is meant. */
static bool is_number(const char *name) {
    return *name && strspn(name, "0123456789") == strlen(name) && strlen(name) < 8;
}

bool store_find(struct store *store, const char *name, struct store_run *run,
                char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = NULL;
    long age = age_of(name);
    const char *sql = age >= 0 ? by_age : is_number(name) ? by_id : by_uuid;
    sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL);
    if (sql == by_uuid)
        sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    else
        sqlite3_bind_int64(statement, 1, age >= 0 ? age : atol(name));
    bool is_found = take_run(store, statement, *name ? name : "last", run, why);
    sqlite3_finalize(statement);
    return is_found;
}

static int is_stream(const struct dirent *entry) {
    size_t len = strlen(entry->d_name);
    return len == STREAM_NAME_LEN && entry->d_name[TIME_DIGITS] == '-' &&
           strcmp(entry->d_name + len - (sizeof STREAM_SUFFIX - 1), STREAM_SUFFIX) == 0;
}

static bool index_file(struct store *store, const char *file, char why[STORE_WHY_BYTES]) {
    struct store_run run;
    snprintf(run.uuid, sizeof run.uuid, "%s", file + TIME_DIGITS + 1);
    run.begun_us = (int64_t)strtoull(file, NULL, 16);
    if (!add_run(store, "", &run, why))
        return false;
    struct store_indexer *indexer = store_indexer_create(store, &run, why);
    bool is_fine = indexer && store_indexer_finish(indexer, why);
    store_indexer_free(indexer);
    return is_fine;
}

/* By name: in the order of time. */
static bool index_files(struct store *store, char why[STORE_WHY_BYTES]) {
    char path[PATH_MAX];
    struct dirent **files;
    bool is_fine = true;
    store_path(store->folder, RUNS_NAME, path);
    int count = scandir(path, &files, is_stream, alphasort);
    if (count < 0)
        return store_say(why, "cannot read the folder", path, strerror(errno));
    for (int i = 0; i < count; i++) {
        is_fine = is_fine && index_file(store, files[i]->d_name, why);
        free(files[i]);
    }
    free(files);
    return is_fine;
}

/* What the old index knew besides: what was run. If it can still be read. */
static void take_sources(const struct store *store, const char *old) {
    char *sql = sqlite3_mprintf("ATTACH %Q AS old", old);
    if (sql && sqlite3_exec(store->database, sql, NULL, NULL, NULL) == SQLITE_OK)
        sqlite3_exec(store->database,
                     "UPDATE runs SET source=(SELECT o.source FROM old.runs o"
                     " WHERE o.uuid=runs.uuid) WHERE uuid IN (SELECT uuid FROM old.runs)",
                     NULL, NULL, NULL);
    sqlite3_free(sql);
}

bool store_rebuild(const char *folder, char why[STORE_WHY_BYTES]) {
    static const char *const parts[] = {"", "-wal", "-shm"};
    char path[PATH_MAX], old[PATH_MAX], name[64];
    for (unsigned i = 0; i < 3; i++) {
        snprintf(name, sizeof name, INDEX_NAME "%s", parts[i]);
        store_path(folder, name, path);
        snprintf(name, sizeof name, INDEX_NAME ".old%s", parts[i]);
        store_path(folder, name, old);
        unlink(old);
        if (rename(path, old) != 0 && errno != ENOENT)
            return store_say(why, "cannot rename", path, strerror(errno));
    }
    store_path(folder, INDEX_NAME ".old", old);
    struct store *store = store_open(folder, STORE_WRITE, why);
    bool is_fine = store && index_files(store, why);
    if (is_fine)
        take_sources(store, old);
    store_close(store);
    return is_fine;
}
