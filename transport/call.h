/*
 * System calls that a seccomp profile may forbid (EPERM, EACCES) or an old kernel lacks (ENOSYS),
 * each with the older way that then replaces it. Otherwise they behave like the call itself.
 */
#ifndef TRANSPORT_CALL_H
#define TRANSPORT_CALL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/*
 * Can this be the error of a call that is forbidden or missing? EPERM and EACCES can also be the
 * call's own result: then the older way fails with the same.
 */
static inline bool call_is_forbidden(int error) {
    return error == ENOSYS || error == EPERM || error == EACCES;
}

/* accept4(SOCK_CLOEXEC | SOCK_NONBLOCK). */
int call_accept(int listening, struct sockaddr *address, socklen_t *len);

/* pipe2(O_CLOEXEC | O_NONBLOCK). */
int call_pipe(int fds[2]);

/* epoll_create1(EPOLL_CLOEXEC). */
int call_epoll_create(void);

/* Unpredictable bytes; false: neither getrandom() nor /dev/urandom gave any. */
bool call_random(void *bytes, size_t len);

#endif
