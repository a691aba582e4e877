/* --stats-json: the counters, and what the transport counts, with name, unit and help, as one JSON
 * object. */
#ifndef MUXD_STATS_H
#define MUXD_STATS_H

#include "mux/node/counters.h"
#include "transport/transport.h"

/*
 * Writes to `path` ("-": stdout), a file by way of a new one beside it that replaces it, so that a
 * reader never sees half, and nothing that somebody else has put there is written to. A pipe that
 * nobody reads costs a moment. False: errno says why.
 */
bool stats_write(const struct mux_counters *counters, const struct transport_count *counts,
                 unsigned counts_count, const char *path);

#endif
