/*
 * bench-sink --listen PORT | --connect HOST:PORT ...: reads a relay's output and checks all of it.
 * Prints "listening", then "done" with its figures when every worker's last packet has arrived, and
 * "closed" when the relay has closed and no byte came after. Any fault ends it with the reason.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/check.h"
#include "bench/net.h"

#define EVENTS 256
#define READ_BYTES (256u << 10)
/* Subject without a queue group; the PONG to this PING confirms the subscription. */
#define NATS_SUBSCRIBE "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB w.* 1\r\nPING\r\n"

struct connection {
    int fd;
    uint32_t index; /* in the order of accepting */
    size_t have;
    uint8_t *buffer;
};

static struct check check;
static size_t buffer_bytes;
static uint64_t first_ns, last_ns; /* the first and last arrival of bytes */
static bool done;

static void watch(int epoll, int fd, uint32_t index) {
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        die("calloc");
    *connection = (struct connection){.fd = fd, .index = index};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        die("epoll_ctl");
}

static void say_done(void) {
    done = true;
    printf("{\"seconds\": %.6f, \"packets\": %llu, \"bytes\": %llu, \"p50_us\": %.1f, "
           "\"p99_us\": %.1f}\n",
           (double)(last_ns - first_ns) / 1e9, (unsigned long long)check.packets,
           (unsigned long long)check.bytes, (double)check_latency(&check, 0.5) / 1e3,
           (double)check_latency(&check, 0.99) / 1e3);
    fflush(stdout);
}

static void wrong(const char *why) {
    printf("wrong: %s\n", why);
    exit(1);
}

/* Moves the rest, less than one packet, to the front. */
static void consume(struct connection *connection) {
    int64_t took = check_take(&check, connection->buffer, connection->have, connection->index);
    if (took < 0)
        wrong(check.error);
    connection->have -= (size_t)took;
    memmove(connection->buffer, connection->buffer + took, connection->have);
    if (!done && check.ended == check.workers)
        say_done();
}

/* False: the connection has ended. */
static bool receive(struct connection *connection) {
    if (!connection->buffer && !(connection->buffer = malloc(buffer_bytes)))
        die("malloc");
    ssize_t got = recv(connection->fd, connection->buffer + connection->have,
                       buffer_bytes - connection->have, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got < 0)
        die("recv");
    if (got > 0) {
        last_ns = monotonic_ns();
        first_ns = first_ns ? first_ns : last_ns;
        connection->have += (size_t)got;
        consume(connection);
        return true;
    }
    if (connection->have)
        wrong("the stream ends inside a packet");
    close(connection->fd);
    free(connection->buffer);
    free(connection);
    return false;
}

static void run(int epoll, int listener, uint32_t expected) {
    uint32_t came = listener < 0, ended = 0;
    while (ended < expected) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection->fd == listener)
                watch(epoll, accept(listener, NULL, NULL), came++);
            else if (!receive(connection))
                ended++;
        }
    }
    if (check.framing == FRAMING_BYTES)
        say_done();
    if (!done)
        wrong("streams that did not end: a packet is missing");
    puts("closed");
}

static void subscribe(int fd) {
    char line[4096];
    send_all(fd, NATS_SUBSCRIBE, strlen(NATS_SUBSCRIBE));
    for (ssize_t got = 0; got >= 0;) {
        got = recv(fd, line, sizeof line - 1, 0);
        line[got > 0 ? got : 0] = 0;
        if (got <= 0 || strstr(line, "-ERR"))
            wrong("the server refused the subscription");
        if (strstr(line, "PONG"))
            return;
    }
}

static char *parse(int argc, char **argv, enum framing *framing, uint32_t *packet_bytes,
                   uint32_t *workers, const char **prefix, bool *timed) {
    static const struct option options[] = {{"listen", 1, NULL, 'l'},  {"connect", 1, NULL, 'c'},
                                            {"bytes", 1, NULL, 'b'},   {"workers", 1, NULL, 'w'},
                                            {"framing", 1, NULL, 'f'}, {"timed", 0, NULL, 't'},
                                            {"prefix", 1, NULL, 'p'},  {NULL, 0, NULL, 0}};
    char *place = NULL;
    for (int option, known = 0; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'l' || option == 'c')
            place = optarg;
        else if (option == 'b')
            *packet_bytes = (uint32_t)atoi(optarg);
        else if (option == 'w')
            *workers = (uint32_t)atoi(optarg);
        else if (option == 'p')
            *prefix = optarg;
        else if (option == 't')
            *timed = true;
        else if (option == 'f')
            known = framing_parse(optarg);
        else
            known = -1;
        if (known < 0)
            exit(2);
        *framing = (enum framing)known;
    }
    return place;
}

int main(int argc, char **argv) {
    enum framing framing = FRAMING_SUBUNIT;
    uint32_t packet_bytes = 100, workers = 16;
    const char *prefix = "";
    bool timed = false;
    char *place = parse(argc, argv, &framing, &packet_bytes, &workers, &prefix, &timed);
    if (!place || workers == 0) {
        fprintf(stderr, "usage: bench-sink --listen PORT|--connect HOST:PORT [--workers N] "
                        "[--bytes N] [--framing F] [--prefix ROUTE/] [--timed]\n");
        return 2;
    }
    raise_file_limit();
    check_init(&check, framing, packet_bytes, workers, prefix, timed);
    buffer_bytes = READ_BYTES + packet_room(packet_bytes);
    int epoll = epoll_create1(0), listener = -1;
    char *port = strrchr(place, ':');
    if (port) {
        *port++ = 0;
        int fd = connect_to(place, port);
        subscribe(fd);
        watch(epoll, fd, 0);
    } else {
        listener = listen_on(NULL, place);
        watch(epoll, listener, 0);
    }
    puts("listening");
    fflush(stdout);
    run(epoll, listener, framing == FRAMING_STREAM ? workers : 1);
    return 0;
}
