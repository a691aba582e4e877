/* What is longer than a screen goes through a pager, as git does it. */
#ifndef TOOLS_MUX_PAGER_H
#define TOOLS_MUX_PAGER_H

/*
 * When stdout is a terminal: what is written there goes to $PAGER from now on, to less if that is
 * not set; "cat" or nothing: none is wanted. It is waited for when the program ends. Without a
 * pager that can be started stdout stays as it is.
 */
void pager_start(void);

#endif
