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

#include "tools/agent/group.h"
#include "tools/agent/hang.h"
#include "tools/agent/output.h"
#include "tools/agent/sink.h"
#include "tools/agent/terminal.h"
#include "tools/base/children.h"
#include "tools/node/node.h"

struct slot;

struct slot_limits {
    uint64_t command_ns;      /* from start to end; 0: none, as for the next two */
    uint64_t silence_ns;      /* without output */
    uint64_t test_ns;         /* of one test */
    uint64_t grace_ns;        /* between the signals that stop a command */
    int hang_signal;          /* sent first by a limit, to bring a stack; 0: none */
    const char *hang_command; /* or run first, see hang.h; NULL: none */
};

struct slot_config {
    struct node *node; /* set by slot_follow() */
    struct loop *loop;
    struct children *children;
    struct output *output;          /* the editor of the node's mux */
    const char *const *arguments;   /* [0] is looked up in PATH; NULL at the end */
    const char *const *environment; /* NULL: ours */
    const char *directory;          /* NULL: ours */
    const char *test;               /* that the command is as a whole; NULL: it is none */
    /* The command's stdin: one of our descriptors; -1: packets from above, on the bare link. */
    int input;
    /* Its stdin, stdout and stderr are a terminal, on which the packets from above are typed. */
    bool has_terminal;
    struct slot_limits limits;
    void *user;
    /* All that it had to say is on its way up. The slot may be freed. */
    void (*ended)(struct slot *slot);
};

enum slot_state {
    SLOT_RUNNING,
    SLOT_LOOKED_AT, /* the command has ended, and what looks at it is being ended */
    SLOT_READING,   /* the command has ended: what it wrote is read */
    SLOT_CLOSING,   /* its links are ending */
    SLOT_REPORTING, /* how it ended waits for room on the way up */
    SLOT_ENDED,
};

/*
 * How far the command is being stopped. Each step follows the one before by the grace, or when the
 * command that brings a stack has ended.
 */
enum slot_stop {
    SLOT_STOP_NONE,
    SLOT_STOP_STACK, /* the signal that brings a stack was sent, or the command runs that does */
    SLOT_STOP_TERM,
    SLOT_STOP_KILL,
};

struct slot_stream {
    struct slot *slot;
    struct node_link *link; /* NULL: it is no more */
    bool ended;             /* nothing more comes */
    struct sink sink;       /* for a command that outlasts the node */
};

/* Of the command's streams; [0]: we read or write, [1]: the command does. */
struct slot_ends {
    int input[2], out[2], err[2];
    char terminal[TERMINAL_PATH_BYTES]; /* "": these are pipes */
};

/* What the command for hangs has to say, and the test that hangs. */
struct slot_stack {
    struct hang hang;
    bool is_ready; /* it waits for room on the way up */
    bool has_test, has_route;
    size_t test_id_len, route_len;
    uint8_t test_id[1024], route[1024];
};

/* Lies in its owner, zeroed: most of it is touched only by a command that hangs. */
struct slot {
    struct slot_config config;
    enum slot_state state;
    enum slot_stop stop;
    struct transport_failure failure; /* error not 0: the command did not start */
    struct group group;
    struct child child;
    struct child_end end;
    bool knows_memory_kills;
    uint64_t memory_kills; /* processes that the kernel has killed for want of memory */
    struct slot_ends ends; /* until it is followed */
    struct slot_stream out, err;
    int terminal; /* our side of it, for its size; -1: there is none */
    struct loop_client reports;
    struct slot_stack stack;
    struct timer silence;  /* of what may be a prompt */
    uint64_t typed_bytes;  /* sent to its stdin when the last text came */
    bool is_debugged;      /* somebody answers the prompts of the test that runs, or looks */
    bool was_debugged;     /* a test of the command was */
    uint64_t test_age_ns;  /* of the oldest test, when it was last looked at */
    struct timer looks;    /* at the limits, then at what is left to read */
    struct timer escalate; /* the next step of stopping */
    uint64_t begun_ns, ended_ns;
    uint64_t output_ns; /* when output was seen last */
    uint64_t output_bytes;
    char why[256]; /* it is being stopped: a clause; "": it is not */
};

/*
 * Starts the command, once. Neither the loop nor the node need be there yet: they are made while
 * the command starts, which saves it a millisecond. It is followed before the loop's next step.
 */
void slot_start(struct slot *slot, const struct slot_config *config);

/*
 * Reads what it writes. When it could not start (slot->failure: "exec", "chdir", "pipe") this is
 * what is reported, and then, as always, config->ended is called, in a later step of the loop.
 */
void slot_follow(struct slot *slot, struct node *node);

/* The node has ended and the command, that is being stopped, has not: what it writes is lost. */
void slot_forsake(struct slot *slot);

/* Kills what was started, instead: it cannot be followed. */
void slot_abandon(struct slot *slot);

/* Did the command start? */
static inline bool slot_has_started(const struct slot *slot) {
    return slot->failure.error == 0;
}

/*
 * What became of the command, a clause for people: "exited with status 3", "was killed by SIGSEGV
 * (core dumped)", "was killed by SIGKILL (out of memory)", "did not start: exec: Permission
 * denied". Once it has ended.
 */
#define SLOT_FATE_BYTES 256
void slot_fate(const struct slot *slot, char out[SLOT_FATE_BYTES]);

/* Somebody looks at it on a terminal of this size, which its own takes on. False: it has none. */
bool slot_resize(struct slot *slot, struct terminal_window window);

/* Stops the command: TERM now, KILL after the grace; a second call: KILL now. `why` is a clause. */
void slot_stop(struct slot *slot, const char *why);

#endif
