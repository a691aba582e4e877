/* The three standard descriptors, which a parent may have closed. */
#ifndef TOOLS_STANDARD_H
#define TOOLS_STANDARD_H

/*
 * Makes 0, 1 and 2 refer to something, so that what is opened next does not become stdin or stdout
 * by chance: a closed stdin is at its end, a closed stdout fails every write, a closed stderr takes
 * all. To be called first in main().
 */
void standard_descriptors_open(void);

#endif
