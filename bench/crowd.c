/*
 * bench-crowd ENDPOINT COUNT FILE TIMES: many workers in one process, over a transport. Opens COUNT
 * connections, prints "connected" when all are open, sends the file TIMES times on each, and prints
 * the seconds until the other side has closed all. Exit code 1 if one was lost.
 */
#include "tools/base/loop.h"
#include "tools/node/stacks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECEIVE_BYTES (1 << 20) /* only the end comes back */
#define BUFFER_BYTES 4096
#define FILE_MOST_BYTES (4 << 20)
#define CONNECTING_MOST 32 /* at a time: a listener's queue is short */

struct member {
    struct loop_handler base;
    unsigned sent; /* the number of times that the file was sent */
};

static struct {
    struct stacks stacks;
    struct loop loop;
    struct place place;
    struct transport_address address;
    struct mux_span file;
    struct mux_gather gather;
    unsigned count, begun, connecting, connected, closed;
    unsigned times;
    struct member *members;        /* one for each connection */
    struct transport_conn **conns; /* in the order of connecting */
} crowd;

static void die(const char *operation, const char *why) {
    fprintf(stderr, "bench-crowd: %s: %s\n", operation, why);
    exit(1);
}

static void find(const char *text) {
    char why[400];
    if (!endpoint_parse(text, &crowd.place.endpoint, why, sizeof why) ||
        endpoint_resolve(&crowd.place.endpoint, false, &crowd.address, 1, why, sizeof why) == 0)
        die(text, why);
}

/* The file is in the arena, like muxd's own output. */
static void read_file(const char *path) {
    uint8_t *at = crowd.stacks.memory.data;
    FILE *stream = fopen(path, "r");
    if (!stream)
        die(path, strerror(errno));
    crowd.file = (struct mux_span){at, fread(at, 1, FILE_MOST_BYTES, stream)};
    if (fgetc(stream) != EOF)
        die(path, strerror(EFBIG));
    fclose(stream);
    crowd.gather =
        (struct mux_gather){.spans = &crowd.file, .count = 1, .len_bytes = crowd.file.len};
}

static void make_transport(void) {
    const struct stacks_config config = {
        .upstream = &crowd.place,
        .io = IO_EPOLL,
        .memory_bytes = 2 * RECEIVE_BYTES + FILE_MOST_BYTES,
        .receive_bytes = RECEIVE_BYTES,
        .buffer_bytes = BUFFER_BYTES,
        .reserve_buffers = RECEIVE_BYTES / BUFFER_BYTES / 2,
        .conns_max = crowd.count,
    };
    char why[2 * ENDPOINT_TEXT_BYTES];
    if (!stacks_start(&crowd.stacks, &config, why, sizeof why))
        die("start", why);
    loop_init(&crowd.loop, crowd.stacks.ops, crowd.stacks.transport);
}

static void send_again(struct transport_conn *conn) {
    struct member *member = conn->user;
    if (member->sent++ < crowd.times)
        transport_send(conn, &crowd.gather);
    else
        transport_finish(conn);
}

static void handle(struct loop_handler *handler, const struct transport_event *event,
                   uint64_t now_ns) {
    (void)handler, (void)now_ns;
    switch (event->kind) {
    case TRANSPORT_CONNECTED:
        crowd.connecting--;
        crowd.conns[crowd.connected++] = event->conn;
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

static void connect_more(void) {
    struct transport_failure failure;
    for (; crowd.begun < crowd.count && crowd.connecting < CONNECTING_MOST; crowd.begun++) {
        struct member *member = &crowd.members[crowd.begun];
        member->base.handle = handle;
        if (!loop_connect(&crowd.loop, &crowd.address, &member->base, &failure))
            die(failure.operation, strerror(failure.error));
        crowd.connecting++;
    }
}

int main(int argc, char **argv) {
    crowd.count = argc == 5 ? (unsigned)atoi(argv[2]) : 0;
    crowd.times = crowd.count ? (unsigned)atoi(argv[4]) : 0;
    crowd.conns = calloc(crowd.count + 1, sizeof(struct transport_conn *));
    crowd.members = calloc(crowd.count + 1, sizeof *crowd.members);
    if (crowd.times == 0 || !crowd.conns || !crowd.members) {
        fprintf(stderr, "usage: bench-crowd ENDPOINT COUNT FILE TIMES\n");
        return 2;
    }
    find(argv[1]);
    make_transport();
    read_file(argv[3]);
    while (crowd.connected < crowd.count) {
        connect_more();
        loop_step(&crowd.loop);
    }
    puts("connected");
    fflush(stdout);
    uint64_t begin_ns = loop_now_ns(&crowd.loop);
    for (unsigned i = 0; i < crowd.count; i++) {
        transport_receive(crowd.conns[i], true);
        send_again(crowd.conns[i]);
    }
    while (crowd.closed < crowd.count)
        loop_step(&crowd.loop);
    printf("%.6f\n", (double)(loop_now_ns(&crowd.loop) - begin_ns) / 1e9);
    stacks_stop(&crowd.stacks, NULL, NULL);
    free(crowd.conns);
    free(crowd.members);
    return 0;
}
