/*
 * The subcommands that use the store: name and summary. They are in a program of their own,
 * mux-store, for SQLite would cost each start of mux (mux exec) half a millisecond and a MiB. mux
 * lists them, and runs that.
 */
#ifndef TOOLS_MUX_STORE_SUBCOMMANDS_H
#define TOOLS_MUX_STORE_SUBCOMMANDS_H

#define STORE_PROGRAM "mux-store"

#define STORE_SUBCOMMANDS(EACH)                  \
    EACH(wait, "waits until a run has ended")    \
    EACH(load, "stores a stream as a run")       \
    EACH(runs, "lists the runs of the store")    \
    EACH(show, "shows a run of the store")       \
    EACH(last, "shows the last run")             \
    EACH(failing, "lists the tests that failed") \
    EACH(slowest, "lists the slowest tests")     \
    EACH(history, "shows a test in all runs")    \
    EACH(diff, "compares two runs")              \
    EACH(store, "checks, rebuilds, prunes the store")

/* Each in mux-store. */
#define STORE_DECLARE(name, summary) int store_run_##name(int argc, char **argv);
STORE_SUBCOMMANDS(STORE_DECLARE)

#endif
