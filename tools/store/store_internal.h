/* What the files of the store share. */
#ifndef TOOLS_STORE_STORE_INTERNAL_H
#define TOOLS_STORE_STORE_INTERNAL_H

#include "tools/store/store.h"
#include "tools/store/store_files.h"

#include <limits.h>
#include <sqlite3.h>

#define INDEX_NAME "index.sqlite"

struct store {
    sqlite3 *database;
    sqlite3 *old; /* the index before, while a new one is made; or NULL */
    char folder[PATH_MAX];
};

/* "WHAT PATH: REASON"; false. */
bool store_say(char why[STORE_WHY_BYTES], const char *what, const char *path, const char *reason);

/* FOLDER/NAME; "", which is no file, when it is too long. */
void store_path(const char *folder, const char *name, char out[PATH_MAX]);

void store_stream_path(const struct store *store, const struct store_run *run, char out[PATH_MAX]);

/*
 * Opens a run's file and locks it: its owner holds that lock while it lives. -1: errno says why, or
 * a process that lives owns it.
 */
int store_lock_stream(const char *path, int flags, bool *is_owned);

/* Its row in the index, and its number in `run`. */
bool store_add_run(const struct store *store, const char *source, struct store_run *run,
                   char why[STORE_WHY_BYTES]);

bool store_run_sql(const struct store *store, const char *sql, const char *operation,
                   char why[STORE_WHY_BYTES]);

/*
 * In the transaction that ends a run, all of whose results are counted: tells results that were
 * tried again from those that count (query.h). `is_said`: its results have tags that say which are
 * further tries. Otherwise each that comes behind a failure of the same test is taken for one.
 */
bool store_settle(const struct store *store, const struct store_run *run, bool is_said,
                  char why[STORE_WHY_BYTES]);

/*
 * In the same transaction, when the run's row has its source and end: since when its tests that are
 * no good are so, and how many of them are new.
 */
bool store_note_since(const struct store *store, const struct store_run *run,
                      char why[STORE_WHY_BYTES]);

#endif
