/* The folder, and the index's schema. */
#include "tools/store/store_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* "muxd", so that `file` and we know it. */
#define APPLICATION_ID 0x6d757864

/*
 * results lie together by run and test: a row touches the pages of its own run alone, and a test's
 * history is one seek for each run. The partial indexes are used only by queries that repeat their
 * WHERE literally. `id` is where the test's first packet stands in the run's file, and 1.
 * raw_done: so much of the file is in the index; raw_open: where the first packet stands of a test
 * that was open then. Statuses are those of the wire.
 */
static const char first[] =
    "CREATE TABLE runs(id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, source TEXT NOT NULL,"
    " raw_done INTEGER NOT NULL, raw_open INTEGER NOT NULL, begun_us INTEGER NOT NULL,"
    " ended_us INTEGER, damages INTEGER NOT NULL) STRICT;"
    "CREATE TABLE tests(id INTEGER PRIMARY KEY, hash INTEGER NOT NULL, name TEXT NOT NULL) STRICT;"
    "CREATE INDEX tests_hash ON tests(hash);"
    "CREATE TABLE routes(id INTEGER PRIMARY KEY, hash INTEGER NOT NULL, name TEXT NOT NULL) STRICT;"
    "CREATE INDEX routes_hash ON routes(hash);"
    "CREATE TABLE results(run INTEGER NOT NULL, test INTEGER NOT NULL, id INTEGER NOT NULL,"
    " status INTEGER NOT NULL, route INTEGER NOT NULL, begun_us INTEGER, took_us INTEGER,"
    " PRIMARY KEY(run, test, id)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX results_bad ON results(run, id) WHERE status IN (2,4,6);"
    "CREATE INDEX results_slow ON results(run, took_us) WHERE took_us>=1000000;"
    "CREATE TABLE run_counts(run INTEGER NOT NULL, status INTEGER NOT NULL, n INTEGER NOT NULL,"
    " PRIMARY KEY(run, status)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE attachments(run INTEGER NOT NULL, result INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " name TEXT NOT NULL, mime TEXT, at INTEGER NOT NULL, len INTEGER NOT NULL,"
    " PRIMARY KEY(run, result, seq)) STRICT, WITHOUT ROWID;";

/*
 * From each version to the next. The second one: `verdict` is that of who ran it, and a failure
 * that was tried again is told from one that counts (query.h).
 * The third: runs come in the order in which they began, also those that were imported later.
 * The fourth and fifth: which of a run's failures are new, and since when the others are there.
 * The sixth: how many results of a test are further tries, as who ran it says.
 * The seventh: with which exit status who ran it has ended.
 */
static const char *const steps[] = {
    first,
    "ALTER TABLE runs ADD COLUMN verdict INTEGER NOT NULL DEFAULT 0;",
    "CREATE INDEX runs_begun ON runs(begun_us, id);",
    "ALTER TABLE runs ADD COLUMN new_bad INTEGER;",
    "CREATE TABLE bad_since(run INTEGER NOT NULL, test INTEGER NOT NULL, since INTEGER NOT NULL,"
    " PRIMARY KEY(run, test)) STRICT, WITHOUT ROWID;",
    "CREATE TABLE tries(run INTEGER NOT NULL, test INTEGER NOT NULL, n INTEGER NOT NULL,"
    " PRIMARY KEY(run, test)) STRICT, WITHOUT ROWID;",
    "ALTER TABLE runs ADD COLUMN exit_status INTEGER;",
};

/* An index of a higher one is refused. */
#define SCHEMA_VERSION ((int)(sizeof steps / sizeof *steps))

/*
 * Of each connection: a -wal file that does not keep its largest size; the cache. A reader sees
 * most pages once, and memory that was not used before costs more than to read one: with a large
 * cache the history of a test over 1,000 runs took 60 ms, with a small one it takes 10.
 */
static const char *const settings[] = {
    [STORE_READ] = "PRAGMA cache_size=-512;",
    [STORE_WRITE] = "PRAGMA cache_size=-65536; PRAGMA synchronous=NORMAL;"
                    "PRAGMA journal_size_limit=16777216;",
};

bool store_say(char why[STORE_WHY_BYTES], const char *what, const char *path, const char *reason) {
    snprintf(why, STORE_WHY_BYTES, "%s %.256s: %s", what, path, reason);
    return false;
}

bool store_failed(const struct store *store, const char *operation, char why[STORE_WHY_BYTES]) {
    int code = sqlite3_errcode(store->database);
    const char *hint = "";
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        hint = " (mux store rebuild makes a new index; the runs' files are kept)";
    else if (code == SQLITE_FULL)
        hint = " (what was stored before is kept; make room, then mux store check reads the rest)";
    else if (code == SQLITE_BUSY)
        hint = " (another mux is writing to it)";
    else if (code == SQLITE_CANTOPEN || code == SQLITE_READONLY)
        hint = " (SQLite has to write in this folder, even to read: choose or copy it to one that "
               "you may write to, by --store)";
    snprintf(why, STORE_WHY_BYTES, "the store in %.256s: %s: %s%s", store->folder, operation,
             sqlite3_errmsg(store->database), hint);
    return false;
}

/* Where processes of several hosts may have the same files, the index has no locks that hold. */
static bool is_shared_filesystem(const char *folder) {
    static const long kinds[] = {0x6969, 0xFF534D42, 0xFE534D42, 0x01021997, 0x65735546};
    struct statfs about;
    if (statfs(folder, &about) != 0)
        return false;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((unsigned)about.f_type == (unsigned)kinds[i])
            return true;
    return false;
}

void store_path(const char *folder, const char *name, char out[PATH_MAX]) {
    if (snprintf(out, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
        *out = '\0'; /* no such file */
}

static bool make_folder(const char *path, char why[STORE_WHY_BYTES]) {
    return mkdir(path, 0777) == 0 || errno == EEXIST ||
           store_say(why, "cannot make the folder", path, strerror(errno));
}

static bool make_folders(const char *folder, char why[STORE_WHY_BYTES]) {
    char runs[PATH_MAX];
    store_path(folder, STORE_FILES_FOLDER, runs);
    return make_folder(folder, why) && make_folder(runs, why);
}

static int number_of(sqlite3 *database, const char *sql) {
    sqlite3_stmt *statement;
    int number = -1;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

bool store_run_sql(const struct store *store, const char *sql, const char *operation,
                   char why[STORE_WHY_BYTES]) {
    return sqlite3_exec(store->database, sql, NULL, NULL, NULL) == SQLITE_OK ||
           store_failed(store, operation, why);
}

/* All steps in one transaction: nobody sees half a schema, and of two that take them one waits. */
static bool make_schema(const struct store *store, char why[STORE_WHY_BYTES]) {
    char version[96];
    snprintf(version, sizeof version, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
             APPLICATION_ID, SCHEMA_VERSION);
    if (!store_run_sql(store, "BEGIN IMMEDIATE", "begin", why))
        return false;
    int version_there = number_of(store->database, "PRAGMA user_version");
    bool is_fine = version_there >= 0 || store_failed(store, "read", why);
    for (int i = version_there; is_fine && i < SCHEMA_VERSION; i++)
        is_fine = store_run_sql(store, steps[i], "make the tables", why);
    return is_fine && store_run_sql(store, version, "commit", why);
}

static bool check_schema(const struct store *store, int version, enum store_access wanted,
                         char why[STORE_WHY_BYTES]) {
    if (version < 0)
        return store_failed(store, "read", why);
    if (version > SCHEMA_VERSION)
        return store_say(why, "the store in", store->folder,
                         "a newer muxd has written it: use that one, or another --store");
    if (version == SCHEMA_VERSION)
        return true;
    if (wanted == STORE_WRITE)
        return make_schema(store, why);
    return store_say(why, "the store in", store->folder, "it has no index yet");
}

static bool is_there(const char *folder, const char *path, char why[STORE_WHY_BYTES]) {
    if (access(path, R_OK) == 0)
        return true;
    return store_say(why, "the store in", folder,
                     errno == ENOENT ? "there is none yet: mux load makes one" : strerror(errno));
}

/*
 * On a file system that is mounted to be read only, and all that was written is in the one file:
 * then nobody writes, and locks, which could not be made, are not needed.
 */
static bool is_frozen(const struct store *store) {
    char wal[PATH_MAX];
    struct stat about;
    store_path(store->folder, INDEX_NAME "-wal", wal);
    return access(store->folder, W_OK) != 0 && errno == EROFS &&
           (stat(wal, &about) != 0 || about.st_size == 0);
}

/* As a URI, in which three bytes mean something. */
static void frozen_uri(const char *path, char *out) {
    out += sprintf(out, "file:");
    for (; *path; path++)
        out += sprintf(out, strchr("%?#", *path) ? "%%%02x" : "%c", *path);
    strcpy(out, "?immutable=1");
}

static bool open_file(struct store *store, const char *path, enum store_access wanted) {
    char uri[3 * PATH_MAX + 32];
    if (wanted == STORE_WRITE)
        return sqlite3_open_v2(path, &store->database,
                               SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                               NULL) == SQLITE_OK;
    bool frozen = is_frozen(store);
    if (frozen)
        frozen_uri(path, uri);
    return sqlite3_open_v2(frozen ? uri : path, &store->database,
                           SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READONLY |
                               (frozen ? SQLITE_OPEN_URI : 0),
                           NULL) == SQLITE_OK;
}

static bool open_index(struct store *store, enum store_access wanted, char why[STORE_WHY_BYTES]) {
    char path[PATH_MAX];
    store_path(store->folder, INDEX_NAME, path);
    if (wanted == STORE_READ && !is_there(store->folder, path, why))
        return false;
    if (!open_file(store, path, wanted))
        return store_failed(store, "open", why);
    sqlite3_busy_timeout(store->database, STORE_BUSY_MS);
    if (wanted == STORE_WRITE && !store_run_sql(store, "PRAGMA journal_mode=WAL", "open", why))
        return false;
    if (!store_run_sql(store, settings[wanted], "open", why))
        return false;
    int version = number_of(store->database, "PRAGMA user_version");
    if (wanted == STORE_READ && version > 0 && version < SCHEMA_VERSION) {
        sqlite3_close(store->database);
        return open_index(store, STORE_WRITE, why); /* which brings it up to date */
    }
    return check_schema(store, version, wanted, why);
}

/* Before SQLite's first use; later it is refused, and does no harm. Counts that nobody reads cost a
 * lock for each piece of memory. */
static void configure(void) {
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

struct store *store_open(const char *folder, enum store_access wanted, char why[STORE_WHY_BYTES]) {
    struct store *store = calloc(1, sizeof *store);
    if (!store || strlen(folder) >= PATH_MAX - 64) {
        store_say(why, "the store in", folder, store ? "the path is too long" : "out of memory");
        free(store);
        return NULL;
    }
    strcpy(store->folder, folder);
    configure();
    bool is_fine = wanted == STORE_READ || make_folders(folder, why);
    if (is_fine && is_shared_filesystem(folder))
        is_fine =
            store_say(why, "the store in", folder,
                      "it is on a network's or user space's file system, whose locks an index "
                      "cannot trust: choose a local folder by --store");
    if (is_fine && open_index(store, wanted, why))
        return store;
    store_close(store);
    return NULL;
}

void store_close(struct store *store) {
    if (!store)
        return;
    sqlite3_close(store->old);
    sqlite3_close(store->database);
    free(store);
}
