/* How many slots: --slots of mux agent and mux run. */
#ifndef TOOLS_MUX_SLOTS_H
#define TOOLS_MUX_SLOTS_H

#include <stdbool.h>

/* For people, when slots_parse() returns false. */
#define SLOTS_EXPECTED "expected 1 to 512, or auto"

/* "auto": the processors that this process may use. */
bool slots_parse(const char *value, unsigned *slots);

#endif
