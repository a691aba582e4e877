#include "tools/base/children.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STANDARD_DESCRIPTORS 3

/* Sanitizers keep books, of signal handlers for one, which a child must not change in our memory.
 */
#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||       \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define IS_SANITIZED 1
#else
#define IS_SANITIZED 0
#endif

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

/* Since it was asked last. */
static bool was_stopped(const struct child *child) {
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)child->pid, &info, WSTOPPED | WNOHANG) == 0 &&
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
static void children_changed(void *user, int number, uint64_t now_ns) {
    struct children *children = user;
    struct mux_list ended;
    (void)number;
    mux_list_init(&ended);
    for (struct mux_list *at = children->running.next, *next; at != &children->running; at = next) {
        struct child *child = MUX_LIST_ITEM(at, struct child, in_running);
        next = at->next;
        if (has_ended(child))
            mux_list_append(&ended, at);
        else if (child->stopped && was_stopped(child))
            child->stopped(child);
    }
    while (!mux_list_empty(&ended))
        reap(MUX_LIST_ITEM(ended.next, struct child, in_running), now_ns);
}

void children_open(struct children *children, struct signals *signals) {
    mux_list_init(&children->running);
    signals_catch(signals, SIGCHLD, children_changed, children);
}

/*
 * ---- in the child, which has our memory or a copy of it: only calls that take no lock and change
 * nothing of ours ----
 */

/* Beyond the standard ones first, so that no dup2() hits one that is still needed. */
static bool take_descriptors(const int from[STANDARD_DESCRIPTORS]) {
    int fds[STANDARD_DESCRIPTORS];
    for (int i = 0; i < STANDARD_DESCRIPTORS; i++) {
        fds[i] = fcntl(from[i], F_DUPFD, STANDARD_DESCRIPTORS);
        if (fds[i] < 0)
            return false;
    }
    for (int i = 0; i < STANDARD_DESCRIPTORS; i++)
        if (dup2(fds[i], i) < 0)
            return false;
    return true;
}

/* The first terminal that the leader of a new session opens becomes its controlling one. */
static bool take_terminal(const char *path) {
    int fd = open(path, O_RDWR);
    return fd >= 0 && take_descriptors((const int[]){fd, fd, fd});
}

/* No signal blocked or ignored, as from a shell, but the one that is held back for it. */
static void take_signals(const struct child_config *config) {
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t held;
    for (int number = 1; number < SIGNALS_MAX; number++)
        sigaction(number, &usual, NULL); /* fails for those that cannot be caught */
    sigemptyset(&held);
    if (config->held_signal)
        sigaddset(&held, config->held_signal);
    sigprocmask(SIG_SETMASK, &held, NULL);
}

/* A group of its own, or a session. It does not outlive us for long. */
static bool stand_apart(const struct child_config *config, pid_t parent) {
    bool apart = config->terminal ? setsid() >= 0 : setpgid(0, 0) == 0;
    int number = config->death_signal ? config->death_signal : SIGKILL;
    return apart && prctl(PR_SET_PDEATHSIG, number) == 0 && getppid() == parent;
}

/* The step in which it fails goes to the parent, with errno. */
enum step { STEP_PROCESS, STEP_DESCRIPTORS, STEP_CHDIR, STEP_EXEC };

static const char *const step_names[] = {
    [STEP_PROCESS] = "setpgid",
    [STEP_DESCRIPTORS] = "dup",
    [STEP_CHDIR] = "chdir",
    [STEP_EXEC] = "exec",
};

struct step_failure {
    enum step step;
    int error;
};

struct becoming {
    const struct child_config *config;
    pid_t parent;
    int report; /* where a failure goes */
};

static enum step become(const struct child_config *config, pid_t parent, int report) {
    take_signals(config);
    if (!stand_apart(config, parent))
        return STEP_PROCESS;
    if (!(config->terminal ? take_terminal(config->terminal)
                           : take_descriptors(config->descriptors)))
        return STEP_DESCRIPTORS;
    close_range(STANDARD_DESCRIPTORS, (unsigned)report - 1, 0);
    close_range((unsigned)report + 1, ~0U, 0);
    if (config->directory && chdir(config->directory) < 0)
        return STEP_CHDIR;
    execvpe(config->arguments[0], (char *const *)config->arguments,
            config->environment ? (char *const *)config->environment : environ);
    return STEP_EXEC;
}

static _Noreturn void run_child(const struct becoming *becoming) {
    enum step step = become(becoming->config, becoming->parent, becoming->report);
    const struct step_failure failure = {step, errno};
    ssize_t ignored = write(becoming->report, &failure, sizeof failure);
    (void)ignored;
    _exit(127);
}

/*
 * ---- in ours ----
 */

/* Right into a cgroup if there is one: to move a process there later takes milliseconds. */
static struct clone_args clone_arguments(const struct becoming *becoming) {
    struct clone_args arguments = {.exit_signal = SIGCHLD};
    int cgroup = becoming->config->cgroup;
    if (cgroup) {
        arguments.flags = CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)cgroup;
    }
    return arguments;
}

static pid_t clone_copied(struct becoming *becoming) {
    struct clone_args arguments = clone_arguments(becoming);
    pid_t pid = becoming->config->cgroup ? (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments)
                                         : fork();
    if (pid == 0)
        run_child(becoming);
    return pid;
}

#if defined(__x86_64__) && !IS_SANITIZED

/* Below the stack pointer a function may keep something without moving it. */
#define RED_ZONE_BYTES 128

/*
 * Until it has called exec() the child runs in our memory and on our stack, below what is ours of
 * it, and we stand still, as with vfork(): a copy of our page tables, and a stack of its own, would
 * take longer than all else here.
 */
static pid_t clone_shared(struct becoming *becoming) {
    struct clone_args arguments = clone_arguments(becoming);
    long result = SYS_clone3;
    arguments.flags |= CLONE_VM | CLONE_VFORK;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "sub %[red_zone], %%rsp\n\t"
                     "and $-16, %%rsp\n\t"
                     "mov %[becoming], %%rdi\n\t"
                     "call *%[run]\n\t"
                     "ud2\n"
                     "1:"
                     : "+a"(result)
                     : "D"(&arguments), "S"(sizeof arguments), [run] "r"(run_child),
                       [becoming] "r"(becoming), [red_zone] "i"(RED_ZONE_BYTES)
                     : "rcx", "r11", "memory", "cc");
    errno = result < 0 ? (int)-result : 0;
    return result < 0 ? -1 : (pid_t)result;
}

/* A sandbox may know no clone3(). */
static pid_t clone_child(struct becoming *becoming) {
    pid_t pid = clone_shared(becoming);
    return pid < 0 && (errno == ENOSYS || errno == EPERM) ? clone_copied(becoming) : pid;
}

#else

static pid_t clone_child(struct becoming *becoming) {
    return clone_copied(becoming);
}

#endif

/* No handler of ours may run in the child: it would write to the pipe that we share. */
static pid_t clone_quietly(const struct child_config *config, int report) {
    struct becoming becoming = {config, getpid(), report};
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pid_t pid = clone_child(&becoming);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return pid;
}

/* Until it has called exec(), or says why not. */
static bool await_exec(int report, pid_t pid, struct transport_failure *failure) {
    struct step_failure told;
    ssize_t len;
    while ((len = read(report, &told, sizeof told)) < 0 && errno == EINTR)
        ;
    if (len != sizeof told)
        return true;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    *failure = (struct transport_failure){.error = told.error, .operation = step_names[told.step]};
    return false;
}

bool child_start(struct children *children, struct child *child, const struct child_config *config,
                 struct transport_failure *failure) {
    int report[2];
    *child = (struct child){
        .kill_group = config->kill_group, .ended = config->ended, .stopped = config->stopped};
    mux_list_init(&child->in_running);
    if (pipe2(report, O_CLOEXEC) < 0) {
        *failure = (struct transport_failure){.error = errno, .operation = "pipe"};
        return false;
    }
    pid_t pid = clone_quietly(config, report[1]);
    if (pid < 0)
        *failure = (struct transport_failure){.error = errno, .operation = "fork"};
    close(report[1]);
    bool started = pid > 0 && await_exec(report[0], pid, failure);
    close(report[0]);
    if (!started)
        return false;
    child->pid = pid;
    mux_list_append(&children->running, &child->in_running);
    return true;
}

void child_signal(const struct child *child, int number) {
    if (child_runs(child))
        kill(-child->pid, number);
}

void child_signal_value(const struct child *child, int number, int value) {
    if (child_runs(child))
        sigqueue(child->pid, number, (union sigval){.sival_int = value});
}
