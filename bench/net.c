#include "bench/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 16384
#define CONNECT_TRIES 100
#define CONNECT_PAUSE_US 20000

noreturn void die(const char *what) {
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
    exit(1);
}

static struct addrinfo *lookup(const char *host, const char *port) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    int error = getaddrinfo(host, port, &hints, &found);
    if (!error)
        return found;
    fprintf(stderr, "%s: %s:%s: %s\n", program_invocation_short_name, host, port,
            gai_strerror(error));
    exit(1);
}

int listen_on(const char *host, const char *port) {
    struct addrinfo *address = lookup(host, port);
    int fd = socket(address->ai_family, SOCK_STREAM, 0), one = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        bind(fd, address->ai_addr, address->ai_addrlen) || listen(fd, BACKLOG))
        die(port);
    freeaddrinfo(address);
    return fd;
}

int connect_to(const char *host, const char *port) {
    struct addrinfo *address = lookup(host, port);
    int one = 1;
    for (int tries = 0;; tries++) {
        int fd = socket(address->ai_family, SOCK_STREAM, 0);
        if (fd < 0)
            die("socket");
        if (connect(fd, address->ai_addr, address->ai_addrlen) == 0) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            freeaddrinfo(address);
            return fd;
        }
        close(fd);
        if (tries == CONNECT_TRIES)
            die("connect");
        usleep(CONNECT_PAUSE_US);
    }
}

void send_all(int fd, const void *data, size_t len) {
    for (size_t done = 0; done < len;) {
        ssize_t sent = send(fd, (const char *)data + done, len - done, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            die("send");
        done += sent > 0 ? (size_t)sent : 0;
    }
}

void set_nonblocking(int fd) {
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        die("fcntl");
}

void raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t number_of(const char *text) {
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (end == text || *end) {
        fprintf(stderr, "%s: expected a number\n", text);
        exit(2);
    }
    return value;
}

uint64_t monotonic_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t realtime_ns(void) {
    return clock_ns(CLOCK_REALTIME);
}
