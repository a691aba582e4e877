/* What the program mux has. */
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/mux/store_subcommands.h"

/* argv[-1] is the program's own name. */
static int run_program(const char *program, char **argv) {
    program_run_beside(program, argv - 1);
    text_complain("mux %s: the program %s is not there: it is installed with mux", argv[0],
                  program);
    return EXIT_FAILED;
}

static int run_store(int argc, char **argv) {
    (void)argc;
    return run_program(STORE_PROGRAM, argv);
}

static int run_suite(int argc, char **argv) {
    (void)argc;
    return run_program(RUN_PROGRAM, argv);
}

static const struct subcommand subcommand_run = {"run", RUN_SUMMARY, run_suite};

#define DEFINE(name, summary) \
    static const struct subcommand store_##name = {#name, summary, run_store};
STORE_SUBCOMMANDS(DEFINE)

#define LIST(name, summary) &store_##name,
const struct subcommand *const subcommands[] = {
    &subcommand_run,   &subcommand_cat,    &subcommand_top,    &subcommand_route,
    &subcommand_send,  &subcommand_encode, &subcommand_ctl,    &subcommand_exec,
    &subcommand_agent, &subcommand_tail,   &subcommand_attach, STORE_SUBCOMMANDS(LIST)};
const size_t subcommands_count = sizeof subcommands / sizeof *subcommands;
