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
 * Can a file that is there be opened, and anything be appended? Nothing is made or written: muxd
 * may not start for another reason. What is no regular file is not opened, as the reader of a FIFO
 * would see an end; nor is one that is not there, as a disk may be mounted later. False after a
 * sentence in `why`.
 */
bool outfile_check(const char *path, char *why, size_t why_bytes);

/* Has somebody removed this regular file: does no name lead to it any more? */
bool outfile_is_removed(int fd);

#endif
