/* What is in the runs' files and not in the index: after a crash, or when the index is made anew.
 */
#include "tools/store/indexer.h"
#include "tools/store/live.h"
#include "tools/store/store_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_stream(const struct dirent *entry) {
    struct store_run run;
    return store_files_read(entry->d_name, STORE_FILES_STREAM, &run);
}

/* Does so for each run's file, by name: in the order of time. False ends it. */
static bool each_file(const struct store *store,
                      bool (*file)(struct store *store, struct store_run *run,
                                   char why[STORE_WHY_BYTES]),
                      char why[STORE_WHY_BYTES]) {
    char path[PATH_MAX];
    struct dirent **files;
    bool is_fine = true;
    store_path(store->folder, STORE_FILES_FOLDER, path);
    int count = scandir(path, &files, is_stream, alphasort);
    if (count < 0)
        return store_say(why, "cannot read the folder", path, strerror(errno));
    for (int i = 0; i < count; i++) {
        struct store_run run;
        store_files_read(files[i]->d_name, STORE_FILES_STREAM, &run);
        is_fine = is_fine && file((struct store *)store, &run, why);
        free(files[i]);
    }
    free(files);
    return is_fine;
}

enum row {
    ROW_FAILED,
    ROW_NONE,
    ROW_OPEN, /* the run has not ended there */
    ROW_ENDED,
};

/* Finds its number, too. */
static enum row row_of(const struct store *store, struct store_run *run,
                       char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v2(store->database, "SELECT id, ended_us IS NULL FROM runs WHERE uuid=?1", -1,
                       &statement, NULL);
    sqlite3_bind_text(statement, 1, run->uuid, -1, SQLITE_STATIC);
    int found = sqlite3_step(statement);
    enum row row = ROW_FAILED;
    if (found == SQLITE_ROW) {
        run->id = sqlite3_column_int64(statement, 0);
        row = sqlite3_column_int(statement, 1) ? ROW_OPEN : ROW_ENDED;
    } else if (found == SQLITE_DONE) {
        row = ROW_NONE;
    } else {
        store_failed(store, "look for a run", why);
    }
    sqlite3_finalize(statement);
    return row;
}

/* As the old index knew it, if that can still be read. Its stream may say it, too. */
static bool add_run(const struct store *store, struct store_run *run, char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = NULL;
    const char *source = NULL;
    if (store->old)
        sqlite3_prepare_v2(store->old, "SELECT source FROM runs WHERE uuid=?1", -1, &statement,
                           NULL);
    sqlite3_bind_text(statement, 1, run->uuid, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW)
        source = (const char *)sqlite3_column_text(statement, 0);
    bool is_added = store_add_run(store, source ? source : "", run, why);
    sqlite3_finalize(statement);
    return is_added;
}

static bool index_rest(struct store *store, const struct store_run *run,
                       char why[STORE_WHY_BYTES]) {
    struct store_indexer *indexer = store_indexer_create(store, run, why);
    bool is_fine = indexer && store_indexer_finish(indexer, why);
    store_indexer_free(indexer);
    return is_fine;
}

/* Its row is looked at again under the lock: its owner may have ended it meanwhile. */
static bool recover_file(struct store *store, struct store_run *run, char why[STORE_WHY_BYTES]) {
    char path[PATH_MAX];
    bool is_owned;
    enum row row = row_of(store, run, why);
    if (row == ROW_FAILED || row == ROW_ENDED)
        return row == ROW_ENDED;
    store_stream_path(store, run, path);
    int fd = store_lock_stream(path, O_RDONLY, &is_owned);
    if (fd < 0)
        return is_owned || errno == ENOENT ||
               store_say(why, "the run's file", path, strerror(errno));
    row = row_of(store, run, why);
    bool is_fine = row != ROW_FAILED;
    store_live_remove(store->folder, run);
    if (row == ROW_NONE)
        is_fine = add_run(store, run, why);
    if (row != ROW_ENDED)
        is_fine = is_fine && index_rest(store, run, why);
    close(fd);
    return is_fine;
}

bool store_recover(struct store *store, char why[STORE_WHY_BYTES]) {
    return each_file(store, recover_file, why);
}

static bool is_let_be(struct store *store, struct store_run *run, char why[STORE_WHY_BYTES]) {
    char path[PATH_MAX];
    bool is_owned;
    store_stream_path(store, run, path);
    int fd = store_lock_stream(path, O_RDONLY, &is_owned);
    if (fd >= 0)
        close(fd);
    return !is_owned || store_say(why, "run", run->uuid, "it is being written: wait for its end");
}

/* The old index goes aside. */
static bool put_aside(const char *folder, char why[STORE_WHY_BYTES]) {
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
    return true;
}

bool store_rebuild(const char *folder, char why[STORE_WHY_BYTES]) {
    char old[PATH_MAX];
    struct store files = {0};
    if (strlen(folder) >= PATH_MAX - 64)
        return store_say(why, "the store in", folder, "the path is too long");
    strcpy(files.folder, folder);
    if (!each_file(&files, is_let_be, why) || !put_aside(folder, why))
        return false;
    store_path(folder, INDEX_NAME ".old", old);
    struct store *store = store_open(folder, STORE_WRITE, why);
    if (store && access(old, R_OK) == 0)
        sqlite3_open_v2(old, &store->old, SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READONLY, NULL);
    bool is_fine = store && store_recover(store, why);
    store_close(store);
    return is_fine;
}
