/*
 * The addresses of the upstream's name. A look-up can take half a minute when a name server is
 * down, so it runs in a thread of its own; the event loop only ever takes what is there.
 */
#ifndef MUXD_RESOLVER_H
#define MUXD_RESOLVER_H

#include "transport/endpoint.h"

/* One for the whole process: its memory must outlive a look-up that never ends. */
struct resolver;

/*
 * Begins with the endpoint's name and waits at most a second for the answer. NULL: no memory, or
 * no thread can be made. Never freed.
 */
struct resolver *resolver_start(const struct endpoint *endpoint);

/*
 * All addresses, as they were found last; from the second time on the name is looked up again
 * meanwhile, for the next time. Returns how many, at most `most`; 0, and one sentence in `why`:
 * there are none (yet). Never blocks.
 */
unsigned resolver_addresses(struct resolver *resolver, struct transport_address *addresses,
                            unsigned most, char *why, size_t why_bytes);

#endif
