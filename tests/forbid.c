/*
 * forbid ERROR CALL,CALL... PROGRAM ARG...: runs a program whose system calls of these names fail
 * with an error (ENOSYS: an old kernel; EPERM, EACCES: a container's profile; EOPNOTSUPP: a flag
 * that the kernel does not know).
 */
#include <errno.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    int number;
} errors[] = {{"ENOSYS", ENOSYS}, {"EPERM", EPERM}, {"EACCES", EACCES}, {"EOPNOTSUPP", EOPNOTSUPP}};

static int error_of(const char *name) {
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (strcmp(errors[i].name, name) == 0)
            return errors[i].number;
    fprintf(stderr, "forbid: %s is not a known error\n", name);
    exit(2);
}

static void forbid(scmp_filter_ctx filter, int error, const char *call) {
    int number = seccomp_syscall_resolve_name(call);
    if (number == __NR_SCMP_ERROR ||
        seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint16_t)error), number, 0)) {
        fprintf(stderr, "forbid: %s cannot be forbidden\n", call);
        exit(2);
    }
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: forbid ERROR CALL,CALL... PROGRAM ARG...\n");
        return 2;
    }
    int error = error_of(argv[1]);
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return 1;
    for (char *call = strtok(argv[2], ","); call; call = strtok(NULL, ","))
        forbid(filter, error, call);
    if (seccomp_load(filter)) {
        fprintf(stderr, "forbid: seccomp does not work here\n");
        return 1;
    }
    execvp(argv[3], argv + 3);
    fprintf(stderr, "forbid: %s: %s\n", argv[3], strerror(errno));
    return 1;
}
