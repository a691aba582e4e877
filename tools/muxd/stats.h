/* --stats-json: the counters, and what the transport counts, with name, unit and help, as one JSON
 * object. */
#ifndef TOOLS_MUXD_STATS_H
#define TOOLS_MUXD_STATS_H

#include "tools/node/metrics.h"

enum stats_result {
    STATS_WRITTEN,
    STATS_UNREAD, /* a named pipe that nobody has opened to read: nobody wanted them now */
    STATS_FAILED, /* errno says why */
};

/*
 * Can `path` ("-": stdout) be written? Makes a file beside it and removes it again, so that a
 * folder that is missing or forbidden is known at the start; a pipe or a device is opened only.
 */
enum stats_result stats_try(const char *path);

/*
 * Writes to `path`, a file by way of a new one beside it that replaces it, so that a reader never
 * sees half, and nothing that somebody else has put there is written to. A pipe that nobody reads
 * costs a moment.
 */
enum stats_result stats_write(const struct metrics *metrics, const char *path);

#endif
