/*
 * bench-leaves --connect HOST:PORT ...: many leaves of a tree in one process, on the stream of
 * mux/node/stream.h: what goes again, and when, is what a muxd decides. Each says hello, sends one
 * packet, and waits until it is acknowledged. Prints "open" when all have, and their backlogs are
 * in their memory, and waits for a line on stdin. Then each sends its backlog, or packets at its
 * rate, until the time is over and all is acknowledged; prints what went, and is quiet until the
 * end of stdin.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/net.h"
#include "bench/packet.h"
#include "mux/node/beat.h"
#include "mux/node/hello.h"
#include "mux/node/stream.h"

#define EVENTS 512
#define TICK_NS UINT64_C(10000000)
#define GRACE_NS UINT64_C(30000000000) /* muxd's, and what follows from it: stall and beats */
#define STALL_NS UINT64_C(2000000000)
#define WINDOW_BYTES ((size_t)1 << 20)
#define UNSENT_BYTES (256 << 10) /* as muxd */
#define READ_BYTES 16384
#define OUT_BYTES (MUX_STREAM_RECORD_MOST_BYTES + MUX_BUNDLE_HEAD_BYTES)

struct leaf {
    int fd;
    bool is_open, is_blocked;
    struct mux_stream stream;
    uint64_t packets, sent_ns, rate_since_ns;
    size_t rate_bytes;
    uint8_t *in, *out; /* half a packet; what the socket has not taken; NULL: none */
    size_t in_bytes, out_at, out_bytes;
};

static struct {
    char *host, *port;
    uint32_t leaves, packet_bytes, rate; /* rate: packets a second of each; 0: as fast as it goes */
    uint64_t backlog_bytes;
    double seconds, elapsed_seconds;
    bool is_plain, is_held; /* is_held: nothing goes up but beats */
    int epoll;
    struct leaf *all;
    uint8_t *packet;
    size_t packet_len;
    uint32_t answered;
    uint64_t acks, wheres, bundles, bundle_bytes;
} bench = {.leaves = 1, .packet_bytes = 100, .seconds = 1};

static noreturn void fail(const struct leaf *leaf, const char *why) {
    printf("wrong: leaf %td: %s\n", leaf - bench.all, why);
    exit(1);
}

/* Memory of which only what is touched is taken. */
static void *room(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        die("mmap");
    return memory;
}

/*
 * ---- up ----
 */

static void want_to_write(struct leaf *leaf, bool wants) {
    struct epoll_event event = {.events = wants ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = leaf};
    leaf->is_blocked = wants;
    if (epoll_ctl(bench.epoll, EPOLL_CTL_MOD, leaf->fd, &event))
        die("epoll_ctl");
}

/* What the socket takes at this rate decides how long the records are, as in muxd. */
static void note_sent(struct leaf *leaf, size_t bytes, uint64_t now_ns) {
    uint64_t elapsed_ns = now_ns - leaf->rate_since_ns;
    leaf->sent_ns = now_ns;
    leaf->rate_bytes += bytes;
    if (elapsed_ns < TICK_NS)
        return;
    mux_stream_set_rate(&leaf->stream, (size_t)(leaf->rate_bytes * TICK_NS / elapsed_ns));
    leaf->rate_since_ns = now_ns;
    leaf->rate_bytes = 0;
}

/* Sends what the spans have; what the socket does not take waits in `out`. */
static void send_spans(struct leaf *leaf, const struct mux_span *spans, size_t count,
                       uint64_t now_ns) {
    struct iovec parts[4];
    for (size_t i = 0; i < count; i++)
        parts[i] = (struct iovec){(void *)(uintptr_t)spans[i].data, spans[i].len};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t sent = sendmsg(leaf->fd, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        die("send");
    size_t done = sent > 0 ? (size_t)sent : 0;
    note_sent(leaf, done, now_ns);
    for (size_t i = 0; i < count; i++) {
        size_t gone = done < spans[i].len ? done : spans[i].len, left = spans[i].len - gone;
        done -= gone;
        if (left > 0 && !leaf->out && !(leaf->out = malloc(OUT_BYTES)))
            die("malloc");
        if (left > 0)
            memcpy(leaf->out + leaf->out_bytes, spans[i].data + gone, left);
        leaf->out_bytes += left;
    }
    if (leaf->out_bytes > 0)
        want_to_write(leaf, true);
}

static void send_bytes(struct leaf *leaf, const uint8_t *data, size_t len, uint64_t now_ns) {
    const struct mux_span bytes = mux_span(data, len);
    send_spans(leaf, &bytes, 1, now_ns);
}

static void send_bundle(struct leaf *leaf, const struct mux_stream_out *out, uint64_t now_ns) {
    struct mux_bundle_wrap wrap;
    mux_bundle_wrap(&out->bundle, &out->content, &wrap);
    const struct mux_span spans[4] = {mux_span(wrap.front, wrap.front_len_bytes), out->spans[0],
                                      out->spans[1], mux_span(wrap.crc, sizeof wrap.crc)};
    bench.bundles++;
    bench.bundle_bytes += out->content.len_bytes;
    send_spans(leaf, spans, 4, now_ns);
}

static void send_where(struct leaf *leaf, const struct mux_where *where, uint64_t now_ns) {
    uint8_t bytes[MUX_MESSAGE_PACKET_BYTES];
    bench.wheres++;
    send_bytes(leaf, bytes, mux_where_write(where, mux_span(NULL, 0), bytes), now_ns);
}

/* All that there is, until the socket takes no more. */
static void send_next(struct leaf *leaf, uint64_t now_ns) {
    struct mux_stream_out out;
    while (leaf->is_open && !leaf->is_blocked && !bench.is_held) {
        switch (mux_stream_next(&leaf->stream, true, now_ns, &out)) {
        case MUX_STREAM_WHERE:
            send_where(leaf, &out.where, now_ns);
            break;
        case MUX_STREAM_BUNDLE:
            send_bundle(leaf, &out, now_ns);
            break;
        default:
            return;
        }
    }
}

static void send_rest(struct leaf *leaf, uint64_t now_ns) {
    ssize_t sent =
        send(leaf->fd, leaf->out + leaf->out_at, leaf->out_bytes - leaf->out_at, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        die("send");
    leaf->out_at += sent > 0 ? (size_t)sent : 0;
    note_sent(leaf, sent > 0 ? (size_t)sent : 0, now_ns);
    if (leaf->out_at < leaf->out_bytes)
        return;
    free(leaf->out);
    leaf->out = NULL;
    leaf->out_at = leaf->out_bytes = 0;
    want_to_write(leaf, false);
    send_next(leaf, now_ns);
}

static void add_packets(struct leaf *leaf, uint64_t until, uint64_t now_ns) {
    const struct mux_pieces packet = {.piece = {mux_span(bench.packet, bench.packet_len)},
                                      .count = 1,
                                      .len_bytes = bench.packet_len};
    while (leaf->packets < until && mux_stream_has_room(&leaf->stream)) {
        mux_stream_add(&leaf->stream, &packet, now_ns);
        leaf->packets++;
    }
    send_next(leaf, now_ns);
}

/*
 * ---- down ----
 */

static void take_hello(struct leaf *leaf, const struct mux_packet *packet, uint64_t now_ns) {
    struct mux_hello hello;
    const char *why = mux_hello_read(packet, &hello);
    if (why || (!hello.takes_bundles && !bench.is_plain))
        fail(leaf, why ? why : "the node takes no bundles");
    if (!bench.is_plain) {
        leaf->is_open = true;
        add_packets(leaf, 1, now_ns);
        return;
    }
    send_bytes(leaf, bench.packet, bench.packet_len, now_ns);
    bench.answered++;
}

static void take_ack(struct leaf *leaf, const struct mux_packet *packet, uint64_t now_ns) {
    struct mux_ack ack;
    const char *why = mux_ack_read(packet, &ack);
    if (why)
        fail(leaf, why);
    bool was_quiet = leaf->stream.safe > 0;
    mux_stream_acked(&leaf->stream, &ack, now_ns);
    if (leaf->stream.state == MUX_STREAM_FORKED)
        fail(leaf, "the end has other bytes");
    bench.answered += !was_quiet && leaf->stream.safe > 0;
    bench.acks++;
    send_next(leaf, now_ns);
}

static void take_packet(struct leaf *leaf, struct mux_span bytes, uint64_t now_ns) {
    struct mux_packet packet;
    if (mux_packet_parse(bytes, &packet, NULL) != MUX_OK)
        fail(leaf, "what comes down is no packet");
    if (mux_hello_is(&packet)) {
        take_hello(leaf, &packet, now_ns);
        return;
    }
    enum mux_message_kind kind = mux_message_kind(&packet);
    if (kind == MUX_MESSAGE_ACK)
        take_ack(leaf, &packet, now_ns);
    if (kind == MUX_MESSAGE_ASK && leaf->stream.state != MUX_STREAM_NEW)
        mux_stream_ask_anew(&leaf->stream);
}

/* Whole packets; what is left is kept for the next time. */
static void take_bytes(struct leaf *leaf, struct mux_span bytes, uint64_t now_ns) {
    uint32_t length, header_bytes;
    while (mux_header_parse(bytes, &length, &header_bytes) == MUX_OK && length <= bytes.len) {
        take_packet(leaf, mux_span(bytes.data, length), now_ns);
        bytes = mux_span(bytes.data + length, bytes.len - length);
    }
    uint8_t *rest = bytes.len > 0 ? malloc(bytes.len) : NULL;
    if (rest)
        memcpy(rest, bytes.data, bytes.len);
    free(leaf->in);
    leaf->in = rest;
    leaf->in_bytes = bytes.len;
}

static void receive(struct leaf *leaf, uint64_t now_ns) {
    uint8_t bytes[2 * READ_BYTES];
    if (leaf->in)
        memcpy(bytes, leaf->in, leaf->in_bytes);
    ssize_t got = recv(leaf->fd, bytes + leaf->in_bytes, READ_BYTES, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        fail(leaf, got == 0 ? "the node has closed it" : strerror(errno));
    take_bytes(leaf, mux_span(bytes, leaf->in_bytes + (size_t)got), now_ns);
}

/*
 * ---- all of them ----
 */

static void tick(uint64_t now_ns) {
    uint8_t beat[MUX_MESSAGE_BEAT_BYTES];
    size_t beat_bytes = mux_beat_write(beat);
    for (struct leaf *leaf = bench.all; leaf < bench.all + bench.leaves; leaf++) {
        if (!leaf->is_open)
            continue;
        if (mux_stream_deadline(&leaf->stream) <= now_ns) {
            mux_stream_tick(&leaf->stream, now_ns);
            send_next(leaf, now_ns);
        }
        if (!leaf->is_blocked && now_ns - leaf->sent_ns >= GRACE_NS / MUX_BEATS_IN_GRACE)
            send_bytes(leaf, beat, beat_bytes, now_ns);
    }
}

/* A turn of at most TICK_NS. */
static void turn(void) {
    static uint64_t ticked_ns;
    struct epoll_event events[EVENTS];
    int count = epoll_wait(bench.epoll, events, EVENTS, (int)(TICK_NS / 1000000));
    uint64_t now_ns = monotonic_ns();
    for (int i = 0; i < count; i++) {
        struct leaf *leaf = events[i].data.ptr;
        if (events[i].events & EPOLLOUT)
            send_rest(leaf, now_ns);
        if (events[i].events & ~(unsigned)EPOLLOUT)
            receive(leaf, now_ns);
    }
    if (now_ns - ticked_ns < TICK_NS)
        return;
    ticked_ns = now_ns;
    tick(now_ns);
}

static void say_hello(struct leaf *leaf, uint64_t now_ns) {
    struct mux_hello hello;
    uint8_t bytes[MUX_HELLO_PACKET_BYTES];
    char identity[MUX_IDENTITY_BYTES], name[MUX_NODE_NAME_BYTES];
    for (size_t i = 0; i < MUX_STREAM_ID_BYTES; i++)
        snprintf(identity + 2 * i, 3, "%02x", leaf->stream.id[i]);
    snprintf(name, sizeof name, "leaf%td", leaf - bench.all);
    mux_hello_init(&hello, identity, name);
    hello.takes_bundles = !bench.is_plain;
    send_bytes(leaf, bytes, mux_hello_write(&hello, bytes), now_ns);
}

static void connect_leaf(struct leaf *leaf, uint8_t *ring, struct mux_stream_record *records) {
    const struct mux_stream_limits limits = {.window_bytes = WINDOW_BYTES,
                                             .saves_memory = true,
                                             .stall_ns = STALL_NS,
                                             .wait_most_ns = GRACE_NS / 2};
    uint32_t id[4] = {(uint32_t)(leaf - bench.all), (uint32_t)getpid(), (uint32_t)realtime_ns(), 1};
    int unsent = UNSENT_BYTES;
    mux_stream_init(&leaf->stream, (const uint8_t *)id, &limits,
                    (struct mux_room){ring, MUX_STREAM_RING_BYTES(WINDOW_BYTES)}, records);
    leaf->fd = connect_to(bench.host, bench.port);
    setsockopt(leaf->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
    set_nonblocking(leaf->fd);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = leaf};
    if (epoll_ctl(bench.epoll, EPOLL_CTL_ADD, leaf->fd, &event))
        die("epoll_ctl");
    say_hello(leaf, monotonic_ns());
}

static void open_leaves(void) {
    const size_t ring_bytes = MUX_STREAM_RING_BYTES(WINDOW_BYTES);
    const size_t records = MUX_STREAM_RECORDS(WINDOW_BYTES);
    bench.all = room(bench.leaves * sizeof *bench.all);
    uint8_t *rings = room(bench.leaves * ring_bytes);
    struct mux_stream_record *all_records = room(bench.leaves * records * sizeof *all_records);
    bench.epoll = epoll_create1(0);
    for (uint32_t i = 0; i < bench.leaves; i++) {
        connect_leaf(&bench.all[i], rings + i * ring_bytes, all_records + i * records);
        while (i - bench.answered > EVENTS) /* a listener's queue is short */
            turn();
    }
    while (bench.answered < bench.leaves)
        turn();
}

static bool all_is_safe(void) {
    for (uint32_t i = 0; i < bench.leaves; i++)
        if (mux_stream_held_bytes(&bench.all[i].stream) > 0)
            return false;
    return true;
}

/* To all leaves what is due to them; the others go on meanwhile. */
static void add_due(uint64_t (*due)(uint32_t leaf)) {
    uint64_t now_ns = monotonic_ns();
    for (uint32_t i = 0; i < bench.leaves; i++) {
        if (bench.all[i].packets < due(i))
            add_packets(&bench.all[i], due(i), now_ns);
        if (monotonic_ns() - now_ns >= TICK_NS) {
            turn();
            now_ns = monotonic_ns();
        }
    }
}

static uint64_t whole_backlog(uint32_t leaf) {
    (void)leaf;
    return 1 + bench.backlog_bytes / bench.packet_len;
}

/* They do not beat together: each has its own place in the interval. */
static uint64_t paced(uint32_t leaf) {
    return 1 + (uint64_t)(bench.elapsed_seconds * bench.rate + (double)leaf / bench.leaves);
}

static void hold_backlog(void) {
    bench.is_held = true;
    add_due(whole_backlog);
}

static void release_backlog(void) {
    bench.is_held = false;
    bench.acks = bench.wheres = 0; /* each leaf has said it once, and was answered */
    for (uint32_t i = 0; i < bench.leaves; i++) {
        send_next(&bench.all[i], monotonic_ns());
        if (i % EVENTS == 0)
            turn();
    }
}

static void send_paced(uint64_t begin_ns) {
    while (bench.elapsed_seconds < bench.seconds) {
        bench.elapsed_seconds = (double)(monotonic_ns() - begin_ns) / 1e9;
        if (bench.elapsed_seconds > bench.seconds)
            bench.elapsed_seconds = bench.seconds;
        add_due(paced);
        turn();
    }
}

static void report(double seconds) {
    uint64_t packets = 0, stream_bytes = 0;
    for (uint32_t i = 0; i < bench.leaves; i++) {
        packets += bench.all[i].packets;
        stream_bytes += bench.all[i].stream.len_bytes;
    }
    printf("{\"packets\": %llu, \"stream_bytes\": %llu, \"bundle_bytes\": %llu, \"bundles\": %llu, "
           "\"wheres\": %llu, \"acks\": %llu, \"seconds\": %.3f}\n",
           (unsigned long long)packets, (unsigned long long)stream_bytes,
           (unsigned long long)bench.bundle_bytes, (unsigned long long)bench.bundles,
           (unsigned long long)bench.wheres, (unsigned long long)bench.acks, seconds);
    fflush(stdout);
}

/* The leaves live on; false: stdin has ended, or a line has come, as was wanted. */
static void until_stdin(bool ends) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char bytes[64];
    for (;;) {
        turn();
        if (poll(&input, 1, 0) <= 0)
            continue;
        ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);
        if (got <= 0 && !ends)
            exit(1);
        if (got <= 0 || !ends)
            return;
    }
}

static void parse(int argc, char **argv) {
    static const struct option options[] = {{"connect", 1, NULL, 'c'}, {"leaves", 1, NULL, 'l'},
                                            {"bytes", 1, NULL, 'b'},   {"rate", 1, NULL, 'r'},
                                            {"backlog", 1, NULL, 'k'}, {"seconds", 1, NULL, 's'},
                                            {"plain", 0, NULL, 'p'},   {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'c':
            bench.host = optarg;
            bench.port = strrchr(optarg, ':');
            break;
        case 'l':
            bench.leaves = (uint32_t)number_of(optarg);
            break;
        case 'b':
            bench.packet_bytes = (uint32_t)number_of(optarg);
            break;
        case 'r':
            bench.rate = (uint32_t)number_of(optarg);
            break;
        case 'k':
            bench.backlog_bytes = number_of(optarg);
            break;
        case 's':
            bench.seconds = atof(optarg);
            break;
        case 'p':
            bench.is_plain = true;
            break;
        default:
            exit(2);
        }
    }
}

int main(int argc, char **argv) {
    parse(argc, argv);
    if (!bench.port || bench.leaves == 0 || bench.packet_bytes < PACKET_LEAST_BYTES ||
        bench.packet_bytes > PACKET_MOST_BYTES) {
        fprintf(stderr, "usage: bench-leaves --connect HOST:PORT [--leaves N] [--bytes N] [--plain]"
                        "\n    [--backlog BYTES (a leaf) | --rate PACKETS/S (a leaf)] "
                        "[--seconds S]\n");
        return 2;
    }
    *bench.port++ = 0;
    raise_file_limit();
    bench.packet = malloc(packet_room(bench.packet_bytes));
    if (!bench.packet)
        die("malloc");
    bench.packet_len = packet_build(bench.packet, FRAMING_SUBUNIT, bench.packet_bytes, 0, 1, 0);
    open_leaves();
    hold_backlog();
    puts("open");
    fflush(stdout);
    until_stdin(false);
    uint64_t begin_ns = monotonic_ns();
    release_backlog();
    if (bench.rate > 0)
        send_paced(begin_ns);
    while (!all_is_safe())
        turn();
    report((double)(monotonic_ns() - begin_ns) / 1e9);
    until_stdin(true);
    return 0;
}
