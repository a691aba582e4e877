/*
 * System calls that a seccomp profile may forbid (EPERM, EACCES) or an old kernel not have
 * (ENOSYS), each with the older way that is taken then. Everything else is as the call itself.
 */
#ifndef TRANSPORT_CALL_H
#define TRANSPORT_CALL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/*
 * May this be the error of a call that is not to be had? EPERM and EACCES can be the call's own,
 * too: then the older way has the same.
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

/* Bytes that nobody can guess; false: none are to be had, neither by getrandom() nor by a file. */
bool call_random(void *bytes, size_t len);

#endif
