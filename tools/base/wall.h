/* The time of day. */
#ifndef TOOLS_BASE_WALL_H
#define TOOLS_BASE_WALL_H

#include <stdint.h>

/*
 * What is to be added to the clock of the loop (CLOCK_MONOTONIC) to get the time of day,
 * nanoseconds since 1970. It changes when somebody sets the time of day.
 */
int64_t wall_ahead_ns(void *unused);

#endif
