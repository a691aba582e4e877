/*
 * The addresses of a place that is connected to, and of its spares. A look-up can take half a
 * minute when a name server is down, so each name's runs in a thread of its own; the event loop
 * only ever takes what is there. Where no thread can be made (a profile that forbids clone3) the
 * loop waits for the look-up.
 */
#ifndef TOOLS_NODE_RESOLVER_H
#define TOOLS_NODE_RESOLVER_H

#include "tools/node/place.h"

/* One for the whole process: its memory must outlive a look-up that never ends. */
struct resolver;

/* Begins with the place's names, once, and waits at most a second for all answers. */
struct resolver *resolver_start(const struct place *place);

/* After resolver_start(): can no thread be made? */
bool resolver_blocks(const struct resolver *resolver);

/*
 * All addresses, as they were found last, with the rank of their name; from the second time on the
 * names are looked up again meanwhile, for the next time. Returns how many, at most `most`; 0, and
 * one sentence in `why`: the first name has none (yet), and no other has. Does not block but where
 * resolver_blocks().
 */
unsigned resolver_addresses(struct resolver *resolver, struct transport_address *addresses,
                            unsigned most, char *why, size_t why_bytes);

/* Is there no address yet, and an answer still to come? */
bool resolver_is_waiting(struct resolver *resolver);

#endif
