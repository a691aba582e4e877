/*
 * The faults of a farm, by number, in the order in which they happen: those of the network
 * (transport/sim) and those of whole nodes and disks. A run may be one of a few of them only, so
 * that the fewest with which a seed fails can be looked for.
 *
 * One farm at a time.
 */
#ifndef TESTS_SIM_FAULTS_H
#define TESTS_SIM_FAULTS_H

#include "tests/sim/farm.h"

/* Numbers and ranges, as "3,17,40-42": no others happen. False: it is no such list. */
bool faults_only(const char *list);

/* A farm begins. `tells`: each fault on stderr. */
void faults_begin(struct farm *farm, bool tells);

/*
 * Looks for the fewest faults with which this seed fails, by running it again and again in
 * processes of their own, and says how to run it with these. For a minute or a few.
 */
void faults_shrink(uint64_t seed, const struct farm_options *options, const char *command);

#endif
