/* How a job is run: the arguments and the environment of the mux exec that keeps its command. */
#ifndef TOOLS_AGENT_INVOCATION_H
#define TOOLS_AGENT_INVOCATION_H

#include "tools/agent/job.h"

/* A list of strings, NULL at the end, all of them its own. */
struct invocation_list {
    char **strings;
    size_t count, capacity;
};

struct invocation {
    struct invocation_list arguments, environment;
};

/*
 * `program` is mux, `base` the environment before the job changes it, `ids_path` the file with the
 * job's ids; NULL: it has none. False: out of memory. To be freed in both cases.
 */
bool invocation_make(struct invocation *invocation, const struct job *job, const char *program,
                     const char *const *base, const char *ids_path);

void invocation_free(struct invocation *invocation);

#endif
