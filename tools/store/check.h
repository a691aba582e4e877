/* Is the store sound? */
#ifndef TOOLS_STORE_CHECK_H
#define TOOLS_STORE_CHECK_H

#include "tools/store/store.h"

/*
 * Reads all of the index, and looks at the runs' files: gives each fault as a sentence, and returns
 * their number. A run that is being written is none.
 */
uint64_t store_check(struct store *store, void (*fault)(void *user, const char *sentence),
                     void *user);

#endif
