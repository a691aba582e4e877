/*
 * What the last `mux run` in a store ran, so that `mux run --failing` needs no command again: the
 * file last.json in the store's folder. It never comes from a stream: what somebody loads is not
 * run. Blocks for the disk.
 */
#ifndef TOOLS_STORE_COMMAND_H
#define TOOLS_STORE_COMMAND_H

#include "tools/base/strings.h"
#include "tools/store/store.h"

/* store_command_free() frees what is in it. */
struct store_command {
    char *directory;      /* where it ran */
    char *runner;         /* --runner; NULL: not given */
    struct strings words; /* empty: a file of the directory said what to run */
};

/* A command that cannot be kept (it is not UTF-8) leaves none. False: why. */
bool store_command_write(const char *folder, const struct store_command *command,
                         char why[STORE_WHY_BYTES]);

/* False, and nothing to free: there is none. */
bool store_command_read(const char *folder, struct store_command *command);

void store_command_free(struct store_command *command);

#endif
