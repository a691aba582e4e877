/*
 * What looks at a command that hangs: another command, which is given its process id and whose
 * output is kept. It has a limited time, and is killed with its group then.
 */
#ifndef TOOLS_AGENT_HANG_H
#define TOOLS_AGENT_HANG_H

#include "tools/base/children.h"

/* A debugger that reads the symbols of a large program takes seconds. */
#define HANG_TIME_NS (UINT64_C(30) * 1000000000)

/* Of its output, the beginning. With every byte replaced it still fits one packet. */
#define HANG_OUTPUT_BYTES 40000

struct hang;

struct hang_config {
    struct loop *loop;
    struct children *children;
    const char *command; /* for sh -c, with the process id in $PID */
    pid_t pid;           /* of the one that hangs */
    /* It has ended, and all its output is there. Called once. */
    void (*over)(struct hang *hang, uint64_t now_ns);
};

/* Lies in its owner, zeroed. */
struct hang {
    struct loop_handler base;
    struct hang_config config;
    struct transport_conn *conn; /* its output; NULL: closed */
    struct child child;
    struct timer timer; /* its time, then that of what still holds its output */
    bool is_closing;
    uint64_t output_count; /* bytes that came */
    uint8_t output[HANG_OUTPUT_BYTES];
};

/*
 * What looks at a command that hangs, as people write it: a signal's name (*signal), or a command.
 * False: neither, HANG_EXPECTED was.
 */
bool hang_parse(const char *text, int *signal, const char **command);
#define HANG_EXPECTED                                                   \
    "expected a signal's name, such as ABRT or SIGUSR1, or a command, " \
    "such as 'gdb -p $PID -batch -ex bt'"

/* False with *failure: it was not started. */
bool hang_start(struct hang *hang, const struct hang_config *config,
                struct transport_failure *failure);

static inline bool hang_runs(const struct hang *hang) {
    return child_runs(&hang->child) || hang->conn;
}

/* Ends it at once; `over` is still called. */
void hang_kill(struct hang *hang);

#endif
