/*
 * What every engine of the kernel's sockets needs: listening sockets, connecting sockets, their
 * options, the description of the peer, and the reserve descriptor. TCP and unix. All descriptors
 * are close-on-exec. Nothing blocks.
 */
#ifndef TRANSPORT_SOCKET_H
#define TRANSPORT_SOCKET_H

#include "transport/transport.h"
#include <sys/types.h>

/* A listening socket, and which file it made if it is a unix one. */
struct listening_socket {
    int fd;
    struct transport_address bound; /* with the real port */
    dev_t path_device;              /* unix: the socket's file as bind() made it */
    ino_t path_inode;
};

/*
 * Listens on an address; the socket is non-blocking. SO_REUSEADDR, IPV6_V6ONLY; accepted sockets
 * inherit the TCP options from it, so that accepting costs no further calls. A unix socket's file
 * has its mode and group before any process can connect. An existing socket file that refuses
 * connects is removed first; one that answers, or a file that is no socket, gives EADDRINUSE and is
 * left alone. If several processes start at once, one of them listens. False with *failure:
 * "socket", "bind", "listen", ...
 */
bool socket_listen(const struct transport_address *address, struct listening_socket *listening,
                   struct transport_failure *failure);

/* Closes it; removes its unix path unless another process owns that by now. */
void socket_unlisten(struct listening_socket *listening);

/*
 * A non-blocking socket with all options, for the engine to connect to `address`. -1 with *failure.
 */
int socket_for_connect(const struct transport_address *address, struct transport_failure *failure);

/*
 * Describes the other end of a connected socket with this peer address (from accept() or given to
 * connect()): IPv4-mapped addresses as IPv4, unix sockets by the peer's pid (SO_PEERCRED).
 */
void socket_describe_peer(int fd, const struct transport_address *address,
                          struct transport_peer *peer);

/*
 * The peer of attach()ed descriptors: `name`; when `in` or `out` is a connected TCP socket its
 * address, so that --allow and the like hold for it too.
 */
void socket_describe_attached(int fd, const char *name, struct transport_peer *peer);

/*
 * Bytes sent that the peer's kernel has not acknowledged; 0 for anything but TCP. `finished`: after
 * shutdown(SHUT_WR), whose FIN the kernel counts as a byte.
 */
uint64_t socket_unacknowledged(int fd, bool finished);

/*
 * How much may wait in the kernel, beside what is on its way, before a send takes no more. 0: the
 * kernel's own measure, which is megabytes. Only TCP has it; -1 for `fd` is no socket.
 */
void socket_keep_unsent(int fd, unsigned most_bytes);

/* Bytes received that wait to be read; 0 for anything but sockets and pipes. */
uint64_t socket_unread(int fd);

/*
 * The first descriptor that accepting must not use: the last `kept` below the limit are for other
 * purposes, at most a quarter of it. The kernel gives the lowest free number, so a high one shows
 * that the others are in use.
 */
int socket_accept_limit(unsigned kept);

/*
 * Did accept() fail with this error because descriptors or memory are used up? Then refuse, do not
 * retry.
 */
bool socket_accept_starved(int error);

/*
 * The reserve descriptor. When accept() fails with EMFILE or ENFILE the connection stays in the
 * backlog and the listener stays ready for ever: so the reserve is closed, the connection accepted
 * and closed, and the reserve opened again. -1: it could not be opened (then nothing is refused,
 * and the next call tries again).
 */
struct socket_reserve {
    int fd;
};

bool socket_reserve_open(struct socket_reserve *reserve, struct transport_failure *failure);
void socket_reserve_close(struct socket_reserve *reserve);

/*
 * Accepts one connection of the listener's backlog and closes it; false when that was not possible.
 */
bool socket_refuse(struct socket_reserve *reserve, int listening_fd);

#endif
