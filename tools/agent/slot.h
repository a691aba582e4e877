/*
 * A slot runs one command under control, as the last hop to the process: its stdout and its stderr
 * are links of a node, it is stopped when it goes beyond its limits, and how it ended becomes one
 * packet, file "muxd.exit" (muxd-protocol(7)). Each test in progress then fails with that reason.
 * What the command leaves behind is killed (orphans.h): so there is one slot in a process.
 *
 * One thread. Starting blocks until exec(), see children.h; nothing else blocks.
 */
#ifndef TOOLS_AGENT_SLOT_H
#define TOOLS_AGENT_SLOT_H

#include "tools/base/children.h"
#include "tools/node/node.h"

struct slot;

struct slot_limits {
    uint64_t command_ns; /* from start to end; 0: none, as for the next two */
    uint64_t silence_ns; /* without output */
    uint64_t test_ns;    /* of one test */
    uint64_t grace_ns;   /* between the signals that stop a command */
    int hang_signal;     /* sent first by a limit, to bring a stack; 0: none */
};

struct slot_config {
    struct node *node;
    struct loop *loop;
    struct children *children;
    const char *const *arguments; /* [0] is looked up in PATH; NULL at the end */
    /* The command's stdin: one of our descriptors; -1: packets from above, on the bare link. */
    int input;
    struct slot_limits limits;
    void *user;
    /* All that it had to say is on its way up. The slot may be freed. */
    void (*ended)(struct slot *slot);
};

enum slot_state {
    SLOT_RUNNING,
    SLOT_READING,   /* the command has ended: what it wrote is read */
    SLOT_CLOSING,   /* its links are ending */
    SLOT_REPORTING, /* how it ended waits for room on the way up */
    SLOT_ENDED,
};

/* How far the command is being stopped. Each step follows the one before by the grace. */
enum slot_stop {
    SLOT_STOP_NONE,
    SLOT_STOP_STACK, /* the signal that brings a stack was sent */
    SLOT_STOP_TERM,
    SLOT_STOP_KILL,
};

struct slot_stream {
    struct slot *slot;
    struct node_link *link; /* NULL: it is no more */
    bool ended;             /* nothing more comes */
};

struct slot {
    struct slot_config config;
    enum slot_state state;
    enum slot_stop stop;
    struct child child;
    struct child_end end;
    struct slot_stream out, err;
    struct loop_client reports;
    struct timer looks;    /* at the limits, then at what is left to read */
    struct timer escalate; /* the next step of stopping */
    uint64_t begun_ns, ended_ns;
    uint64_t output_ns; /* when output was seen last */
    uint64_t output_bytes;
    char why[256]; /* it is being stopped: a clause; "": it is not */
};

/*
 * False with *failure: the command does not run ("exec": it cannot be run). The slot may be freed
 * when no child runs any more.
 */
bool slot_start(struct slot *slot, const struct slot_config *config,
                struct transport_failure *failure);

/* Stops the command: TERM now, KILL after the grace; a second call: KILL now. `why` is a clause. */
void slot_stop(struct slot *slot, const char *why);

#endif
