/* The file of --upstream file:PATH, and stdout where that is a file: packets are appended to it. */
#ifndef MUXD_OUTFILE_H
#define MUXD_OUTFILE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Opens it to append, makes it if it is not there. -1 with errno, after a sentence in `why`. Never
 * blocks.
 */
int outfile_open(const char *path, char *why, size_t why_bytes);

/*
 * Makes sure that what is appended can be read: see tools/results/tail.h. True: `said` is a
 * sentence for the log, or "". False: nothing may be appended, `said` tells why.
 */
bool outfile_mend(int fd, char *said, size_t said_bytes);

/*
 * Can it be opened, and anything be appended? It is made, but nothing is written. A FIFO is left
 * alone: its reader would see an end. So is a file whose folder is not there: a disk may be mounted
 * later. False after a sentence in `why`.
 */
bool outfile_check(const char *path, char *why, size_t why_bytes);

/* Has somebody removed this regular file: does no name lead to it any more? */
bool outfile_is_removed(int fd);

#endif
