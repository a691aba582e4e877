/*
 * Writing data to a descriptor that others may have made non-blocking (ssh, Node, some CI runners
 * do, and O_NONBLOCK holds for every process that shares the pipe): it is waited for as if it
 * blocked, and its own flags are left alone.
 */
#ifndef TOOLS_BASE_OUTPUT_H
#define TOOLS_BASE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

/* Writes all of it, however long that takes. False: errno says why; some of it may be written. */
bool output_write(int fd, const void *bytes, size_t len);

/*
 * Makes stdout and stderr streams that write so. To be called first in main(), behind
 * standard_descriptors_open(). fileno() of them is -1 from then on: ask STDOUT_FILENO.
 */
void output_streams_open(void);

/*
 * Writes out what waits in stdout. False when that fails or an earlier write did: then the first
 * time "WHO: stdout: WHY" goes to stderr, unless it is that the reader is gone.
 */
bool output_flush(const char *who);

#endif
