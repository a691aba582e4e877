/*
 * The files of python's dbm.dumb, in which stestr keeps times: a directory, lines of text that say
 * where each value lies, and the values. No I/O.
 */
#ifndef TOOLS_STORE_DUMB_H
#define TOOLS_STORE_DUMB_H

#include "mux/buffer.h"

/* A key is good until `entry` returns, a value lies in `data`. */
typedef bool dumb_entry(void *user, struct mux_span key, struct mux_span value);

/* False: a line of the directory is not what python writes, or `entry` returned false. */
bool dumb_read(struct mux_span directory, struct mux_span data, dumb_entry *entry, void *user);

#endif
