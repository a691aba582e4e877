/*
 * The hash ring of distributed-nose: which of N nodes runs a test, by its key alone. Runs that
 * share nothing but N agree on it. `mux run --nodes --node-number` and `--dist hash` will use it.
 */
#ifndef TOOLS_FARM_PLAN_RING_H
#define TOOLS_FARM_PLAN_RING_H

#include <stddef.h>
#include <stdint.h>

/* Memory: 120 points of 8 bytes a node; more nodes than this is a mistake in a number. */
enum { RING_MOST_NODES = 10000 };

struct ring;

/* A ring of nodes 1..nodes, 1 <= nodes <= RING_MOST_NODES. NULL: no memory. */
struct ring *ring_new(unsigned nodes);
void ring_free(struct ring *ring);

/* The node, from 1, of the test with this key. */
unsigned ring_node(const struct ring *ring, const char *key, size_t len);

#endif
