/* What is wrong with a command line, said to who wrote it. */
#ifndef TOOLS_BASE_USAGE_H
#define TOOLS_BASE_USAGE_H

#include <stdbool.h>
#include <stddef.h>

struct option;

/*
 * getopt_long() with long options only, which says nothing itself. Returns the option's val, -1
 * when there are no more, or '?' after a sentence on stderr that begins with `program`.
 */
int usage_next_option(const char *program, int argc, char **argv, const struct option *options);

/*
 * The one of names[0..count) that `word` was most likely meant to be: one that begins with it, or
 * that a slip or two lead to. NULL: none.
 */
const char *usage_nearest(const char *word, const char *const *names, size_t count);

#endif
