#include "transport/socket.h"
#include "transport/call.h"
#include "transport/descriptor.h"
#include "transport/endpoint.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Many workers may connect at once: the backlog must not be full. The kernel limits it to
 * somaxconn.
 */
#define LISTEN_BACKLOG 4096

/*
 * A silent connection is probed after a minute (NATs and firewalls forget idle ones after five or
 * more), and is lost a minute later when the host does not answer. TCP_USER_TIMEOUT is not set: it
 * would replace these times, and would also apply to a peer that answers but keeps its window shut.
 * So a host that vanishes with bytes in flight is noticed by their retransmissions (tcp_retries2, a
 * quarter of an hour), and back-pressure may last without limit.
 */
#define KEEPALIVE_IDLE_SEC 60
#define KEEPALIVE_INTERVAL_SEC 20
#define KEEPALIVE_PROBES 3

static bool is_tcp_family(int family) {
    return family == AF_INET || family == AF_INET6;
}

static bool set_option(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/* Urgent data are ordinary bytes here: without OOBINLINE one byte would vanish from the stream. */
static bool set_tcp_options(int fd) {
    return set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1) &&
           set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) &&
           set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
           set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_SEC) &&
           set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SEC) &&
           set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}

/* A non-blocking stream socket with its options; -1 with *failure. */
static int make_socket(int family, struct transport_failure *failure) {
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        transport_failed(failure, "socket");
        return -1;
    }
    if (is_tcp_family(family) && !set_tcp_options(fd)) {
        transport_failed(failure, "setsockopt");
        close(fd);
        return -1;
    }
    return fd;
}

int socket_for_connect(const struct transport_address *address, struct transport_failure *failure) {
    return make_socket(address->any.sa_family, failure);
}

/* Removes the file at `path` if it is still the one described by `was`. */
static bool remove_if_same(const char *path, dev_t device, ino_t inode) {
    struct stat now;
    return lstat(path, &now) == 0 && now.st_dev == device && now.st_ino == inode &&
           unlink(path) == 0;
}

/* Is the process running? Not if it has ended and has not been waited for. */
static bool is_running(pid_t pid) {
    char path[32], text[512] = "";
    if (kill(pid, 0) != 0 && errno == ESRCH)
        return false;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *stream = fopen(path, "re");
    if (!stream)
        return true;
    size_t len = fread(text, 1, sizeof text - 1, stream);
    fclose(stream);
    text[len] = '\0';
    const char *state = strrchr(text, ')'); /* after the name, which may contain anything */
    return !state || state[1] == '\0' || (state[2] != 'Z' && state[2] != 'X');
}

/*
 * The process at the other end of a connected unix socket, if it is running; 0: none, or unknown.
 */
static pid_t running_peer(int fd) {
    struct ucred cred;
    socklen_t len = sizeof cred;
    bool known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.pid > 0;
    return known && is_running(cred.pid) ? cred.pid : 0;
}

/*
 * Is no process listening on this unix socket's file? Only a refused connect shows that. Else
 * *holder.
 */
static bool is_stale(const struct transport_address *address, struct stat *st, pid_t *holder) {
    *holder = 0;
    if (lstat(address->un.sun_path, st) != 0 || !S_ISSOCK(st->st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool connected = connect(fd, &address->any, address->len) == 0;
    bool refused = !connected && errno == ECONNREFUSED;
    if (connected)
        *holder = running_peer(fd);
    close(fd);
    return refused;
}

/*
 * The directory is locked from the check for a stale socket until we listen: of several processes
 * that start at once, each would otherwise remove the others' new socket as stale. Nothing is left
 * behind, and the kernel unlocks when a process dies. -1 where locking is impossible (no right to
 * read the directory, some network file systems): then only that race remains. False: another
 * process holds the lock for a moment.
 */
static bool lock_directory(const char *path, int *lock, struct transport_failure *failure) {
    char directory[sizeof(struct sockaddr_un)] = ".";
    const char *slash = strrchr(path, '/');
    if (slash)
        snprintf(directory, sizeof directory, "%.*s", slash == path ? 1 : (int)(slash - path),
                 path);
    *lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock < 0 || flock(*lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return true;
    *failure = (struct transport_failure){EADDRINUSE, "locking its directory", 0};
    close(*lock);
    return false;
}

/* The umask gives the file its mode. io_uring's threads share the umask; they make no files. */
static bool bind_path(int fd, const struct transport_address *address) {
    mode_t before = 0;
    if (address->mode_given)
        before = umask(~address->mode & 0777);
    bool bound = bind(fd, &address->any, address->len) == 0;
    int error = errno;
    if (address->mode_given)
        umask(before);
    errno = error;
    return bound;
}

/* Removes an existing file if it is a stale socket. */
static bool replace(int fd, const struct transport_address *address,
                    struct transport_failure *failure) {
    struct stat st;
    pid_t holder;
    if (!is_stale(address, &st, &holder)) {
        *failure = (struct transport_failure){EADDRINUSE, "bind", holder};
        return false;
    }
    if (!remove_if_same(address->un.sun_path, st.st_dev, st.st_ino)) {
        transport_failed(failure, "removing a stale socket");
        return false;
    }
    if (bind_path(fd, address))
        return true;
    transport_failed(failure, "bind");
    return false;
}

/* Notes which file bind() made, and sets its group. Connecting is not possible yet. */
static bool finish_path(const struct transport_address *address, struct listening_socket *listening,
                        struct transport_failure *failure) {
    struct stat st;
    int fd = open(address->un.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        transport_failed(failure, "stat");
        if (fd >= 0)
            close(fd);
        return false;
    }
    listening->path_device = st.st_dev;
    listening->path_inode = st.st_ino;
    bool done =
        !address->group_given ||
        (S_ISSOCK(st.st_mode) && fchownat(fd, "", (uid_t)-1, address->group, AT_EMPTY_PATH) == 0);
    if (!done)
        transport_failed(failure, "giving it to its group");
    close(fd);
    return done;
}

static bool bind_unix(int fd, const struct transport_address *address,
                      struct listening_socket *listening, struct transport_failure *failure) {
    bool bound = bind_path(fd, address);
    if (!bound && errno != EADDRINUSE) {
        transport_failed(failure, "bind");
        return false;
    }
    return (bound || replace(fd, address, failure)) && finish_path(address, listening, failure);
}

static bool bind_tcp(int fd, const struct transport_address *address,
                     struct transport_failure *failure) {
    bool bound =
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
        (address->any.sa_family != AF_INET6 || set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) &&
        bind(fd, &address->any, address->len) == 0;
    if (!bound)
        transport_failed(failure, "bind");
    return bound;
}

static bool listens(struct listening_socket *listening, struct transport_failure *failure) {
    listening->bound.len = sizeof listening->bound.storage;
    if (listen(listening->fd, LISTEN_BACKLOG) == 0 &&
        getsockname(listening->fd, &listening->bound.any, &listening->bound.len) == 0)
        return true;
    transport_failed(failure, "listen");
    return false;
}

static bool listen_unix(const struct transport_address *address, struct listening_socket *listening,
                        struct transport_failure *failure) {
    int lock;
    if (!lock_directory(address->un.sun_path, &lock, failure))
        return false;
    bool done =
        bind_unix(listening->fd, address, listening, failure) && listens(listening, failure);
    if (!done && listening->path_inode)
        remove_if_same(address->un.sun_path, listening->path_device, listening->path_inode);
    if (lock >= 0)
        close(lock);
    return done;
}

bool socket_listen(const struct transport_address *address, struct listening_socket *listening,
                   struct transport_failure *failure) {
    *listening = (struct listening_socket){.fd = make_socket(address->any.sa_family, failure),
                                           .bound = *address};
    if (listening->fd < 0)
        return false;
    bool done = address->any.sa_family == AF_UNIX
                    ? listen_unix(address, listening, failure)
                    : bind_tcp(listening->fd, address, failure) && listens(listening, failure);
    if (!done) {
        close(listening->fd);
        listening->fd = -1;
    }
    return done;
}

/*
 * The path is removed first: it is ours as long as the socket answers, and while the socket exists
 * no new file can have its inode. Then the socket is shut down, because a request of io_uring may
 * keep it open for a while and no new connection may get in.
 */
void socket_unlisten(struct listening_socket *listening) {
    if (listening->bound.any.sa_family == AF_UNIX)
        remove_if_same(listening->bound.un.sun_path, listening->path_device, listening->path_inode);
    shutdown(listening->fd, SHUT_RDWR);
    close(listening->fd);
    listening->fd = -1;
}

/* An IPv4 peer of an IPv6 socket is an IPv4 peer. */
static struct transport_address unmapped(const struct transport_address *address) {
    if (address->any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr))
        return *address;
    struct transport_address plain = {.len = sizeof plain.in4};
    plain.in4.sin_family = AF_INET;
    plain.in4.sin_port = address->in6.sin6_port;
    memcpy(&plain.in4.sin_addr, &address->in6.sin6_addr.s6_addr[12], sizeof plain.in4.sin_addr);
    return plain;
}

static void describe_unix_peer(int fd, struct transport_peer *peer) {
    struct ucred cred;
    socklen_t len = sizeof cred;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.pid > 0)
        snprintf(peer->text, sizeof peer->text, "unix:pid %ld", (long)cred.pid);
    else
        snprintf(peer->text, sizeof peer->text, "unix:pid unknown");
}

void socket_describe_peer(int fd, const struct transport_address *address,
                          struct transport_peer *peer) {
    *peer = (struct transport_peer){0};
    struct transport_address plain = unmapped(address);
    memcpy(&peer->address, &plain.storage, sizeof peer->address);
    if (plain.any.sa_family == AF_UNIX) {
        describe_unix_peer(fd, peer);
        return;
    }
    address_text(&plain, peer->text, sizeof peer->text);
    if (getnameinfo(&plain.any, plain.len, peer->host, sizeof peer->host, NULL, 0,
                    NI_NUMERICHOST) != 0)
        peer->host[0] = '\0';
}

void socket_describe_attached(int fd, const char *name, struct transport_peer *peer) {
    struct transport_address address = {.len = sizeof address.storage};
    bool connected = fd >= 0 && getpeername(fd, &address.any, &address.len) == 0;
    *peer = (struct transport_peer){0};
    if (connected && is_tcp_family(address.any.sa_family))
        socket_describe_peer(fd, &address, peer);
    snprintf(peer->text, sizeof peer->text, "%s", name);
}

uint64_t socket_unacknowledged(int fd, bool finished) {
    int bytes = 0, protocol = 0;
    socklen_t len = sizeof protocol;
    if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) != 0 || protocol != IPPROTO_TCP)
        return 0;
    if (ioctl(fd, SIOCOUTQ, &bytes) != 0 || bytes <= 0)
        return 0;
    return (uint64_t)bytes - (finished ? 1 : 0);
}

void socket_keep_unsent(int fd, unsigned most_bytes) {
    if (fd >= 0)
        set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)most_bytes);
}

uint64_t socket_unread(int fd) {
    int bytes = 0;
    return ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0 ? (uint64_t)bytes : 0;
}

int socket_accept_limit(unsigned kept) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT_MAX)
        return INT_MAX;
    rlim_t quarter = limit.rlim_cur / 4;
    return (int)(limit.rlim_cur - (kept < quarter ? kept : quarter));
}

bool socket_accept_starved(int error) {
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

bool socket_reserve_open(struct socket_reserve *reserve, struct transport_failure *failure) {
    reserve->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (reserve->fd < 0)
        transport_failed(failure, "open /dev/null");
    return reserve->fd >= 0;
}

void socket_reserve_close(struct socket_reserve *reserve) {
    if (reserve->fd >= 0)
        close(reserve->fd);
    reserve->fd = -1;
}

bool socket_refuse(struct socket_reserve *reserve, int listening_fd) {
    struct transport_failure failure;
    socket_reserve_close(reserve);
    int fd = call_accept(listening_fd, NULL, NULL);
    if (fd >= 0)
        close(fd);
    socket_reserve_open(reserve, &failure);
    return fd >= 0;
}
