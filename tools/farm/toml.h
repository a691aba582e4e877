/*
 * Reads TOML as far as a program needs that looks for a few strings in pyproject.toml: whatever
 * else is there is passed over by its grammar, and not checked. No I/O.
 */
#ifndef TOOLS_FARM_TOML_H
#define TOOLS_FARM_TOML_H

#include "mux/buffer.h"

#define TOML_WHY_BYTES 128

/* Arrays and tables within each other: what nests deeper was not written by a person. */
#define TOML_DEPTH_MOST 64

enum toml_kind {
    TOML_STRING,
    TOML_TRUE,
    TOML_FALSE,
    TOML_OTHER, /* a number, a date, an array: without its text */
};

struct toml_value {
    const char *path; /* "tool.stestr.test_path"; dots within a quoted key are \x1F */
    enum toml_kind kind;
    const char *text; /* of a TOML_STRING */
    unsigned line;
};

struct toml_error {
    unsigned line;
    char why[TOML_WHY_BYTES];
};

/* Tells of each value that is not in an array. False: why; values before it were told of. */
bool toml_read(struct mux_span bytes, void (*tell)(void *user, const struct toml_value *value),
               void *user, struct toml_error *error);

#endif
