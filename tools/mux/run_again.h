/* The command of mux run: the user's, or that of the last run here. Blocks for the disk. */
#ifndef TOOLS_MUX_RUN_AGAIN_H
#define TOOLS_MUX_RUN_AGAIN_H

#include "tools/farm/runner.h"
#include "tools/mux/run_options.h"
#include "tools/store/command.h"

struct run_again {
    struct store_command last; /* options->command is of it */
};

/*
 * The runner. Without a command and without --runner: where ids of the last run are asked for
 * (--failing, --replay, --analyze-isolation), and where no file says what to run, the command is
 * that of the last run, if that ran in this directory; `options` has it then. NULL: after a
 * sentence on stderr.
 */
struct runner *run_again_choose(struct run_again *again, struct run_options *options);

/* For the next time. An error is told: this run goes on all the same. */
void run_again_keep(const struct run_options *options, const char *folder);

void run_again_free(struct run_again *again);

#endif
