/* The names of a store's files: runs/TIME-UUID.SUFFIX, TIME in microseconds since 1970. Pure. */
#ifndef TOOLS_STORE_STORE_FILES_H
#define TOOLS_STORE_STORE_FILES_H

#include "tools/store/store.h"

#define STORE_FILES_FOLDER "runs"

#define STORE_FILES_STREAM ".subunit"
#define STORE_FILES_LIVE ".live"

/* FOLDER/runs/TIME-UUID.SUFFIX; "", which is no file, and false when it is too long (PATH_MAX). */
bool store_files_path(const char *folder, const struct store_run *run, const char *suffix,
                      char *out);

/* Is it the name of such a file, without its folder? Then its run, but for the number. */
bool store_files_read(const char *name, const char *suffix, struct store_run *run);

#endif
