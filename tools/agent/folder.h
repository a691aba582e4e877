/*
 * A folder for an agent's files, in $TMPDIR or /tmp, for this user's eyes only. It is locked as
 * long as the agent lives: what killed agents have left is told by that, and removed by the next
 * one.
 *
 * Blocks for file operations.
 */
#ifndef TOOLS_AGENT_FOLDER_H
#define TOOLS_AGENT_FOLDER_H

#include <stdbool.h>

#define FOLDER_PATH_BYTES 256
#define FOLDER_WHY_BYTES (FOLDER_PATH_BYTES + 128)

/* What the names of files in it begin with: only those are removed. */
#define FOLDER_FILE_PREFIX "ids."

struct folder {
    int lock; /* it, open and locked; -1: there is none */
    char path[FOLDER_PATH_BYTES];
};

/* False, and a sentence in `why` (FOLDER_WHY_BYTES). */
bool folder_make(struct folder *folder, char *why);

/* Removes the folders of agents of this user that are dead, with their files. Returns how many. */
unsigned folder_clear_left(const struct folder *folder);

/* Removes it; it is empty. */
void folder_remove(struct folder *folder);

#endif
