#include "tools/mux/run_attach.h"
#include "tools/mux/mux.h"

#include <signal.h>
#include <unistd.h>

bool run_attach_can(void) {
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
}

/* Which process group may read the terminal. Who gives it away may be in the background. */
static void give_terminal(pid_t group) {
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTTOU);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    tcsetpgrp(STDIN_FILENO, group);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void ended(struct child *child, const struct child_end *end, uint64_t now_ns) {
    struct run_attach *attach = LOOP_OWNER(child, struct run_attach, child);
    (void)end;
    give_terminal(getpgrp());
    attach->ended(attach->user, now_ns);
}

/* It was faster than we, and touched the terminal before it had it. */
static void stopped(struct child *child) {
    give_terminal(child->pid);
    child_signal(child, SIGCONT);
}

bool run_attach_begin(struct run_attach *attach, const char *control, const char *route,
                      struct transport_failure *failure) {
    char program[PROGRAM_PATH_BYTES];
    const char *arguments[] = {program, "attach", control, route, NULL};
    const struct child_config config = {
        .arguments = arguments,
        .descriptors = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO},
        .death_signal = SIGTERM, /* the terminal gets its modes back */
        .ended = ended,
        .stopped = stopped,
    };
    program_path_of_mux(program);
    if (!child_start(attach->children, &attach->child, &config, failure))
        return false;
    give_terminal(attach->child.pid);
    return true;
}

void run_attach_end(const struct run_attach *attach) {
    child_signal(&attach->child, SIGTERM);
}
