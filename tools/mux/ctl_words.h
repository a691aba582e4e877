/* What mux ctl says to people, made of muxd's answers (tools/node/control.h). */
#ifndef TOOLS_MUX_CTL_WORDS_H
#define TOOLS_MUX_CTL_WORDS_H

#include <jansson.h>
#include <stdbool.h>

/* How the node and its upstream stand, and what holds links up. To stdout, as all of these. */
void ctl_print_status(const json_t *status);

/*
 * A table of the links, worst first: those that are away or held up, those that hold others up,
 * then by the age of their oldest test; and below it places that drain. At most `rows` links, the
 * last line saying how many are left out; 0: all. `before` is the answer of `seconds` ago, NULL:
 * there is none; with it bytes are shown as a rate, too.
 */
void ctl_print_links(const json_t *answer, const json_t *before, double seconds, unsigned rows);

/* What became of an order. */
void ctl_print_order(const json_t *answer);

/* Name and value, a line each; those that are 0 are left out. */
void ctl_print_counters(const json_t *counters);

#endif
