/*
 * The cgroup of a command, where one can be made (v2, below ours): what is in it dies at once,
 * daemons and what forks faster than it can be killed too. And what the kernel says of memory: how
 * many processes it has killed because there was none, in that cgroup, or in ours if only that is
 * counted (v1, too).
 */
#ifndef TOOLS_AGENT_GROUP_H
#define TOOLS_AGENT_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#define GROUP_PATH_BYTES 4096

/* All zero: there is none. */
struct group {
    int folder; /* for child_config.cgroup; 0: there is no cgroup */
    int parent; /* the folder that it is in; 0: none */
    char name[32];
    bool counts_kills;
    uint64_t kills_before;
    char counter[GROUP_PATH_BYTES]; /* the file with that number */
};

/* Makes what can be made. */
void group_open(struct group *group);

/* Kills all that is in it. */
void group_kill(const struct group *group);

/* Processes that were killed for want of memory since it was opened. False: that is not known. */
bool group_memory_kills(const struct group *group, uint64_t *count);

/* Removes it. Its processes have ended, and were waited for. */
void group_close(struct group *group);

#endif
