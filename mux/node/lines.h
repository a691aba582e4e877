/* The lines KEY=VALUE in the words and messages that nodes send each other. */
#ifndef MUX_LINES_H
#define MUX_LINES_H

#include "mux/buffer.h"

/* A line that a content may have. */
struct mux_line {
    struct mux_span key;
    struct mux_span value; /* data NULL: the line is missing */
};
#define MUX_LINE(text)                                      \
    {                                                       \
        .key = {(const uint8_t *)(text), sizeof(text) - 1 } \
    }

/*
 * Fills in the values of these lines; the last line may lack its newline, and others are skipped.
 * False: one of these is there twice, so that its meaning is unclear.
 */
bool mux_lines_read(struct mux_span content, struct mux_line *lines, unsigned count);

/* Decimal digits alone, of a number up to `most`. False: *number is 0. */
bool mux_lines_number(struct mux_span text, uint64_t most, uint64_t *number);

#endif
