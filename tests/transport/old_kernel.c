/*
 * old_kernel PROGRAM ARG...: runs a program as if the kernel were older than what the epoll engine
 * takes where it can: no epoll_pwait2() (5.11), no RWF_NOWAIT on pipes (6.4).
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int lacks(scmp_filter_ctx filter, int syscall, int error) {
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint16_t)error), syscall, 0);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: old_kernel PROGRAM ARG...\n");
        return 2;
    }
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter || lacks(filter, SCMP_SYS(epoll_pwait2), ENOSYS) ||
        lacks(filter, SCMP_SYS(preadv2), EOPNOTSUPP) ||
        lacks(filter, SCMP_SYS(pwritev2), EOPNOTSUPP) || seccomp_load(filter)) {
        fprintf(stderr, "old_kernel: seccomp does not work here\n");
        return 1;
    }
    execvp(argv[1], argv + 1);
    fprintf(stderr, "old_kernel: %s: %s\n", argv[1], strerror(errno));
    return 1;
}
