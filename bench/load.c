/*
 * bench-load --connect HOST:PORT ...: W workers' streams from one process. Packets are prebuilt in
 * memory, so that the load costs little more than its sends. Prints "connected", waits for a line
 * on stdin, sends, prints what it sent, and ends at the end of stdin.
 */
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/net.h"
#include "bench/packet.h"

#define EVENTS 512
#define LAST_BYTES 256
#define PACE_NS 50000 /* paced packets are sent in turns this far apart */
#define NATS_CONNECT "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n"

struct cycle {
    uint8_t *data;
    size_t *offset; /* of packet i, for one write more than the cycle */
};

struct worker {
    int fd;
    bool blocked, ended;
    uint32_t next; /* place in the cycle */
    uint64_t sent;
    const uint8_t *data; /* being sent */
    size_t left;
    const struct cycle *cycle;
    uint8_t *stamped; /* paced: the packet with its time */
    uint8_t last[LAST_BYTES];
};

static struct {
    char *host, *port;
    uint32_t workers, packet_bytes, write_packets, rate;
    uint64_t most_packets;
    double seconds;
    enum framing framing;
    bool stop;
    uint32_t cycle;
    uint64_t bytes;
} load = {.workers = 16, .packet_bytes = 100, .write_packets = 1, .seconds = 1};

static void *room(size_t bytes) {
    void *memory = malloc(bytes);
    if (!memory)
        die("malloc");
    return memory;
}

static struct cycle *cycle_build(uint32_t worker) {
    struct cycle *cycle = room(sizeof *cycle);
    uint32_t count = load.cycle + load.write_packets;
    cycle->data = room(count * packet_room(load.packet_bytes));
    cycle->offset = room((count + 1) * sizeof *cycle->offset);
    cycle->offset[0] = 0;
    for (uint32_t i = 0; i < count; i++)
        cycle->offset[i + 1] =
            cycle->offset[i] + packet_build(cycle->data + cycle->offset[i], load.framing,
                                            load.packet_bytes, worker, i % load.cycle, 0);
    return cycle;
}

static struct worker *connect_workers(void) {
    bool wrapped = load.framing == FRAMING_NATS || load.framing == FRAMING_SYSLOG;
    struct cycle *cycle = wrapped ? NULL : cycle_build(0);
    struct worker *workers = room(load.workers * sizeof *workers);
    for (uint32_t i = 0; i < load.workers; i++) {
        struct worker *worker = &workers[i];
        *worker = (struct worker){.fd = connect_to(load.host, load.port), .next = 2 * i};
        worker->cycle = wrapped ? cycle_build(i) : cycle;
        if (load.rate && !wrapped)
            worker->stamped = room(packet_room(load.packet_bytes));
        if (load.framing == FRAMING_NATS)
            send_all(worker->fd, NATS_CONNECT, strlen(NATS_CONNECT));
        set_nonblocking(worker->fd);
    }
    return workers;
}

/* Chooses the worker's next write; false: it has ended. */
static bool next_write(struct worker *worker, uint32_t index) {
    if (worker->ended)
        return false;
    if ((load.stop || worker->sent >= load.most_packets) && worker->sent % 2 == 0) {
        worker->data = worker->last;
        worker->left = packet_build(worker->last, load.framing, load.packet_bytes, index,
                                    (uint32_t)worker->sent, 1);
        worker->ended = true;
        load.bytes += worker->left;
        return true;
    }
    const size_t *offset = &worker->cycle->offset[worker->next];
    worker->data = worker->cycle->data + offset[0];
    worker->left = offset[load.write_packets] - offset[0];
    worker->next = (worker->next + load.write_packets) % load.cycle;
    worker->sent += load.write_packets;
    load.bytes += worker->left;
    if (worker->stamped) {
        memcpy(worker->stamped, worker->data, worker->left);
        packet_stamp(worker->stamped, worker->left, realtime_ns());
        worker->data = worker->stamped;
    }
    return true;
}

/* One write; false: the worker is done, or blocked. */
static bool step(struct worker *worker, uint32_t index) {
    if (worker->left == 0 && !next_write(worker, index)) {
        shutdown(worker->fd, SHUT_WR);
        return false;
    }
    ssize_t sent = send(worker->fd, worker->data, worker->left, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        die("send");
    worker->blocked = sent < 0;
    if (sent > 0) {
        worker->data += sent;
        worker->left -= (size_t)sent;
    }
    return !worker->blocked;
}

static int watch(struct worker *workers) {
    int epoll = epoll_create1(0);
    for (uint32_t i = 0; i < load.workers; i++) {
        struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.u32 = i};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, workers[i].fd, &event))
            die("epoll_ctl");
    }
    return epoll;
}

/* Every worker that can write writes in turn, until all have sent their last packet. */
static void send_bulk(struct worker *workers, int epoll, uint64_t until_ns) {
    uint32_t *ready = room(load.workers * sizeof *ready), count = load.workers;
    uint32_t live = load.workers;
    for (uint32_t i = 0; i < count; i++)
        ready[i] = i;
    while (live) {
        uint32_t kept = 0;
        for (uint32_t i = 0; i < count; i++) {
            struct worker *worker = &workers[ready[i]];
            if (step(worker, ready[i]))
                ready[kept++] = ready[i];
            else if (!worker->blocked)
                live--;
        }
        count = kept;
        load.stop = load.stop || monotonic_ns() >= until_ns;
        if (!live)
            break;
        struct epoll_event events[EVENTS];
        int got = epoll_wait(epoll, events, EVENTS, count ? 0 : -1);
        for (int i = 0; i < got; i++) {
            uint32_t index = events[i].data.u32;
            if (workers[index].blocked) {
                workers[index].blocked = false;
                ready[count++] = index;
            }
        }
    }
    free(ready);
}

/* One packet at a time, worker after worker; one that is blocked misses its turn. */
static void send_paced(struct worker *workers, uint64_t begin_ns, uint64_t until_ns) {
    uint64_t done = 0;
    for (uint64_t now = begin_ns; now < until_ns; now = monotonic_ns()) {
        uint64_t due = (uint64_t)((double)(now - begin_ns) * load.rate / 1e9);
        for (; done < due; done++)
            step(&workers[done % load.workers], (uint32_t)(done % load.workers));
        nanosleep(&(struct timespec){.tv_nsec = PACE_NS}, NULL);
    }
    load.stop = true;
}

static void parse(int argc, char **argv) {
    static const struct option options[] = {
        {"connect", 1, NULL, 'c'}, {"workers", 1, NULL, 'w'}, {"bytes", 1, NULL, 'b'},
        {"write", 1, NULL, 'n'},   {"rate", 1, NULL, 'r'},    {"packets", 1, NULL, 'p'},
        {"seconds", 1, NULL, 's'}, {"framing", 1, NULL, 'f'}, {NULL, 0, NULL, 0}};
    load.most_packets = UINT64_MAX;
    for (int option, framing = 0; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'c':
            load.host = optarg;
            load.port = strrchr(optarg, ':');
            break;
        case 'w':
            load.workers = (uint32_t)number_of(optarg);
            break;
        case 'b':
            load.packet_bytes = (uint32_t)number_of(optarg);
            break;
        case 'n':
            load.write_packets = (uint32_t)number_of(optarg);
            break;
        case 'r':
            load.rate = (uint32_t)number_of(optarg);
            break;
        case 'p':
            load.most_packets = number_of(optarg);
            break;
        case 's':
            load.seconds = atof(optarg);
            break;
        case 'f':
            framing = framing_parse(optarg);
            load.framing = (enum framing)framing;
            break;
        default:
            exit(2);
        }
        if (framing < 0)
            exit(2);
    }
}

int main(int argc, char **argv) {
    parse(argc, argv);
    if (!load.port || load.packet_bytes > PACKET_MOST_BYTES || load.workers == 0 ||
        (load.packet_bytes != PACKET_MIX && load.packet_bytes < PACKET_LEAST_BYTES)) {
        fprintf(stderr,
                "usage: bench-load --connect HOST:PORT [--workers N] [--bytes N|0 (the mix)]"
                "\n    [--write PACKETS] [--rate PACKETS/S] [--packets N (a worker)]"
                " [--seconds S] [--framing F]\n");
        return 2;
    }
    *load.port++ = 0;
    raise_file_limit();
    prctl(PR_SET_TIMERSLACK, 1);
    load.cycle = cycle_packets(load.packet_bytes, load.workers);
    struct worker *workers = connect_workers();
    int epoll = watch(workers);
    puts("connected");
    fflush(stdout);
    char line[16];
    if (!fgets(line, sizeof line, stdin))
        return 1;
    uint64_t begin_ns = monotonic_ns(), until_ns = begin_ns + (uint64_t)(load.seconds * 1e9);
    if (load.rate)
        send_paced(workers, begin_ns, until_ns);
    send_bulk(workers, epoll, until_ns);
    uint64_t packets = 0;
    for (uint32_t i = 0; i < load.workers; i++)
        packets += workers[i].sent;
    printf("{\"packets\": %llu, \"bytes\": %llu}\n", (unsigned long long)packets,
           (unsigned long long)load.bytes);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin))
        ;
    return 0;
}
