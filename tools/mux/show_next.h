/* What can be done next about a run, as commands to be pasted. */
#ifndef TOOLS_MUX_SHOW_NEXT_H
#define TOOLS_MUX_SHOW_NEXT_H

#include "tools/store/query.h"

/* Lines on stdout. `folder`: the store's. */
void show_next(const char *folder, const struct store_run_row *row);

#endif
