/*
 * Regular expressions over test ids, as python's users write them: PCRE2 with UTF-8. What they cost
 * is bounded: an expression that backtracks without end is an error, not a hang.
 */
#ifndef TOOLS_FARM_PATTERN_H
#define TOOLS_FARM_PATTERN_H

#include "mux/buffer.h"

#include <stdbool.h>

#define PATTERN_WHY_BYTES 256

struct pattern;

/* NULL: a sentence in `why`, with the place of the error. */
struct pattern *pattern_compile(const char *text, char why[PATTERN_WHY_BYTES]);

/* NULL is fine. */
void pattern_free(struct pattern *pattern);

enum pattern_result {
    PATTERN_NO,
    PATTERN_YES,
    PATTERN_FAILED, /* it took too many steps, or too much memory */
};

/* Is it found anywhere (python's re.search)? */
enum pattern_result pattern_search(struct pattern *pattern, struct mux_span text);

/* Does it match at the beginning (re.match)? YES: *found is group 0, a part of the text. */
enum pattern_result pattern_match(struct pattern *pattern, struct mux_span text,
                                  struct mux_span *found);

#endif
