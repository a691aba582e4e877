/* What bytes are that are not subunit v2, as far as their beginning tells. */
#ifndef TOOLS_RESULTS_LOOKS_H
#define TOOLS_RESULTS_LOOKS_H

#include "mux/buffer.h"

/* So much of the beginning is worth looking at: a tar's name for itself, some lines of a text. */
#define LOOKS_BYTES 4096

/*
 * A clause for people: what it is, and where there is one, the way to subunit v2. Never NULL;
 * static. `head` is the beginning, its byte order mark of UTF-8 left out, or all.
 */
const char *looks_like(struct mux_span head);

/* The same if it is packed (gzip and others), where packets are found by chance at most; or NULL.
 */
const char *looks_packed(struct mux_span head);

#endif
