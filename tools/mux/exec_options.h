/* The command line of mux exec. */
#ifndef TOOLS_MUX_EXEC_OPTIONS_H
#define TOOLS_MUX_EXEC_OPTIONS_H

#include "tools/agent/slot.h"
#include "tools/node/place.h"

struct exec_options {
    struct place place;
    bool has_place;        /* else stdout */
    bool is_pipe;          /* stdout, and packets come down by stdin */
    int input;             /* a file that is the command's stdin; -1: none */
    const char *as_test;   /* NULL: the command is not one test */
    const char *directory; /* NULL: ours */
    const char *const *command;
    const char *name; /* NULL: the host's */
    bool has_terminal;
    bool allow_empty;
    bool trusts_network; /* takes input from above over TCP and the like */
    uint64_t drain_timeout_ns;
    struct slot_limits limits;
    struct output_config output;
    struct prompt_pattern prompt;
};

/*
 * Options, then the environment, then the command. OPTION_GO_ON, or the exit code after a sentence
 * on stderr. The options refer to argv.
 */
int exec_options_parse(struct exec_options *options, int argc, char **argv);

#endif
