/*
 * An agent: jobs come down to it, run in its slots, each kept by a mux exec (keeper.h), and answers
 * and wants go up, all by packets of its node (docs/protocol.md).
 *
 * One thread. Starting a job writes its ids to a file and blocks until exec(); nothing else blocks.
 */
#ifndef TOOLS_AGENT_AGENT_H
#define TOOLS_AGENT_AGENT_H

#include "tools/agent/keeper.h"
#include "tools/agent/parts.h"
#include "tools/base/folder.h"
#include "tools/node/order.h"
#include "tools/node/want.h"

/* Each needs a few descriptors and processes. */
#define AGENT_SLOTS_MAX MESSAGE_SLOTS_MAX

/* A number. */
#define AGENT_SEGMENT_BYTES 16

/* Of the texts of jobs that wait for a slot. */
#define AGENT_AHEAD_MOST_BYTES ((size_t)64 << 20)

/* Jobs that are remembered, so that none is run a second time: see ANSWER_REPEATED. */
#define AGENT_REMEMBERED 8192

struct agent_config {
    struct node *node; /* its links are the keepers, its take() is agent_take() */
    struct loop *loop;
    struct children *children;
    const char *program; /* mux */
    unsigned slots;
    uint64_t lease_ns; /* how long the jobs may go on without the upstream */
    uint64_t hash_key; /* random: peers choose the names of jobs */
    void *user;
    void (*ended)(void *user); /* it was told to end, and all its jobs have */
};

enum agent_slot_state {
    AGENT_SLOT_FREE,
    AGENT_SLOT_BUSY,
};

struct agent_slot {
    enum agent_slot_state state;
    bool draining;
    char segment[AGENT_SEGMENT_BYTES];
    struct keeper keeper;
    char run[ANSWER_NAME_BYTES], name[ANSWER_NAME_BYTES]; /* of its job */
    uint64_t input_bytes; /* for it that came, in packets with its name */
    bool has_input_ended;
    uint64_t stops;           /* orders to end it that came so */
    char why[READ_WHY_BYTES]; /* the agent ends its job: a clause; "": it does not */
    char *ids_path;           /* NULL: the job has no file */
};

/* How much of it still runs. It only grows. */
enum agent_life {
    AGENT_LIVES,
    AGENT_DRAINS, /* for good: it ends with its jobs */
    AGENT_STOPS,  /* its jobs were told to end */
    AGENT_KILLS,  /* its keepers were */
    AGENT_ENDED,
};

struct agent {
    struct loop_client base;
    struct agent_config config;
    struct agent_slot *slots;
    struct mux_list ahead; /* jobs that wait for a slot */
    unsigned ahead_count;
    size_t ahead_bytes;
    struct mux_list answers; /* that wait for room on the way up */
    unsigned answer_count;
    struct parts parts;
    uint64_t *remembered; /* hashes of jobs, a ring */
    unsigned remember_next;
    enum agent_life life;
    bool draining;       /* by an order */
    bool draining_above; /* the node above drains */
    bool is_reached, want_is_due, has_strays;
    uint64_t taken; /* jobs */
    uint64_t retry_ns, want_ns, strays_ns;
    uint64_t lease_ends_ns; /* UINT64_MAX: the upstream is there, or it is over */
    unsigned files;         /* that were made */
    struct folder folder;   /* of files with ids */
};

/* False after a line in the log of the node: out of memory, or no place for files. The config is
 * copied. */
bool agent_open(struct agent *agent, const struct agent_config *config);

/* node_config.take: its user is the agent. */
enum mux_taking agent_take(struct agent *agent, const struct mux_packet *packet);

/*
 * TERM: takes no new jobs, and ends when those that run have ended. A second time: these are ended;
 * a third time: they are killed.
 */
void agent_terminate(struct agent *agent);

/* When it has ended, or was never started. */
void agent_close(struct agent *agent);

#endif
