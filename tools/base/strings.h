/* A list of strings that grows: arguments, words, names. NULL stands at its end. */
#ifndef TOOLS_BASE_STRINGS_H
#define TOOLS_BASE_STRINGS_H

#include <stdbool.h>
#include <stddef.h>

/* Lies in its owner, who begins with {0}; the strings are the list's. */
struct strings {
    char **all; /* NULL while nothing was added */
    size_t count, capacity;
};

/* Takes the string, and frees it if that fails. False: out of memory; so does NULL. */
bool strings_take(struct strings *list, char *string);

/* A copy of the text; of all texts up to NULL. False: out of memory. */
bool strings_add(struct strings *list, const char *text);
bool strings_add_all(struct strings *list, const char *const *texts);

/* Never NULL: an empty list has NULL at its begin. */
const char *const *strings_list(const struct strings *list);

void strings_free(struct strings *list);

#endif
