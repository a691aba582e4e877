/*
 * bench-crowd ENDPOINT COUNT FILE TIMES: many workers in one process, over a transport. Opens COUNT
 * connections, says "connected" when all are open, sends the file TIMES times on each, says how
 * many seconds it took until the other side had closed all. Exit code 1 if one was lost.
 */
#include "transport/stack.h"
#include "transport/transport.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define RECEIVE_BYTES (1 << 20) /* nothing comes back but the end */
#define BUFFER_BYTES 4096
#define FILE_MOST_BYTES (4 << 20)
#define CONNECTING_MOST 32 /* at a time: a listener's queue of requests is short */
#define EVENTS_MAX 64

static struct {
    const struct transport_ops *ops;
    struct transport *transport;
    struct transport_address address;
    struct mux_span file;
    struct mux_gather gather;
    unsigned count, begun, connecting, connected, closed;
    unsigned times;
    unsigned *sent; /* by connection: how often the file */
} crowd;

static void die(const char *operation, const char *why) {
    fprintf(stderr, "bench-crowd: %s: %s\n", operation, why);
    exit(1);
}

static void find(const char *text) {
    struct endpoint endpoint;
    char why[400];
    if (!endpoint_parse(text, &endpoint, why, sizeof why) ||
        endpoint_resolve(&endpoint, false, &crowd.address, 1, why, sizeof why) == 0)
        die(text, why);
}

/* The file lies in the arena, as what muxd sends does. */
static void make_transport(const char *path) {
    const size_t arena_bytes = 2 * RECEIVE_BYTES + FILE_MOST_BYTES;
    uint8_t *arena =
        mmap(NULL, arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FILE *stream = fopen(path, "r");
    if (arena == MAP_FAILED || !stream)
        die(path, strerror(errno));
    crowd.file.data = arena + 2 * RECEIVE_BYTES;
    crowd.file.len = fread(arena + 2 * RECEIVE_BYTES, 1, FILE_MOST_BYTES, stream);
    if (fgetc(stream) != EOF)
        die(path, strerror(EFBIG));
    fclose(stream);
    crowd.gather =
        (struct mux_gather){.spans = &crowd.file, .count = 1, .len_bytes = crowd.file.len};
    const struct transport_config config = {.memory = {arena, RECEIVE_BYTES},
                                            .buffer_bytes = BUFFER_BYTES,
                                            .reserve_buffers = RECEIVE_BYTES / BUFFER_BYTES / 2,
                                            .conns_max = crowd.count,
                                            .arena = {arena, arena_bytes}};
    struct transport_part parts[] = {{TRANSPORT_VIA_KERNEL, &transport_epoll, config},
                                     {TRANSPORT_VIA_RDMA, stack_ops(TRANSPORT_VIA_RDMA), config}};
    parts[1].config.memory.data += RECEIVE_BYTES;
    const struct transport_config both = {.parts = parts, .parts_count = 2};
    struct transport_failure failure;
    crowd.ops = &transport_mixed;
    crowd.transport = crowd.ops->init(&both, &failure);
    if (!crowd.transport)
        die(failure.operation, strerror(failure.error));
}

static void connect_more(void) {
    struct transport_failure failure;
    for (; crowd.begun < crowd.count && crowd.connecting < CONNECTING_MOST; crowd.begun++) {
        if (!crowd.ops->connect(crowd.transport, &crowd.address, &crowd.sent[crowd.begun],
                                &failure))
            die(failure.operation, strerror(failure.error));
        crowd.connecting++;
    }
}

static void send_again(struct transport_conn *conn) {
    unsigned *sent = conn->user;
    if ((*sent)++ < crowd.times)
        transport_send(conn, &crowd.gather);
    else
        transport_finish(conn);
}

static void handle(const struct transport_event *event, struct transport_conn **conns) {
    switch (event->kind) {
    case TRANSPORT_CONNECTED:
        crowd.connecting--;
        conns[crowd.connected++] = event->conn;
        break;
    case TRANSPORT_RECEIVED:
        mux_buffer_release(event->buffer);
        break;
    case TRANSPORT_SENT:
        send_again(event->conn);
        break;
    case TRANSPORT_ENDED:
        transport_close(event->conn);
        break;
    case TRANSPORT_CLOSED:
        crowd.closed++;
        break;
    default:
        fprintf(stderr, "bench-crowd: %u connected, %u closed\n", crowd.connected, crowd.closed);
        die(event->operation, strerror(event->error));
    }
}

static void step(struct transport_conn **conns) {
    struct transport_event events[EVENTS_MAX];
    unsigned count = crowd.ops->poll(crowd.transport, UINT64_MAX, events, EVENTS_MAX);
    for (unsigned i = 0; i < count; i++)
        handle(&events[i], conns);
}

int main(int argc, char **argv) {
    crowd.count = argc == 5 ? (unsigned)atoi(argv[2]) : 0;
    crowd.times = crowd.count ? (unsigned)atoi(argv[4]) : 0;
    struct transport_conn **conns = calloc(crowd.count + 1, sizeof(struct transport_conn *));
    crowd.sent = calloc(crowd.count + 1, sizeof *crowd.sent);
    if (crowd.times == 0 || !conns || !crowd.sent) {
        fprintf(stderr, "usage: bench-crowd ENDPOINT COUNT FILE TIMES\n");
        return 2;
    }
    find(argv[1]);
    make_transport(argv[3]);
    while (crowd.connected < crowd.count) {
        connect_more();
        step(conns);
    }
    puts("connected");
    fflush(stdout);
    uint64_t begin_ns = crowd.ops->now_ns(crowd.transport);
    for (unsigned i = 0; i < crowd.count; i++) {
        transport_receive(conns[i], true);
        send_again(conns[i]);
    }
    while (crowd.closed < crowd.count)
        step(conns);
    printf("%.6f\n", (double)(crowd.ops->now_ns(crowd.transport) - begin_ns) / 1e9);
    free(conns);
    free(crowd.sent);
    crowd.ops->stop(crowd.transport);
    crowd.ops->fini(crowd.transport);
    return 0;
}
