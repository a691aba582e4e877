/* The clocks of a process: that of the loop, also where no loop is yet, and the time of day. */
#ifndef TOOLS_BASE_WALL_H
#define TOOLS_BASE_WALL_H

#include <stdint.h>

/* CLOCK_MONOTONIC, as loop_now_ns() has it. */
uint64_t wall_loop_ns(void);

/*
 * What is to be added to the clock of the loop (CLOCK_MONOTONIC) to get the time of day,
 * nanoseconds since 1970. It changes when somebody sets the time of day.
 */
int64_t wall_ahead_ns(void *unused);

#endif
