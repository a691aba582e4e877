/* What the program mux-run has. */
#include "tools/mux/mux.h"

extern const struct subcommand subcommand_run;
const struct subcommand *const subcommands[] = {&subcommand_run};
const size_t subcommands_count = 1;
