/* What a person at a terminal sees instead of packets: the summary, fed with gather lists. */
#ifndef TOOLS_RESULTS_SCREEN_H
#define TOOLS_RESULTS_SCREEN_H

#include "mux/packet/buffer.h"
#include "tools/results/summary.h"

struct screen;

/* NULL: out of memory. */
struct screen *screen_create(uint64_t now_ns);

/* Shows the totals and frees it. NULL is fine. False: stdout is broken; errno. */
bool screen_finish(struct screen *screen, uint64_t now_ns);

/* Whole packets, as they would have gone up. */
void screen_packets(struct screen *screen, const struct mux_gather *packets, uint64_t now_ns);

struct summary *screen_summary(struct screen *screen);

#endif
