/* What the program mux-store has. */
#include "tools/mux/mux.h"
#include "tools/mux/store_subcommands.h"

#define DEFINE(name, summary) \
    static const struct subcommand subcommand_##name = {#name, summary, store_run_##name};
STORE_SUBCOMMANDS(DEFINE)

#define LIST(name, summary) &subcommand_##name,
const struct subcommand *const subcommands[] = {STORE_SUBCOMMANDS(LIST)};
const size_t subcommands_count = sizeof subcommands / sizeof *subcommands;
