/*
 * Rule 8 of the oracle: one writer died inside a packet, and another one goes on behind it on the
 * same connection.
 */
#ifndef MUX_RESYNC_H
#define MUX_RESYNC_H

#include "packet.h"

/*
 * `bytes` begin with an incomplete packet. Returns the offset from which packets with good CRCs
 * follow each other up to the end, the last one perhaps cut; 0: there is none. Linear in bytes.len:
 * the search is given up when the bytes are made to make it long.
 */
size_t mux_resync_find(struct mux_span bytes);

#endif
