/*
 * What a person at a terminal sees instead of packets: workers that come and go, failures with the
 * tail of their traceback, counts. Plain lines; nothing from a worker can steer the terminal.
 */
#ifndef MUXD_SCREEN_H
#define MUXD_SCREEN_H

#include "mux/buffer.h"

struct screen;

/* NULL: out of memory. Lines go to stdout, with writes that may block. */
struct screen *screen_create(void);
void screen_destroy(struct screen *screen);

/* Whole packets, as they would have gone up. */
void screen_packets(struct screen *screen, const struct mux_gather *packets);

/* A worker came or left. */
void screen_link(struct screen *screen, const char *segment, const char *peer, bool came);

/* The totals so far. */
void screen_totals(struct screen *screen);

#endif
