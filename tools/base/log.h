/* The log of a program that runs on: lines on stderr. Never blocks. */
#ifndef TOOLS_BASE_LOG_H
#define TOOLS_BASE_LOG_H

#include "mux/limiter.h"
#include "tools/base/loop.h"
#include "tools/base/outlet.h"

struct log {
    const char *program; /* what lines begin with */
    struct outlet outlet;
    struct mux_limiter limiter;
    struct loop *loop; /* NULL: none yet */
    struct timer timer;
    uint64_t suppressed;        /* since the last line */
    uint64_t *suppressed_total; /* the owner's counter; NULL until there is one */
};

void log_open(struct log *log, const char *program);

/* Stderr is another file now. Waits a moment for the reader of the old one. */
void log_reopen(struct log *log);

/* From now on a timer of this loop writes the lines that could not be written at once. */
void log_join(struct log *log, struct loop *loop);

/* A line, its newline at the end: for the start, whose lines are few. What it quotes is cleaned. */
__attribute__((format(printf, 2, 3))) void log_text(struct log *log, const char *format, ...);

/*
 * One line, whatever peers put into it (names, reasons): cleaned, and limited in their
 * rate. Lines that are left out, or that cannot be written, are counted and mentioned.
 */
void log_line(struct log *log, const char *line, uint64_t now_ns);

/* At the end: how many lines were left out since the last one. Waits a moment for the reader. */
void log_close(struct log *log);

#endif
