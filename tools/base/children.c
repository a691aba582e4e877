#include "tools/base/children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define STANDARD_DESCRIPTORS 3

static struct child_end end_of(int status, const struct rusage *usage) {
    struct child_end end = {.exited = WIFEXITED(status), .usage = *usage};
    if (end.exited)
        end.status = WEXITSTATUS(status);
    else
        end.signal = WTERMSIG(status);
    end.core = WIFSIGNALED(status) && WCOREDUMP(status);
    return end;
}

/* Has it ended? It stays a zombie, so that its number and its group's are not given to another. */
static bool has_ended(const struct child *child) {
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == child->pid;
}

static void reap(struct child *child, uint64_t now_ns) {
    struct rusage usage;
    int status;
    if (child->kill_group)
        kill(-child->pid, SIGKILL);
    while (wait4(child->pid, &status, 0, &usage) < 0 && errno == EINTR)
        ;
    const struct child_end end = end_of(status, &usage);
    mux_list_remove(&child->in_running);
    child->pid = 0;
    child->ended(child, &end, now_ns);
}

/* One signal may stand for several children. */
static void child_ended(void *user, int number, uint64_t now_ns) {
    struct children *children = user;
    struct mux_list ended;
    (void)number;
    mux_list_init(&ended);
    for (struct mux_list *at = children->running.next, *next; at != &children->running; at = next) {
        next = at->next;
        if (has_ended(MUX_LIST_ITEM(at, struct child, in_running)))
            mux_list_append(&ended, at);
    }
    while (!mux_list_empty(&ended))
        reap(MUX_LIST_ITEM(ended.next, struct child, in_running), now_ns);
}

void children_open(struct children *children, struct signals *signals) {
    mux_list_init(&children->running);
    signals_catch(signals, SIGCHLD, child_ended, children);
}

/* Copies beyond the standard ones, so that no dup2() hits one that is still needed. */
static bool lift(const int from[STANDARD_DESCRIPTORS], int to[STANDARD_DESCRIPTORS]) {
    for (int i = 0; i < STANDARD_DESCRIPTORS; i++)
        to[i] = -1;
    for (int i = 0; i < STANDARD_DESCRIPTORS; i++) {
        to[i] = fcntl(from[i], F_DUPFD_CLOEXEC, STANDARD_DESCRIPTORS);
        if (to[i] < 0)
            return false;
    }
    return true;
}

static void drop(const int fds[STANDARD_DESCRIPTORS]) {
    for (int i = 0; i < STANDARD_DESCRIPTORS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static int arrange_descriptors(posix_spawn_file_actions_t *actions, const char *directory,
                               const int fds[STANDARD_DESCRIPTORS]) {
    int error = directory ? posix_spawn_file_actions_addchdir_np(actions, directory) : 0;
    for (int i = 0; i < STANDARD_DESCRIPTORS && !error; i++)
        error = posix_spawn_file_actions_adddup2(actions, fds[i], i);
    return error ? error : posix_spawn_file_actions_addclosefrom_np(actions, STANDARD_DESCRIPTORS);
}

/* A group of its own; no signal blocked or ignored, as from a shell. */
static int arrange_process(posix_spawnattr_t *attributes) {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int error = posix_spawnattr_setpgroup(attributes, 0);
    error = error ? error : posix_spawnattr_setsigmask(attributes, &none);
    error = error ? error : posix_spawnattr_setsigdefault(attributes, &all);
    return error ? error
                 : posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP |
                                                            POSIX_SPAWN_SETSIGMASK |
                                                            POSIX_SPAWN_SETSIGDEF);
}

static int spawn(const struct child_config *config, const int fds[STANDARD_DESCRIPTORS],
                 pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (!error) {
        error = arrange_descriptors(&actions, config->directory, fds);
        error = error ? error : arrange_process(&attributes);
        error = error ? error
                      : posix_spawnp(pid, config->arguments[0], &actions, &attributes,
                                     (char *const *)config->arguments,
                                     config->environment ? (char *const *)config->environment
                                                         : environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

bool child_start(struct children *children, struct child *child, const struct child_config *config,
                 struct transport_failure *failure) {
    int fds[STANDARD_DESCRIPTORS];
    *child = (struct child){.kill_group = config->kill_group, .ended = config->ended};
    mux_list_init(&child->in_running);
    if (!lift(config->descriptors, fds)) {
        *failure = (struct transport_failure){.error = errno, .operation = "dup"};
        drop(fds);
        return false;
    }
    int error = spawn(config, fds, &child->pid);
    drop(fds);
    if (error) {
        child->pid = 0;
        *failure = (struct transport_failure){.error = error, .operation = "exec"};
        return false;
    }
    mux_list_append(&children->running, &child->in_running);
    return true;
}

void child_signal(const struct child *child, int number) {
    if (child_runs(child))
        kill(-child->pid, number);
}
