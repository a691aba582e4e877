/*
 * The CPU time of a small packet in memory, in ns: no system call, one core, bytes in cache as
 * after a receive.
 *
 *   floor    read its length, check its CRC with ISA-L, copy its bytes: the least of any relay
 *   forward  (a) the same and add a segment to its route: frame, verify, patch, copy
 *   mux      (b) through the real mux, from receive to batch: all checks, tests tracked
 *   patch    (c) the new head and tail alone
 *
 * Only (b) parses fields. Rounds alternate between the rows, so that disturbances affect all of
 * them; the median counts, the least is printed beside it.
 *
 * usage: bench_core [ROUNDS]
 */
#include "bench/core/streams.h"

#include "mux/node/mux.h"
#include "mux/packet/crc.h"
#include "mux/packet/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 31
#define ROUNDS_MAX 1001
#define WORKERS 16
#define PACKETS 128 /* of each worker: with the output some 1 MiB is in use */
#define REPEATS 8   /* of each row in a round */

#define RECEIVE_BYTES 5000 /* such as pytest and subunit.run write under load */
#define MEMORY_BYTES ((size_t)64 << 20)
#define INPUTS 64
#define OUT_BYTES ((size_t)512 << 10) /* the size of the mux's batches */

enum row { ROW_FLOOR, ROW_FORWARD, ROW_MUX, ROW_PATCH, ROW_COUNT };

static const char *const row_names[] = {"floor", "forward (a)", "mux (b)", "patch (c)"};

/* A packet, parsed beforehand. */
struct parsed {
    struct mux_span bytes;
    struct mux_span route;
    struct mux_layout layout;
};

struct work {
    struct stream streams[WORKERS];
    struct parsed *parsed;
    unsigned packets;
    size_t bytes;
    uint8_t *out;
    struct mux_prefix prefix;
    struct mux *mux;
    struct mux_link *links[WORKERS];
    struct mux_buffer buffers[INPUTS];
    uint64_t now_ns;
};

static uint64_t cpu_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void must(bool is_good) {
    if (!is_good)
        abort();
}

/* Keeps the compiler from removing the computation. */
static void use(const void *memory) {
    __asm__ volatile("" ::"r"(memory) : "memory");
}

static void run_floor(struct work *work) {
    size_t used = 0;
    for (unsigned i = 0; i < work->packets; i++) {
        const struct mux_span *bytes = &work->parsed[i].bytes;
        uint32_t length, header_bytes;
        must(!mux_header_parse(*bytes, &length, &header_bytes) && mux_packet_verify(*bytes));
        if (used + length > OUT_BYTES)
            used = 0;
        memcpy(work->out + used, bytes->data, length);
        used += length;
    }
    use(work->out);
}

static void run_forward(struct work *work) {
    size_t used = 0;
    for (unsigned i = 0; i < work->packets; i++) {
        const struct parsed *parsed = &work->parsed[i];
        uint32_t length, header_bytes;
        struct mux_packet packet;
        must(!mux_header_parse(parsed->bytes, &length, &header_bytes) &&
             mux_packet_verify(parsed->bytes));
        if (used + length + MUX_PREFIX_GROWTH_BYTES > OUT_BYTES)
            used = 0;
        packet.route = parsed->route; /* the only field that is read */
        used += mux_prefix_write(&work->prefix, parsed->bytes, &packet, &parsed->layout,
                                 work->out + used);
    }
    use(work->out);
}

static void run_patch(struct work *work) {
    for (unsigned i = 0; i < work->packets; i++) {
        const struct parsed *parsed = &work->parsed[i];
        struct mux_packet packet;
        struct mux_pieces pieces;
        packet.route = parsed->route;
        must(!mux_prefix_apply(&work->prefix, parsed->bytes, &packet, &parsed->layout, &pieces));
        use(&pieces);
    }
}

static void keep(struct mux_buffer *buffer) {
    (void)buffer;
}

static void say(void *user, const char *line) {
    (void)user, (void)line;
}

static void send_all(struct work *work) {
    mux_run(work->mux, work->now_ns);
    while (mux_upstream_take(work->mux)) {
        mux_upstream_sent(work->mux);
        mux_run(work->mux, work->now_ns);
    }
}

/* Every worker's next bytes arrive, then the mux runs: as after a wait for events. */
static void run_mux(struct work *work) {
    size_t at[WORKERS] = {0};
    bool more = true;
    while (more) {
        more = false;
        for (unsigned i = 0; i < WORKERS; i++) {
            const struct stream *stream = &work->streams[i];
            size_t rest = stream->len_bytes - at[i];
            size_t len = rest < RECEIVE_BYTES ? rest : RECEIVE_BYTES;
            if (len == 0)
                continue;
            struct mux_buffer *buffer = &work->buffers[i];
            *buffer = (struct mux_buffer){stream->bytes + at[i], len, 1, keep, NULL};
            mux_link_received(work->links[i], buffer, mux_span(buffer->data, len), work->now_ns);
            at[i] += len;
            more = true;
        }
        work->now_ns += 100000;
        send_all(work);
    }
}

static void (*const row_runs[])(struct work *) = {run_floor, run_forward, run_mux, run_patch};

static void parse_all(struct work *work) {
    work->parsed = calloc(WORKERS * PACKETS, sizeof *work->parsed);
    must(work->parsed);
    for (unsigned worker = 0; worker < WORKERS; worker++) {
        struct stream *stream = &work->streams[worker];
        for (size_t at = 0; at < stream->len_bytes;) {
            struct parsed *parsed = &work->parsed[work->packets++];
            struct mux_span rest = mux_span(stream->bytes + at, stream->len_bytes - at);
            struct mux_packet packet;
            uint32_t length, header_bytes;
            must(!mux_header_parse(rest, &length, &header_bytes));
            parsed->bytes = mux_span(rest.data, length);
            must(!mux_packet_parse(parsed->bytes, &packet, &parsed->layout));
            parsed->route = packet.route;
            at += length;
        }
        work->bytes += stream->len_bytes;
    }
}

static void open_work(struct work *work, const struct stream_kind *kind, uint8_t *memory) {
    struct mux_config config = {
        .memory = {memory, MEMORY_BYTES},
        .links_max = WORKERS,
        .inputs_max = INPUTS,
        .input_bytes_max = MUX_INPUT_MAX_BYTES,
        .reference_least_bytes = 2048,
        .gather_max = 1024,
        .log = say,
    };
    struct mux_link_config link = {"peer", "", false, NULL};
    *work = (struct work){.out = malloc(OUT_BYTES), .mux = mux_create(&config)};
    must(work->out && work->mux);
    must(!mux_prefix_init(&work->prefix, mux_span_text("17")));
    for (unsigned i = 0; i < WORKERS; i++) {
        work->streams[i] = stream_make(kind, i, PACKETS);
        work->links[i] = mux_link_open(work->mux, &link);
    }
    parse_all(work);
}

static void close_work(struct work *work) {
    const uint64_t *count = mux_counters_of(work->mux)->value;
    must(count[MUX_COUNT_damages] + count[MUX_COUNT_chatter_bytes] == 0);
    must(count[MUX_COUNT_received_packets] % work->packets == 0);
    mux_destroy(work->mux);
    for (unsigned i = 0; i < WORKERS; i++)
        free(work->streams[i].bytes);
    free(work->parsed);
    free(work->out);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Returns the number of packets of each row. */
static unsigned long measure(const struct stream_kind *kind, unsigned rounds, uint8_t *memory) {
    static double ns[ROW_COUNT][ROUNDS_MAX];
    struct work work;
    open_work(&work, kind, memory);
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned row = 0; row < ROW_COUNT; row++) {
            row_runs[row](&work); /* warms up caches and predictors */
            uint64_t from_ns = cpu_ns();
            for (unsigned i = 0; i < REPEATS; i++)
                row_runs[row](&work);
            ns[row][round] = (double)(cpu_ns() - from_ns) / REPEATS / work.packets;
        }
    }
    printf("%s, mean %.0f B\n", kind->name, (double)work.bytes / work.packets);
    for (unsigned row = 0; row < ROW_COUNT; row++) {
        qsort(ns[row], rounds, sizeof ns[row][0], compare);
        printf("  %-12s %6.1f ns a packet, least %6.1f\n", row_names[row], ns[row][rounds / 2],
               ns[row][0]);
    }
    close_work(&work);
    return (unsigned long)rounds * (1 + REPEATS) * work.packets;
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
    if (rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: bench_core [ROUNDS]   1..%d\n", ROUNDS_MAX);
        return EXIT_FAILURE;
    }
    uint8_t *memory = malloc(MEMORY_BYTES);
    must(memory);
    unsigned long packets = 0;
    for (const struct stream_kind *kind = stream_kinds; kind->name; kind++)
        packets += measure(kind, (unsigned)rounds, memory);
    printf("%lu packets through each row\n", packets); /* read by bench/instructions.py */
    free(memory);
    return EXIT_SUCCESS;
}
