/* Sizes and times as people write them: a number, perhaps with a fraction, and a unit. */
#ifndef TOOLS_BASE_QUANTITY_H
#define TOOLS_BASE_QUANTITY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * "16777216", "128M", "1.5GiB", "64 kb": K, M, G and T, in capitals or not, alone or with B or iB
 * behind them, are powers of 1024. False: it is no size, or none below 2^63.
 */
bool quantity_bytes(const char *text, uint64_t *bytes);

/* "5", "0.5", "5s", "500ms", "2min", "2m", "1h": seconds without a unit. False: it is no time. */
bool quantity_ns(const char *text, uint64_t *ns);

#endif
