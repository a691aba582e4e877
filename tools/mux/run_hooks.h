/*
 * Commands of .testr.conf around a run: one prints how many slots there are; others make instances,
 * such as virtual machines, and dispose of them. INT, TERM, HUP and QUIT end such a command, by
 * TERM, and a second one by KILL; they never end this program before its instances are disposed of.
 *
 * All of it blocks. False after a sentence on stderr.
 */
#ifndef TOOLS_MUX_RUN_HOOKS_H
#define TOOLS_MUX_RUN_HOOKS_H

#include "tools/farm/runner.h"

/* *slots stays as it is when the runner does not say it. */
bool run_hooks_slots(const struct runner *runner, unsigned *slots);

/*
 * So many at least, or none if the runner has no such command. What was made stands in the list
 * after an error, too. Signals that come are counted from now on: *interrupted.
 */
bool run_hooks_provision(const struct runner *runner, unsigned wanted, struct strings *instances,
                         bool *interrupted);

/* Signals wait, from here until instances are disposed of. */
void run_hooks_hold(void);
bool run_hooks_dispose(const struct runner *runner, struct strings *instances);

#endif
