#include "transport/call.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Between the call and this one another thread may start a program, which inherits the descriptor.
 */
static bool close_on_exec(int fd) {
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

/* Nobody shares this descriptor yet, so O_NONBLOCK disturbs nobody. */
static bool do_not_block(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

static int closed(int fd) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int call_accept(int listening, struct sockaddr *address, socklen_t *len) {
    socklen_t room = len ? *len : 0;
    int fd = accept4(listening, address, len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0 || !call_is_forbidden(errno))
        return fd;
    if (len)
        *len = room;
    fd = accept(listening, address, len);
    return fd < 0 || (close_on_exec(fd) && do_not_block(fd)) ? fd : closed(fd);
}

/* glibc's pipe() and epoll_create() may call the new system calls, too. */
static int old_pipe(int fds[2]) {
#ifdef SYS_pipe
    return (int)syscall(SYS_pipe, fds);
#else
    return pipe(fds);
#endif
}

static int old_epoll_create(void) {
#ifdef SYS_epoll_create
    return (int)syscall(SYS_epoll_create, 1);
#else
    return epoll_create(1);
#endif
}

int call_pipe(int fds[2]) {
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0)
        return 0;
    if (!call_is_forbidden(errno) || old_pipe(fds) < 0)
        return -1;
    if (close_on_exec(fds[0]) && close_on_exec(fds[1]) && do_not_block(fds[0]) &&
        do_not_block(fds[1]))
        return 0;
    closed(fds[1]);
    return closed(fds[0]);
}

int call_epoll_create(void) {
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd >= 0 || !call_is_forbidden(errno))
        return fd;
    fd = old_epoll_create();
    return fd < 0 || close_on_exec(fd) ? fd : closed(fd);
}

bool call_random(void *bytes, size_t len) {
    ssize_t got = getrandom(bytes, len, 0);
    if (got == (ssize_t)len)
        return true;
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    got = read(fd, bytes, len);
    close(fd);
    return got == (ssize_t)len;
}
