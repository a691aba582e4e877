/*
 * A folder for a process's files, in $TMPDIR or /tmp, for this user's eyes only. A file in
 * it is locked as long as the process lives: what killed ones have left is told by that, and
 * removed by the next one of their kind.
 *
 * Blocks for file operations.
 */
#ifndef TOOLS_BASE_FOLDER_H
#define TOOLS_BASE_FOLDER_H

#include <stdbool.h>

#define FOLDER_PATH_BYTES 256
#define FOLDER_WHY_BYTES (FOLDER_PATH_BYTES + 128)

/* What the names of files and sockets in it begin with: only those are removed. */
#define FOLDER_FILE_PREFIX "mux."

#define FOLDER_KIND_BYTES 16

struct folder {
    int fd;                       /* it, open; -1: there is none */
    int lock;                     /* a file in it, open and locked */
    char kind[FOLDER_KIND_BYTES]; /* "agent": it is in its name */
    char path[FOLDER_PATH_BYTES];
};

/* False, and a sentence in `why` (FOLDER_WHY_BYTES). */
bool folder_make(struct folder *folder, const char *kind, char *why);

/* Removes the folders of dead processes of this kind and user, with their files. Returns how many.
 */
unsigned folder_clear_left(const struct folder *folder);

/* Removes it, with its files. */
void folder_remove(struct folder *folder);

#endif
