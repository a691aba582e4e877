/*
 * Reads INI files as python's configparser does, whose files these are (.testr.conf, .stestr.conf,
 * tools/runners/, farm.conf). No I/O: bytes in, a table out.
 *
 * [section] begins a section, to the line's last bracket. The first = or : ends an option's name;
 * names have no upper case (of ASCII). A line that is indented more than its option continues the
 * value: the lines are joined by a newline, blank lines between them stay. Backslashes and quotes
 * mean nothing. Lines whose first character is # or ; are comments, also within a value; there are
 * no others. An option or section that comes twice is an error. Options of [DEFAULT] hold in every
 * section. Blanks are what Unicode calls so.
 *
 * What configparser takes and this does not: NUL bytes, and files of more than INI_MOST_BYTES.
 */
#ifndef TOOLS_BASE_INI_H
#define TOOLS_BASE_INI_H

#include "mux/buffer.h"

#define INI_WHY_BYTES 256

/* Many times the largest farm's file; what comes from a pipe by mistake ends here. */
#define INI_MOST_BYTES (1024 * 1024)

/* As deep as configparser goes, and as long as a value may become by its references. */
#define INI_EXPAND_DEPTH 10
#define INI_EXPAND_MOST_BYTES (1024 * 1024)
#define INI_EXPAND_MOST_REFERENCES 100000

#define INI_DEFAULT "DEFAULT"

struct ini;

/* What is wrong: a sentence without the file's name, and the line. Line 0: it has none. */
struct ini_error {
    unsigned line;
    char why[INI_WHY_BYTES];
};

/* A line of the file that counts: a section begins (name is NULL), or an option. */
struct ini_entry {
    const char *section, *name;
    const char *value; /* as it stands there, without the blanks around it */
    unsigned line;
};

/* The table keeps no pointer into the bytes. NULL: the error says why. */
struct ini *ini_read(struct mux_span bytes, struct ini_error *error);

/* NULL is fine. All strings of the table end with it. */
void ini_free(struct ini *ini);

/* The entries in the file's order: 0 to ini_count() - 1. */
size_t ini_count(const struct ini *ini);
const struct ini_entry *ini_at(const struct ini *ini, size_t i);

/* [DEFAULT] is always there. */
bool ini_has_section(const struct ini *ini, const char *section);

/*
 * The option in the section, else in [DEFAULT]. `name` is in small letters. NULL: there is none, or
 * no such section.
 */
const struct ini_entry *ini_find(const struct ini *ini, const char *section, const char *name);

/*
 * The value with %(name)s replaced by that option of the same section (or of [DEFAULT]), which is
 * expanded as well, and %% by %; any other % is an error. This is python's basic interpolation. The
 * caller frees it. NULL: the error says why.
 */
char *ini_expand(const struct ini *ini, const char *section, const struct ini_entry *entry,
                 struct ini_error *error);

#endif
