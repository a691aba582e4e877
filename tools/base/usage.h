/* Says what is wrong with a command line, and what was probably meant. */
#ifndef TOOLS_BASE_USAGE_H
#define TOOLS_BASE_USAGE_H

#include <stdbool.h>
#include <stddef.h>

struct option;

/*
 * getopt_long() with long options only, and with messages of our own. Returns the option's val, -1
 * when there are no more, or '?' after a sentence on stderr that begins with `program`.
 */
int usage_next_option(const char *program, int argc, char **argv, const struct option *options);

/*
 * The name of names[0..count) that was most likely meant by `word`: one that begins with it, or
 * that one or two slips of the keyboard lead to. NULL: there is none.
 */
const char *usage_nearest(const char *word, const char *const *names, size_t count);

#endif
