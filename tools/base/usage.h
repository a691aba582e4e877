/* Says what is wrong with a command line, and what was probably meant. */
#ifndef TOOLS_BASE_USAGE_H
#define TOOLS_BASE_USAGE_H

#include <stdbool.h>
#include <stddef.h>

struct option;

/*
 * getopt_long() with messages of our own. `letters`: ":" and those that stand for an option, as
 * getopt() has them. Returns the option's val or letter, -1 when there are no more, or '?' after a
 * sentence on stderr that begins with `program`.
 */
int usage_next_option(const char *program, int argc, char **argv, const char *letters,
                      const struct option *options);

/*
 * The name of names[0..count) that was most likely meant by `word`: one that begins with it, or
 * that one or two slips of the keyboard lead to. NULL: there is none.
 */
const char *usage_nearest(const char *word, const char *const *names, size_t count);

#endif
