/*
 * A program's options: one table, a row each. getopt's list, the defaults, --help and the check of
 * the manual page come from it.
 */
#ifndef TOOLS_OPTION_H
#define TOOLS_OPTION_H

#include <stdbool.h>
#include <stddef.h>

/* Wrong usage: every program's exit code for it. */
#define OPTION_EXIT_USAGE 2

/* Returned by option_parse(): the command line is good, go on. */
#define OPTION_GO_ON (-1)

struct option_table;

struct option_row {
    const char *name;     /* without "--" */
    const char *argument; /* how --help names its value; NULL: it takes none; "[=SEED]": it may be
                             left out, and is NULL then */
    const char *preset;   /* the default, as on a command line; NULL: none */
    const char *group;    /* the heading of this row and of those behind it; NULL: as before */
    const char *help;     /* a clause; option_print_help() breaks lines and adds the default */
    char letter;          /* that stands for it, too: -n; 0: none */

    /* Takes the value (NULL without argument). False after a sentence on stderr: it is wrong. */
    bool (*set)(const struct option_row *row, void *target, const char *value);

    /* Instead of set: does what is asked, and the program ends. Returns the exit code. */
    int (*end)(const struct option_table *table);
};

struct option_table {
    const char *program; /* "mux cat": what sentences on stderr begin with */
    const char *version; /* of option_version(); NULL: there is no such row */
    const char *intro;   /* --help in front of the options: usage, purpose, examples */
    const char *outro;   /* and behind them: signals, exit codes */
    const struct option_row *rows;
    size_t count;
};

#define OPTION_ROWS_MAX 80

/*
 * Hands every default, then every option that is given, to its row's set() with `target`. Returns
 * OPTION_GO_ON, optind being the first argument that is no option; or the exit code, when an option
 * ends the program or is wrong, after a sentence on stderr.
 */
int option_parse(const struct option_table *table, int argc, char **argv, void *target);

/* For option_row.end: prints the help, or program and version, to stdout. */
int option_help(const struct option_table *table);
int option_version(const struct option_table *table);

/* Their rows' words. */
#define OPTION_HELP_TEXT "show this text, and end"
#define OPTION_VERSION_TEXT "show the version, and end"

#endif
