/* The three standard descriptors, which a parent may have closed. */
#ifndef TOOLS_BASE_STANDARD_H
#define TOOLS_BASE_STANDARD_H

#include <stdbool.h>

/*
 * Makes 0, 1 and 2 refer to something, so that what is opened next does not become stdin or stdout
 * by chance: a closed stdin fails every read, a closed stdout every write, a closed stderr takes
 * all. To be called first in main().
 */
void standard_descriptors_open(void);

/*
 * Can stdin be read? False: the parent has closed it, or opened it for writing only. A program that
 * was asked to read it then says so, as for a file that cannot be opened.
 */
bool standard_input_is_open(void);
#define STANDARD_INPUT_CLOSED "stdin is closed, or not open for reading"

#endif
