/*
 * bench-null PORT UPSTREAM-HOST UPSTREAM-PORT WORKERS: the least work of a relay. epoll, read,
 * send; bytes of all connections into one, without regard for packets. Ends with the last worker.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/net.h"

#define READ_BYTES 65536
#define EVENTS 256

static uint8_t buffer[READ_BYTES];

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        die("epoll_ctl");
}

/* Returns the number of connections that ended: 0 or 1. */
static int relay(int from, int to) {
    ssize_t got = recv(from, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got <= 0) {
        close(from);
        return 1;
    }
    send_all(to, buffer, (size_t)got);
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: bench-null PORT UPSTREAM-HOST UPSTREAM-PORT WORKERS\n");
        return 2;
    }
    raise_file_limit();
    int upstream = connect_to(argv[2], argv[3]), listener = listen_on(NULL, argv[1]);
    int epoll = epoll_create1(0);
    watch(epoll, listener);
    for (int left = atoi(argv[4]); left > 0;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                watch(epoll, accept(listener, NULL, NULL));
            else
                left -= relay(events[i].data.fd, upstream);
        }
    }
    return 0;
}
