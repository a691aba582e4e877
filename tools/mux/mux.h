/* The command `mux`: its subcommands, a file each, and what they share. */
#ifndef TOOLS_MUX_H
#define TOOLS_MUX_H

#include "mux/packet/framer.h"
#include "tools/base/option.h"

#include <limits.h>

/* Exit codes of every subcommand. */
enum {
    EXIT_FINE = 0,
    EXIT_FAILED = 1,                /* a file, a connection, a line of input: stderr says what */
    EXIT_USAGE = OPTION_EXIT_USAGE, /* wrong usage, or binary would reach a terminal */
    EXIT_DAMAGED = 3,               /* mux cat, mux top: the stream was damaged */
    EXIT_TESTS_FAILED = 4,          /* mux top, mux exec: tests have failed, or have not ended */
    EXIT_NOTHING_RAN = 5,           /* mux top, mux exec: no test has ended */
    EXIT_NOT_ALL_SENT = 75, /* exec, agent: results did not reach the upstream (EX_TEMPFAIL) */
};

/* The program that has mux run, and what mux --help says of it. */
#define RUN_PROGRAM "mux-run"
#define RUN_SUMMARY "runs a test suite"

/* Of that program: what mux attach RUN runs. */
#define RUN_PROGRAM_ATTACH "attach"

struct subcommand {
    const char *name;
    const char *summary;               /* a line in `mux --help` */
    int (*run)(int argc, char **argv); /* main() flushes stdout after it */
    bool is_short;                     /* starts often, and uses little of its tables */
};

/* What this program has: of mux or of mux-store. */
extern const struct subcommand *const subcommands[];
extern const size_t subcommands_count;
#define SUBCOMMANDS_MAX 64

extern const struct subcommand subcommand_cat, subcommand_top, subcommand_route, subcommand_send,
    subcommand_encode, subcommand_ctl, subcommand_exec, subcommand_agent, subcommand_tail,
    subcommand_attach;

/* False, after a sentence on stderr, when stdout is a terminal: binary never goes there. */
bool stdout_takes_binary(const struct subcommand *subcommand);

/*
 * To be called before packets are appended to stdout: ends half a packet there
 * (tools/results/tail.h), and says so on stderr. False: it cannot be ended.
 */
bool stdout_mend(const struct subcommand *subcommand);

/*
 * When an argument in front of "--", or MUX_ENDPOINT, names a stack that this program is linked
 * without, runs the one that has it, and does not return. Returns when none does, or when that
 * program is not there.
 */
void stacks_run_full(char *const *arguments);

/*
 * Runs a program that belongs to mux, with these arguments: from the folder of this one where it
 * was built, else from where it was installed. Returns when it is not there.
 */
void program_run_beside(const char *program, char *const *arguments);

/* Where the program mux is, for one that belongs to it and needs it. */
#define PROGRAM_PATH_BYTES (PATH_MAX + 64)
void program_path_of_mux(char path[PROGRAM_PATH_BYTES]);

/* Opens FILE, or stdin for "-". -1 after a sentence on stderr. */
int open_input(const struct subcommand *subcommand, const char *path);

#endif
