#include "tools/mux/run_detach.h"

#include "tools/base/output.h"
#include "tools/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Exit status when no process can be made: EX_TEMPFAIL. */
#define EXIT_CANNOT 75

/* What is printed when it has started: names of it, commands to come back. */
#define TEXT_BYTES 16384

static volatile sig_atomic_t child;

static const int forwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

/* Those that came before the process was there wait for it. */
static void forward(int number) {
    kill((pid_t)child, number);
}

static void mask(int how) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++)
        sigaddset(&set, forwarded[i]);
    sigprocmask(how, &set, NULL);
}

static void forward_signals(void) {
    const struct sigaction action = {.sa_handler = forward, .sa_flags = SA_RESTART};
    for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++)
        sigaction(forwarded[i], &action, NULL);
    mask(SIG_UNBLOCK);
}

static void replace(int fd) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, fd);
        close(null);
    }
}

/* Until it has started (text), or the pipe is closed because it has ended. */
static int wait_for_start(int in) {
    char text[TEXT_BYTES];
    size_t len = 0;
    ssize_t got;
    int status = 0;
    while (len < sizeof text &&
           ((got = read(in, text + len, sizeof text - len)) > 0 || (got < 0 && errno == EINTR)))
        len += got > 0 ? (size_t)got : 0;
    close(in);
    if (len) {
        fwrite(text, 1, len, stdout);
        return 0;
    }
    while (waitpid((pid_t)child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int failed(const char *operation) {
    text_complain("mux run: --detach: %s: %s", operation, strerror(errno));
    return EXIT_CANNOT;
}

bool run_detach_begin(struct run_detach *detach, int *status) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        *status = failed("pipe2");
        return false;
    }
    fflush(NULL);
    mask(SIG_BLOCK);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        mask(SIG_UNBLOCK);
        close(ends[0]);
        detach->pipe = ends[1];
        replace(STDIN_FILENO);
        replace(STDOUT_FILENO);
        return true;
    }
    close(ends[1]);
    child = pid;
    if (pid > 0)
        forward_signals();
    *status = pid < 0 ? failed("fork") : wait_for_start(ends[0]);
    return false;
}

void run_detach_started(struct run_detach *detach, const char *text) {
    output_write(detach->pipe, text, strlen(text));
    close(detach->pipe);
    replace(STDERR_FILENO);
}
