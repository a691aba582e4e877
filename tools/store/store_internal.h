/* What the files of the store share. */
#ifndef TOOLS_STORE_STORE_INTERNAL_H
#define TOOLS_STORE_STORE_INTERNAL_H

#include "tools/store/store.h"

#include <limits.h>
#include <sqlite3.h>

#define INDEX_NAME "index.sqlite"
#define RUNS_NAME "runs"
#define STREAM_SUFFIX ".subunit"

struct store {
    sqlite3 *database;
    char folder[PATH_MAX];
};

/* "WHAT PATH: REASON"; false. */
bool store_say(char why[STORE_WHY_BYTES], const char *what, const char *path, const char *reason);

/* FOLDER/NAME; "", which is no file, when it is too long. */
void store_path(const char *folder, const char *name, char out[PATH_MAX]);

bool store_run_sql(const struct store *store, const char *sql, const char *operation,
                   char why[STORE_WHY_BYTES]);

#endif
