#include "tools/agent/orphans.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

bool orphans_adopt(void) {
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
}

/* The children that the kernel lists now. */
static void kill_listed(void) {
    char path[64];
    int pid;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    FILE *list = fopen(path, "re");
    while (list && fscanf(list, "%d", &pid) == 1)
        kill(pid, SIGKILL);
    if (list)
        fclose(list);
}

/* One that ends hands its own children on to us: they are in the next list. */
void orphans_kill(void) {
    pid_t ended;
    do {
        kill_listed();
        ended = waitpid(-1, NULL, 0);
    } while (ended > 0 || errno == EINTR);
}
