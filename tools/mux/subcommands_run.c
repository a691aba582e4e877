/* What the program mux-run has. */
#include "tools/mux/mux.h"

extern const struct subcommand subcommand_run, subcommand_attach_run;
const struct subcommand *const subcommands[] = {&subcommand_run, &subcommand_attach_run};
const size_t subcommands_count = sizeof subcommands / sizeof *subcommands;
