/*
 * Processes that a command has left: daemons leave its process group, and when their parent has
 * ended they become children of the nearest ancestor that asks for them.
 */
#ifndef TOOLS_AGENT_ORPHANS_H
#define TOOLS_AGENT_ORPHANS_H

#include <stdbool.h>

/* From now on this process becomes their parent. False with errno: the kernel refuses it. */
bool orphans_adopt(void);

/*
 * Kills every child of this process, and what comes to it by that, until there is none. Only when
 * nothing that was started on purpose runs. Waits for each to end.
 */
void orphans_kill(void);

#endif
