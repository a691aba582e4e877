/*
 * A job: one command for one slot, with the ids of the tests that it is to run, as a JSON object
 * (docs/protocol.md). Pure: no I/O. Any bytes are read, or refused in words.
 */
#ifndef TOOLS_AGENT_JOB_H
#define TOOLS_AGENT_JOB_H

#include "tools/node/answer.h"

#include <stdint.h>

/* The most of a job's text: 100,000 ids of 160 bytes. */
#define JOB_MOST_BYTES ((size_t)16 << 20)

#define JOB_TIME_MOST_S (7 * 86400)

/* Of a limit: what every reader of JSON can count to. */
#define JOB_BYTES_MOST (UINT64_C(1) << 53)

/* How the command gets the ids. */
enum job_ids_as {
    JOB_IDS_FILE,  /* a line each in a file, whose name is $IDFILE */
    JOB_IDS_LIST,  /* an argument each, in place of the argument $IDLIST */
    JOB_IDS_STDIN, /* a line each on its stdin */
};

struct job_variable {
    const char *name;
    const char *value; /* NULL: it is taken out of the environment */
};

/* JOB_NO_LIMIT: not said. */
#define JOB_NO_LIMIT UINT64_MAX

struct job_limits {
    uint64_t timeout_ms, idle_timeout_ms, test_timeout_ms, grace_ms;
    uint64_t max_output_bytes, max_job_output_bytes;
    const char *on_hang; /* NULL: not said */
};

/* Strings lie in `tree`. */
struct job {
    char run[ANSWER_NAME_BYTES], name[ANSWER_NAME_BYTES];
    json_t *tree;
    const char **command; /* NULL at the end; at least one */
    struct job_variable *environment;
    size_t environment_count;
    const char *directory; /* NULL: the agent's */
    const char **ids;
    size_t id_count;
    bool has_ids;
    enum job_ids_as ids_as;
    const char *as_test; /* NULL: not said */
    bool allow_empty, pty;
    const char **tags, **masks; /* NULL at the end; NULL: none */
    struct job_limits limits;
};

/*
 * False, and a sentence in `why` (READ_WHY_BYTES): it is refused. Then `run` and `name` are as far
 * as they could be read, and nothing is to be freed. A key that is not known is skipped.
 */
bool job_parse(struct mux_span text, struct job *job, char *why);

void job_free(struct job *job);

#endif
