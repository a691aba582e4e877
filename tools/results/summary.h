/*
 * A run for people, as it happens: workers, the tests that run and for how long, slots that wait at
 * a prompt, rates, failures with the tail of their traceback. On a terminal the summary is redrawn
 * in place and failures scroll by above it; else, or with NO_COLOR or TERM=dumb, everything is
 * plain lines. Nothing from a worker can steer the terminal. Memory is bounded; a terminal is never
 * waited for, other readers are (see outlet.h).
 */
#ifndef TOOLS_RESULTS_SUMMARY_H
#define TOOLS_RESULTS_SUMMARY_H

#include "mux/packet/packet.h"
#include "tools/base/outlet.h"

struct summary;

/* Writes to stdout. NULL: out of memory. */
struct summary *summary_create(uint64_t now_ns);

/* The control socket of the node that shows it, for "mux attach": text that lives as long. */
void summary_set_control(struct summary *summary, const char *endpoint);

/*
 * The last state and the totals; frees it. NULL is fine. False: stdout is broken, errno says how.
 * (A terminal that nobody reads is not.)
 */
bool summary_finish(struct summary *summary, uint64_t now_ns);

/* How the run went, as far as it was seen. */
enum summary_verdict {
    SUMMARY_PASSED,  /* tests have ended, and all is well */
    SUMMARY_FAILED,  /* a test has failed, succeeded against expectation, or has not ended */
    SUMMARY_NOTHING, /* no test has ended */
    SUMMARY_DAMAGED, /* damage was reported: whatever else there is, something is missing */
};
enum summary_verdict summary_verdict(const struct summary *summary);

/* One packet of the stream. Its spans are not kept. */
void summary_packet(struct summary *summary, const struct mux_packet *packet, uint64_t now_ns);

/* The same of one of a node's links: `segment`, if it is not "", is put in front of the route. */
void summary_link_packet(struct summary *summary, const char *segment,
                         const struct mux_packet *packet, uint64_t now_ns);

/*
 * A worker came or left, for who knows; else workers are counted by their route codes. `peer` ""
 * when unknown.
 */
void summary_worker(struct summary *summary, const char *segment, const char *peer, bool came);

/* Draws if it is time. Returns when it wants to be called again at the latest. */
uint64_t summary_tick(struct summary *summary, uint64_t now_ns);

#endif
