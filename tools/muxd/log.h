/* muxd's log: lines on stderr. Never blocks. */
#ifndef MUXD_LOG_H
#define MUXD_LOG_H

#include "mux/limiter.h"
#include "mux/node/counters.h"
#include "tools/common/outlet.h"

struct log {
    struct outlet outlet;
    struct mux_limiter limiter;
    uint64_t suppressed;           /* since the last line */
    struct mux_counters *counters; /* NULL until there are some */
};

void log_open(struct log *log);

/* A line, its newline at the end: for the start, whose lines are few. What it quotes is cleaned. */
__attribute__((format(printf, 2, 3))) void log_text(struct log *log, const char *format, ...);

/*
 * One line, whatever peers put into it (names, reasons): cleaned, and so many a second at most;
 * lines left out, or that nobody takes, are counted and mentioned.
 */
void log_line(struct log *log, const char *line, uint64_t now_ns);

/* At the end: how many lines were left out since the last one. Waits a moment for the reader. */
void log_close(struct log *log);

#endif
