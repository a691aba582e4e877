/* Runs that stestr or testrepository have kept become runs of the store. */
#ifndef TOOLS_STORE_IMPORT_H
#define TOOLS_STORE_IMPORT_H

#include "tools/store/store.h"

struct store_imported {
    uint64_t runs;
    uint64_t known;    /* runs that the store has already: their bytes are the same */
    uint64_t times;    /* of tests that are in no run: as skipped ones, in a run of their own */
    uint64_t left_out; /* pieces that subunit version 2 cannot express: an id that is no UTF-8 */
};

/*
 * `path`: a repository (.stestr, .testrepository) or one stream in a file, of subunit version 1 or
 * 2. A run began when its first time says, and ended when its file was written. `note` is given
 * sentences about what was not read. False: why; what was imported before stays.
 */
bool store_import(struct store *store, const char *path,
                  void (*note)(void *user, const char *sentence), void *user,
                  struct store_imported *imported, char why[STORE_WHY_BYTES]);

#endif
