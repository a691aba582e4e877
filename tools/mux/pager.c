#include "tools/mux/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGER "less"

static pid_t pager;

/* Is there such a program? The shell would find out too late. */
static bool is_installed(const char *program) {
    const char *path = getenv("PATH");
    char file[PATH_MAX];
    while (path && *path) {
        size_t len = strcspn(path, ":");
        snprintf(file, sizeof file, "%.*s/%s", (int)len, path, program);
        if (len && access(file, X_OK) == 0)
            return true;
        path += len + (path[len] == ':');
    }
    return false;
}

/* NULL: none is wanted, or there is none. */
static const char *command(void) {
    const char *own = getenv("PAGER");
    if (own)
        return *own && strcmp(own, "cat") != 0 ? own : NULL;
    return is_installed(PAGER) ? PAGER : NULL;
}

/* Its stdin gets to its end when all of stdout is closed. */
static void wait_for_pager(void) {
    fflush(stdout);
    close(STDOUT_FILENO);
    while (waitpid(pager, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* less ends by itself when all fits on the screen, shows colours, and leaves the screen as it is.
 */
static void run(const char *pager_command, int input) {
    dup2(input, STDIN_FILENO);
    setenv("LESS", "FRX", 0);
    execl("/bin/sh", "sh", "-c", pager_command, (char *)NULL);
    _exit(127);
}

void pager_start(void) {
    const char *pager_command = isatty(STDOUT_FILENO) ? command() : NULL;
    int fds[2];
    if (!pager_command || pipe2(fds, O_CLOEXEC) != 0)
        return;
    fflush(stdout);
    pager = fork();
    if (pager == 0)
        run(pager_command, fds[0]);
    if (pager > 0 && dup2(fds[1], STDOUT_FILENO) >= 0)
        atexit(wait_for_pager);
    close(fds[0]);
    close(fds[1]);
}
