/*
 * Rule 8 of the oracle: a writer that died inside a packet, and another that goes on behind it on
 * the same connection.
 */
#ifndef MUX_RESYNC_H
#define MUX_RESYNC_H

#include "packet.h"

/*
 * `bytes` begin with a packet that is not whole. Where in them do packets with good CRCs stand back
 * to back up to the end, the last perhaps cut? 0: nowhere. Linear in bytes.len: when bytes are so
 * made that the search would take long it gives up.
 */
size_t mux_resync_find(struct mux_span bytes);

#endif
