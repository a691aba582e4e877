/*
 * Child processes on a loop: each in a process group of its own, with the three descriptors that it
 * is given and nothing else; killed when we are. How one ended and what it used is one call of its
 * owner, from loop_step(). SIGCHLD tells (signals.h); it works in every engine and needs no call
 * that a sandbox may forbid.
 *
 * Starting one blocks until it has called exec() or failed to. Its peak memory counts from that of
 * the process which starts it, so a program that reports memory starts children from a small
 * process.
 */
#ifndef TOOLS_BASE_CHILDREN_H
#define TOOLS_BASE_CHILDREN_H

#include "mux/list.h"
#include "tools/base/signals.h"
#include <sys/resource.h>
#include <sys/types.h>

/* One a process: SIGCHLD is the process's. */
struct children {
    struct mux_list running;
};

/* How a child ended. */
struct child_end {
    bool exited;         /* by itself, with `status`; else `signal` ended it */
    int status;          /* 0 to 255 */
    int signal;          /* SIGSEGV, ... */
    bool core;           /* a core was dumped */
    struct rusage usage; /* its own and that of the children which it has waited for */
};

/* Lies in its owner, until it has ended. */
struct child {
    struct mux_list in_running;
    pid_t pid; /* of the process and of its group; 0: it does not run */
    bool kill_group;
    void (*ended)(struct child *child, const struct child_end *end, uint64_t now_ns);
    void (*stopped)(struct child *child);
};

struct child_config {
    const char *const *arguments;   /* [0] is looked up in PATH; NULL at the end */
    const char *const *environment; /* NULL: ours */
    const char *directory;          /* NULL: ours */
    int cgroup;                     /* the folder of the cgroup (v2) that it begins in; 0: ours */
    int descriptors[3]; /* its stdin, stdout, stderr: any of ours; they stay open here */
    /*
     * Not NULL: these are this terminal instead, opened by its path. It is the controlling terminal
     * of the child, which has a session of its own.
     */
    const char *terminal;
    /*
     * When the process has ended, what is left of its group is killed before the group's number can
     * be another's.
     */
    bool kill_group;
    int death_signal; /* that it gets when we die; 0: KILL */
    int held_signal;  /* blocked in it, which takes it when it can; 0: none */
    /* Called once. The child may be started again here, or freed. */
    void (*ended)(struct child *child, const struct child_end *end, uint64_t now_ns);
    /* NULL, or a signal has stopped it (SIGSTOP and the like). It has not ended. */
    void (*stopped)(struct child *child);
};

/* Catches SIGCHLD. */
void children_open(struct children *children, struct signals *signals);

/*
 * False with *failure ("exec": the command cannot be run; "chdir": its directory cannot be
 * entered; "fork" and the like): nothing was started.
 */
bool child_start(struct children *children, struct child *child, const struct child_config *config,
                 struct transport_failure *failure);

/* Sends a signal to all of its group. One that has ended is left alone. */
void child_signal(const struct child *child, int number);

/* To the process alone, with a value (sigqueue, signals_value()). */
void child_signal_value(const struct child *child, int number, int value);

static inline bool child_runs(const struct child *child) {
    return child->pid != 0;
}

#endif
